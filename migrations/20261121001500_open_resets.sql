-- Remembers that whoever named an account set its password, so that the owner of its address doesn't
-- verify somebody else's.

alter table users add column password_reset_openly_at timestamptz;

comment on column users.password_reset_openly_at is 'when its password was last set by an older API''s token that anybody gets, since when nobody has proved to read its mail. null: it wasn''t';
