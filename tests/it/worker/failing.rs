//! Runs that fail.

use std::time::Duration;

use chrono::TimeDelta;
use metrics_exporter_prometheus::PrometheusBuilder;
use user_management::{
    infra::{clock::ManualClock, wake_up::WakeUp},
    repository::jobs::{self, ClaimedJob},
    worker::{JobHandler, Outcome},
};

use super::{
    Counter, Running, Scripted, after, all_done, endless, given_back, job, noon, put, row,
    scripted, settings, worker_on,
};
use crate::support::{database::TestDatabase, eventually::eventually};

struct Scene {
    db: TestDatabase,
    clock: ManualClock,
    wake: WakeUp,
    worker: Running,
    id: i64,
}

/// A worker at noon, and one job.
async fn scene(handler: impl JobHandler) -> Scene {
    let db = TestDatabase::create().await;
    let (clock, wake) = (ManualClock::new(noon()), WakeUp::new());
    let id = put(&db.pool, job(), Some(noon())).await;
    let worker = worker_on(&db.pool, clock.clone(), &wake, settings()).handle(handler);
    Scene {
        worker: Running::start(worker),
        db,
        clock,
        wake,
        id,
    }
}

fn failing(outcome: impl Fn(&ClaimedJob) -> Outcome + Send + Sync + 'static) -> impl JobHandler {
    scripted(move |job| std::future::ready(outcome(&job)))
}

#[tokio::test]
async fn a_failed_run_is_repeated_after_a_wait_that_doubles_and_not_before() {
    let failing = failing(|job| match job.attempts {
        3 => Outcome::Done,
        attempt => Outcome::Backoff {
            error: format!("no {attempt}"),
        },
    });
    let scene = scene(failing).await;
    let mut begun = noon();
    for (attempt, seconds) in [(1, 2.0), (2, 4.0)] {
        let row = given_back(&scene.db.pool, scene.id, attempt).await;
        let wait = (row.run_at - begun).as_seconds_f64() / seconds;
        assert!((0.75..=1.25).contains(&wait), "{attempt}: {wait}");
        assert_eq!(i32::from(row.attempts), attempt);
        assert_eq!(row.last_error, Some(format!("no {attempt}")));

        let just_before = row.run_at - begun - TimeDelta::microseconds(1);
        scene.clock.advance(just_before);
        let mut conn = scene.db.pool.acquire().await.unwrap();
        let now = Some(begun + just_before);
        let early = jobs::claim(&mut conn, 1, "w", Duration::from_secs(1), now).await;
        assert!(early.unwrap().is_empty());
        scene.clock.advance(TimeDelta::microseconds(1));
        begun = row.run_at;
        scene.wake.jobs();
    }
    all_done(&scene.db.pool).await;
    scene.worker.stop().await;
}

#[tokio::test]
async fn a_handler_can_say_when_to_try_again() {
    let scene = scene(failing(|job| match job.attempts {
        1 => Outcome::RetryAt {
            at: after(5000),
            error: "come back later".to_owned(),
        },
        _ => Outcome::Done,
    }))
    .await;
    let row = given_back(&scene.db.pool, scene.id, 1).await;
    assert_eq!(row.run_at, after(5000));
    scene.clock.advance(TimeDelta::seconds(5000));
    scene.wake.jobs();
    all_done(&scene.db.pool).await;
    scene.worker.stop().await;
}

#[tokio::test]
async fn a_job_that_cannot_succeed_is_dead_at_once() {
    let scene = scene(failing(|_job| Outcome::Permanent {
        error: format!("550 no\r\nsuch\0mailbox {}", "x".repeat(2000)),
    }))
    .await;
    let row = given_back(&scene.db.pool, scene.id, 1).await;
    assert_eq!(row.dead_at, Some(noon()));
    let error = row.last_error.unwrap();
    assert!(error.starts_with("550 no  such mailbox xxx"), "{error}");
    assert_eq!(error.len(), 1000);
    scene.worker.stop().await;
}

