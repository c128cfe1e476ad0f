-- Imports of users from files: how far each has got, so that one that was killed goes on, and what was
-- wrong with rows.

create table user_imports (
    id uuid constraint user_imports_pkey primary key,
    actor_kind text collate "C" not null
        constraint user_imports_actor_kind_check check (actor_kind in ('user', 'operator', 'system')),
    actor_id uuid,
    actor_session uuid,
    actor_name text
        constraint user_imports_actor_name_check check (char_length(actor_name) between 1 and 200),
    request_id uuid not null,
    client_address text collate "C",
    device text
        constraint user_imports_device_check check (char_length(device) <= 512),
    format text collate "C" not null
        constraint user_imports_format_check check (format in ('csv', 'ndjson')),
    on_conflict text collate "C" not null
        constraint user_imports_on_conflict_check check (on_conflict in ('fail', 'skip', 'update')),
    is_dry_run boolean not null,
    is_atomic boolean not null,
    invites boolean not null,
    is_upload boolean not null,
    file_digest bytea
        constraint user_imports_file_digest_check check (octet_length(file_digest) = 32),
    file_size bigint not null
        constraint user_imports_file_size_check check (file_size >= 0),
    state text collate "C" not null
        constraint user_imports_state_check check (state in ('uploading', 'running', 'done', 'failed')),
    failure text
        constraint user_imports_failure_check check (char_length(failure) between 1 and 1000),
    byte_offset bigint not null default 0
        constraint user_imports_byte_offset_check check (byte_offset >= 0),
    line bigint not null default 0
        constraint user_imports_line_check check (line >= 0),
    rows_read bigint not null default 0,
    rows_created bigint not null default 0,
    rows_updated bigint not null default 0,
    rows_skipped bigint not null default 0,
    rows_rejected bigint not null default 0,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    constraint user_imports_actor_check
        check (actor_kind <> 'user' or (actor_id is not null and actor_session is not null)),
    constraint user_imports_file_check check (state = 'uploading' or file_digest is not null),
    constraint user_imports_upload_check check (is_upload or state <> 'uploading'),
    constraint user_imports_failure_state_check check ((state = 'failed') = (failure is not null)),
    constraint user_imports_rows_check
        check (rows_read = rows_created + rows_updated + rows_skipped + rows_rejected)
);

comment on table user_imports is 'one row an import of users; a while after its end it is deleted';
comment on column user_imports.id is 'UUID of version 7';
comment on column user_imports.actor_kind is 'what asked for it: a user, an operator at the command line, the service itself';
comment on column user_imports.actor_id is 'the user who asked for it; no reference, so that it outlives him';
comment on column user_imports.actor_session is 'the session that he asked by';
comment on column user_imports.actor_name is 'the operating system''s account of an operator';
comment on column user_imports.request_id is 'the request, which stands in the audit entries of its users';
comment on column user_imports.client_address is 'where the request came from';
comment on column user_imports.device is 'the User-Agent of the request, cut to 512 characters';
comment on column user_imports.format is 'how the file is written';
comment on column user_imports.on_conflict is 'what becomes of a row whose account is there already';
comment on column user_imports.is_dry_run is 'whether everything is rolled back';
comment on column user_imports.is_atomic is 'whether one bad row keeps all others out';
comment on column user_imports.invites is 'whether new users without a password get a link to set one';
comment on column user_imports.is_upload is 'whether the file is in user_import_chunks; else it is where the command line reads it';
comment on column user_imports.file_digest is 'SHA-256 of the file, by which an import that was killed is found again; null while it is uploaded';
comment on column user_imports.file_size is 'bytes of the file; while it is uploaded, of what has come';
comment on column user_imports.state is 'uploading, running (also while nobody works on it), done, or failed as a whole';
comment on column user_imports.failure is 'why it failed as a whole; no values of rows';
comment on column user_imports.byte_offset is 'how much of the file is done: where it goes on; 0: from its beginning';
comment on column user_imports.line is 'the last line of the file that is done';
comment on column user_imports.rows_read is 'rows that are done';
comment on column user_imports.rows_created is 'rows that made an account';
comment on column user_imports.rows_updated is 'rows that changed one';
comment on column user_imports.rows_skipped is 'rows whose account was there and was left as it is';
comment on column user_imports.rows_rejected is 'rows with errors';
comment on column user_imports.created_at is 'its beginning; accounts that name no time of their own are of it';
comment on column user_imports.updated_at is 'when it last got on';

create index user_imports_file_idx on user_imports (file_digest, created_at);
create index user_imports_updated_at_idx on user_imports (updated_at);

create table user_import_chunks (
    import_id uuid not null
        constraint user_import_chunks_import_id_fkey references user_imports (id) on delete cascade,
    byte_offset bigint not null
        constraint user_import_chunks_byte_offset_check check (byte_offset >= 0),
    sealed bytea not null,
    constraint user_import_chunks_pkey primary key (import_id, byte_offset)
);

comment on table user_import_chunks is 'an uploaded file in pieces, until it is imported';
comment on column user_import_chunks.import_id is 'whose file it is';
comment on column user_import_chunks.byte_offset is 'where in the file the piece begins';
comment on column user_import_chunks.sealed is 'the piece, encrypted: it may hold passwords';

-- random bytes: compressing them is in vain
alter table user_import_chunks alter column sealed set storage external;

create table user_import_errors (
    import_id uuid not null
        constraint user_import_errors_import_id_fkey references user_imports (id) on delete cascade,
    line bigint not null
        constraint user_import_errors_line_check check (line > 0),
    place smallint not null,
    column_name text collate "C"
        constraint user_import_errors_column_name_check check (char_length(column_name) between 1 and 100),
    reason text not null
        constraint user_import_errors_reason_check check (char_length(reason) between 1 and 500),
    constraint user_import_errors_pkey primary key (import_id, line, place)
);

comment on table user_import_errors is 'what is wrong with rows of imports';
comment on column user_import_errors.import_id is 'of which import';
comment on column user_import_errors.line is 'where the row begins in the file, from 1';
comment on column user_import_errors.place is 'orders the errors of one row, from 0';
comment on column user_import_errors.column_name is 'in which column; null: with the row as a whole';
comment on column user_import_errors.reason is 'what is wrong, without the value';

-- A slot of its own for a transaction that takes minutes, such as that of a file which is imported as a whole:
-- whoever shared its slot would wait for its end.
create or replace function count_users() returns trigger language plpgsql as $$
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
        rows := case tg_op when 'INSERT' then rows else -rows end;
        if current_setting('user_management.takes_long', true) = 'on' then
            insert into user_counts (slot, users) values (32 + pg_backend_pid() % 32000, rows)
                on conflict (slot) do update set users = user_counts.users + excluded.users;
        else
            update user_counts set users = users + rows where slot = pg_backend_pid() % 32;
        end if;
    end if;
    return null;
end;
$$;

comment on column user_counts.slot is 'the backend''s process id modulo 32; 32 and more: of a transaction that took long, until maintenance adds it to another';
