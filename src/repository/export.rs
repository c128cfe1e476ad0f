//! Everything that is kept of one user, from all tables.

use serde_json::Value;
use sqlx::PgConnection;

use crate::{domain::id::UserId, error::Result};

/// Everything that is kept of a user, as one object with a member for each table, but for what is derived, digests,
/// hashes and sealed secrets: they tell him nothing, and would help whoever stole the export. The mail to
/// an address that he wishes for is left out too: it is there for one that has no account, and so would
/// tell, while the wish is in `email_changes`. Nor does it tell who changed his role. Of the audit log he gets
/// what he did and what was done to him, the newest 10,000 of each; of another actor the kind only, and of
/// another subject nothing but its id.
/// `throttle_keys` are the keys by which his failed logins are counted.
///
/// A column that a table gains later is in it without further ado; a table that names users is missed
/// by a test until it is.
///
/// # Errors
///
/// If the database fails.
pub async fn find(
    connection: &mut PgConnection,
    user_id: UserId,
    throttle_keys: &[[u8; 32]],
) -> Result<Option<Value>> {
    let keys: Vec<&[u8]> = throttle_keys.iter().map(<[u8; 32]>::as_slice).collect();
    let found = sqlx::query_scalar(
        "select jsonb_build_object( \
           'users', to_jsonb(u) - array['password_hash', 'search_words'], \
           'sessions', ( \
             select coalesce(jsonb_agg(to_jsonb(s) - array['user_id', 'cookie_digest', 'refresh_digest', \
               'refresh_previous_digest'] order by s.created_at), '[]') \
             from sessions s where s.user_id = u.id), \
           'one_time_tokens', ( \
             select coalesce(jsonb_agg(to_jsonb(t) - array['user_id', 'digest'] order by t.created_at), '[]') \
             from one_time_tokens t where t.user_id = u.id), \
           'email_changes', ( \
             select coalesce(jsonb_agg(to_jsonb(c) - array['user_id', 'confirm_digest', 'undo_digest'] \
               order by c.created_at), '[]') \
             from email_changes c where c.user_id = u.id), \
           'notices', ( \
             select coalesce(jsonb_agg(to_jsonb(n) - 'user_id' order by n.kind), '[]') \
             from notices n where n.user_id = u.id), \
           'idempotency_keys', ( \
             select coalesce(jsonb_agg(to_jsonb(i) - array['user_id', 'scope', 'request_digest'] \
               order by i.created_at), '[]') \
             from idempotency_keys i where i.user_id = u.id), \
           'user_preferences', ( \
             select coalesce(jsonb_agg(to_jsonb(p) - 'user_id'), '[]') \
             from user_preferences p where p.user_id = u.id), \
           'role_changes', ( \
             select coalesce(jsonb_agg(to_jsonb(r) - array['user_id', 'changed_by'] order by r.id), '[]') \
             from role_changes r where r.user_id = u.id), \
           'outbox_messages', ( \
             select coalesce(jsonb_agg(jsonb_build_object('topic', o.topic, 'payload', o.payload - 'changed_by', \
               'created_at', o.created_at, 'published_at', o.published_at) order by o.id), '[]') \
             from outbox_messages o where o.key = u.id), \
           'login_throttle', ( \
             select coalesce(jsonb_agg(to_jsonb(l) - array['key', 'bucket'] order by l.updated_at), '[]') \
             from login_throttle l where l.key = any($2)), \
           'audit_log', ( \
             select coalesce(jsonb_agg(to_jsonb(a) \
               - case when a.actor_id = u.id then array[]::text[] else array['actor_id', 'actor_name', \
                 'on_behalf_of', 'request_id', 'client_address', 'device'] end \
               - case when a.subject_kind = 'user' and a.subject_id = u.id::text then array[]::text[] \
                 else array['before', 'after'] end order by a.at, a.id), '[]') \
             from ( \
               (select id from audit_log where actor_id = u.id order by at desc, id desc limit 10000) \
               union \
               (select id from audit_log where subject_id = u.id::text and subject_kind = 'user' \
                order by at desc, id desc limit 10000) \
             ) own join lateral (select * from audit_log where id = own.id offset 0) a on true), \
           'jobs', ( \
             select coalesce(jsonb_agg(jsonb_build_object('kind', j.kind, 'payload', j.payload, \
               'created_at', j.created_at, 'run_at', j.run_at) order by j.id), '[]') \
             from jobs j where j.payload ->> 'mail' is distinct from 'email_change' and coalesce(j.payload ->> 'user_id', j.payload ->> 'email', j.payload ->> 'phone_number') \
               = any(array[u.id::text, lower(u.email), u.phone_number])) \
         ) from users u where u.id = $1",
    )
    .bind(user_id)
    .bind(keys)
    .fetch_optional(connection)
    .await?;
    Ok(found)
}
