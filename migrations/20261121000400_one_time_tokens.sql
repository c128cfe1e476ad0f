-- Secrets that a mail carries and that work once.

create table one_time_tokens (
    user_id uuid not null constraint one_time_tokens_user_id_fkey references users (id) on delete cascade,
    purpose text not null
        constraint one_time_tokens_purpose_check check (purpose in ('email_verification', 'account_unlock')),
    digest bytea not null
        constraint one_time_tokens_digest_check check (octet_length(digest) = 32),
    created_at timestamptz not null,
    expires_at timestamptz not null,
    constraint one_time_tokens_pkey primary key (user_id, purpose),
    constraint one_time_tokens_digest_key unique (digest),
    constraint one_time_tokens_expires_at_check check (expires_at > created_at)
);

comment on table one_time_tokens is 'live one-time tokens: one an account and purpose, a new one replaces the older';
comment on column one_time_tokens.user_id is 'whose token it is';
comment on column one_time_tokens.purpose is 'the only thing that the token is good for';
comment on column one_time_tokens.digest is 'SHA-256 of the token; the token itself is never stored in clear';
comment on column one_time_tokens.created_at is 'time of issue';
comment on column one_time_tokens.expires_at is 'from when on the token is refused and may be swept';

create index one_time_tokens_expires_at_idx on one_time_tokens (expires_at);
