-- Durable jobs: what is to be done after a transaction committed (mails, messages, upkeep).

create table jobs (
    id bigint generated always as identity constraint jobs_pkey primary key,
    kind text not null
        constraint jobs_kind_check check (char_length(kind) between 1 and 100),
    payload jsonb not null default '{}'
        constraint jobs_payload_check check (jsonb_typeof(payload) = 'object'),
    sealed_secret bytea,
    secret_expires_at timestamptz,
    serial_key text
        constraint jobs_serial_key_check check (char_length(serial_key) between 1 and 200),
    blocked boolean not null default false,
    dedupe_key text
        constraint jobs_dedupe_key_check check (char_length(dedupe_key) between 1 and 200),
    run_at timestamptz not null default now(),
    claims integer not null default 0
        constraint jobs_claims_check check (claims >= 0),
    attempts smallint not null default 0
        constraint jobs_attempts_check check (attempts >= 0),
    max_attempts smallint not null default 25
        constraint jobs_max_attempts_check check (max_attempts between 1 and 1000),
    leased_by text,
    last_error text
        constraint jobs_last_error_check check (char_length(last_error) <= 1000),
    dead_at timestamptz,
    created_at timestamptz not null default now(),
    constraint jobs_secret_expires_at_check check (sealed_secret is null or secret_expires_at is not null),
    constraint jobs_blocked_check check (not blocked or (serial_key is not null and leased_by is null and dead_at is null)),
    constraint jobs_dead_at_check check (dead_at is null or leased_by is null)
) with (
    -- rows are updated several times and soon deleted: keep room on the page and vacuum early
    fillfactor = 80,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0
);

comment on table jobs is 'one row a job that is waiting, running or dead; a job that is done has no row';
comment on column jobs.id is 'order of enqueuing: jobs of one serial key run in it';
comment on column jobs.kind is 'names the handler';
comment on column jobs.payload is 'what the handler needs to know; no secrets; never logged';
comment on column jobs.sealed_secret is 'what must not lie in the database in clear (a link''s token), encrypted; kept while the job is waiting, running or dead, and wiped when secret_expires_at has come';
comment on column jobs.secret_expires_at is 'from when on the secret is worthless and is wiped';
comment on column jobs.serial_key is 'jobs of one key run one at a time, in the order of id; null: no order';
comment on column jobs.blocked is 'waits behind an older job of its serial key, and so is not looked at; the trigger jobs_unblock_* frees it';
comment on column jobs.dedupe_key is 'no second job of this key is enqueued while one waits; cleared at the first claim, but of a recurring job handed over to its successor';
comment on column jobs.run_at is 'when it is due while it waits, when its lease ends while it runs';
comment on column jobs.claims is 'how often it was claimed, never reset: who holds an older number has lost it';
comment on column jobs.attempts is 'runs begun that count against max_attempts';
comment on column jobs.max_attempts is 'after so many failed runs it is dead';
comment on column jobs.leased_by is 'the worker that runs it; null: nobody';
comment on column jobs.last_error is 'why the last run failed; no secrets, no addresses';
comment on column jobs.dead_at is 'when it was given up; null: alive. A dead job can be revived';
comment on column jobs.created_at is 'time of enqueuing';

create index jobs_due_idx on jobs (run_at, id) where dead_at is null and not blocked;
create index jobs_serial_idx on jobs (serial_key, id) where serial_key is not null and dead_at is null;
-- at most one job of a key may run at all: its head
create unique index jobs_serial_head_key on jobs (serial_key)
    where serial_key is not null and dead_at is null and not blocked;
create unique index jobs_dedupe_key on jobs (dedupe_key) where dedupe_key is not null;
create index jobs_dead_idx on jobs (dead_at) where dead_at is not null;
create index jobs_secret_expires_at_idx on jobs (secret_expires_at) where sealed_secret is not null;

-- When the head of a key ends, the next job of the key becomes the head.
--
-- Whoever enqueues behind a head holds a key-share lock on it until he commits. To delete the head is
-- to wait for him, and so it must be to let it die: lock its row for update, then set dead_at (enqueue
-- and bury in src/repository/jobs do so). The statements below run after that wait and see what he
-- wrote: nobody is left blocked behind a head that has gone.
create function jobs_unblock_next() returns trigger language plpgsql as $$
declare
    next_id bigint;
begin
    loop
        select id into next_id from jobs
            where serial_key = old.serial_key and dead_at is null order by id limit 1;
        exit when next_id is null;
        update jobs set blocked = false where id = next_id and dead_at is null;
        -- not found: somebody deleted it in between, so look for the one behind it
        exit when found;
    end loop;
    return null;
end;
$$;

create trigger jobs_unblock_after_delete after delete on jobs for each row
    when (old.serial_key is not null and old.dead_at is null and not old.blocked)
    execute function jobs_unblock_next();
create trigger jobs_unblock_after_death after update of dead_at on jobs for each row
    when (old.serial_key is not null and old.dead_at is null and new.dead_at is not null and not old.blocked)
    execute function jobs_unblock_next();
