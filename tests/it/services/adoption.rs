//! Taking over a database that the FastAPI service has left, awkward rows among its own.

use std::{collections::BTreeMap, num::NonZeroUsize, sync::Arc};

use serde_json::{Map, Value, json};
use sqlx::{AssertSqlSafe, Executor as _};
use user_management::{
    domain::id::RequestId,
    error::Result,
    infra::{
        password_hasher::{HashCost, PasswordHasher},
        random::SeededRandom,
    },
    repository::pool,
    services::{
        Ctx,
        adoption::{Adopting, Adoption, Finding, Run, Summary},
    },
};
use uuid::Uuid;

use crate::support::{
    app::{TestApp, start_of_time},
    database::TestDatabase,
    fastapi::{load, picture},
};

pub(super) fn adopting(database: &TestDatabase, max_attempts: u16) -> Adopting {
    let random = Arc::new(SeededRandom::new(7));
    let threads = NonZeroUsize::new(1);
    let hasher = PasswordHasher::start(HashCost::CHEAPEST, threads, random.clone()).unwrap();
    let options = database.connect_options();
    Adopting::new(options, random, Arc::new(hasher), max_attempts)
}

pub(super) fn operator() -> Ctx {
    Ctx::operator(RequestId(Uuid::nil()), start_of_time())
}

/// Runs it, and answers what was found too.
pub(super) async fn adopt(database: &TestDatabase, run: Run) -> (Result<Adoption>, Vec<Finding>) {
    let mut found = Vec::new();
    let mut tell = |finding: &Finding| {
        found.push(finding.clone());
        Ok(())
    };
    let adopting = adopting(database, 5);
    let adoption = adopting.adopt(&operator(), run, &mut tell).await;
    (adoption, found)
}

async fn adopted(database: &TestDatabase) -> (Summary, Vec<Finding>) {
    match adopt(database, Run::Real).await {
        (Ok(Adoption::Done(summary)), found) => (summary, found),
        (other, _) => panic!("{other:?}"),
    }
}

/// The service on a database that the FastAPI service has left.
async fn left_by_fastapi(settings: &[(&str, &str)]) -> TestApp {
    let app = TestApp::start_with(settings).await;
    load(&app.database).await;
    app
}

/// The rows of a table as JSON, by id.
async fn rows(app: &TestApp, table: &str) -> BTreeMap<String, Map<String, Value>> {
    let query = AssertSqlSafe(format!("select to_jsonb(t) from {table} t"));
    let rows: Vec<Value> = sqlx::query_scalar(query)
        .fetch_all(&app.database.pool)
        .await
        .unwrap();
    let rows = rows.into_iter().map(|row| match row {
        Value::Object(row) => (row["id"].as_str().unwrap().to_owned(), row),
        other => panic!("{other}"),
    });
    rows.collect()
}

/// What a row becomes if nothing about it is awkward.
fn as_it_is(old: &Map<String, Value>) -> Map<String, Value> {
    let now = json!("2026-01-02T03:04:05+00:00");
    let trimmed = |name: &str| match old[name].as_str().map(str::trim) {
        None | Some("") => Value::Null,
        Some(text) => json!(text),
    };
    let or = |name: &str, default: &Value| match &old[name] {
        Value::Null => default.clone(),
        value => value.clone(),
    };
    let created_at = or("created_at", &now);
    let verified_at = match old["email_verified"] == true {
        true => created_at.clone(),
        false => Value::Null,
    };
    let new = json!({
        "id": old["id"], "nickname": old["nickname"], "email": old["email"],
        "email_verified_at": verified_at, "password_hash": old["hashed_password"],
        "first_name": trimmed("first_name"), "last_name": trimmed("last_name"), "bio": trimmed("bio"),
        "profile_picture_url": trimmed("profile_picture_url"),
        "linkedin_profile_url": trimmed("linkedin_profile_url"),
        "github_profile_url": trimmed("github_profile_url"),
        "role": old["role"], "is_professional": or("is_professional", &json!(false)),
        "professional_status_updated_at": old["professional_status_updated_at"],
        "locked_at": null, "last_login_at": old["last_login_at"],
        "created_at": created_at, "updated_at": or("updated_at", &now),
        "phone_number": null, "middle_name": null, "location": null, "is_name_public": false,
        "legacy_name": null, "deletion_due_at": null, "revision": 1, "password_reset_openly_at": null,
    });
    match new {
        Value::Object(new) => new,
        other => panic!("{other}"),
    }
}

