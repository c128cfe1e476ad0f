-- Finding users: by parts of what they are called, in any order, among a million.

-- Trigrams find texts that contain another. It is a trusted extension: whoever owns the database may
-- create it.
create extension if not exists pg_trgm;

-- What texts are compared by: lower case, without accents. src/domain/search_form.rs does the same to
-- what is searched for.
create function search_form(written text) returns text
    language sql immutable strict parallel safe
    return case
        when octet_length(written) = char_length(written) then lower(written)
        else regexp_replace(lower(normalize(written, NFKD)), U&'[\0300-\036F]', '', 'g')
    end;

comment on function search_form is 'a text as it is compared: lower case, without accents';

create index users_search_idx on users using gin (
    lower(nickname) gin_trgm_ops,
    lower(email) gin_trgm_ops,
    search_form(first_name) gin_trgm_ops,
    search_form(middle_name) gin_trgm_ops,
    search_form(last_name) gin_trgm_ops,
    phone_number gin_trgm_ops
) with (gin_pending_list_limit = 512);

-- One index for each order; what is absent comes before all else. users_created_at_idx and
-- users_nickname_key do for the other two.
create index users_email_order_idx on users ((coalesce(lower(email), '')), id);
create index users_first_name_idx on users ((coalesce(search_form(first_name), '') collate "C"), id);
create index users_last_name_idx on users ((coalesce(search_form(last_name), '') collate "C"), id);
create index users_last_login_at_idx on users ((coalesce(last_login_at, '-infinity')), id);

-- What few have is found by these; what many have is met often enough on the way.
create index users_role_idx on users (role) where role <> 'AUTHENTICATED';
create index users_unverified_idx on users (id) where email_verified_at is null;
create index users_locked_idx on users (id) where locked_at is not null;
create index users_professional_idx on users (id) where is_professional;
create index users_locale_idx on users (locale);

-- The words that names are made of, so that one with a slip of the pen is found.
create table search_words (
    word text collate "C" not null
        constraint search_words_word_check check (char_length(word) between 4 and 30)
);

comment on table search_words is 'words of nicknames, names and local parts of addresses, in the form of search_form; the same word may be there twice, since nobody waits for another to add it';
comment on column search_words.word is 'a run of letters; no digits';

-- Two words that differ by one letter added, dropped, replaced or moved have one of these in common.
create function word_deletions(word text) returns text[]
    language sql immutable strict parallel safe
    return (
        select array_agg(distinct substr(word, 1, at - 1) || substr(word, at + 1))
        from generate_series(1, char_length(word) + 1) as at
    );

comment on function word_deletions is 'a word, and the word less one letter in every way';

create index search_words_word_idx on search_words (word);
create index search_words_deletions_idx on search_words using gin (word_deletions(word)) with (fastupdate = off);

create function search_words_of(
    nickname text, email text, first_name text, middle_name text, last_name text
) returns setof text
    language sql immutable parallel safe
begin atomic
    select distinct word from string_to_table(
        translate(
            search_form(nickname || ' ' || coalesce(split_part(email, '@', 1), '') || ' ' || coalesce(first_name, '')
                || ' ' || coalesce(middle_name, '') || ' ' || coalesce(last_name, '')),
            '0123456789!"#$%&''()*+,-./:;<=>?@[\]^_`{|}~',
            repeat(' ', 42)),
        ' ') as word
    where char_length(word) between 4 and 30;
end;

comment on function search_words_of is 'the words in what a user is called';

-- Words that a user no longer has, to be removed where nobody else has them: an erased name is not kept.
create table search_words_left (
    id bigint generated always as identity constraint search_words_left_pkey primary key,
    word text collate "C" not null
);

comment on table search_words_left is 'words that a user was called by; maintenance removes them from search_words if nobody is any more';
comment on column search_words_left.id is 'order of leaving';
comment on column search_words_left.word is 'the word';

create function learn_search_words() returns trigger language plpgsql as $$
begin
    insert into search_words (word)
        select distinct word from changed u,
            search_words_of(u.nickname, u.email, u.first_name, u.middle_name, u.last_name) as word
        where not exists (select 1 from search_words known where known.word = word.word);
    return null;
end;
$$;

create function change_search_words() returns trigger language plpgsql as $$
begin
    if tg_op = 'UPDATE' then
        insert into search_words (word)
            select word from search_words_of(new.nickname, new.email, new.first_name, new.middle_name, new.last_name) as word
            where not exists (select 1 from search_words known where known.word = word.word);
        insert into search_words_left (word)
            select word from search_words_of(old.nickname, old.email, old.first_name, old.middle_name, old.last_name) as word
            except select word from search_words_of(new.nickname, new.email, new.first_name, new.middle_name, new.last_name) as word;
    else
        insert into search_words_left (word)
            select word from search_words_of(old.nickname, old.email, old.first_name, old.middle_name, old.last_name) as word;
    end if;
    return null;
end;
$$;

create trigger users_search_words_inserted after insert on users
    referencing new table as changed for each statement execute function learn_search_words();
create trigger users_search_words_updated after update of nickname, email, first_name, middle_name, last_name on users
    for each row when (
        (old.nickname, old.email, old.first_name, old.middle_name, old.last_name)
        is distinct from (new.nickname, new.email, new.first_name, new.middle_name, new.last_name)
    ) execute function change_search_words();
create trigger users_search_words_deleted after delete on users
    for each row execute function change_search_words();

insert into search_words (word)
    select distinct word from users u, search_words_of(u.nickname, u.email, u.first_name, u.middle_name, u.last_name) as word;
