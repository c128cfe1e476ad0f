-- Lockout after failed logins: counted for each identifier that somebody tries, known or not.

create table login_throttle (
    key bytea not null constraint login_throttle_key_check check (octet_length(key) = 32),
    bucket bytea not null constraint login_throttle_bucket_check check (octet_length(bucket) in (0, 16)),
    charged integer not null constraint login_throttle_charged_check check (charged >= 0),
    blocked_until timestamptz not null,
    updated_at timestamptz not null,
    constraint login_throttle_pkey primary key (key, bucket)
) with (fillfactor = 50);

comment on table login_throttle is 'attempts to log in that were charged and not refunded';
comment on column login_throttle.key is 'keyed hash (HMAC-SHA-256) of the normalized identifier, so that nobody reads from it who was tried';
comment on column login_throttle.bucket is 'empty for everybody, or the id of a device on which the owner has logged in before';
comment on column login_throttle.charged is 'attempts charged, less what has decayed';
comment on column login_throttle.blocked_until is 'until when attempts are refused without hashing; -infinity: not refused';
comment on column login_throttle.updated_at is 'the last charge: decay counts from it';

-- What is left at `now` of charges counted at `counted_at`, one being forgiven every `every`.
create function login_charges_left(charged integer, counted_at timestamptz, now timestamptz, every interval)
    returns integer language sql immutable as
$$ select greatest(0, charged - greatest(0, floor(extract(epoch from now - counted_at) / extract(epoch from every)))::integer) $$;