/// What becomes otherwise, by the old address. A generated nickname is `generated`, another hash
/// `nobody's`.
fn otherwise(email: &str) -> Value {
    let generated = json!({"nickname": "generated"});
    match email {
        // A domain has no case.
        "Case@Example.com" => json!({"email": "Case@example.com"}),
        "case@example.com" => json!({
            "email": null, "email_verified_at": null, "legacy_name": "case@example.com"}),
        "not-an-address" => json!({
            "email": null, "email_verified_at": null, "legacy_name": "not-an-address"}),
        "  trimmed@example.com " => json!({"email": "trimmed@example.com"}),
        // Of two that are equal in all that counts the smaller id has the better claim.
        "same.nick1@example.com" => generated,
        "short@example.com" | "reserved@example.com" | "unicode@example.com" => generated,
        "spaces@example.com" => json!({"nickname": "has_space"}),
        "locked@example.com" => json!({"locked_at": "2026-11-21T09:11:10.588004+00:00"}),
        "badurl@example.com" => json!({"profile_picture_url": null, "password_hash": "nobody's"}),
        _ => json!({}),
    }
}

#[tokio::test]
async fn every_row_of_the_dump_is_taken_over_as_decided() {
    let app = left_by_fastapi(&[]).await;
    let (summary, found) = adopted(&app.database).await;
    let (old, mut new) = (
        rows(&app, "fastapi.users").await,
        rows(&app, "public.users").await,
    );
    let generated: Vec<String> = sqlx::query_scalar(
        "select column_name::text from information_schema.columns \
         where table_schema = 'public' and table_name = 'users' and is_generated = 'ALWAYS'",
    )
    .fetch_all(&app.database.pool)
    .await
    .unwrap();
    assert_eq!(old.len(), 43);
    assert_eq!(summary.users, 43);
    for (id, old) in &old {
        let email = old["email"].as_str().unwrap();
        let mut expected = as_it_is(old);
        let Value::Object(changed) = otherwise(email) else {
            panic!("{email}");
        };
        expected.extend(changed);
        let mut new = new.remove(id).unwrap();
        if expected["nickname"] == "generated" {
            assert_ne!(new["nickname"], old["nickname"]);
            let words = new["nickname"].as_str().unwrap().split('_').count();
            assert_eq!(words, 3, "{new:?}");
            new.insert("nickname".to_owned(), json!("generated"));
        }
        if expected["password_hash"] == "nobody's" {
            let hash = new["password_hash"].as_str().unwrap();
            assert!(hash.starts_with("$argon2id$"), "{hash}");
            new.insert("password_hash".to_owned(), json!("nobody's"));
        }
        for (column, value) in &expected {
            assert_eq!(&new[column], value, "{column} of {email}");
        }
        // Whatever other columns there are by now: nothing is in them but what the database makes itself.
        new.retain(|column, _| !expected.contains_key(column) && !generated.contains(column));
        assert!(
            new.values().all(|value| value.is_null() || value == false),
            "{new:?}"
        );
    }
    assert!(new.is_empty());

    let fields: Vec<_> = found.iter().map(|finding| finding.field).collect();
    let times = |field: &str| fields.iter().filter(|it| **it == field).count();
    let counted = [
        ("email", 3),
        ("nickname", 5),
        ("is_locked", 1),
        ("profile_picture_url", 1),
        ("hashed_password", 1),
    ];
    for (field, count) in counted {
        assert_eq!(times(field), count, "{field}: {found:?}");
        assert_eq!(summary.findings[field], count as u64);
    }
    assert_eq!(fields.len(), 11);
    assert_eq!((summary.unverified, summary.locked), (1, 1));
    assert!(summary.has_admin && summary.more_columns.is_empty());
    let aside: bool = sqlx::query_scalar(
        "select to_regclass('alembic_version') is null and to_regclass('fastapi.alembic_version') is not null \
         and to_regtype('\"UserRole\"') is null",
    )
    .fetch_one(&app.database.pool)
    .await
    .unwrap();
    assert!(aside);
}

