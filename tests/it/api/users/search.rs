//! Filters, orders, pages and members of lists; suggestions, and the public directory.

use chrono::TimeDelta;
use serde_json::{Value, json};
use user_management::domain::role::Role;

use crate::support::app::{TestApp, TestUser};

/// An administrator, and users of these nicknames, an hour apart.
async fn start(nicknames: &[&str]) -> (TestApp, TestUser) {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    for nickname in nicknames {
        app.clock.advance(TimeDelta::hours(1));
        let body = json!({
            "email": format!("{nickname}@example.com"), "password": "Secure*1234", "nickname": nickname,
            "first_name": nickname.split('_').next(), "locale": "de",
        });
        app.post("/register/").json(&body).send().await.expect(200);
    }
    let token = app.log_in(&admin.email).await.text("access_token");
    (app, TestUser { token, ..admin })
}

async fn list(app: &TestApp, admin: &TestUser, query: &str) -> Value {
    let path = format!("/users/?{query}");
    app.get(&path).by(admin).send().await.expect(200).json()
}

fn nicknames(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().unwrap().iter();
    items
        .map(|user| user["nickname"].as_str().unwrap())
        .collect()
}

fn link(list: &Value, rel: &str) -> Option<String> {
    let links = list["links"].as_array().unwrap();
    let link = links.iter().find(|link| link["rel"] == rel)?;
    let href = link["href"].as_str().unwrap();
    Some(
        href.strip_prefix("https://users.example.com")
            .unwrap()
            .to_owned(),
    )
}

async fn follow(app: &TestApp, admin: &TestUser, list: &Value, rel: &str) -> Value {
    let path = link(list, rel).unwrap_or_else(|| panic!("no link {rel}"));
    app.get(&path).by(admin).send().await.expect(200).json()
}

#[tokio::test]
async fn filters_narrow_a_list_together() {
    let (app, admin) = start(&["ada_one", "bob_two", "adam_three"]).await;
    for (query, found) in [
        ("q=ada", vec!["ada_one", "adam_three"]),
        ("q=adam+three", vec!["adam_three"]),
        ("q=thrre", vec!["adam_three"]),
        ("q=nobody", vec![]),
        ("nickname=BOB_two", vec!["bob_two"]),
        (
            "nickname=ada*&sort=-nickname",
            vec!["adam_three", "ada_one"],
        ),
        ("email=*two@ex*", vec!["bob_two"]),
        ("first_name=ada", vec!["ada_one"]),
        (
            "role=ANONYMOUS,MANAGER&sort=nickname&limit=2",
            vec!["ada_one", "adam_three"],
        ),
        (
            "status=unverified&locale=DE&is_professional=false",
            vec!["ada_one", "bob_two", "adam_three"],
        ),
        ("status=deleted", vec![]),
        (
            "created_from=2026-01-02T05:04:05Z&created_to=2026-01-02T05:04:05Z",
            vec!["bob_two"],
        ),
        (
            "created_from=2026-01-02&created_to=2026-01-02&nickname=b*",
            vec!["bob_two"],
        ),
        ("inactive_for=2h&role=ANONYMOUS", vec!["ada_one"]),
        ("last_login_from=2026-01-01&nickname=ada*", vec![]),
    ] {
        let listed = list(&app, &admin, query).await;
        assert_eq!(nicknames(&listed), found, "{query}");
        let is_whole = !query.contains("limit");
        if is_whole {
            assert_eq!(listed["total"], found.len(), "{query}");
        }
        assert_eq!(listed["total_is_estimate"], false);
    }
    app.deliver_mail().await;
}

#[tokio::test]
async fn a_user_is_found_as_he_is_now() {
    let (app, admin) = start(&["ada_one"]).await;
    let listed = list(&app, &admin, "q=ada_one").await;
    let id = &listed["items"][0]["id"];
    let change = json!({"nickname": "countess", "last_name": "Lovelace"});
    app.change(&admin, id.as_str().unwrap().parse().unwrap(), &change)
        .await
        .expect(200);
    for (query, found) in [
        ("nickname=ada*", vec![]),
        ("q=lovelaec", vec!["countess"]),
        ("last_name=LOVEL*", vec!["countess"]),
        ("q=countess", vec!["countess"]),
    ] {
        assert_eq!(
            nicknames(&list(&app, &admin, query).await),
            found,
            "{query}"
        );
    }
    app.deliver_mail().await;
}

