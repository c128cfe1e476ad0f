//! `GET /users/` and `GET /users/{user_id}`

use chrono::TimeDelta;
use serde_json::{Value, json};
use user_management::domain::role::Role;
use uuid::Uuid;

use crate::support::app::{TestApp, TestUser};

/// An administrator and four users, a second apart.
async fn five_users() -> (TestApp, TestUser) {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    for number in 1..5 {
        app.clock.advance(TimeDelta::seconds(1));
        let email = format!("user{number}@example.com");
        app.user(Role::Authenticated, &email).await;
    }
    (app, admin)
}

async fn browse(app: &TestApp, actor: &TestUser, query: &str) -> Value {
    let request = app.get(&format!("/users/{query}")).by(actor);
    request.send().await.expect(200).json()
}

fn addresses(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().unwrap();
    items
        .iter()
        .map(|user| user["email"].as_str().unwrap())
        .collect()
}

/// The links: what each leads to, and its query.
fn links(list: &Value) -> Vec<(&str, &str)> {
    let links = list["links"].as_array().unwrap();
    links
        .iter()
        .map(|link| {
            assert_eq!(link["method"], "GET");
            assert_eq!(link["type"], "application/json");
            let href = link["href"].as_str().unwrap();
            let query = href
                .strip_prefix("https://users.example.com/users/?")
                .unwrap();
            (link["rel"].as_str().unwrap(), query)
        })
        .collect()
}

#[tokio::test]
async fn users_are_listed_newest_last() {
    let (app, admin) = five_users().await;
    let list = browse(&app, &admin, "").await;
    assert_eq!(
        addresses(&list),
        [
            "admin@example.com",
            "user1@example.com",
            "user2@example.com",
            "user3@example.com",
            "user4@example.com"
        ]
    );
    assert_eq!(list["total"], 5);
    assert_eq!(list["page"], 1);
    assert_eq!(list["size"], 5);
    assert_eq!(
        links(&list),
        [
            ("self", "skip=0&limit=10"),
            ("first", "skip=0&limit=10"),
            ("last", "skip=0&limit=10"),
        ]
    );
    // What is in the list is what is read one by one.
    let user = app.read(&admin, admin.id).await.expect(200).json();
    assert_eq!(list["items"][0], user);
    // A change moves nobody.
    app.change(&admin, admin.id, &json!({"bio": "first"}))
        .await
        .expect(200);
    assert_eq!(
        addresses(&browse(&app, &admin, "?limit=1").await),
        ["admin@example.com"]
    );
}

#[tokio::test]
async fn links_lead_through_the_pages_and_end_at_their_edges() {
    let (app, admin) = five_users().await;
    for (query, page, found, expected) in [
        (
            "?skip=0&limit=2",
            1,
            2,
            vec![
                ("self", "skip=0&limit=2"),
                ("first", "skip=0&limit=2"),
                ("last", "skip=4&limit=2"),
                ("next", "skip=2&limit=2"),
            ],
        ),
        (
            "?limit=2&skip=2",
            2,
            2,
            vec![
                ("self", "skip=2&limit=2"),
                ("first", "skip=0&limit=2"),
                ("last", "skip=4&limit=2"),
                ("next", "skip=4&limit=2"),
                ("prev", "skip=0&limit=2"),
            ],
        ),
        (
            "?skip=4&limit=2",
            3,
            1,
            vec![
                ("self", "skip=4&limit=2"),
                ("first", "skip=0&limit=2"),
                ("last", "skip=4&limit=2"),
                ("prev", "skip=2&limit=2"),
            ],
        ),
        // Five at once: that is all.
        (
            "?limit=5",
            1,
            5,
            vec![
                ("self", "skip=0&limit=5"),
                ("first", "skip=0&limit=5"),
                ("last", "skip=0&limit=5"),
            ],
        ),
        // Beyond the end, the way back leads to where there is something.
        (
            "?skip=100&limit=2",
            51,
            0,
            vec![
                ("self", "skip=100&limit=2"),
                ("first", "skip=0&limit=2"),
                ("last", "skip=4&limit=2"),
                ("prev", "skip=4&limit=2"),
            ],
        ),
        (
            "?skip=1&limit=100",
            1,
            4,
            vec![
                ("self", "skip=1&limit=100"),
                ("first", "skip=0&limit=100"),
                ("last", "skip=0&limit=100"),
                ("prev", "skip=0&limit=100"),
            ],
        ),
    ] {
        let list = browse(&app, &admin, query).await;
        assert_eq!(links(&list), expected, "{query}");
        assert_eq!(list["page"], page, "{query}");
        assert_eq!(list["size"], found, "{query}");
        assert_eq!(list["total"], 5, "{query}");
        assert_eq!(addresses(&list).len(), found, "{query}");
    }
}

