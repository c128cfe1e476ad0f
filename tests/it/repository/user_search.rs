//! Searches, against a plain filter in Rust over random users.

mod known;
mod plain;
mod words;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use user_management::{
    domain::{
        email::Email,
        locale::Locale,
        nickname::Nickname,
        phone::PhoneNumber,
        profile::PersonName,
        role::Role,
        search_form::search_form,
        user::User,
        user_order::{Place, SortField, SortKey, UserOrder},
        user_search::{SearchText, Status, TextMatch, TimeRange, UserFilter},
    },
    infra::random::{Random, SeededRandom},
    repository::{
        user_search::{self, PageOf, Scope, Search, Word, with_implied_times},
        users::insert,
    },
};

use super::{after, hash, noon, told, user};
use crate::support::database::TestDatabase;
use plain::expected;

const FIRST: [&str; 9] = [
    "Ada",
    "Anna",
    "Annabel",
    "José",
    "Johanna",
    "John",
    "Jonathan",
    "Øyvind",
    "O'Neil_50%",
];
const LAST: [&str; 8] = [
    "Smith",
    "Smyth",
    "Smithers",
    "Lovelace",
    "Lovelage",
    "Müller",
    "Mueller",
    "van der Berg",
];
const LOCALES: [&str; 3] = ["de", "en-GB", "pt-BR"];

struct Dice(Box<dyn Random>);

impl Dice {
    fn one_in(&self, sides: u32) -> bool {
        self.0.below(sides) == 0
    }

    fn pick<T: Copy>(&self, from: &[T]) -> T {
        from[usize::try_from(self.0.below(u32::try_from(from.len()).unwrap())).unwrap()]
    }

    fn time(&self) -> DateTime<Utc> {
        after(TimeDelta::hours(self.0.below(2_000).into()))
    }

    fn user(&self, number: u32) -> User {
        let mut user = user(number);
        let (first, last) = (self.pick(&FIRST), self.pick(&LAST));
        let nickname = format!("{}_{number}", search_form(last).replace(' ', "-"));
        user.nickname = Nickname::parse(&nickname).unwrap();
        let host = self.pick(&["example.com", "Mail.example"]);
        let email = format!("{}{number}@{host}", self.pick(&["smith", "J.Doe", "ada_"]));
        user.email = Some(Email::parse(&email).unwrap());
        if self.one_in(8) {
            user.email = None;
        } else if self.one_in(2) {
            user.phone_number = None;
        } else if self.one_in(4) {
            let bare = format!("{}", 4_155_550_000_u64 + u64::from(number));
            user.phone_number = Some(PhoneNumber::from_database(bare));
        }
        user.email_verified_at = (!self.one_in(5))
            .then(noon)
            .filter(|_| user.email.is_some());
        let name = |name| Some(PersonName::parse(name).unwrap());
        let profile = &mut user.profile;
        profile.first_name = name(first).filter(|_| !self.one_in(6));
        profile.middle_name = name("Quentin").filter(|_| self.one_in(20));
        profile.last_name = name(last).filter(|_| !self.one_in(6));
        profile.locale = (!self.one_in(3)).then(|| Locale::parse(self.pick(&LOCALES)).unwrap());
        user.role = self.pick(&[
            Role::Authenticated,
            Role::Authenticated,
            Role::Anonymous,
            Role::Manager,
            Role::Admin,
        ]);
        user.is_professional = self.one_in(4);
        user.locked_at = self.one_in(7).then(noon);
        user.deletion_due_at = self.one_in(9).then(noon);
        user.created_at = self.time();
        // Mostly after the account was made, and never long before it: bounds follow from that.
        let earliest = match self.one_in(10) {
            true => user.created_at - TimeDelta::hours(50),
            false => user.created_at,
        };
        user.last_login_at = (!self.one_in(3)).then(|| self.time().max(earliest));
        user
    }

    fn pattern(&self, of: &str) -> TextMatch {
        let form = search_form(of);
        let chars: Vec<char> = form.chars().collect();
        match self.0.below(3) {
            0 => TextMatch::Exact(form),
            1 => TextMatch::Prefix(chars[..3.min(chars.len())].iter().collect()),
            _ => TextMatch::Contains(chars[chars.len().saturating_sub(3)..].iter().collect()),
        }
    }

    fn range(&self) -> TimeRange {
        TimeRange {
            from: self.one_in(2).then(|| self.time()),
            to: self.one_in(2).then(|| self.time()),
        }
    }

    fn filter(&self, users: &[User]) -> UserFilter {
        let mut filter = UserFilter::default();
        for _ in 0..self.0.below(4) {
            let number =
                usize::try_from(self.0.below(u32::try_from(users.len()).unwrap())).unwrap();
            let like = &users[number];
            match self.0.below(12) {
                0 | 1 => {
                    let words = [
                        "smith",
                        "smiht",
                        "johm",
                        "ann",
                        "an",
                        "lovelace",
                        "50%",
                        "_5",
                        "j.doe1",
                        "415555",
                        "4155",
                        "+1415",
                        "ada +1415",
                        "müler",
                        "quentin",
                        "nobody",
                        "jose smith",
                        "ada_ love",
                    ];
                    filter.text = Some(SearchText::parse(self.pick(&words)).unwrap());
                }
                2 => filter.nickname = Some(self.pattern(like.nickname.as_str())),
                3 => {
                    let email = like.email.as_ref().map_or("x@y.z", Email::as_str);
                    filter.email = Some(self.pattern(email));
                }
                4 => filter.first_name = Some(self.pattern(self.pick(&FIRST))),
                5 => filter.last_name = Some(self.pattern(self.pick(&LAST))),
                6 => filter.roles = vec![self.pick(&Role::ALL), Role::Manager],
                7 => filter.statuses = vec![self.pick(&Status::ALL)],
                8 => filter.is_professional = Some(self.one_in(2)),
                9 => filter.created = self.range(),
                10 => filter.last_login = self.range(),
                _ => {
                    filter.inactive_since = Some(self.time());
                    filter.locales = vec![Locale::parse(self.pick(&LOCALES)).unwrap()];
                }
            }
        }
        filter.is_public = self.one_in(12);
        filter
    }

