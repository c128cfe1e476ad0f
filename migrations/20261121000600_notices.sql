-- When a user was last told of something that others can cause, so that nobody can flood his mailbox.

create table notices (
    user_id uuid not null constraint notices_user_id_fkey references users (id) on delete cascade,
    kind text not null constraint notices_kind_check check (kind in ('account_exists', 'account_locked', 'verification_resent')),
    told_at timestamptz not null,
    times integer not null default 1 constraint notices_times_check check (times > 0),
    constraint notices_pkey primary key (user_id, kind)
);

comment on table notices is 'the last notice of each kind to each user';
comment on column notices.user_id is 'who was told';
comment on column notices.kind is 'of what';
comment on column notices.told_at is 'when the notice was enqueued';
comment on column notices.times is 'how often in a row, without a day between two: the wait grows with it';
