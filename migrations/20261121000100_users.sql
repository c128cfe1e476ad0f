-- Accounts: who exists, who he is, and what he may do.

create table users (
    id uuid constraint users_pkey primary key,
    nickname text collate "C" not null
        constraint users_nickname_check check (nickname ~ '^[A-Za-z0-9_-]{3,50}$'),
    email text collate "C" not null
        constraint users_email_check check (octet_length(email) <= 254 and email ~ '^[^@[:space:]]+@[^@[:space:]]+$'),
    email_verified_at timestamptz,
    password_hash text not null,
    first_name text constraint users_first_name_check check (char_length(first_name) between 1 and 100),
    last_name text constraint users_last_name_check check (char_length(last_name) between 1 and 100),
    bio text constraint users_bio_check check (char_length(bio) between 1 and 500),
    profile_picture_url text
        constraint users_profile_picture_url_check check (profile_picture_url ~ '^https?://' and char_length(profile_picture_url) <= 255),
    linkedin_profile_url text
        constraint users_linkedin_profile_url_check check (linkedin_profile_url ~ '^https?://' and char_length(linkedin_profile_url) <= 255),
    github_profile_url text
        constraint users_github_profile_url_check check (github_profile_url ~ '^https?://' and char_length(github_profile_url) <= 255),
    role text not null
        constraint users_role_check check (role in ('ANONYMOUS', 'AUTHENTICATED', 'MANAGER', 'ADMIN')),
    is_professional boolean not null default false,
    professional_status_updated_at timestamptz,
    locked_at timestamptz,
    last_login_at timestamptz,
    created_at timestamptz not null,
    updated_at timestamptz not null
) with (fillfactor = 90);

comment on table users is 'one row an account';
comment on column users.id is 'UUID of version 7: sorts by the time of registration';
comment on column users.nickname is 'the only public identifier; unique without case, whatever the server''s locale';
comment on column users.email is 'address as typed, its domain as lower-case A-labels; unique in lower case; never shown to the public';
comment on column users.email_verified_at is 'when the owner proved that he reads this address; null: not yet';
comment on column users.password_hash is 'PHC string of Argon2id, or an imported hash that the next login replaces';
comment on column users.first_name is 'given name';
comment on column users.last_name is 'family name';
comment on column users.bio is 'free text about oneself';
comment on column users.profile_picture_url is 'stored as given, never fetched';
comment on column users.linkedin_profile_url is 'stored as given, never fetched';
comment on column users.github_profile_url is 'stored as given, never fetched';
comment on column users.role is 'what the account may do: ANONYMOUS until its address is verified';
comment on column users.is_professional is 'professional status, granted by a manager or an administrator';
comment on column users.professional_status_updated_at is 'when is_professional last changed';
comment on column users.locked_at is 'when an administrator locked the account; null: not locked. Lockout after failed logins is in login_throttle';
comment on column users.last_login_at is 'the last successful login';
comment on column users.created_at is 'time of registration';
comment on column users.updated_at is 'the last change of what a client sees of the account, logins left out';

create unique index users_email_key on users (lower(email));
create unique index users_nickname_key on users (lower(nickname));
create index users_created_at_idx on users (created_at, id);
-- few rows, so that the rule about the last administrator is checked at once
create index users_admin_idx on users (id) where role = 'ADMIN';

-- An exact number of users without counting them: each backend adds to a slot of its own, so that
-- writers seldom meet, and the sum of the slots is right in every snapshot.
create table user_counts (
    slot smallint constraint user_counts_pkey primary key,
    users bigint not null
) with (fillfactor = 20, autovacuum_vacuum_threshold = 200, autovacuum_vacuum_scale_factor = 0);

comment on table user_counts is 'the number of rows of users, as the sum over the slots';
comment on column user_counts.slot is 'the backend''s process id modulo 32';
comment on column user_counts.users is 'rows inserted less rows deleted by backends of this slot; may be negative';

insert into user_counts (slot, users) select slot, 0 from generate_series(0, 31) as slot;

create function count_users() returns trigger language plpgsql as $$
declare
    rows bigint;
begin
    if tg_op = 'TRUNCATE' then
        update user_counts set users = 0;
        return null;
    end if;
    select count(*) into rows from changed;
    -- A statement that changed nothing must not hold a slot.
    if rows > 0 then
        update user_counts set users = users + case tg_op when 'INSERT' then rows else -rows end
        where slot = pg_backend_pid() % 32;
    end if;
    return null;
end;
$$;

create trigger users_count_inserted after insert on users
    referencing new table as changed for each statement execute function count_users();
create trigger users_count_deleted after delete on users
    referencing old table as changed for each statement execute function count_users();
create trigger users_count_truncated after truncate on users
    for each statement execute function count_users();

-- The first account to register becomes administrator, once: its transaction takes the only row.
create table first_user (
    singleton boolean not null default true
        constraint first_user_pkey primary key
        constraint first_user_singleton_check check (singleton),
    claimed_at timestamptz not null
);

comment on table first_user is 'holds one row from the first account on';
comment on column first_user.singleton is 'always true, so that there is one row at most';
comment on column first_user.claimed_at is 'when the first account was made';
