-- Key pairs that sign access tokens, where they aren't in files.

create table signing_keys (
    kid text constraint signing_keys_pkey primary key constraint signing_keys_kid_check check (kid ~ '^[A-Za-z0-9_-]{43}$'),
    algorithm text not null constraint signing_keys_algorithm_check check (algorithm in ('EdDSA', 'ES256')),
    sealed_private_key bytea not null,
    created_at timestamptz not null,
    retired_at timestamptz,
    constraint signing_keys_retired_at_check check (retired_at >= created_at)
);

comment on table signing_keys is 'key pairs of access tokens; of each algorithm one signs, and those that were retired lately still verify';
comment on column signing_keys.kid is 'the thumbprint of the public key (RFC 7638), which tokens carry in their header';
comment on column signing_keys.algorithm is 'the signature''s algorithm as JWTs name it (RFC 7518, RFC 8037)';
comment on column signing_keys.sealed_private_key is 'the private key (PKCS#8), encrypted under a key of JWT_SECRET_KEY and bound to kid: whoever only reads or writes this table can neither sign nor bring in a key of his own';
comment on column signing_keys.created_at is 'from when on it signs';
comment on column signing_keys.retired_at is 'from when on it signs no more; its tokens are accepted for as long as a token lives';

-- One signs: instances that make the first at once agree on one.
create unique index signing_keys_algorithm_key on signing_keys (algorithm) where retired_at is null;
