//! What is known, or taken to be, before everybody is looked at.

use chrono::TimeDelta;
use sqlx::PgConnection;
use user_management::{
    domain::{
        profile::PersonName,
        user::User,
        user_order::{Place, UserOrder},
        user_search::{SearchText, TimeRange, UserFilter},
    },
    repository::{
        user_search::{self, PageOf, Scope, Search, Word, with_implied_times},
        users::insert,
    },
};

use super::{page, plain::expected};
use crate::{
    repository::{after, hash, told, user},
    support::database::TestDatabase,
};

#[tokio::test]
async fn who_matches_several_words_best_comes_first_however_many_are_before_him() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let name = |name| Some(PersonName::parse(name).unwrap());
    let mut best = Vec::new();
    for number in 1..=40 {
        let mut user = user(number);
        user.profile.last_name = name("Smithers");
        user.profile.first_name = name("Josephine");
        if number > 35 {
            user.profile.last_name = name("Smith");
            user.profile.first_name = name("José");
            best.push(user.id);
        }
        assert!(
            insert(&mut conn, &user, &hash(number), &told())
                .await
                .unwrap()
        );
    }
    let filter = UserFilter {
        text: Some(SearchText::parse("jose smith").unwrap()),
        ..UserFilter::default()
    };
    let mut search = Search {
        filter: &filter,
        words: ["jose", "smith"]
            .map(|word| Word::new(word, Scope::Names))
            .to_vec(),
        order: &UserOrder::BestMatch,
        everybody: 40,
        gathered_up_to: 0,
    };
    let ids = |users: &[(User, Place)]| users.iter().map(|(user, _)| user.id).collect::<Vec<_>>();
    let first = page(&mut conn, &mut search, None, false, 0).await;
    assert_eq!((ids(&first)[..5].to_vec(), first.len()), (best, 7));
    let last = page(
        &mut conn,
        &mut search,
        first.first().map(|(_, place)| place),
        false,
        0,
    )
    .await;
    assert_eq!(
        ids(&last),
        ids(&page(&mut conn, &mut search, None, false, 1).await)
    );
}

#[tokio::test]
async fn bounds_of_times_follow_from_one_another() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let noon = after(TimeDelta::zero());
    let filter = UserFilter {
        created: TimeRange {
            from: Some(noon - TimeDelta::hours(5)),
            to: None,
        },
        last_login: TimeRange {
            from: None,
            to: Some(noon),
        },
        ..UserFilter::default()
    };
    let mut narrowed = async || with_implied_times(&mut conn, filter.clone()).await.unwrap();
    let bounded = narrowed().await;
    assert_eq!(bounded.created.to, Some(noon));
    assert_eq!(bounded.logged_in_since, filter.created.from);
    // Who came from elsewhere may have logged in there.
    let mut conn = db.pool.acquire().await.unwrap();
    for (number, hours) in [(1, -3), (2, 7), (3, 2)] {
        let mut user = user(number);
        user.last_login_at = Some(user.created_at - TimeDelta::hours(hours));
        insert(&mut conn, &user, &hash(number), &told())
            .await
            .unwrap();
    }
    let bounded = narrowed().await;
    assert_eq!(bounded.created.to, Some(noon + TimeDelta::hours(7)));
    let since = Some(noon - TimeDelta::hours(12));
    assert_eq!(bounded.logged_in_since, since);
    // Whoever is inactive registered before, whenever he logged in.
    let inactive = UserFilter {
        inactive_since: Some(noon),
        ..UserFilter::default()
    };
    let bounded = with_implied_times(&mut conn, inactive).await.unwrap();
    assert_eq!(bounded.created.to, Some(noon));
    // What has no bounds of times stays as it is.
    let none = UserFilter::default();
    let same = with_implied_times(&mut conn, none.clone()).await.unwrap();
    assert_eq!(same, none);
}

