-- Administrators that a setting asked for, so that each is made once and stays deleted when deleted.

create table configured_admins (
    digest bytea constraint configured_admins_pkey primary key
        constraint configured_admins_digest_check check (octet_length(digest) = 32),
    made_at timestamptz not null
);

comment on table configured_admins is 'addresses of ADMIN_USER that were made an account for, or had one';
comment on column configured_admins.digest is 'SHA-256 of the address in lower case';
comment on column configured_admins.made_at is 'when the service first started with it';
