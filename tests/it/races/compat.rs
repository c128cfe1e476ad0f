//! The older APIs on two instances at once.

use std::sync::Arc;

use serde_json::json;

use super::{assert_no_deadlocks, discard_mail, together, two_instances};
use crate::support::{
    app::{PASSWORD, TestApp},
    request::TestResponse,
};

const SETTINGS: &[(&str, &str)] = &[
    ("COMPAT_APIS", "cookie-session,mflix,phone"),
    // Many log in at once.
    ("MAX_LOGIN_ATTEMPTS", "99"),
];

/// Sends a request again for as long as the service is too busy to take it.
async fn insist<F: Future<Output = TestResponse>>(send: impl Fn() -> F) -> TestResponse {
    for _ in 0..30 {
        let answer = send().await;
        if answer.status.as_u16() != 503 {
            return answer;
        }
        answer.header("retry-after");
    }
    panic!("the service is busy for ever");
}

#[track_caller]
fn count(answers: &[TestResponse], status: u16) -> usize {
    let of = |answer: &&TestResponse| answer.status.as_u16() == status;
    answers.iter().filter(of).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_name_makes_one_account_whichever_apis_are_asked_at_once() {
    let instances = two_instances(SETTINGS).await;
    let answers = together(&instances, 60, async |app: Arc<TestApp>, number| {
        insist(|| {
            let form = [("email", "Ada@Example.com"), ("password", PASSWORD)];
            let body =
                json!({"name": "Ada Lovelace", "email": "ada@example.com", "password": PASSWORD});
            let request = match number % 3 {
                0 => app.post("/compat/cookie-session/users").form(&form),
                1 => app.post("/compat/mflix/api/v1/user/register").json(&body),
                _ => app.post("/register/").json(&body),
            };
            request.send()
        })
        .await
    })
    .await;
    assert_eq!(count(&answers, 200) + count(&answers, 201), 1);
    assert_eq!(count(&answers, 400), 59);
    let app = &instances[0];
    assert_eq!(app.count("users").await, 1);

    let answers = together(&instances, 40, async |app: Arc<TestApp>, number| {
        insist(|| match number % 2 {
            0 => app
                .post("/compat/cookie-session/users")
                .form(&[("email", "bob"), ("password", "five5")])
                .send(),
            _ => {
                let phone = ["4155552671", "+1 415 555 2671"][number / 2 % 2];
                let body = json!({"first_name": "A", "last_name": "B", "phone": phone, "password": PASSWORD});
                app.post("/compat/phone/signup").json(&body).send()
            }
        })
        .await
    })
    .await;
    assert_eq!((count(&answers, 200), count(&answers, 400)), (1, 19));
    assert_eq!((count(&answers, 201), count(&answers, 409)), (1, 19));
    assert_eq!(app.count("users").await, 3);
    discard_mail(app).await;
    assert_no_deadlocks(&instances).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logins_at_once_leave_one_session_and_a_reset_token_works_once() {
    let instances = two_instances(SETTINGS).await;
    const BOB: [(&str, &str); 2] = [("email", "bob"), ("password", "five5")];
    let app = &instances[0];
    let made = app.post("/compat/cookie-session/users").form(&BOB);
    made.send().await.expect(200);
    let answers = together(&instances, 20, async |app: Arc<TestApp>, _| {
        insist(|| {
            app.post("/compat/cookie-session/sessions")
                .form(&BOB)
                .send()
        })
        .await
    })
    .await;
    assert_eq!(count(&answers, 200), 20);
    assert_eq!(app.count("sessions").await, 1);

    let asked = app.post("/compat/cookie-session/reset_password");
    let token = asked
        .form(&[("email", "bob")])
        .send()
        .await
        .text("reset_token");
    let answers = together(&instances, 20, move |app: Arc<TestApp>, _| {
        let token = token.clone();
        async move {
            let fields = [
                ("email", "bob"),
                ("reset_token", &*token),
                ("new_password", "t4rt1"),
            ];
            insist(|| {
                app.put("/compat/cookie-session/reset_password")
                    .form(&fields)
                    .send()
            })
            .await
        }
    })
    .await;
    assert_eq!((count(&answers, 200), count(&answers, 403)), (1, 19));
    assert_eq!(app.count("sessions").await, 0);
    assert_no_deadlocks(&instances).await;
}
