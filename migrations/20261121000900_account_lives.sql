-- Accounts without an address, more of a profile, a number for each state of an account, and deletion
-- with a time to think it over.

alter table users
    alter column email drop not null,
    add column phone_number text collate "C"
        constraint users_phone_number_check check (phone_number ~ '^\+?[0-9]{7,15}$'),
    add column middle_name text
        constraint users_middle_name_check check (char_length(middle_name) between 1 and 100),
    add column location text
        constraint users_location_check check (char_length(location) between 1 and 100),
    add column is_name_public boolean not null default false,
    add column revision bigint not null default 1,
    add column deletion_due_at timestamptz,
    add constraint users_identifier_check check (email is not null or phone_number is not null);

comment on column users.email is 'address as typed, its domain as lower-case A-labels; unique in lower case; never shown to the public; null only with a phone number';
comment on column users.phone_number is 'E.164 with its plus, or bare digits of an older client that are no number of any country; unique';
comment on column users.middle_name is 'names between the given and the family name';
comment on column users.location is 'where the user says that he is: free text';
comment on column users.is_name_public is 'whether the public profile shows the names';
comment on column users.revision is 'grows with each change of what a client sees of the account, logins left out: what If-Match compares';
comment on column users.deletion_due_at is 'when the account is erased; until then nobody can log in, and it can be restored. null: it is not to be deleted';

create unique index users_phone_number_key on users (phone_number);
create index users_deletion_due_at_idx on users (deletion_due_at) where deletion_due_at is not null;
