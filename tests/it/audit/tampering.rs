//! Whoever changes the audit log by SQL is refused, and found where he gets around that.

use sqlx::AssertSqlSafe;
use user_management::{domain::role::Role, services::audit::Finding};

use crate::support::{app::TestApp, database::TestDatabase};

/// Some entries with their places in the chain.
async fn chained() -> TestApp {
    let app = TestApp::start().await;
    for name in ["ada", "bob", "cyd"] {
        app.user(Role::Authenticated, &format!("{name}@example.com"))
            .await;
    }
    app.chain().await;
    app.assert_chained().await;
    app
}

/// Runs statements with the triggers switched off, as whoever owns the tables can.
pub async fn tamper(database: &TestDatabase, statements: &[&str]) {
    let off = [
        "alter table audit_log disable trigger user",
        "alter table audit_chain disable trigger user",
    ];
    let on = [
        "alter table audit_log enable trigger user",
        "alter table audit_chain enable trigger user",
    ];
    let all = off.iter().chain(statements).chain(&on);
    for statement in all {
        sqlx::query(AssertSqlSafe((*statement).to_owned()))
            .execute(&database.pool)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn the_database_refuses_to_change_what_was_written() {
    let app = chained().await;
    let before = app.verify().await.head;
    for statement in [
        "update audit_log set action = 'users_listed'",
        "update audit_log set device = null where id = 1",
        "delete from audit_log",
        "delete from audit_log where id = (select max(id) from audit_log)",
        "truncate audit_log",
        "update audit_chain set hash = hash",
        "delete from audit_chain",
        "delete from audit_chain where sequence = (select max(sequence) from audit_chain)",
        "truncate audit_chain, audit_log",
        "insert into audit_log (id, at, actor_kind, action, outcome) overriding system value \
         values (1, now(), 'system', 'x', 'success') on conflict (id) do update set action = 'x'",
    ] {
        let refused = sqlx::query(AssertSqlSafe(statement.to_owned()))
            .execute(&app.database.pool)
            .await
            .unwrap_err();
        let code = refused.as_database_error().and_then(|error| error.code());
        assert_eq!(code.as_deref(), Some("42501"), "{statement}: {refused}");
    }
    app.assert_chained().await;
    assert_eq!(app.verify().await.head, before);
}

#[tokio::test]
async fn anchors_stay_as_they_are() {
    let app = chained().await;
    sqlx::query(
        "insert into audit_anchors (sequence, hash, removed_at) \
         select sequence, hash, now() from audit_chain where sequence = 1",
    )
    .execute(&app.database.pool)
    .await
    .unwrap();
    for statement in [
        "update audit_anchors set sequence = 2",
        "delete from audit_anchors",
        "truncate audit_anchors",
    ] {
        let refused = sqlx::query(AssertSqlSafe(statement.to_owned()))
            .execute(&app.database.pool)
            .await;
        assert!(refused.is_err(), "{statement}");
    }
}

#[tokio::test]
async fn an_anchor_that_retention_has_not_put_there_is_found() {
    let app = chained().await;
    // Nothing keeps the owner of the tables from it, and no trigger has to be switched off.
    for statement in [
        "insert into audit_anchors (sequence, hash, removed_at) \
         select sequence, hash, now() from audit_chain where sequence = 2",
        "delete from audit_log where id in (select entry_id from audit_chain where sequence <= 2)",
        "delete from audit_chain where sequence <= 2",
    ] {
        sqlx::query(AssertSqlSafe(statement.to_owned()))
            .execute(&app.database.pool)
            .await
            .unwrap();
    }
    let verified = app.verify().await;
    assert!(!verified.is_good());
    assert_eq!(verified.finding, Some(Finding::Untold { sequence: 2 }));
}

/// What is found after a change.
async fn found_after(statements: &[&str]) -> Option<Finding> {
    let app = chained().await;
    tamper(&app.database, statements).await;
    let verified = app.verify().await;
    assert!(!verified.is_good() || verified.finding.is_none());
    verified.finding
}

#[tokio::test]
async fn an_altered_member_of_a_row_is_found() {
    for change in [
        "at = at + interval '1 microsecond'",
        "actor_kind = 'operator', actor_id = null",
        "actor_id = '00000000-0000-0000-0000-000000000001'",
        "actor_name = 'ada'",
        "on_behalf_of = '00000000-0000-0000-0000-000000000001'",
        "action = 'users_listed'",
        "subject_kind = 'signing_key'",
        "subject_id = 'somebody else'",
        "request_id = null",
        "client_address = '203.0.113.7'",
        "device = 'another'",
        "before = '{}'",
        "after = after || '{\"used_by\": \"cookie\"}'",
        "outcome = 'failed'",
    ] {
        // The login of Bob, who comes second.
        let statement = format!("update audit_log set {change} where id = 4");
        let found = found_after(&[&statement]).await;
        let expected = Finding::Altered {
            sequence: 4,
            entry_id: 4,
        };
        assert_eq!(found, Some(expected), "{change}");
    }
}

#[tokio::test]
async fn a_row_that_is_missing_is_found() {
    let gone = "delete from audit_log where id = 3";
    let missing = Finding::Missing {
        sequence: Some(3),
        entry_id: 3,
    };
    assert_eq!(found_after(&[gone]).await, Some(missing));
    let links = "delete from audit_chain where entry_id = 3";
    let gap = Finding::Gap { sequence: 3 };
    assert_eq!(found_after(&[gone, links]).await, Some(gap));
    // The gap closed, as if it had never been.
    let close = "update audit_chain set sequence = -sequence where sequence > 3";
    let shift = "update audit_chain set sequence = -sequence - 1 where sequence < 0";
    let check = "alter table audit_chain drop constraint audit_chain_sequence_check";
    let found = found_after(&[gone, links, check, close, shift]).await;
    let altered = Finding::Altered {
        sequence: 3,
        entry_id: 4,
    };
    assert_eq!(found, Some(altered));
}

#[tokio::test]
async fn rows_that_changed_places_are_found() {
    let swap_rows = [
        "update audit_log set id = -1 where id = 2",
        "update audit_log set id = 2 where id = 3",
        "update audit_log set id = 3 where id = -1",
    ];
    // The column is an identity, which is given always.
    let mut statements = vec!["alter table audit_log alter id set generated by default"];
    statements.extend(swap_rows);
    let altered = Finding::Altered {
        sequence: 2,
        entry_id: 2,
    };
    assert_eq!(found_after(&statements).await, Some(altered));
    let swap_links = [
        "update audit_chain set entry_id = -1 where sequence = 2",
        "update audit_chain set entry_id = 2 where sequence = 3",
        "update audit_chain set entry_id = 3 where sequence = 2",
    ];
    let altered = Finding::Altered {
        sequence: 2,
        entry_id: 3,
    };
    assert_eq!(found_after(&swap_links).await, Some(altered));
}

#[tokio::test]
async fn a_row_that_was_put_in_is_found() {
    let columns = "insert into audit_log (at, actor_kind, action, outcome)";
    let row = format!("{columns} values (now(), 'system', 'user_locked', 'success')");
    let found = found_after(&[&row]).await;
    assert!(matches!(found, Some(Finding::Stray { .. })), "{found:?}");
    // With a place between two others.
    let link = "insert into audit_chain (sequence, entry_id, hash) \
                select max(c.sequence) + 1, (select max(id) from audit_log), sha256('anything') from audit_chain c";
    let found = found_after(&[&row, link]).await;
    assert!(matches!(found, Some(Finding::Altered { .. })), "{found:?}");
}

#[tokio::test]
async fn an_end_of_the_chain_that_was_cut_off_is_found() {
    let cut = "delete from audit_chain where sequence > 4";
    let stray = Finding::Stray { entry_id: 5 };
    assert_eq!(found_after(&[cut]).await, Some(stray));
    // Together with its entries it is missed only where somebody has noted where the chain ended.
    let app = chained().await;
    let head = app.verify().await.head.unwrap().hash;
    assert_eq!(app.verify_head(Some(&head)).await.is_head_known, Some(true));
    let entries = "delete from audit_log where id > 4";
    tamper(&app.database, &[cut, entries]).await;
    let verified = app.verify_head(Some(&head)).await;
    assert_eq!(verified.finding, None);
    assert_eq!(verified.is_head_known, Some(false));
    assert!(!verified.is_good());
    // Nor does a chain that goes on from there bring it back.
    app.user(Role::Authenticated, "dee@example.com").await;
    app.chain().await;
    let verified = app.verify_head(Some(&head)).await;
    assert_eq!(verified.is_head_known, Some(false));
}

#[tokio::test]
async fn a_row_that_vanished_before_it_got_its_place_is_found() {
    let app = chained().await;
    app.log_in("ada@example.com").await.expect(200);
    tamper(
        &app.database,
        &["delete from audit_log where id = (select max(id) from audit_log)"],
    )
    .await;
    let found = app.verify().await.finding;
    let is_missing = matches!(found, Some(Finding::Missing { sequence: None, .. }));
    assert!(is_missing, "{found:?}");
    // It doesn't keep others from getting theirs.
    app.log_in("ada@example.com").await.expect(200);
    app.chain().await;
    assert_eq!(app.verify().await.waiting, 1);
}

#[tokio::test]
async fn a_beginning_that_was_cut_off_by_hand_is_found() {
    let cut = [
        "delete from audit_log where id <= 2",
        "delete from audit_chain where sequence <= 2",
    ];
    let gap = Finding::Gap { sequence: 1 };
    assert_eq!(found_after(&cut).await, Some(gap));
}
