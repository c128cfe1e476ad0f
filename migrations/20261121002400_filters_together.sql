-- Indexes that have the same columns can't be read together: so each of those of what few have has all that is
-- asked for besides. Users are read while they are built: the old ones are dropped at the end.
create index users_role_kinds_idx on users
        (role, is_professional, created_at, (coalesce(last_login_at, '-infinity')), locale)
    where role <> 'AUTHENTICATED';
create index users_unverified_kinds_idx on users
        (created_at, (coalesce(last_login_at, '-infinity')), locale, role, is_professional)
    where email_verified_at is null;
create index users_locked_kinds_idx on users
        (created_at, (coalesce(last_login_at, '-infinity')), locale, role, is_professional)
    where locked_at is not null;
create index users_professional_kinds_idx on users
        (created_at, (coalesce(last_login_at, '-infinity')), locale, role)
    where is_professional;

-- How many users a part of a text finds is told by a histogram of so many texts: of a hundred, few have it
-- that thousands of users have, and then it seems to find nobody.
alter index users_search_idx alter column 1 set statistics 500;
alter index users_search_idx alter column 2 set statistics 500;
alter index users_search_idx alter column 3 set statistics 500;
alter index users_search_idx alter column 4 set statistics 500;
alter index users_search_idx alter column 5 set statistics 500;
analyze users;

drop index users_role_idx, users_unverified_idx, users_locked_idx, users_professional_idx;
alter index users_role_kinds_idx rename to users_role_idx;
alter index users_unverified_kinds_idx rename to users_unverified_idx;
alter index users_locked_kinds_idx rename to users_locked_idx;
alter index users_professional_kinds_idx rename to users_professional_idx;
