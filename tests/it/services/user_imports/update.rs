//! What a row changes of an account that is there.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use user_management::domain::{
    role::Role,
    user_import::{ImportOptions, OnConflict},
};

use super::{TABLE, counts};
use crate::support::{
    app::{PASSWORD, TestApp},
    request::link_in,
};

const UPDATE: ImportOptions = ImportOptions {
    on_conflict: OnConflict::Update,
    ..TABLE
};

#[tokio::test]
async fn what_a_row_gives_takes_the_place_of_what_was_there_and_the_rest_stays() {
    let app = TestApp::start().await;
    let ada = app.user(Role::Authenticated, "ada@example.com").await;
    let profile = json!({"first_name": "Augusta", "bio": "Writes."});
    app.patch("/me")
        .by(&ada)
        .json(&profile)
        .send()
        .await
        .expect(200);
    let before = app.row("ada@example.com").await;
    let text = "email,first_name,bio,is_professional,legacy_name\nada@example.com,Ada,,true,ada\n";
    let (import, errors) = app.import(text, UPDATE).await;
    assert_eq!((import.counts, errors), (counts(0, 1, 0, 0), vec![]));
    let after = app.row("ada@example.com").await;
    let changed: BTreeSet<_> = after
        .as_object()
        .unwrap()
        .iter()
        .filter(|(column, value)| before[column.as_str()] != **value)
        .map(|(column, _)| column.as_str())
        .collect();
    let expected = [
        "first_name",
        "legacy_name",
        "is_professional",
        "professional_status_updated_at",
        "revision",
        // By the new name.
        "search_text",
        "search_words",
    ];
    assert_eq!(changed, BTreeSet::from(expected));
    // He goes on as he is, since nothing that matters to his sessions has changed.
    assert!(app.is_logged_in(&ada.token).await);
    let again = app.import(&format!("{text}\n"), UPDATE).await.0;
    assert_eq!(again.counts, counts(0, 0, 1, 0));
}

#[tokio::test]
async fn a_role_is_changed_as_by_the_api() {
    let app = TestApp::start().await;
    let ada = app.user(Role::Authenticated, "ada@example.com").await;
    let (import, _) = app
        .import("email,role\nada@example.com,MANAGER\n", UPDATE)
        .await;
    assert_eq!(import.counts, counts(0, 1, 0, 0));
    assert_eq!(app.role_of(ada.id).await, "MANAGER");
    assert!(!app.is_logged_in(&ada.token).await);
    assert_eq!(app.count("role_changes").await, 1);
    assert_eq!(app.count("outbox_messages").await, 1);
    let mail = app.mail_to("ada@example.com").await;
    assert!(mail.contains("MANAGER"), "{mail}");
    let actions: Vec<String> = sqlx::query_scalar(
        "select action from audit_log where actor_kind = 'operator' order by id",
    )
    .fetch_all(&app.database.pool)
    .await
    .unwrap();
    assert!(actions.contains(&"role_changed".to_owned()), "{actions:?}");
}

#[tokio::test]
async fn the_last_administrator_stays_one() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let id = admin.id;
    let text = format!(
        "id,email,role,locked_at\n,admin@example.com,MANAGER,\n,admin@example.com,,2020-01-01T00:00:00Z\n\
         {id},new@example.com,,\n"
    );
    let (import, errors) = app.import(&text, UPDATE).await;
    assert_eq!(import.counts, counts(0, 0, 0, 3));
    for (line, error) in (2..).zip(errors) {
        let expected = format!("{line} role: the account is the last administrator's");
        assert_eq!(error, expected);
    }
    assert!(app.is_logged_in(&admin.token).await);
    // Where there is another one, it can be done.
    app.user(Role::Admin, "second@example.com").await;
    let (import, _) = app.import(&format!("{text}\n"), UPDATE).await;
    assert_eq!(import.counts, counts(0, 3, 0, 0));
    assert!(!app.is_logged_in(&admin.token).await);
    app.deliver_mail().await;
}

#[tokio::test]
async fn a_new_password_ends_sessions_and_is_told() {
    let app = TestApp::start().await;
    let ada = app.user(Role::Authenticated, "ada@example.com").await;
    let text = "email,password\nada@example.com,Better*5678\n";
    let (import, _) = app.import(text, UPDATE).await;
    assert_eq!(import.counts, counts(0, 1, 0, 0));
    assert!(!app.is_logged_in(&ada.token).await);
    let mail = app.mail_to("ada@example.com").await;
    assert!(mail.contains("password"), "{mail}");
    app.log_in_with("ada@example.com", PASSWORD)
        .await
        .expect(401);
    app.log_in_with("ada@example.com", "Better*5678")
        .await
        .expect(200);
}

#[tokio::test]
async fn a_new_address_is_unverified_unless_the_row_says_so_and_voids_links_to_the_old_one() {
    let app = TestApp::start().await;
    let ada = app.user(Role::Authenticated, "ada@example.com").await;
    let bob = app.user(Role::Authenticated, "bob@example.com").await;
    let link = app.reset_link("ada@example.com").await;
    let text = format!(
        "id,email,email_verified_at\n{},new.ada@example.com,\n{},new.bob@example.com,2020-01-01T00:00:00Z\n",
        ada.id, bob.id
    );
    let (import, errors) = app.import(&text, UPDATE).await;
    assert_eq!((import.counts, errors), (counts(0, 2, 0, 0), vec![]));
    let verified = app.row("new.bob@example.com").await;
    assert_eq!(verified["email_verified_at"], "2020-01-01T00:00:00+00:00");
    let unverified = app.row("new.ada@example.com").await;
    assert_eq!(unverified["email_verified_at"], Value::Null);
    let fields = [("new_password", "Better*5678")];
    app.post(&link).form(&fields).send().await.expect(400);
}