#[tokio::test]
async fn a_job_is_dead_after_its_last_attempt() {
    let scene = scene(failing(|job| match job.attempts {
        1 => Outcome::Backoff {
            error: "e".to_owned(),
        },
        _ => Outcome::RetryAt {
            at: noon(),
            error: "e".to_owned(),
        },
    }))
    .await;
    for claims in 1..=2 {
        let row = given_back(&scene.db.pool, scene.id, claims).await;
        assert_eq!(row.dead_at, None);
        scene.clock.advance(TimeDelta::seconds(10));
        scene.wake.jobs();
    }
    let row = given_back(&scene.db.pool, scene.id, 3).await;
    assert!(row.dead_at.is_some());
    scene.worker.stop().await;
}

#[tokio::test]
async fn a_panic_is_a_failed_run_and_its_message_is_not_kept() {
    let scene = scene(failing(|job| {
        assert!(job.attempts > 1, "a secret of the payload");
        Outcome::Done
    }))
    .await;
    let row = given_back(&scene.db.pool, scene.id, 1).await;
    assert_eq!(row.last_error.as_deref(), Some("the handler panicked"));
    scene.clock.advance(TimeDelta::seconds(10));
    scene.wake.jobs();
    all_done(&scene.db.pool).await;
    scene.worker.stop().await;
}

#[tokio::test]
async fn a_run_that_takes_too_long_is_cancelled_and_has_failed() {
    let dropped = Counter::default();
    let guard = dropped.clone();
    let scene = scene(Scripted {
        limit: Duration::from_millis(50),
        script: move |_job: ClaimedJob| {
            let guard = super::Dropped(guard.clone());
            async move {
                let _guard = guard;
                std::future::pending().await
            }
        },
    })
    .await;
    let row = given_back(&scene.db.pool, scene.id, 1).await;
    let error = row.last_error.unwrap();
    assert_eq!(error, "the time limit of 0.05 s was over");
    assert_eq!((row.attempts, dropped.get()), (1, 1));
    scene.worker.stop().await;
}

#[tokio::test]
async fn a_job_that_kills_its_process_is_dead_after_its_last_attempt() {
    let db = TestDatabase::create().await;
    let clock = ManualClock::new(noon());
    let id = put(&db.pool, job(), Some(noon())).await;
    // three processes claim it and die
    for number in 0..3 {
        let mut conn = db.pool.acquire().await.unwrap();
        let now = Some(after(number * 31));
        let lease = Duration::from_secs(30);
        let claimed = jobs::claim(&mut conn, 1, "w", lease, now).await.unwrap();
        assert_eq!(claimed.len(), 1);
    }
    clock.advance(TimeDelta::seconds(93));
    let (begun, wake) = (Counter::default(), WakeUp::new());
    let handler = endless(&begun, &Counter::default());
    let worker = worker_on(&db.pool, clock, &wake, settings()).handle(handler);
    let worker = Running::start(worker);
    let row = given_back(&db.pool, id, 4).await;
    assert_eq!(row.dead_at, Some(after(93)));
    assert_eq!(begun.get(), 0);
    worker.stop().await;
}

#[tokio::test]
async fn ends_are_counted_by_kind_and_outcome() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    // the test's runtime has one thread, on which the worker runs too
    let _guard = metrics::set_default_local_recorder(&recorder);
    let scene = scene(failing(|job| match job.attempts {
        1 => Outcome::Backoff {
            error: "e".to_owned(),
        },
        _ => Outcome::Done,
    }))
    .await;
    given_back(&scene.db.pool, scene.id, 1).await;
    scene.clock.advance(TimeDelta::seconds(10));
    scene.wake.jobs();
    eventually("both are counted", async || {
        let text = handle.render();
        let has = |line: &str| text.contains(line);
        (has(r#"jobs_finished_total{kind="test",outcome="retried"} 1"#)
            && has(r#"jobs_finished_total{kind="test",outcome="done"} 1"#)
            && has(r#"job_duration_seconds_count{kind="test"} 2"#))
        .then_some(())
    })
    .await;
    assert_eq!(row(&scene.db.pool, scene.id).await, None);
    scene.worker.stop().await;
}
