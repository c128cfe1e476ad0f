-- Ways back into an account, a new address for it, and its restoration before it is erased.

alter table one_time_tokens
    drop constraint one_time_tokens_purpose_check,
    add constraint one_time_tokens_purpose_check
        check (purpose in ('email_verification', 'account_unlock', 'password_reset', 'account_restore'));

alter table notices
    drop constraint notices_kind_check,
    add constraint notices_kind_check check (kind in
        ('account_exists', 'account_locked', 'verification_resent', 'password_reset', 'email_change'));

create table email_changes (
    id uuid constraint email_changes_pkey primary key,
    user_id uuid not null constraint email_changes_user_id_fkey references users (id) on delete cascade,
    new_email text collate "C" not null
        constraint email_changes_new_email_check check (octet_length(new_email) <= 254),
    confirm_digest bytea
        constraint email_changes_confirm_digest_check check (octet_length(confirm_digest) = 32),
    confirm_expires_at timestamptz not null,
    old_email text collate "C"
        constraint email_changes_old_email_check check (octet_length(old_email) <= 254),
    confirmed_at timestamptz,
    undo_digest bytea
        constraint email_changes_undo_digest_check check (octet_length(undo_digest) = 32),
    undo_expires_at timestamptz,
    created_at timestamptz not null,
    constraint email_changes_confirm_digest_key unique (confirm_digest),
    constraint email_changes_undo_digest_key unique (undo_digest),
    constraint email_changes_undo_check check (
        num_nulls(old_email, confirmed_at, undo_digest, undo_expires_at) in (0, 4)
        and (confirmed_at is null or confirm_digest is null))
);

comment on table email_changes is 'changes of addresses that wait for the new one to confirm, or that the old one can still undo';
comment on column email_changes.id is 'UUID of version 7; stands in the links of both mails';
comment on column email_changes.user_id is 'whose address it is';
comment on column email_changes.new_email is 'the address that was asked for, as users.email has them';
comment on column email_changes.confirm_digest is 'SHA-256 of the token that the new address got; null: no mail has gone there, or it was used';
comment on column email_changes.confirm_expires_at is 'from when on that token is refused, and the row may be swept if it was not used';
comment on column email_changes.old_email is 'the verified address that the new one took the place of; null until then';
comment on column email_changes.confirmed_at is 'when the new address took its place; null: it has not';
comment on column email_changes.undo_digest is 'SHA-256 of the token that the old address got; null until then';
comment on column email_changes.undo_expires_at is 'from when on that token is refused and the row may be swept; null until then';
comment on column email_changes.created_at is 'when the change was asked for';

create index email_changes_user_id_idx on email_changes (user_id);
create index email_changes_expires_at_idx on email_changes (coalesce(undo_expires_at, confirm_expires_at));
-- a new wish takes the place of one that nobody has confirmed
create unique index email_changes_unconfirmed_key on email_changes (user_id) where confirmed_at is null;