#[tokio::test]
async fn cursors_lead_through_a_list_and_back_while_users_come_and_go() {
    let (app, admin) = start(&["a_1", "b_2", "c_3", "d_4", "e_5"]).await;
    let first = list(&app, &admin, "role=ANONYMOUS&sort=nickname&limit=2&cursor=").await;
    assert_eq!(nicknames(&first), ["a_1", "b_2"]);
    assert_eq!((&first["total"], &first["page"]), (&json!(5), &json!(1)));
    assert_eq!(link(&first, "prev"), None);
    // One goes and one comes before the place where the next page begins.
    let gone = first["items"][0]["id"].as_str().unwrap();
    let path = format!("/users/{gone}");
    app.delete(&path).by(&admin).send().await.expect(204);
    app.clock.advance(TimeDelta::seconds(1));
    let body = json!({"email": "aa@example.com", "password": "Secure*1234", "nickname": "aa_0"});
    app.post("/register/").json(&body).send().await.expect(200);
    let second = follow(&app, &admin, &first, "next").await;
    assert_eq!(nicknames(&second), ["c_3", "d_4"]);
    assert_eq!((&second["total"], &second["page"]), (&json!(5), &json!(2)));
    let third = follow(&app, &admin, &second, "next").await;
    assert_eq!(nicknames(&third), ["e_5"]);
    assert_eq!(
        (link(&third, "next"), &third["next_cursor"]),
        (None, &Value::Null)
    );
    let back = follow(&app, &admin, &third, "prev").await;
    assert_eq!(
        (nicknames(&back), &back["page"]),
        (vec!["c_3", "d_4"], &json!(2))
    );
    let start = follow(&app, &admin, &back, "prev").await;
    assert_eq!(nicknames(&start), ["aa_0", "b_2"]);
    assert_eq!(link(&start, "prev"), None);
    let last = follow(&app, &admin, &first, "last").await;
    assert_eq!(nicknames(&last), ["d_4", "e_5"]);
    assert_eq!(link(&last, "next"), None);
    let again = follow(&app, &admin, &last, "first").await;
    assert_eq!(nicknames(&again), ["aa_0", "b_2"]);
    // By the best match too, and from a page by skip.
    let matched = list(&app, &admin, "q=example&limit=3").await;
    assert_eq!(
        nicknames(&matched),
        [admin_nickname(&app, &admin).await.as_str(), "b_2", "c_3"]
    );
    let cursor = matched["next_cursor"].as_str().unwrap();
    let rest = list(&app, &admin, &format!("q=example&limit=9&cursor={cursor}")).await;
    assert_eq!(nicknames(&rest), ["d_4", "e_5", "aa_0"]);
    app.deliver_mail().await;
}

async fn admin_nickname(app: &TestApp, admin: &TestUser) -> String {
    app.get("/me").by(admin).send().await.text("nickname")
}

#[tokio::test]
async fn a_cursor_of_another_list_or_none_of_ours_is_refused() {
    let (app, admin) = start(&["a_1", "b_2", "c_3"]).await;
    let first = list(&app, &admin, "sort=nickname&limit=1").await;
    let cursor = first["next_cursor"].as_str().unwrap();
    list(
        &app,
        &admin,
        &format!("sort=nickname&limit=2&cursor={cursor}"),
    )
    .await;
    let mut forged = cursor.to_owned();
    forged.replace_range(9..10, if &cursor[9..10] == "A" { "B" } else { "A" });
    for query in [
        format!("sort=-nickname&cursor={cursor}"),
        format!("sort=nickname&role=ADMIN&cursor={cursor}"),
        format!("cursor={cursor}"),
        format!("sort=nickname&cursor={forged}"),
        "sort=nickname&cursor=AAAA".to_owned(),
        format!("sort=nickname&cursor={}", "x".repeat(5_000)),
    ] {
        let path = format!("/users/?{query}");
        let refused = app.get(&path).by(&admin).send().await;
        assert_eq!(
            refused.expect(422).invalid_fields(),
            ["query.cursor invalid_cursor"],
            "{path}"
        );
    }
    app.deliver_mail().await;
}