#[tokio::test]
async fn following_the_links_meets_every_user_once() {
    let (app, admin) = five_users().await;
    let mut met = Vec::new();
    let mut query = Some("?limit=2".to_owned());
    while let Some(at) = query {
        let list = browse(&app, &admin, &at).await;
        met.extend(addresses(&list).into_iter().map(str::to_owned));
        let next = links(&list).into_iter().find(|(rel, _)| *rel == "next");
        query = next.map(|(_, query)| format!("?{query}"));
    }
    let all = browse(&app, &admin, "").await;
    assert_eq!(met, addresses(&all));
}

#[tokio::test]
async fn the_total_follows_registrations_and_deletions() {
    let (app, admin) = five_users().await;
    let added = app
        .add(&admin, "new@example.com", "ANONYMOUS")
        .await
        .expect(201);
    assert_eq!(browse(&app, &admin, "").await["total"], 6);
    let path = format!("/users/{}", added.text("id"));
    app.delete(&path).by(&admin).send().await.expect(204);
    assert_eq!(browse(&app, &admin, "").await["total"], 5);
    app.register("user1@example.com")
        .await
        .expect_problem(400, "email_already_exists");
    assert_eq!(browse(&app, &admin, "").await["total"], 5);
    app.deliver_mail().await;
}

#[tokio::test]
async fn a_user_who_is_not_there_is_not_found() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let nobody = Uuid::nil();
    let missing = [
        app.read(&admin, nobody).await,
        app.change(&admin, nobody, &json!({"bio": "x"})).await,
        app.lock(&admin, nobody).await,
        app.unlock(&admin, nobody).await,
        app.delete(&format!("/users/{nobody}"))
            .by(&admin)
            .send()
            .await,
    ];
    for response in missing {
        let response = response.expect_problem(404, "user_not_found");
        assert_eq!(response.text("detail"), "User not found");
    }
}

#[tokio::test]
async fn far_pages_of_a_sorted_list_are_reached_by_cursors_and_those_of_everybody_by_skip() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    sqlx::query(
        "insert into users (id, nickname, email, password_hash, role, created_at, updated_at) \
         select gen_random_uuid(), 'crowd_' || n, 'crowd' || n || '@example.com', 'x', 'ANONYMOUS', now(), now() \
         from generate_series(10001, 20030) n",
    )
    .execute(&app.database.pool)
    .await
    .unwrap();
    let sorted = "/users/?role=ANONYMOUS&sort=nickname&limit=20";
    let get = async |path: &str| app.get(path).by(&admin).send().await;
    let refused = get(&format!("{sorted}&skip=10001")).await.expect(422);
    assert_eq!(refused.invalid_fields(), ["query.skip out_of_range"]);
    let page = get(&format!("{sorted}&skip=10000"))
        .await
        .expect(200)
        .json();
    assert_eq!(page["items"][0]["nickname"], "crowd_20001");
    let link = |page: &Value, rel: &str| {
        let links = page["links"].as_array().unwrap();
        let link = links.iter().find(|link| link["rel"] == rel).unwrap();
        let href = link["href"].as_str().unwrap();
        href.strip_prefix("https://users.example.com")
            .unwrap()
            .to_owned()
    };
    for (rel, first) in [("next", "crowd_20021"), ("last", "crowd_20011")] {
        let led_to = get(&link(&page, rel)).await.expect(200).json();
        assert_eq!(led_to["items"][0]["nickname"], first, "{rel}");
    }
    let before = get(&link(&page, "prev")).await.expect(200).json();
    assert_eq!(before["items"][0]["nickname"], "crowd_19981");
    let everybody = get("/users/?skip=10020&limit=20").await.expect(200).json();
    assert_eq!(everybody["items"].as_array().unwrap().len(), 11);
}

#[tokio::test]
async fn a_total_is_estimated_though_statistics_are_old_and_its_last_page_is_the_last() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    // Statistics of one user, and so many that not all of them are counted.
    sqlx::raw_sql(
        "analyze users; \
         insert into users (id, nickname, email, password_hash, role, first_name, created_at, updated_at) \
         select gen_random_uuid(), 'crowd_' || n, 'crowd' || n || '@example.com', 'x', 'ANONYMOUS', 'Qqyrin', now(), now() \
         from generate_series(10001, 15000) n; \
         update user_counts set users = users + 20000 where slot = (select min(slot) from user_counts)",
    )
    .execute(&app.database.pool)
    .await
    .unwrap();
    let listed = browse(&app, &admin, "?q=qqyrin&limit=10&skip=20").await;
    assert_eq!(listed["total_is_estimate"], true);
    let total = listed["total"].as_u64().unwrap();
    assert!((3_000..8_000).contains(&total), "{total}");
    let last = links(&listed)
        .into_iter()
        .find_map(|(rel, query)| (rel == "last").then_some(query))
        .unwrap();
    let last = browse(&app, &admin, &format!("?{}", last.trim_start_matches('?'))).await;
    assert_eq!(last["next_cursor"], Value::Null);
    let exact = browse(&app, &admin, "?q=qqyrin&limit=10&count=exact").await;
    assert_eq!(exact["total"], 5_000);
}
