-- Sessions: each login makes one; an access token names it in its claim `sid`, and ends with it.

create table sessions (
    id uuid constraint sessions_pkey primary key,
    user_id uuid not null constraint sessions_user_id_fkey references users (id) on delete cascade,
    user_agent text constraint sessions_user_agent_check check (char_length(user_agent) <= 512),
    client_address text,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    constraint sessions_expires_at_check check (expires_at > created_at)
);

comment on table sessions is 'live logins; a session ends by the deletion of its row';
comment on column sessions.id is 'UUID of version 7; the access token''s claim sid. Not a secret: nothing is granted for knowing it';
comment on column sessions.user_id is 'whose session it is';
comment on column sessions.user_agent is 'the User-Agent of the login, cut to 512 characters';
comment on column sessions.client_address is 'the address of the login';
comment on column sessions.created_at is 'time of the login';
comment on column sessions.expires_at is 'from when on the session is refused and may be swept';

create index sessions_user_id_idx on sessions (user_id);
create index sessions_expires_at_idx on sessions (expires_at);
