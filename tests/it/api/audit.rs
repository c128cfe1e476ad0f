//! `GET /audit-log` and `GET /me/activity`

use futures::StreamExt as _;
use serde_json::{Value, json};
use user_management::{
    domain::{
        actor::Actor,
        audit::AuditFilter,
        id::{RequestId, SessionId, UserId},
        role::Role,
    },
    error::Error,
    infra::clock::Clock as _,
    services::Ctx,
};
use uuid::Uuid;

use crate::support::app::{TestApp, TestUser};

/// Gets a list, and its items.
async fn items(app: &TestApp, user: &TestUser, path: &str) -> Vec<Value> {
    let list = app.get(path).by(user).send().await.expect(200).json();
    list["items"].as_array().unwrap().clone()
}

fn actions(items: &[Value]) -> Vec<&str> {
    let names = items.iter().map(|item| item["action"].as_str().unwrap());
    names.collect()
}

#[tokio::test]
async fn the_newest_come_first_and_filters_combine() {
    let app = TestApp::start().await;
    let (admin, ada) = (
        app.admin().await,
        app.user(Role::Authenticated, "ada@example.com").await,
    );
    app.lock(&admin, ada.id).await.expect(200);
    app.deliver_mail().await;
    app.clock.advance(chrono::TimeDelta::minutes(5));
    let unlocked = app.unlock(&admin, ada.id).await.expect(200);
    app.deliver_mail().await;
    let found = items(&app, &admin, &format!("/audit-log?subject={}", ada.id)).await;
    assert_eq!(
        actions(&found),
        [
            "user_unlocked",
            "user_locked",
            "session_opened",
            "administrator_made"
        ]
    );
    let newest = &found[0];
    assert_eq!(newest["actor_id"], json!(admin.id));
    assert_eq!(newest["at"], "2026-01-02T03:09:05.000000Z");
    assert_eq!(newest["request_id"], unlocked.header("x-request-id"));
    assert_eq!(newest["after"], json!({"locked_at": null}));
    assert_eq!(
        newest["before"],
        json!({"locked_at": "2026-01-02T03:04:05.000000Z"})
    );
    for (query, expected) in [
        (format!("actor={}&subject={}", admin.id, ada.id), 2),
        (format!("actor={}&action=user_locked", admin.id), 1),
        (format!("subject={}&outcome=refused", ada.id), 0),
        (format!("request_id={}", unlocked.header("x-request-id")), 1),
        (
            "client_address=192.0.2.1&action=session_opened".to_owned(),
            2,
        ),
        ("client_address=192.0.2.2".to_owned(), 0),
        ("from=2026-01-02T03:05:00Z".to_owned(), 1),
        ("from=2026-01-02T04:09:05%2B01:00".to_owned(), 1),
        ("to=2026-01-02T03:04:05Z".to_owned(), 0),
        (
            "from=2026-01-02&to=2026-01-02&action=user_unlocked".to_owned(),
            1,
        ),
        ("from=2026-01-03".to_owned(), 0),
        ("to=2026-01-01".to_owned(), 0),
    ] {
        let found = items(&app, &admin, &format!("/audit-log?{query}")).await;
        assert_eq!(found.len(), expected, "{query}");
    }
}

#[tokio::test]
async fn pages_go_on_where_they_ended_though_entries_come() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    for _ in 0..9 {
        app.log_in("admin@example.com").await.expect(200);
    }
    let mut path = "audit-log?limit=3&action=session_opened".to_owned();
    let mut ids = Vec::new();
    loop {
        let url = format!("/{path}");
        let page = app.get(&url).by(&admin).send().await.expect(200).json();
        ids.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|item| item["id"].as_i64().unwrap()),
        );
        // Newer than the page.
        app.log_in("admin@example.com").await.expect(200);
        let links = page["links"].as_array().unwrap();
        let next = links.iter().find(|link| link["rel"] == "next");
        let Some(next) = next else {
            assert_eq!(page["next_cursor"], Value::Null);
            break;
        };
        let href = next["href"].as_str().unwrap();
        assert!(href.contains(page["next_cursor"].as_str().unwrap()));
        let below = href.strip_prefix("https://users.example.com/").unwrap();
        below.clone_into(&mut path);
    }
    let mut sorted = ids.clone();
    sorted.sort_unstable_by(|a, b| b.cmp(a));
    sorted.dedup();
    assert_eq!(ids, sorted);
    assert_eq!(ids.len(), 10, "those that were there at first");
}

