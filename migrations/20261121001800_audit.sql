-- The audit log: who did what to whom, when and from where. It only grows, but for its oldest part,
-- and a chain of hashes shows whether somebody has changed it all the same.

create table audit_log (
    id bigint generated always as identity constraint audit_log_pkey primary key,
    at timestamptz not null,
    actor_kind text collate "C" not null
        constraint audit_log_actor_kind_check check (actor_kind in ('user', 'service', 'system', 'operator', 'nobody')),
    actor_id uuid,
    actor_name text
        constraint audit_log_actor_name_check check (char_length(actor_name) between 1 and 200),
    on_behalf_of uuid,
    action text collate "C" not null
        constraint audit_log_action_check check (action ~ '^[a-z][a-z0-9_]{0,63}$'),
    subject_kind text collate "C"
        constraint audit_log_subject_kind_check check (subject_kind ~ '^[a-z][a-z0-9_]{0,63}$'),
    subject_id text collate "C"
        constraint audit_log_subject_id_check check (char_length(subject_id) between 1 and 200),
    request_id uuid,
    client_address text collate "C",
    device text
        constraint audit_log_device_check check (char_length(device) <= 512),
    before jsonb
        constraint audit_log_before_check check (jsonb_typeof(before) = 'object'),
    after jsonb
        constraint audit_log_after_check check (jsonb_typeof(after) = 'object'),
    outcome text collate "C" not null
        constraint audit_log_outcome_check check (outcome in ('success', 'refused', 'failed')),
    constraint audit_log_actor_id_check check ((actor_kind = 'user') = (actor_id is not null)),
    constraint audit_log_subject_check check ((subject_kind is null) = (subject_id is null))
);

comment on table audit_log is 'one row an act, written in its transaction; the database refuses to change or delete one';
comment on column audit_log.id is 'in the order of writing; has gaps, where a transaction was rolled back';
comment on column audit_log.at is 'the time of the act, by the clock of who wrote it';
comment on column audit_log.actor_kind is 'what acted: a user, another service, the service itself, an operator at the command line, or somebody who did not say who he is';
comment on column audit_log.actor_id is 'the user who acted; no reference, since rows outlive users';
comment on column audit_log.actor_name is 'the operating system''s account of an operator';
comment on column audit_log.on_behalf_of is 'the user for whom the actor acted, if not for himself';
comment on column audit_log.action is 'what was done or tried, in snake case; names stay as they are';
comment on column audit_log.subject_kind is 'what it was done to: user, signing_key';
comment on column audit_log.subject_id is 'which one';
comment on column audit_log.request_id is 'the request, as in its answer and in the log';
comment on column audit_log.client_address is 'where the request came from';
comment on column audit_log.device is 'the User-Agent of the request, cut to 512 characters';
comment on column audit_log.before is 'what changed, as it was; never a secret, a hash or a token';
comment on column audit_log.after is 'what changed, as it is since; never a secret, a hash or a token';
comment on column audit_log.outcome is 'success; refused: the actor may not; failed: he did not prove what he had to';

-- Each filter, newest first.
create index audit_log_at_idx on audit_log (at, id);
create index audit_log_actor_id_idx on audit_log (actor_id, at, id) where actor_id is not null;
create index audit_log_subject_id_idx on audit_log (subject_id, at, id) where subject_id is not null;
create index audit_log_action_idx on audit_log (action, at, id);
create index audit_log_request_id_idx on audit_log (request_id) where request_id is not null;
create index audit_log_client_address_idx on audit_log (client_address, at, id) where client_address is not null;
create index audit_log_outcome_idx on audit_log (outcome, at, id) where outcome <> 'success';

-- Ids are given before commits, so that a row may appear behind one of a higher id. What waits here is
-- committed: nobody has to know which transactions still run.
create table audit_pending (
    entry_id bigint constraint audit_pending_pkey primary key
) with (
    -- rows live for a second: vacuum early
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_cost_delay = 0
);

comment on table audit_pending is 'rows of audit_log that the chain does not have yet, written by the statement that wrote them';
comment on column audit_pending.entry_id is 'which row';

create table audit_chain (
    sequence bigint constraint audit_chain_pkey primary key
        constraint audit_chain_sequence_check check (sequence > 0),
    entry_id bigint not null constraint audit_chain_entry_id_key unique,
    hash bytea not null constraint audit_chain_hash_check check (octet_length(hash) = 32)
);

comment on table audit_chain is 'the rows of audit_log in a fixed order without gaps, each with the hash of all that came up to it';
comment on column audit_chain.sequence is 'the place, from 1';
comment on column audit_chain.entry_id is 'the row of audit_log';
comment on column audit_chain.hash is 'SHA-256 of the hash before it (of 32 zero bytes at first) and of every column of the row, see src/domain/audit/entry.rs';

create table audit_anchors (
    sequence bigint constraint audit_anchors_pkey primary key
        constraint audit_anchors_sequence_check check (sequence > 0),
    hash bytea not null constraint audit_anchors_hash_check check (octet_length(hash) = 32),
    removed_at timestamptz not null
);

comment on table audit_anchors is 'where the chain begins since its oldest part was removed; the newest counts';
comment on column audit_anchors.sequence is 'the last place that was removed';
comment on column audit_anchors.hash is 'the hash at that place, from which the rest verifies';
comment on column audit_anchors.removed_at is 'when it was removed';

create function audit_refuse() returns trigger language plpgsql as $$
begin
    raise exception '% of % is refused: the audit log only grows', tg_op, tg_table_name
        using errcode = 'insufficient_privilege';
end;
$$;

create trigger audit_log_refuse before update or truncate on audit_log
    for each statement execute function audit_refuse();
create trigger audit_chain_refuse before update or truncate on audit_chain
    for each statement execute function audit_refuse();
create trigger audit_anchors_refuse before update or delete or truncate on audit_anchors
    for each statement execute function audit_refuse();

-- Only what an anchor has come in the place of goes: the row of the log first, then that of the chain.
create function audit_refuse_delete() returns trigger language plpgsql as $$
declare
    removable bigint;
    is_kept boolean;
begin
    select coalesce(max(sequence), 0) into removable from audit_anchors;
    if tg_table_name = 'audit_chain' then
        select exists (select from gone where sequence > removable) into is_kept;
    else
        select exists (
            -- row by row, however large the chain is
            select from gone left join lateral (select sequence from audit_chain where entry_id = gone.id offset 0) c on true
            where c.sequence is null or c.sequence > removable) into is_kept;
    end if;
    if is_kept then
        raise exception '% of % is refused: the audit log only grows', tg_op, tg_table_name
            using errcode = 'insufficient_privilege';
    end if;
    return null;
end;
$$;

create trigger audit_log_refuse_delete after delete on audit_log
    referencing old table as gone for each statement execute function audit_refuse_delete();
create trigger audit_chain_refuse_delete after delete on audit_chain
    referencing old table as gone for each statement execute function audit_refuse_delete();
