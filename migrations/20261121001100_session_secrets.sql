-- What sessions are used by: a cookie, or refresh tokens that change with each use; when they were last
-- used, and how many a user may have.

alter table sessions
    add column last_seen_at timestamptz,
    add column cookie_digest bytea
        constraint sessions_cookie_digest_check check (octet_length(cookie_digest) = 32),
    add column refresh_digest bytea
        constraint sessions_refresh_digest_check check (octet_length(refresh_digest) = 32),
    add column refresh_previous_digest bytea
        constraint sessions_refresh_previous_digest_check check (octet_length(refresh_previous_digest) = 32),
    add column refresh_generation integer not null default 0
        constraint sessions_refresh_generation_check check (refresh_generation >= 0),
    add column refreshed_at timestamptz,
    add constraint sessions_cookie_digest_key unique (cookie_digest);

update sessions set last_seen_at = created_at;
alter table sessions alter column last_seen_at set not null;

comment on column sessions.expires_at is 'from when on the session is refused and may be swept; moves on while the session is used';
comment on column sessions.last_seen_at is 'the last use, to the minute';
comment on column sessions.cookie_digest is 'SHA-256 of the secret in the session''s cookie; null: it has none';
comment on column sessions.refresh_digest is 'SHA-256 of the refresh token that is good; null: it has none';
comment on column sessions.refresh_previous_digest is 'SHA-256 of the token that was exchanged for it, which may be exchanged again for a moment: its answer may have been lost';
comment on column sessions.refresh_generation is 'the number of exchanges before that token: an older one was used, and its use again tells of theft';
comment on column sessions.refreshed_at is 'when the previous token was first exchanged, by the database''s clock';

-- A user has 50 sessions at most: the oldest go, and never the new one, should the clock of who opened
-- it be behind. Whoever opens one holds the user's row, so that those of one user take turns here, and
-- each sees what the one before him left.
create function sessions_keep_newest() returns trigger language plpgsql as $$
begin
    delete from sessions where id in (
        select id from sessions where user_id = new.user_id and id <> new.id
        order by created_at desc, id desc offset 49);
    if found then
        perform pg_notify('sessions_changed', new.user_id::text);
    end if;
    return null;
end;
$$;

create trigger sessions_keep_newest after insert on sessions
    for each row execute function sessions_keep_newest();
