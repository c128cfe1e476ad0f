-- What became of roles, and messages for other programs.

create table role_changes (
    id bigint generated always as identity constraint role_changes_pkey primary key,
    user_id uuid not null constraint role_changes_user_id_fkey references users (id) on delete cascade,
    from_role text not null
        constraint role_changes_from_role_check check (from_role in ('ANONYMOUS', 'AUTHENTICATED', 'MANAGER', 'ADMIN')),
    to_role text not null
        constraint role_changes_to_role_check check (to_role in ('ANONYMOUS', 'AUTHENTICATED', 'MANAGER', 'ADMIN')),
    reason text constraint role_changes_reason_check check (char_length(reason) between 1 and 500),
    changed_by uuid,
    changed_at timestamptz not null,
    constraint role_changes_change_check check (from_role <> to_role)
);

comment on table role_changes is 'changes of roles that somebody made; that a verified address makes an ANONYMOUS user AUTHENTICATED is none';
comment on column role_changes.id is 'grows with each change of a user, whose row is locked meanwhile';
comment on column role_changes.user_id is 'whose role it is';
comment on column role_changes.from_role is 'the role before';
comment on column role_changes.to_role is 'the role after';
comment on column role_changes.reason is 'why, as it was told to the user; null: nothing was said';
comment on column role_changes.changed_by is 'the user who changed it; no reference, so that it stays when he is erased. Null: an operator, or the service itself';
comment on column role_changes.changed_at is 'when';

create index role_changes_user_id_idx on role_changes (user_id, id);

create table outbox_messages (
    id uuid constraint outbox_messages_pkey primary key,
    topic text not null
        constraint outbox_messages_topic_check check (topic ~ '^[a-z_]+(\.[a-z_]+)+$' and char_length(topic) <= 100),
    key uuid not null,
    payload jsonb not null
        constraint outbox_messages_payload_check check (jsonb_typeof(payload) = 'object'),
    created_at timestamptz not null,
    published_at timestamptz
);

comment on table outbox_messages is 'what others may want to know, written in the transaction of what it tells of';
comment on column outbox_messages.id is 'UUID of version 7; the same whenever the message is delivered again';
comment on column outbox_messages.topic is 'what happened: user.role_changed';
comment on column outbox_messages.key is 'to whom or what it happened: of user topics the user''s id';
comment on column outbox_messages.payload is 'what there is to know of it; no addresses and no secrets';
comment on column outbox_messages.created_at is 'when it happened';
comment on column outbox_messages.published_at is 'when a consumer had it, who sets this; null until then. A while later the row is deleted';

-- what consumers look for
create index outbox_messages_unpublished_idx on outbox_messages (id) where published_at is null;
create index outbox_messages_published_at_idx on outbox_messages (published_at) where published_at is not null;
create index outbox_messages_key_idx on outbox_messages (key);