#[tokio::test]
async fn what_is_asked_for_wrongly_is_named_with_what_exists() {
    let app = TestApp::start().await;
    let admin = app.admin().await;
    let long = "x".repeat(10_000);
    for (query, wrong) in [
        ("nick=x".to_owned(), "query.nick unknown_parameter"),
        ("sort=password_hash".to_owned(), "query.sort unknown_field"),
        (
            format!("sort={}", vec!["email"; 50].join(",")),
            "query.sort too_many",
        ),
        (
            "fields=id,password_hash".to_owned(),
            "query.fields unknown_value",
        ),
        ("fields=".to_owned(), "query.fields unknown_value"),
        ("role=KING".to_owned(), "query.role unknown_value"),
        (
            "status=verified,asleep".to_owned(),
            "query.status unknown_value",
        ),
        (
            "is_professional=1".to_owned(),
            "query.is_professional unknown_value",
        ),
        (
            "created_from=yesterday".to_owned(),
            "query.created_from invalid_time",
        ),
        (
            "inactive_for=7".to_owned(),
            "query.inactive_for invalid_span",
        ),
        (
            "inactive_for=7m".to_owned(),
            "query.inactive_for invalid_span",
        ),
        ("locale=klingon".to_owned(), "query.locale invalid_locale"),
        ("count=all".to_owned(), "query.count unknown_value"),
        ("cursor=&skip=1".to_owned(), "query.skip conflict"),
        ("limit=101".to_owned(), "query.limit out_of_range"),
        ("limit=1&limit=2".to_owned(), "query.limit repeated"),
        ("nickname=*ab*".to_owned(), "query.nickname too_short"),
        ("nickname=a*b".to_owned(), "query.nickname unknown_operator"),
        (format!("q={long}"), "query.q too_long"),
        ("q=a%00b".to_owned(), "query.q control_character"),
        ("q=".to_owned(), "query.q empty"),
    ] {
        let path = format!("/users/?{query}");
        let refused = app.get(&path).by(&admin).send().await;
        assert_eq!(refused.expect(422).invalid_fields(), [wrong], "{path}");
    }
    let refused = app.get("/users/?nick=x").by(&admin).send().await;
    let message = refused.json()["errors"][0]["msg"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(message.contains("nickname, email, first_name"), "{message}");
    for path in ["/users/suggest", "/profiles"] {
        let refused = app.get(path).by(&admin).send().await;
        assert_eq!(
            refused.expect(422).invalid_fields(),
            ["query.q missing"],
            "{path}"
        );
        let refused = app
            .get(&format!("{path}?q=a&sort=x"))
            .by(&admin)
            .send()
            .await;
        assert_eq!(
            refused.expect(422).invalid_fields(),
            ["query.sort unknown_parameter"],
            "{path}"
        );
    }
}

#[tokio::test]
async fn what_is_typed_stands_for_itself() {
    let (app, admin) = start(&["100_percent", "ada-x"]).await;
    for (query, found) in [
        ("q=%25%25%25", vec![]),
        ("q=___", vec![]),
        ("q=100_", vec!["100_percent"]),
        ("nickname=%25*", vec![]),
        ("q=%27%3B+drop+table+users%3B--", vec![]),
        ("q=%F0%9F%99%82", vec![]),
        ("q=%5C", vec![]),
        ("nickname=%5C*", vec![]),
        ("email=ada-_%40example.com", vec![]),
    ] {
        let listed = list(&app, &admin, query).await;
        assert_eq!(nicknames(&listed), found, "{query}");
    }
    app.deliver_mail().await;
}

#[tokio::test]
async fn members_are_chosen_and_links_keep_the_question() {
    let (app, admin) = start(&["a_1", "b_2", "c_3"]).await;
    let query = "role=ANONYMOUS&fields=nickname,role&limit=1&skip=1&sort=nickname";
    let listed = list(&app, &admin, query).await;
    assert_eq!(
        listed["items"],
        json!([{"nickname": "b_2", "role": "ANONYMOUS"}])
    );
    for (rel, nickname) in [
        ("self", "b_2"),
        ("next", "c_3"),
        ("prev", "a_1"),
        ("first", "a_1"),
        ("last", "c_3"),
    ] {
        let page = follow(&app, &admin, &listed, rel).await;
        assert_eq!(
            page["items"],
            json!([{"nickname": nickname, "role": "ANONYMOUS"}]),
            "{rel}"
        );
    }
    app.deliver_mail().await;
}

#[tokio::test]
async fn suggestions_are_the_best_matches() {
    let (app, admin) = start(&["ada_one", "adam_two", "nada_three"]).await;
    let suggest = async |query: &str| {
        let path = format!("/users/suggest?{query}");
        app.get(&path).by(&admin).send().await.expect(200).json()
    };
    assert_eq!(
        nicknames(&suggest("q=ada").await),
        ["ada_one", "adam_two", "nada_three"]
    );
    assert_eq!(nicknames(&suggest("q=ada&limit=1").await), ["ada_one"]);
    assert_eq!(nicknames(&suggest("q=a&limit=2").await).len(), 2);
    app.deliver_mail().await;
}

#[tokio::test]
async fn the_directory_knows_nicknames_of_public_profiles_and_nothing_else() {
    let (app, admin) = start(&["hidden_panda"]).await;
    for name in ["panda_one", "panda_two", "big_panda"] {
        let user = app
            .user(Role::Authenticated, &format!("{name}@zoo.example"))
            .await;
        let body = json!({"nickname": name, "last_name": "Bearson"});
        app.change(&admin, user.id, &body).await.expect(200);
        if name == "panda_two" {
            let lock = app.lock(&admin, user.id).await;
            lock.expect(200);
        }
    }
    let find = async |query: &str| {
        app.get(&format!("/profiles?{query}"))
            .send()
            .await
            .expect(200)
            .json()
    };
    let found = find("q=PANDA").await;
    assert_eq!(nicknames(&found), ["panda_one", "big_panda"]);
    assert_eq!(found["items"][0]["last_name"], Value::Null);
    assert!(found["items"][0].get("email").is_none());
    for hidden in ["q=bearson", "q=zoo.example", "q=hidden"] {
        assert_eq!(nicknames(&find(hidden).await), [""; 0], "{hidden}");
    }
    let first = find("q=panda&limit=1").await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = find(&format!("q=panda&limit=1&cursor={cursor}")).await;
    assert_eq!(nicknames(&second), ["big_panda"]);
    assert_eq!(second["next_cursor"], Value::Null);
    app.deliver_mail().await;
}