#[tokio::test]
async fn whom_a_row_verifies_is_authenticated_and_his_link_is_void() {
    let app = TestApp::start().await;
    app.admin().await;
    app.register("ada@example.com").await.expect(200);
    app.deliver_mail().await;
    let links = "select count(*) from one_time_tokens where purpose = 'email_verification'";
    let links = || async {
        let links: i64 = sqlx::query_scalar(links)
            .fetch_one(&app.database.pool)
            .await
            .unwrap();
        links
    };
    assert_eq!(links().await, 1);
    let text = "email,email_verified_at\nada@example.com,2020-01-01T00:00:00Z\n";
    let (import, _) = app.import(text, UPDATE).await;
    assert_eq!(import.counts, counts(0, 1, 0, 0));
    assert_eq!(app.row("ada@example.com").await["role"], "AUTHENTICATED");
    assert_eq!(links().await, 0);
    // Nobody has decided it, so it is none of the changes of roles, and nobody is told of it by mail.
    assert_eq!(app.count("role_changes").await, 0);
    let role: Option<String> = sqlx::query_scalar(
        "select after ->> 'role' from audit_log where action = 'user_changed' order by id desc limit 1",
    )
    .fetch_one(&app.database.pool)
    .await
    .unwrap();
    assert_eq!(role.as_deref(), Some("AUTHENTICATED"));
}

#[tokio::test]
async fn a_password_that_whoever_knew_the_name_has_set_is_void_when_a_row_verifies_the_account() {
    let app = TestApp::start_with(&[("COMPAT_APIS", "cookie-session")]).await;
    app.admin().await;
    for email in ["ada@example.com", "bob@example.com", "eve@example.com"] {
        app.unverified(email).await;
        app.reset_openly(email, "Better*5678").await;
    }
    let bob = app.row("bob@example.com").await;
    let text = format!(
        "id,email,email_verified_at,password\n\
         ,ada@example.com,2020-01-01T00:00:00Z,\n\
         {},new.bob@example.com,2020-01-01T00:00:00Z,\n\
         ,eve@example.com,2020-01-01T00:00:00Z,Other*5678\n",
        bob["id"].as_str().unwrap()
    );
    let (import, errors) = app.import(&text, UPDATE).await;
    assert_eq!((import.counts, errors), (counts(0, 3, 0, 0), vec![]));
    for email in ["ada@example.com", "new.bob@example.com", "eve@example.com"] {
        let login = app.log_in_with(email, "Better*5678").await;
        login.expect_problem(401, "invalid_credentials");
    }
    let mails = app.deliver_mail().await;
    for email in ["ada@example.com", "new.bob@example.com"] {
        let mail = mails.iter().find(|mail| mail.to.address == email);
        let link = link_in(&mail.unwrap().text);
        let fields = [("new_password", "Third*5678")];
        app.post(&link).form(&fields).send().await.expect(200);
    }
    // Who wrote the file has said which one counts.
    let login = app.log_in_with("eve@example.com", "Other*5678").await;
    login.expect(200);
    app.deliver_mail().await;
}

#[tokio::test]
async fn a_row_that_is_of_two_accounts_or_takes_anothers_name_changes_nothing() {
    let app = TestApp::start().await;
    let ada = app.user(Role::Authenticated, "ada@example.com").await;
    app.user(Role::Authenticated, "bob@example.com").await;
    sqlx::query("update users set nickname = 'bob' where email = 'bob@example.com'")
        .execute(&app.database.pool)
        .await
        .unwrap();
    let before = app.row("ada@example.com").await;
    let text = format!(
        "id,email,nickname,first_name\n{},bob@example.com,,X\n,ada@example.com,BOB,X\n\
         0199c5a0-6d54-7c1e-8f6a-3b1f2d4e5a6b,ada@example.com,,X\n",
        ada.id
    );
    let (import, errors) = app.import(&text, UPDATE).await;
    assert_eq!(import.counts, counts(0, 0, 0, 3));
    assert_eq!(
        errors,
        [
            "2 email: id and email are those of different accounts",
            "3 nickname: another account has it already",
            "4 id: is another one than the account's",
        ]
    );
    assert_eq!(app.row("ada@example.com").await, before);
}

#[tokio::test]
async fn a_row_that_locks_or_closes_an_account_ends_what_leads_out_of_that() {
    let app = TestApp::start().await;
    let ada = app.user(Role::Authenticated, "ada@example.com").await;
    let bob = app.user(Role::Authenticated, "bob@example.com").await;
    for (user, wish) in [(&ada, "new.ada@example.com"), (&bob, "new.bob@example.com")] {
        app.ask_for(user, wish).await.expect(202);
    }
    app.deliver_mail().await;
    let link = app.reset_link("bob@example.com").await;
    let text = "email,locked_at,deletion_due_at\nada@example.com,2026-01-02T00:00:00Z,\n\
        bob@example.com,,2036-01-02T00:00:00Z\n";
    let (import, errors) = app.import(text, UPDATE).await;
    assert_eq!((import.counts, errors), (counts(0, 2, 0, 0), vec![]));
    assert_eq!(app.count("email_changes").await, 0);
    let fields = [("new_password", "Better*5678")];
    app.post(&link).form(&fields).send().await.expect(400);
    app.deliver_mail().await;
}