#[tokio::test]
async fn a_cursor_leads_on_under_its_own_filter_only() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    for _ in 0..3 {
        app.log_in("admin@example.com").await.expect(200);
    }
    let ask = async |query: &str| {
        let path = format!("/audit-log?{query}");
        app.get(&path).by(&admin).send().await
    };
    let opened = format!("action=session_opened&actor={}", admin.id);
    let page = ask(&format!("{opened}&limit=1")).await.expect(200).json();
    let cursor = page["next_cursor"].as_str().unwrap();
    for query in [
        String::new(),
        "action=session_opened".to_owned(),
        format!("{opened}&outcome=success"),
    ] {
        let refused = ask(&format!("{query}&cursor={cursor}")).await.expect(422);
        assert_eq!(refused.invalid_fields(), ["query.cursor invalid_cursor"]);
    }
    // However the filter is written, and however long the page is.
    let actor = admin.id.to_string().to_uppercase();
    let same = format!("limit=2&actor={actor}&action=session_opened&cursor={cursor}");
    let next = ask(&same).await.expect(200).json();
    assert_eq!(next["items"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn what_is_unknown_or_wrong_is_told_with_what_there_is() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let ask = async |query: &str| {
        let path = format!("/audit-log?{query}");
        app.get(&path).by(&admin).send().await.expect(422)
    };
    for (query, fields) in [
        ("acter=x", "query.acter unknown_parameter"),
        ("skip=1", "query.skip unknown_parameter"),
        ("actor=me", "query.actor invalid_uuid"),
        ("action=USER_LOCKED", "query.action unknown"),
        ("outcome=", "query.outcome unknown"),
        ("from=yesterday", "query.from invalid_time"),
        ("subject=%00", "query.subject invalid_subject"),
        (
            "client_address=here",
            "query.client_address invalid_address",
        ),
        ("limit=0", "query.limit out_of_range"),
        ("limit=201", "query.limit out_of_range"),
        ("limit=1&limit=2", "query.limit duplicate"),
        ("cursor=", "query.cursor invalid_cursor"),
        (
            "cursor=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "query.cursor invalid_cursor",
        ),
    ] {
        assert_eq!(ask(query).await.invalid_fields(), [fields], "{query}");
    }
    let unknown = ask("acter=x").await;
    for name in ["actor", "client_address", "cursor", "limit"] {
        assert!(unknown.body.contains(name), "{}", unknown.body);
    }
    let both = ask("acter=x&limit=x").await;
    assert_eq!(both.invalid_fields().len(), 2);
    let many = vec!["a=1"; 10_000].join("&");
    let many = ask(&many).await;
    assert_eq!(many.invalid_fields(), ["query unknown_parameter"]);
    let long = ask(&format!("{}=1", "x".repeat(10_000))).await;
    assert!(long.body.len() < 1000, "{}", long.body);
}

#[tokio::test]
async fn a_cursor_of_another_list_or_changed_is_refused() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    app.log_in("admin@example.com").await.expect(200);
    let page = app.get("/me/activity?limit=1").by(&admin).send().await;
    let cursor = page.expect(200).text("next_cursor");
    let mine = format!("/me/activity?cursor={cursor}");
    app.get(&mine).by(&admin).send().await.expect(200);
    let other = app.get(&format!("/audit-log?cursor={cursor}"));
    let other = other.by(&admin).send().await.expect(422);
    assert_eq!(other.invalid_fields(), ["query.cursor invalid_cursor"]);
    let changed = app.get(&format!("{mine}A")).by(&admin).send().await;
    changed.expect(422);
}