#[tokio::test]
async fn statistics_tell_about_how_many_there_are() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    for number in 1..=400 {
        let mut user = user(number);
        user.is_professional = number % 4 == 0;
        assert!(
            insert(&mut conn, &user, &hash(number), &told())
                .await
                .unwrap()
        );
    }
    sqlx::query("analyze users")
        .execute(&mut *conn)
        .await
        .unwrap();
    let filter = UserFilter {
        is_professional: Some(true),
        ..UserFilter::default()
    };
    let order = UserOrder::default();
    let mut search = Search {
        filter: &filter,
        words: Vec::new(),
        order: &order,
        everybody: 400,
        gathered_up_to: 3_000,
    };
    let estimate = user_search::estimate(&mut conn, &search).await.unwrap();
    assert!((80..=120).contains(&estimate), "{estimate}");
    // A look at all of them tells how many there are, and trusts itself as far as they are on many pages.
    let page = PageOf {
        after: None,
        backwards: false,
        skip: 0,
        limit: 7,
    };
    let found = user_search::find_page(&mut conn, &mut search, page)
        .await
        .unwrap();
    let sample = found.sample.unwrap();
    assert_eq!(
        (found.users.len(), found.total, sample.estimate),
        (7, None, 100)
    );
    assert!(sample.tells_more_than(1) && !sample.tells_more_than(99));
    let looked = user_search::look_at_some(&mut conn, &search).await.unwrap();
    assert_eq!(looked.estimate, 100);
}

#[tokio::test]
async fn a_word_that_very_many_have_is_found_beside_others() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let name = |name: &str| Some(PersonName::parse(name).unwrap());
    let first = [
        "Bob", "Bobby", "Boba", "Bib", "Jo Bob", "Annabob", "Zora", "Bort",
    ];
    let letters: Vec<char> = ('a'..='z').collect();
    let mut all = Vec::new();
    for number in 0..1_350_u32 {
        let at = usize::try_from(number).unwrap();
        let mut user = user(number + 1);
        user.profile.first_name = name(first[at % first.len()]);
        // Hundreds of words that begin with `bort`, hundreds that contain it, and some that are like it.
        let end = [letters[at % 26], letters[at / 26 % 26], letters[at / 676]];
        let end: String = end.iter().collect();
        user.profile.last_name = match at % 5 {
            0 | 1 => name(&format!("Bort{end}")),
            2 | 3 => name(&format!("Mc{end}bort{end}")),
            _ => name(["Bort", "Bork", "Bo", "Other"][at / 5 % 4]),
        };
        assert!(
            insert(&mut conn, &user, &hash(number), &told())
                .await
                .unwrap()
        );
        all.push(user);
    }
    let ids = |users: &[User]| users.iter().map(|user| user.id).collect::<Vec<_>>();
    let mut found_many = 0;
    for typed in [
        "bob bort",
        "bort bob",
        "bobby bort",
        "bort bo",
        "bort bort",
        "bo bort bob",
        "annabob bort",
        "bobx bort",
        "zora bort",
        "bort mc",
        "borta bort",
        "bort 1",
        "bork bort",
    ] {
        let filter = UserFilter {
            text: Some(SearchText::parse(typed).unwrap()),
            ..UserFilter::default()
        };
        let wanted = expected(&all, &filter, &UserOrder::BestMatch);
        found_many += usize::from(wanted.len() > 20);
        // Tier after tier, and all at once.
        for (everybody, gathered_up_to) in [(25_000, 0), (1_000_000, 5_000)] {
            let words = typed.split(' ').map(|word| Word::new(word, Scope::Names));
            let mut search = Search {
                filter: &filter,
                words: words.collect(),
                order: &UserOrder::BestMatch,
                everybody,
                gathered_up_to,
            };
            let count = async |conn: &mut PgConnection, search: &mut Search<'_>| {
                search.look_up(conn).await.unwrap();
                user_search::count(conn, search, None).await.unwrap()
            };
            let counted = count(&mut conn, &mut search).await;
            assert_eq!(counted, wanted.len() as u64, "{typed}");
            let known = search.words.iter().map(|word| word.known.as_ref().unwrap());
            let open = known.filter(|known| known.containing.is_none()).count();
            assert!(open > 0, "{typed}: too few have it");
            let (mut found, mut place) = (Vec::new(), None);
            while found.len() < 60 {
                let next = page(&mut conn, &mut search, place.as_ref(), false, 0).await;
                place = next.last().map(|(_, place)| place.clone());
                found.extend(next.iter().map(|(user, _)| user.clone()));
                if next.len() < 7 {
                    break;
                }
            }
            let first = &wanted[..wanted.len().min(found.len())];
            assert_eq!(ids(&found), ids(first), "{typed} {everybody}");
            assert!(found.len() == wanted.len() || found.len() >= 60, "{typed}");
        }
    }
    assert!(found_many > 5, "{found_many} searches had several pages");
}
