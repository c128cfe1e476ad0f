//! The tables `search_words` and `search_words_left`: the words that users are called by. Triggers of
//! `users` fill them.

use sqlx::PgConnection;

use super::user_search::{Scope, Word};
use crate::error::Result;

/// Fewest letters of a word that may have a slip in it.
const LEAST_LETTERS: usize = 4;
/// Most words that are like another.
const MOST_SIMILAR: i64 = 20;

/// For each word those that somebody is called by and that differ by one letter; but for those that
/// contain it, which are found by it anyway.
///
/// # Errors
///
/// If the database fails.
pub async fn find_similar(connection: &mut PgConnection, words: &[String]) -> Result<Vec<Word>> {
    let asked: Vec<&str> = words
        .iter()
        .map(String::as_str)
        .filter(|word| {
            word.chars().count() >= LEAST_LETTERS && word.chars().all(char::is_alphabetic)
        })
        .collect();
    let mut found: Vec<Word> = words
        .iter()
        .map(|word| Word {
            word: word.clone(),
            similar: Vec::new(),
            scope: Scope::Names,
        })
        .collect();
    if asked.is_empty() {
        return Ok(found);
    }
    // `offset 0` keeps PostgreSQL from walking along all words, which are in order already.
    let similar: Vec<(String, String)> = sqlx::query_as(
        "select asked.word, known.word from unnest($1::text[]) as asked (word), lateral ( \
           select distinct word from ( \
             select word from search_words \
             where word_deletions(word) && word_deletions(asked.word) and position(asked.word in word) = 0 \
             offset 0) near \
           order by word limit $2) as known",
    )
    .bind(asked)
    .bind(MOST_SIMILAR)
    .fetch_all(connection)
    .await?;
    for (asked, known) in similar {
        for word in found.iter_mut().filter(|word| word.word == asked) {
            word.similar.push(known.clone());
        }
    }
    Ok(found)
}

/// Removes words that users no longer have, at most `limit` of those that wait to be looked at, unless
/// somebody else has them; answers how many it looked at.
///
/// # Errors
///
/// If the database fails.
///
/// # Concurrency
///
/// Several may do it at once. A word that somebody gets at the same time may be missed by searches with
/// a slip in it, until the next user has it.
pub async fn forget_left(connection: &mut PgConnection, limit: i64) -> Result<u64> {
    let looked_at = sqlx::query(
        "with gone as ( \
           delete from search_words_left where id in ( \
             select id from search_words_left order by id limit $1 for update skip locked) returning word \
         ), forgotten as ( \
           delete from search_words w where word in (select word from gone) \
             and not exists (select 1 from users where search_words @> array[w.word]) \
         ) \
         select 1 from gone",
    )
    .bind(limit)
    .execute(connection)
    .await?;
    Ok(looked_at.rows_affected())
}