#[tokio::test]
async fn everybody_logs_in_with_his_old_password() {
    let settings = [
        ("COMPAT_APIS", "cookie-session"),
        ("FIRST_USER_IS_ADMIN", "true"),
    ];
    let app = left_by_fastapi(&settings).await;
    adopted(&app.database).await;
    let old = rows(&app, "fastapi.users").await;
    for row in old.values() {
        let email = row["email"].as_str().unwrap();
        let answer = app.log_in(email).await;
        match email {
            // Somebody else's now, who has the same password.
            "case@example.com" => {
                let token = answer.expect(200).text("access_token");
                let me = app.get("/me").bearer(&token).send().await.expect(200);
                assert_eq!(me.text("nickname"), "brave_lion_100");
            }
            "not-an-address" => {
                answer.expect_problem(401, "invalid_credentials");
                let form = [("email", email), ("password", "Secure*1234")];
                let legacy = app.post("/compat/cookie-session/sessions").form(&form);
                legacy.send().await.expect(200);
            }
            "badurl@example.com" => {
                answer.expect_problem(401, "invalid_credentials");
            }
            "unverified@example.com" => {
                answer.expect_problem(401, "email_not_verified");
            }
            "locked@example.com" => {
                answer.expect_problem(400, "account_locked");
            }
            _ => {
                answer.expect(200);
                // And again, by the hash of ours.
                app.log_in(email).await.expect(200);
            }
        }
    }
    // The next one to register is no administrator, and an address is still somebody's in other case.
    let registered = app.register("new@example.com").await.expect(200);
    assert_eq!(registered.text("role"), "ANONYMOUS");
    app.register("CASE@example.com").await.expect(400);
    app.deliver_mail().await;
}

#[tokio::test]
async fn whoever_lost_his_password_or_his_link_gets_another_by_mail() {
    let app = left_by_fastapi(&[]).await;
    adopted(&app.database).await;
    for (path, email) in [
        ("/password-reset", "badurl@example.com"),
        ("/verify-email/resend", "unverified@example.com"),
    ] {
        let body = json!({"email": email});
        app.post(path).json(&body).send().await.expect(202);
        let mails = app.deliver_mail().await;
        assert_eq!(mails.len(), 1, "{path}");
    }
}

#[tokio::test]
async fn a_lock_by_failed_logins_is_left_behind_and_another_is_kept() {
    for (max_attempts, status) in [(3, 200), (4, 400)] {
        let app = left_by_fastapi(&[]).await;
        let adopting = adopting(&app.database, max_attempts);
        let mut tell = |_: &Finding| Ok(());
        let adopted = adopting.adopt(&operator(), Run::Real, &mut tell).await;
        assert!(matches!(adopted, Ok(Adoption::Done(_))));
        app.log_in("locked@example.com").await.expect(status);
    }
}

#[tokio::test]
async fn to_do_it_twice_does_no_harm() {
    let app = left_by_fastapi(&[]).await;
    adopted(&app.database).await;
    app.log_in("user1@example.com").await.expect(200);
    let before = rows(&app, "public.users").await;
    for run in [Run::Real, Run::Trial, Run::Real] {
        let (again, found) = adopt(&app.database, run).await;
        assert_eq!(again.unwrap(), Adoption::Ours);
        assert!(found.is_empty());
    }
    assert_eq!(rows(&app, "public.users").await, before);
    pool::migrate(&app.database.connect_options())
        .await
        .unwrap();
}

#[tokio::test]
async fn of_two_at_once_one_takes_it_over_and_the_other_finds_it_done() {
    let app = left_by_fastapi(&[]).await;
    let runs = (0..4).map(|_| adopt(&app.database, Run::Real));
    let done = futures::future::join_all(runs).await;
    let mut done: Vec<_> = done.into_iter().map(|(done, _)| done.unwrap()).collect();
    done.sort_by_key(|adoption| *adoption == Adoption::Ours);
    assert!(matches!(&done[0], Adoption::Done(summary) if summary.users == 43));
    assert!(done[1..].iter().all(|other| *other == Adoption::Ours));
    assert_eq!(app.count("users").await, 43);
}

#[tokio::test]
async fn a_trial_tells_the_same_and_changes_nothing_and_locks_nobody_out() {
    let app = left_by_fastapi(&[]).await;
    let before = picture(&app.database.pool).await;
    // The old service goes on writing.
    let mut writer = app.database.pool.begin().await.unwrap();
    let write = "update users set last_login_at = now() where email = 'user1@example.com'";
    writer.execute(write).await.unwrap();
    let (trial, told) = adopt(&app.database, Run::Trial).await;
    let Ok(Adoption::Done(mut trial)) = trial else {
        panic!("{trial:?}");
    };
    writer.rollback().await.unwrap();
    assert_eq!(picture(&app.database.pool).await, before);

    let (real, found) = adopted(&app.database).await;
    trial.other_sessions = real.other_sessions;
    assert_eq!(trial, real);
    assert_eq!(told.len(), found.len());
    for (told, found) in told.iter().zip(&found) {
        assert_eq!(
            (told.user_id, &told.problem),
            (found.user_id, &found.problem)
        );
        let is_generated = told.outcome.contains("generated");
        assert!(is_generated || told.outcome == found.outcome, "{told:?}");
    }
}