#[tokio::test]
async fn an_export_ends_with_the_session_of_who_asked_for_it() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    sqlx::query(
        "insert into audit_log (at, actor_kind, action, outcome) \
         select now(), 'nobody', 'login_failed', 'failed' from generate_series(1, 9000) n",
    )
    .execute(&app.database.pool)
    .await
    .unwrap();
    let session = sqlx::query_scalar("select id from sessions where user_id = $1")
        .bind(admin.id)
        .fetch_one(&app.database.pool)
        .await
        .unwrap();
    let ctx = Ctx {
        actor: Actor::User {
            id: UserId(admin.id),
            role: Role::Admin,
            session: SessionId(session),
        },
        ..Ctx::operator(RequestId(Uuid::nil()), app.clock.now())
    };
    let log = &app.app.services.audit;
    let stream = log.stream(&ctx, AuditFilter::default()).await.unwrap();
    let mut stream = Box::pin(stream);
    stream.next().await.unwrap().unwrap();
    sqlx::query("delete from sessions")
        .execute(&app.database.pool)
        .await
        .unwrap();
    let ended = loop {
        match stream.next().await.expect("it doesn't end well") {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert!(matches!(ended, Error::Unauthenticated(_)), "{ended}");
}

#[tokio::test]
async fn an_export_has_everything_that_matches() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    // More than is read at a time, with what a spreadsheet would take for a formula.
    sqlx::query(
        "insert into audit_log (at, actor_kind, action, device, outcome) \
         select '2026-01-01T00:00:00Z'::timestamptz + n * interval '1 second', 'nobody', 'login_failed', \
           case n when 7 then '=cmd|calc' when 8 then E'two\\nlines, \"quoted\"' end, 'failed' \
         from generate_series(1, 2500) n",
    )
    .execute(&app.database.pool)
    .await
    .unwrap();
    let export = async |kind: &str| {
        let request = app.get("/audit-log?action=login_failed").by(&admin);
        request.header("accept", kind).send().await.expect(200)
    };
    let lines = export("application/x-ndjson").await;
    assert_eq!(
        lines.header("content-disposition"),
        "attachment; filename=\"audit-log.ndjson\""
    );
    let entries: Vec<Value> = lines
        .body
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(entries.len(), 2500);
    let times: Vec<_> = entries.iter().map(|entry| entry["at"].as_str()).collect();
    assert!(times.is_sorted_by(|a, b| a > b));
    assert_eq!(entries[2493]["device"], "=cmd|calc");
    let table = export("text/html;q=0.1, text/csv").await;
    let mut reader = csv::Reader::from_reader(table.body.as_bytes());
    let head: Vec<_> = reader
        .headers()
        .unwrap()
        .iter()
        .map(str::to_owned)
        .collect();
    let members: Vec<_> = entries[0].as_object().unwrap().keys().cloned().collect();
    let mut sorted = head.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, members, "the same members");
    let rows: Vec<_> = reader.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 2500);
    let device = head.iter().position(|name| name == "device").unwrap();
    assert_eq!(&rows[2493][device], "'=cmd|calc");
    assert_eq!(&rows[2492][device], "two\nlines, \"quoted\"");
    let page = app.get("/audit-log?limit=5").by(&admin);
    let page = page.header("accept", "text/csv").send().await.expect(422);
    assert_eq!(page.invalid_fields(), ["query.limit not_a_page"]);
    let plain = app.get("/audit-log?limit=5").by(&admin);
    let plain = plain.header("accept", "application/json, text/csv");
    assert_eq!(
        plain.send().await.expect(200).json()["items"][0]["action"],
        "session_opened"
    );
}

#[tokio::test]
async fn one_sees_what_one_did_and_of_others_the_kind_only() {
    let app = TestApp::start().await;
    let (admin, ada) = (
        app.admin().await,
        app.user(Role::Authenticated, "ada@example.com").await,
    );
    let bob = app.user(Role::Authenticated, "bob@example.com").await;
    app.change(&admin, ada.id, &json!({"last_name": "Lovelace"}))
        .await
        .expect(200);
    app.guess("ada@example.com").await.expect(401);
    let body = json!({"bio": "Writes programs."});
    let own = app.patch("/me").by(&ada).json(&body).send().await;
    let own = own.expect(200);
    let seen = items(&app, &ada, "/me/activity").await;
    assert_eq!(
        actions(&seen),
        [
            "user_changed",
            "login_failed",
            "user_changed",
            "session_opened",
            "administrator_made"
        ]
    );
    assert_eq!(seen[0]["actor_id"], json!(ada.id));
    assert_eq!(seen[0]["client_address"], "192.0.2.1");
    assert_eq!(seen[0]["request_id"], own.header("x-request-id"));
    assert_eq!(seen[2]["actor_kind"], "user");
    assert_eq!(seen[2]["after"], json!({"last_name": "Lovelace"}));
    for entry in [&seen[1], &seen[2], &seen[4]] {
        for member in [
            "actor_id",
            "actor_name",
            "on_behalf_of",
            "request_id",
            "client_address",
            "device",
        ] {
            assert_eq!(entry[member], Value::Null, "{member}: {entry}");
        }
    }
    let all = app.get("/me/activity").by(&ada).send().await;
    assert!(!all.body.contains(&admin.id.to_string()));
    assert!(!all.body.contains(&bob.id.to_string()));
    // Whoever did it sees that he did, and not what his subject's data are.
    let did = items(&app, &admin, "/me/activity").await;
    assert_eq!(did[0]["action"], "user_changed");
    assert_eq!(did[0]["subject_id"], json!(ada.id));
    assert_eq!(
        (&did[0]["before"], &did[0]["after"]),
        (&json!(null), &json!(null))
    );
    // An export of one's data has the same.
    let export = app.get("/me/export").by(&ada).send().await.expect(200);
    let kept = export.json()["data"]["audit_log"].as_array().unwrap().len();
    assert_eq!(kept, 5);
    assert!(!export.body.contains(&admin.id.to_string()));
    let filter = app.get("/me/activity?actor=x").by(&ada).send().await;
    let fields = filter.expect(422).invalid_fields();
    assert_eq!(fields, ["query.actor unknown_parameter"]);
}