    fn order(&self, filter: &UserFilter) -> UserOrder {
        if filter.text.is_some() && self.one_in(2) {
            return UserOrder::BestMatch;
        }
        let mut keys: Vec<SortKey> = Vec::new();
        for _ in 0..=self.0.below(3) {
            let field = self.pick(&SortField::ALL);
            if keys.iter().all(|key| key.field != field) {
                keys.push(SortKey {
                    field,
                    descending: self.one_in(2),
                });
            }
        }
        UserOrder::By(keys)
    }
}

async fn page(
    conn: &mut PgConnection,
    search: &mut Search<'_>,
    after: Option<&Place>,
    backwards: bool,
    skip: u32,
) -> Vec<(User, Place)> {
    let page = PageOf {
        after,
        backwards,
        skip,
        limit: 7,
    };
    user_search::find_page(conn, search, page)
        .await
        .unwrap()
        .users
}

#[tokio::test]
async fn a_search_finds_what_a_plain_filter_lets_pass_in_the_order_of_a_plain_sort() {
    let db = TestDatabase::create().await;
    let mut conn = db.pool.acquire().await.unwrap();
    let dice = Dice(Box::new(SeededRandom::new(20_261_121)));
    let mut all = Vec::new();
    for number in 1..=1_500 {
        let user = dice.user(number);
        assert!(
            insert(&mut conn, &user, &hash(number), &told())
                .await
                .unwrap()
        );
        all.push(user);
    }
    let ids = |users: &[(User, Place)]| users.iter().map(|(user, _)| user.id).collect::<Vec<_>>();
    let (mut found_some, mut narrowed) = (0, 0);
    for _ in 0..400 {
        let filter = dice.filter(&all);
        let order = dice.order(&filter);
        let wanted: Vec<_> = expected(&all, &filter, &order)
            .iter()
            .map(|user| user.id)
            .collect();
        let typed = filter.text.iter().flat_map(|text| text.words());
        let words: Vec<Word> = typed.map(|word| Word::new(word, Scope::Names)).collect();
        let filter = with_implied_times(&mut conn, filter.clone()).await.unwrap();
        narrowed += usize::from(filter.logged_in_since.is_some());
        let mut search = Search {
            filter: &filter,
            words,
            order: &order,
            // Of 25,000 so many are looked at that common matches are found among them.
            everybody: dice.pick(&[1_500, 20_000, 25_000, 1_000_000]),
            gathered_up_to: dice.pick(&[0, 3_000]),
        };
        found_some += usize::from(wanted.len() > 7);
        // Some pages, each from the place of the one before, and back again.
        let mut pages: Vec<Vec<(User, Place)>> = Vec::new();
        for number in 0..4 {
            let place = pages
                .last()
                .and_then(|page| page.last())
                .map(|(_, place)| place);
            let found = page(&mut conn, &mut search, place, false, 0).await;
            let rest = wanted.get(number * 7..).unwrap_or_default();
            assert_eq!(
                ids(&found),
                rest[..rest.len().min(7)],
                "page {number}: {filter:?} {order:?}"
            );
            let is_last = found.len() < 7;
            pages.push(found);
            if is_last {
                break;
            }
        }
        while let Some(last) = pages.pop() {
            let (Some((_, place)), Some(former)) = (last.first(), pages.last()) else {
                continue;
            };
            let mut back = page(&mut conn, &mut search, Some(place), true, 0).await;
            back.reverse();
            assert_eq!(ids(&back), ids(former), "back: {filter:?} {order:?}");
        }
        let mut end = page(&mut conn, &mut search, None, true, 0).await;
        end.reverse();
        let from = wanted.len().saturating_sub(7);
        assert_eq!(ids(&end), wanted[from..], "end: {filter:?} {order:?}");
        let skipped = page(&mut conn, &mut search, None, false, 5).await;
        let rest = wanted.get(5..).unwrap_or_default();
        assert_eq!(
            ids(&skipped),
            rest[..rest.len().min(7)],
            "skip: {filter:?} {order:?}"
        );
        search.look_up(&mut conn).await.unwrap();
        let count = user_search::count(&mut conn, &search, None).await.unwrap();
        assert_eq!(count, wanted.len() as u64);
        let count = user_search::count(&mut conn, &search, Some(3))
            .await
            .unwrap();
        assert_eq!(count, wanted.len().min(3) as u64);
    }
    assert!(found_some > 150, "{found_some} searches had several pages");
    assert!(
        narrowed > 20,
        "{narrowed} filters told when users logged in"
    );
}
