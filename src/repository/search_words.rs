//! The tables `search_words` and `search_words_left`: the words that users are called by. Triggers of
//! `users` fill them.

use sqlx::{PgConnection, Postgres, QueryBuilder};

use super::user_search::{Known, Scope, Word};
use crate::error::Result;

/// Fewest letters of a part that is looked for.
const LEAST_PART: usize = 3;
/// Fewest letters of a word that may have a slip in it.
const LEAST_LETTERS: usize = 4;
/// Most words that are like another.
const MOST_SIMILAR: usize = 20;
/// Most words that have a part in common and are looked for one by one: who has one of so many is met on
/// any short walk over users.
const MOST_CONTAINING: usize = 300;
/// The same where they are looked for together with others: those of so many who have the others too may be few. Of
/// three letters there is one trigram, by which they are found sooner.
const MOST_CONTAINING_BESIDE_OTHERS: usize = 1_000;

/// Looks up those words that weren't: which somebody is called by contain each, and which differ by one
/// letter; the latter without the former. Of a nickname there are none: whoever looks for one has it before him.
///
/// # Errors
///
/// If the database fails.
pub async fn look_up(connection: &mut PgConnection, words: &mut [Word]) -> Result<()> {
    if words.iter().all(|word| word.known.is_some()) {
        return Ok(());
    }
    let can_be_known = |word: &Word| {
        word.scope == Scope::Names
            && word.word.chars().count() >= LEAST_PART
            && word.word.chars().all(char::is_alphabetic)
    };
    for word in &mut *words {
        word.known = Some(Known {
            similar: Vec::new(),
            containing: can_be_known(word).then(Vec::new),
        });
    }
    let most = match words.len() {
        1 => MOST_CONTAINING,
        _ => MOST_CONTAINING_BESIDE_OTHERS,
    };
    let asked: Vec<&str> = words
        .iter()
        .filter(|word| can_be_known(word))
        .map(|word| word.word.as_str())
        .collect();
    if asked.is_empty() {
        return Ok(());
    }
    // `offset 0` keeps PostgreSQL from walking along all words, which are in order already. Whatever the words,
    // their plan is the same: it is kept, since nothing that it is reckoned from is bound.
    let mut sql =
        QueryBuilder::<Postgres>::new("with asked as materialized (select word from unnest(array[");
    let mut list = sql.separated(", ");
    for word in asked {
        list.push_bind(word);
    }
    sql.push(format!(
        "]::text[]) as asked (word)) \
         select asked.word, known.word, false from asked, lateral ( \
           select distinct word from ( \
             select word from search_words where word like '%' || asked.word || '%' offset 0) parts \
           limit case char_length(asked.word) when {LEAST_PART} then {MOST_CONTAINING} else {most} end + 1) as known \
         union all \
         select asked.word, known.word, true from asked, lateral ( \
           select distinct word from ( \
             select word from search_words \
             where word_deletions(word) && word_deletions(asked.word) \
               and char_length(word) between 4 and 30 and position(asked.word in word) = 0 \
             offset 0) near \
           order by word limit {MOST_SIMILAR}) as known \
         where char_length(asked.word) >= {LEAST_LETTERS}"
    ));
    let known: Vec<(String, String, bool)> = sql.build_query_as().fetch_all(connection).await?;
    for (asked, known, is_similar) in known {
        for word in words.iter_mut().filter(|word| word.word == asked) {
            let Some(all) = &mut word.known else { continue };
            if is_similar {
                all.similar.push(known.clone());
            } else if let Some(containing) = &mut all.containing {
                containing.push(known.clone());
            }
        }
    }
    for word in words {
        let most = match word.word.chars().count() {
            LEAST_PART => MOST_CONTAINING,
            _ => most,
        };
        if let Some(known) = &mut word.known {
            known
                .containing
                .take_if(|containing| containing.len() > most);
        }
    }
    Ok(())
}

/// Takes the next steps to remove words that users no longer have: of at most `limit` that wait to be looked
/// at, those that nobody else has begin to leave, and those that began before leave when nobody can have got
/// them meanwhile. Answers how many it looked at.
///
/// # Errors
///
/// If the database fails.
///
/// # Concurrency
///
/// Several may do it at once. Each step is a transaction of its own, so `connection` must not be in one.
/// Nobody's word is lost, but by a transaction that adds users in an isolation above read committed.
pub async fn forget_left(connection: &mut PgConnection, limit: i64) -> Result<u64> {
    sqlx::query(
        "delete from search_words w where ctid = any(array( \
             select ctid from search_words where is_leaving \
               and leaves_after <= pg_snapshot_xmin(pg_current_snapshot()) limit $1)) \
           and is_leaving and not exists (select 1 from users where search_words @> array[w.word])",
    )
    .bind(limit)
    .execute(&mut *connection)
    .await?;
    // Somebody has got it before it was marked.
    sqlx::query(
        "update search_words w set is_leaving = false, leaves_after = null where ctid = any(array( \
             select ctid from search_words where is_leaving order by leaves_after limit $1)) \
           and is_leaving and exists (select 1 from users where search_words @> array[w.word])",
    )
    .bind(limit)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "update search_words set leaves_after = pg_snapshot_xmax(pg_current_snapshot()) \
         where is_leaving and leaves_after is null",
    )
    .execute(&mut *connection)
    .await?;
    let looked_at = sqlx::query(
        "with gone as ( \
           delete from search_words_left where id in ( \
             select id from search_words_left order by id limit $1 for update skip locked) returning word \
         ), leaving as ( \
           update search_words w set is_leaving = true where word in (select word from gone) and not is_leaving \
             and not exists (select 1 from users where search_words @> array[w.word]) \
         ) \
         select 1 from gone",
    )
    .bind(limit)
    .execute(connection)
    .await?;
    Ok(looked_at.rows_affected())
}
