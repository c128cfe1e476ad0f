//! One address, one account; one phone number, one account; one nickname, one account.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicUsize, Ordering},
};

use serde_json::json;
use user_management::infra::random::{Random, SeededRandom};

use super::{
    assert_no_deadlocks, counts, discard_mail, insist, number, tally, together, two_instances,
};
use crate::support::app::{PASSWORD, TestApp};

/// Ways to write one address: in another case, with blanks around it, and its domain as Unicode in
/// either case or as A-labels.
const SPELLINGS: [&str; 8] = [
    "ada@b\u{fc}cher.example",
    "Ada@b\u{fc}cher.example",
    "ADA@B\u{dc}CHER.EXAMPLE",
    "aDa@xn--bcher-kva.example",
    "ada@XN--BCHER-KVA.example",
    "  adA@b\u{fc}cher.Example ",
    "\u{a0}ADa@b\u{fc}cher.example",
    "adA@Xn--Bcher-Kva.EXAMPLE",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_in_any_spelling_gets_one_account() {
    for _ in 0..3 {
        let instances = two_instances(&[]).await;
        let answers = together(&instances, 100, async |app: Arc<TestApp>, number| {
            insist(|| app.register(SPELLINGS[number % SPELLINGS.len()])).await
        })
        .await;
        let expected = counts([("200", 1), ("400 email_already_exists", 99)]);
        assert_eq!(tally(&answers), expected);
        let refused = answers.iter().find(|answer| answer.status == 400).unwrap();
        assert_eq!(refused.text("detail"), "Email already exists");
        let app = &instances[0];
        assert_eq!(app.count("users").await, 1);
        assert_eq!(
            number(app, "select sum(users)::bigint from user_counts").await,
            1
        );
        assert_eq!(app.count("one_time_tokens").await, 1);
        assert_eq!(app.deliver_mail().await.len(), 1);
        assert_no_deadlocks(&instances).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_in_any_spelling_gets_one_account() {
    const NUMBERS: [&str; 4] = [
        "+14155552671",
        "(415) 555-2671",
        "1 415 555 2671",
        "+1-415-555-2671",
    ];
    for _ in 0..3 {
        let instances = two_instances(&[]).await;
        let answers = together(&instances, 100, async |app: Arc<TestApp>, number| {
            let mut body = json!({
                "phone_number": NUMBERS[number % NUMBERS.len()], "password": PASSWORD,
            });
            // Some have addresses of their own beside it.
            if number % 3 == 0 {
                body["email"] = json!(format!("user{number}@example.com"));
            }
            insist(|| app.post("/register/").json(&body).send()).await
        })
        .await;
        let expected = counts([("200", 1), ("409 phone_number_already_exists", 99)]);
        assert_eq!(tally(&answers), expected);
        let app = &instances[0];
        for table in ["users", "first_user"] {
            assert_eq!(app.count(table).await, 1, "{table}");
        }
        let made = answers.iter().find(|answer| answer.status == 200).unwrap();
        let mails = i64::from(made.json()["email"].is_string());
        assert_eq!(app.count("one_time_tokens").await, mails);
        assert_eq!(app.jobs_of("send_mail").await, mails);
        discard_mail(app).await;
        assert_no_deadlocks(&instances).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn look_alikes_of_an_address_never_share_or_take_its_account() {
    // Forms that NFKC would change, a ligature and full-width letters, are refused; Cyrillic letters
    // make another domain.
    const LOOK_ALIKES: [&str; 4] = [
        "\u{ff41}da@example.com",
        "ada@e\u{ff58}ample.com",
        "ada@exam\u{200b}ple.com",
        "o\u{fb03}ce@example.com",
    ];
    let instances = two_instances(&[]).await;
    let answers = together(&instances, 32, async |app: Arc<TestApp>, number| {
        if number == 0 {
            return app.register("ada@example.com").await;
        }
        app.register(LOOK_ALIKES[number % LOOK_ALIKES.len()]).await
    })
    .await;
    let expected = counts([("200", 1), ("422 invalid_input", 31)]);
    assert_eq!(tally(&answers), expected);
    let cyrillic = instances[0]
        .register("ada@ex\u{430}mple.com")
        .await
        .expect(200);
    assert!(cyrillic.text("email").starts_with("ada@xn--"));
    assert_eq!(instances[0].count("users").await, 2);
    discard_mail(&instances[0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chosen_nickname_in_any_case_gets_one_account_and_the_others_nothing() {
    const NICKNAMES: [&str; 4] = [
        "grace_hopper",
        "Grace_Hopper",
        "GRACE_HOPPER",
        "gRaCe_HoPpEr",
    ];
    for _ in 0..3 {
        let instances = two_instances(&[]).await;
        let answers = together(&instances, 100, async |app: Arc<TestApp>, number| {
            let body = json!({
                "email": format!("user{number}@example.com"),
                "password": PASSWORD,
                "nickname": NICKNAMES[number % NICKNAMES.len()],
            });
            insist(|| app.post("/register/").json(&body).send()).await
        })
        .await;
        let expected = counts([("200", 1), ("409 nickname_already_exists", 99)]);
        assert_eq!(tally(&answers), expected);
        let made = answers.iter().find(|answer| answer.status == 200).unwrap();
        let app = &instances[0];
        for table in ["users", "first_user", "one_time_tokens"] {
            assert_eq!(app.count(table).await, 1, "{table}");
        }
        let mails = app.deliver_mail().await;
        assert_eq!(mails.len(), 1, "no mail for those who were refused");
        assert_eq!(mails[0].to.address, made.text("email"));
        // The refused ones can register under another nickname: nothing of them is left.
        let user = (0..100)
            .find(|number| format!("user{number}@example.com") != made.text("email"))
            .unwrap();
        app.register(&format!("user{user}@example.com"))
            .await
            .expect(200);
        discard_mail(app).await;
        assert_no_deadlocks(&instances).await;
    }
}

/// Randomness that makes few nicknames: whatever is drawn by eight bytes (an index of a list) is one
/// of four values.
struct FewNicknames {
    random: Box<dyn Random>,
    draws: Arc<AtomicUsize>,
    state: Mutex<u64>,
}

impl Random for FewNicknames {
    fn fill(&self, bytes: &mut [u8]) {
        if bytes.len() != 8 {
            return self.random.fill(bytes);
        }
        self.draws.fetch_add(1, Ordering::Relaxed);
        let mut state = self.state.lock().unwrap();
        // Knuth's generator (MMIX); its high bits are the random ones.
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        bytes.copy_from_slice(&(*state >> 62 << 62).to_le_bytes());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn generated_nicknames_that_collide_are_tried_again() {
    let draws = Arc::new(AtomicUsize::new(0));
    let few = |seed| FewNicknames {
        random: Box::new(SeededRandom::new(seed)),
        draws: Arc::clone(&draws),
        // The same sequence on both instances.
        state: Mutex::new(1),
    };
    let first = TestApp::start_changed(&[], |parts| parts.random = Arc::new(few(1))).await;
    let second = first.second_instance_changed(&[], |parts| parts.random = Arc::new(few(2)));
    let instances = [Arc::new(first), Arc::new(second)];
    let answers = together(&instances, 24, async |app: Arc<TestApp>, number| {
        let email = format!("user{number}@example.com");
        insist(|| app.register(&email)).await
    })
    .await;
    assert_eq!(tally(&answers), counts([("200", 24)]));
    let drawn = draws.load(Ordering::Relaxed);
    assert!(drawn > 3 * 24, "no nickname was generated twice: {drawn}");
    assert_eq!(
        number(
            &instances[0],
            "select count(distinct lower(nickname)) from users"
        )
        .await,
        24
    );
    discard_mail(&instances[0]).await;
}
