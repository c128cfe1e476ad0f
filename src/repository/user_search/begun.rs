//! Users with a field that begins with a word, in the order of that field: as many as are wanted are read
//! from the index of each field, however many there are.

use sqlx::PgConnection;

use super::{
    Found, Search,
    filter::{Sql, push_filter_but_text},
    order::{Branch, Keys, sign},
    words::{Begun, By, Word, push_range},
};
use crate::{
    domain::user_order::{Place, Tier},
    error::Result,
};

/// The first users after a place; the branch has its one word.
pub(super) async fn scan(
    connection: &mut PgConnection,
    search: &Search<'_>,
    word: &Word,
    branch: &Branch,
    after: Option<&Place>,
    limit: usize,
) -> Result<Found> {
    let fields = word.begun();
    let mut sql = Sql::new("select ");
    search.push_columns(&mut sql);
    sql.push("0::bigint as total from (");
    for (number, field) in fields.iter().enumerate() {
        if number > 0 {
            sql.push(" union all ");
        }
        sql.push("(select users.*, ").push(field.value);
        sql.push(" collate \"C\" as matched, case when ")
            .push(field.value);
        sql.push(" = ").push_bind(word.word.clone());
        sql.push(format!(
            " then {} else {} end as tier from users where ",
            Tier::Equal as i32,
            Tier::Prefix as i32
        ));
        push_range(&mut sql, field);
        if let Some(place) = after {
            push_after(&mut sql, field, branch, place);
        }
        push_least(&mut sql, field, number, &fields);
        push_filter_but_text(&mut sql, search.filter, By::Text);
        sql.push(" order by ").push(field.field);
        sql.push(if branch.descending {
            " desc, id desc limit "
        } else {
            ", id limit "
        });
        sql.push(limit).push(")");
    }
    sql.push(") users");
    branch.push_order(&mut sql, Keys::OfRow);
    sql.push(" limit ").push(limit);
    let found = sql.build_query_as().fetch_all(connection).await?;
    Found::of(found)
}

/// Writes that the field comes after a place, with `and` before it: first so that its index is entered there.
fn push_after(sql: &mut Sql, field: &Begun, branch: &Branch, place: &Place) {
    // The index has the field's own values.
    let at = format!("{}{}", field.lead, place.matched());
    sql.push(" and (").push(field.field).push(", id) ");
    sql.push(sign(branch.descending)).push(" (");
    sql.push_bind(at).push(", ").push_bind(place.id).push(")");
}

/// Writes that no other field that begins with the word has a lesser value, and none before this one the
/// same, with `and` before it: so everybody comes once, where his least value stands.
fn push_least(sql: &mut Sql, field: &Begun, number: usize, fields: &[Begun]) {
    for (other_number, other) in fields.iter().enumerate() {
        if other_number == number {
            continue;
        }
        let comes_first = if other_number < number { "<=" } else { "<" };
        sql.push(" and (");
        push_range(sql, other);
        sql.push(" and ").push(other.value).push(" collate \"C\" ");
        sql.push(comes_first).push(" ").push(field.value);
        sql.push(") is not true");
    }
}
