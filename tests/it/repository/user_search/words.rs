//! The vocabulary of searches.

use sqlx::PgConnection;
use user_management::{
    domain::profile::PersonName,
    repository::{
        search_words,
        user_search::{Scope, Word},
        users::{self, insert},
    },
};

use crate::{
    repository::{hash, told, user},
    support::database::TestDatabase,
};

#[tokio::test]
async fn a_word_that_nobody_is_called_by_any_more_is_forgotten() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let mut renamed = user(1);
    let name = |name| Some(PersonName::parse(name).unwrap());
    renamed.profile.first_name = name("Zaphodia");
    renamed.profile.last_name = name("Beeblebrox");
    insert(&mut conn, &renamed, &hash(1), &told())
        .await
        .unwrap();
    let mut namesake = user(2);
    namesake.profile.last_name = name("Beeblebrox");
    insert(&mut conn, &namesake, &hash(2), &told())
        .await
        .unwrap();
    let typed = ["zahpodia", "beblebrox", "x"];
    let known = async |conn: &mut PgConnection| -> Vec<Vec<String>> {
        let word = |word: &&str| Word::new(word, Scope::Names);
        let mut words: Vec<Word> = typed.iter().map(word).collect();
        search_words::look_up(conn, &mut words).await.unwrap();
        let known = words.into_iter().map(|word| word.known.unwrap());
        known.map(|known| known.similar).collect()
    };
    let both = [
        vec!["zaphodia".to_owned()],
        vec!["beeblebrox".to_owned()],
        vec![],
    ];
    assert_eq!(known(&mut conn).await, both);
    renamed.profile.first_name = name("Trillian");
    renamed.profile.last_name = None;
    users::update(&mut conn, &mut renamed).await.unwrap();
    assert_eq!(known(&mut conn).await, both, "until it is looked at");
    assert_eq!(search_words::forget_left(&mut conn, 1).await.unwrap(), 1);
    assert_eq!(search_words::forget_left(&mut conn, 9).await.unwrap(), 1);
    assert_eq!(search_words::forget_left(&mut conn, 9).await.unwrap(), 0);
    let one = [vec![], both[1].clone(), vec![]];
    forget_until(&mut conn, async |conn| known(conn).await == one).await;
    users::delete(&mut conn, namesake.id).await.unwrap();
    let none = [vec![], vec![], Vec::<String>::new()];
    forget_until(&mut conn, async |conn| known(conn).await == none).await;
}

/// Forgets words until it is so: words leave when no transaction runs that was there before, of other tests
/// as well.
async fn forget_until(conn: &mut PgConnection, is_so: impl AsyncFn(&mut PgConnection) -> bool) {
    let limit = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    while !is_so(conn).await {
        assert!(tokio::time::Instant::now() < limit, "not forgotten");
        search_words::forget_left(conn, 9).await.unwrap();
    }
}

#[tokio::test]
async fn a_word_that_somebody_gets_while_another_loses_it_is_kept() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let name = |name| Some(PersonName::parse(name).unwrap());
    let mut loser = user(1);
    loser.profile.first_name = name("Zaphodia");
    insert(&mut conn, &loser, &hash(1), &told()).await.unwrap();
    let mut transaction = db.pool.begin().await.unwrap();
    let mut winner = user(2);
    winner.profile.first_name = name("Zaphodia");
    insert(&mut transaction, &winner, &hash(2), &told())
        .await
        .unwrap();
    loser.profile.first_name = None;
    users::update(&mut conn, &mut loser).await.unwrap();
    let containing = async |conn: &mut PgConnection| -> Vec<String> {
        let mut words = [Word::new("zaphod", Scope::Names)];
        search_words::look_up(conn, &mut words).await.unwrap();
        let [Word { known, .. }] = words;
        known.and_then(|known| known.containing).unwrap()
    };
    for _ in 0..4 {
        search_words::forget_left(&mut conn, 9).await.unwrap();
        assert_eq!(containing(&mut conn).await, ["zaphodia"]);
    }
    transaction.commit().await.unwrap();
    for _ in 0..4 {
        search_words::forget_left(&mut conn, 9).await.unwrap();
        assert_eq!(containing(&mut conn).await, ["zaphodia"]);
    }
    let leaving = "select count(*) from search_words where is_leaving";
    let leaving: i64 = sqlx::query_scalar(leaving)
        .fetch_one(&mut *conn)
        .await
        .unwrap();
    assert_eq!(leaving, 0, "it stays");
}
