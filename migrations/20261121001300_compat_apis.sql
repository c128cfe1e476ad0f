-- What clients of the older APIs need: names that are no addresses, password resets
-- without a mail, and preferences.

alter table users
    add column legacy_name text collate "C"
        constraint users_legacy_name_check
            check (octet_length(legacy_name) between 1 and 254 and legacy_name !~ '[[:cntrl:]]'),
    drop constraint users_identifier_check,
    add constraint users_identifier_check
        check (email is not null or phone_number is not null or legacy_name is not null);

comment on column users.email is 'address as typed, its domain as lower-case A-labels; unique in lower case; never shown to the public; null only with a phone number or a legacy name';
comment on column users.legacy_name is 'what an account of an older API has in place of an address, as typed; unique; only that API logs in by it or shows it. null: none';

create unique index users_legacy_name_key on users (legacy_name);

alter table one_time_tokens
    drop constraint one_time_tokens_purpose_check,
    add constraint one_time_tokens_purpose_check check (purpose in
        ('email_verification', 'account_unlock', 'password_reset', 'open_password_reset', 'account_restore'));

create table user_preferences (
    user_id uuid constraint user_preferences_pkey primary key
        constraint user_preferences_user_id_fkey references users (id) on delete cascade,
    preferences jsonb not null
        constraint user_preferences_preferences_check check (jsonb_typeof(preferences) = 'object'),
    updated_at timestamptz not null
);

comment on table user_preferences is 'what applications keep for users; no row: an empty object';
comment on column user_preferences.user_id is 'whose preferences they are';
comment on column user_preferences.preferences is 'an object of the application''s own; 16 KiB of JSON at most';
comment on column user_preferences.updated_at is 'when they were last replaced';
