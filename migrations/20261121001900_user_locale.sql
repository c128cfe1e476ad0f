-- The language of a user.

alter table users add column locale text collate "C"
    constraint users_locale_check check (locale ~ '^[a-zA-Z]{2,8}(-[a-zA-Z0-9]{2,8})*$' and char_length(locale) <= 35);

comment on column users.locale is 'the language that the user wants, as a BCP 47 tag in canonical form: de, pt-BR. null: not said';
