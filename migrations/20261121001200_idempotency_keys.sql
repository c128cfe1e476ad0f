-- Creating requests that a client may send again, after an answer that it never saw: what they were
-- answered, for a day.

create table idempotency_keys (
    scope bytea constraint idempotency_keys_pkey primary key
        constraint idempotency_keys_scope_check check (octet_length(scope) = 32),
    request_digest bytea not null
        constraint idempotency_keys_request_digest_check check (octet_length(request_digest) = 32),
    running_until timestamptz,
    result jsonb,
    user_id uuid constraint idempotency_keys_user_id_fkey references users (id) on delete cascade,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    constraint idempotency_keys_result_check check ((running_until is null) <> (result is null)),
    constraint idempotency_keys_user_id_check check (user_id is null or result is not null),
    constraint idempotency_keys_expires_at_check check (expires_at > created_at)
);

comment on table idempotency_keys is 'requests with an Idempotency-Key, running or answered';
comment on column idempotency_keys.scope is 'keyed hash (HMAC-SHA-256) of the operation, of who asks for it, and of the key';
comment on column idempotency_keys.request_digest is 'keyed hash of the key and the request''s body, which holds a password: a plain hash could be guessed';
comment on column idempotency_keys.running_until is 'while nothing is answered: when the request is taken to have died and may be run again. Each claim moves it on, so that it tells a claim from those before';
comment on column idempotency_keys.result is 'what was answered, written in the transaction that did the work; null: it runs';
comment on column idempotency_keys.user_id is 'whom the result is about: it is erased with him. null: nobody, or nobody may learn whom';
comment on column idempotency_keys.created_at is 'when the request that runs or ran was begun';
comment on column idempotency_keys.expires_at is 'when the key is forgotten';

create index idempotency_keys_user_id_idx on idempotency_keys (user_id) where user_id is not null;
create index idempotency_keys_expires_at_idx on idempotency_keys (expires_at);
