-- What few have is found by these, and the times and the language that are asked for besides are looked up in
-- them too, before any row is. Users are read while they are built: the old ones are dropped at the end.
create index users_role_times_idx on users (role, created_at, (coalesce(last_login_at, '-infinity')), locale)
    where role <> 'AUTHENTICATED';
create index users_unverified_times_idx on users (created_at, (coalesce(last_login_at, '-infinity')), locale)
    where email_verified_at is null;
create index users_locked_times_idx on users (created_at, (coalesce(last_login_at, '-infinity')), locale)
    where locked_at is not null;
create index users_professional_times_idx on users (created_at, (coalesce(last_login_at, '-infinity')), locale)
    where is_professional;
create index users_locale_times_idx on users (locale, created_at, (coalesce(last_login_at, '-infinity')))
    where locale is not null;

-- Whoever logged in did so after his account was made, but for clocks that differ and for accounts that came
-- from elsewhere. By how much at most is found at once, and bounds what a search for old logins looks at.
create index users_login_before_creation_idx on users ((created_at - last_login_at)) where created_at > last_login_at;

drop index users_role_idx, users_unverified_idx, users_locked_idx, users_professional_idx, users_locale_idx;
alter index users_role_times_idx rename to users_role_idx;
alter index users_unverified_times_idx rename to users_unverified_idx;
alter index users_locked_times_idx rename to users_locked_idx;
alter index users_professional_times_idx rename to users_professional_idx;
alter index users_locale_times_idx rename to users_locale_idx;
