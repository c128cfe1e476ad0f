//! The pages, in a real browser.

use fantoccini::Locator;
use reqwest::Method;
use serde_json::json;

use crate::support::{
    app::PASSWORD,
    binary::{Program, Server},
    browser::{Browser, with_browser},
    database::TestDatabase,
    eventually::eventually,
};

const NOTHING: [&str; 0] = [];

#[tokio::test]
async fn swagger_ui_authorizes_by_password_and_tries_an_endpoint_out() {
    let database = TestDatabase::create().await;
    let server = Program::on(&database).serve().await;
    server.new_user("ada@example.com").await;
    with_browser(async |browser| {
        browser.open(&server.url("/docs")).await;
        browser.read(".info .title", "User Management").await;
        browser.picture("docs").await;
        try_without_a_token(browser).await;
        authorize(browser).await;
        browser.click(LIST_USERS_EXECUTE).await;
        browser.read(LIST_USERS_STATUS, "200").await;
        let body = ".live-responses-table .highlight-code";
        let list = format!("#operations-users-list_users {body}");
        browser.read(&list, "ada@example.com").await;
        browser.picture("docs-tried-out").await;
        assert_eq!(browser.complaints().await, NOTHING);
    })
    .await;
    server.stop().await;
}

const LIST_USERS_EXECUTE: &str = "#operations-users-list_users button.execute";
const LIST_USERS_STATUS: &str =
    "#operations-users-list_users .live-responses-table .response .response-col_status";

async fn try_without_a_token(browser: &Browser) {
    browser
        .click("#operations-users-list_users .opblock-summary-control")
        .await;
    browser.click(LIST_USERS_EXECUTE).await;
    browser.read(LIST_USERS_STATUS, "401").await;
    // The browser notes each answer of this kind; nothing else is wrong.
    let complaints = browser.complaints().await;
    assert_eq!(complaints.len(), 1, "{complaints:?}");
    assert!(
        complaints[0].contains("401 (Unauthorized)"),
        "{complaints:?}"
    );
}

async fn authorize(browser: &Browser) {
    browser.click(".auth-wrapper button.authorize").await;
    browser.see(".modal-ux #oauth_username").await;
    for (field, text) in [
        ("#oauth_username", "ada@example.com"),
        ("#oauth_password", PASSWORD),
    ] {
        let field = browser.see(field).await;
        field.send_keys(text).await.unwrap();
    }
    browser.picture("docs-authorize").await;
    browser
        .click(".modal-ux .auth-btn-wrapper button.authorize")
        .await;
    browser
        .read(".modal-ux .auth-container h6", "Authorized")
        .await;
    browser.click(".modal-ux .btn-done").await;
}

#[tokio::test]
async fn a_mail_is_shown_and_its_button_leads_to_a_page_that_confirms() {
    let database = TestDatabase::create().await;
    let server = Program::on(&database).serve().await;
    with_browser(async |browser| {
        browser.open(&server.url("/dev/mail")).await;
        browser.read("main", "There is none yet").await;
        server.register("ada@example.com").await.unwrap();
        server.register("grace@example.com").await.unwrap();
        server.mail_to("ada@example.com").await;
        server.mail_to("grace@example.com").await;
        browser.open(&server.url("/dev/mail/")).await;
        browser.read("table", "ada@example.com").await;
        browser.picture("mail-list").await;
        confirm(browser, &server).await;
    })
    .await;
    assert_eq!(server.log_in("ada@example.com").await.status(), 200);
    assert_eq!(server.log_in("grace@example.com").await.status(), 401);
    server.stop().await;
}

#[tokio::test]
async fn a_forgotten_password_is_replaced_by_the_form_behind_the_mail() {
    let database = TestDatabase::create().await;
    let server = Program::on(&database).serve().await;
    server.new_user("ada@example.com").await;
    let body = json!({"email": "ada@example.com"});
    let asked = server.request(Method::POST, "/password-reset").json(&body);
    assert_eq!(asked.send().await.unwrap().status(), 202);
    let link = eventually("the mail is caught", async || {
        let mails = server.mails().await;
        let links = mails.iter().map(|mail| mail["links"][0].as_str().unwrap());
        let mut links =
            links.filter_map(|link| link.find("/password-reset/").map(|at| &link[at..]));
        links.next().map(str::to_owned)
    })
    .await;
    with_browser(async |browser| {
        browser.open(&server.url(&link)).await;
        browser.read("h1", "Choose a new password").await;
        let field = "input[autocomplete=new-password]";
        let typed = async |text: &str| browser.see(field).await.send_keys(text).await.unwrap();
        typed("ada@example.com").await;
        browser.picture("password-reset").await;
        browser.click("button").await;
        browser.read(".problem", "must not contain").await;
        browser.picture("password-reset-refused").await;
        // The browser notes each answer of this kind.
        let complaints = browser.complaints().await;
        assert_eq!(complaints.len(), 1, "{complaints:?}");
        assert!(complaints[0].contains("422"), "{complaints:?}");
        typed("Better*5678").await;
        browser.click("button").await;
        browser.read("h1", "Your password is set").await;
        browser.picture("password-set").await;
        assert_eq!(browser.complaints().await, NOTHING);
    })
    .await;
    assert_eq!(server.log_in("ada@example.com").await.status(), 401);
    let form = [("username", "ada@example.com"), ("password", "Better*5678")];
    let login = server.request(Method::POST, "/login/").form(&form);
    assert_eq!(login.send().await.unwrap().status(), 200);
    server.stop().await;
}

/// Follows the mail to Ada in the list to its link, in a window of its own, and presses the button.
async fn confirm(browser: &Browser, server: &Server) {
    let id = server.mail_to("ada@example.com").await["message_id"].clone();
    let id = id.as_str().unwrap();
    browser.click(&format!("a[href='/dev/mail/{id}']")).await;
    browser.read("h1", "Please confirm").await;
    let frame = browser.see("iframe").await;
    browser.picture("mail").await;
    frame.enter_frame().await.unwrap();
    let link = browser.see("a[href*='/verify-email/']").await;
    link.click().await.unwrap();

    let client = &browser.client;
    let page = client.window().await.unwrap();
    let opened = eventually("another window opens", async || {
        let windows = client.windows().await.unwrap();
        windows.into_iter().find(|window| *window != page)
    })
    .await;
    client.switch_to_window(opened).await.unwrap();
    browser.read("h1", "Confirm your e-mail address").await;
    browser.picture("verification").await;
    browser.click("button").await;
    browser.read("h1", "Your address is confirmed").await;
    assert!(client.find(Locator::Css("button")).await.is_err());
    browser.picture("verified").await;
    assert_eq!(browser.complaints().await, NOTHING);
    client.refresh().await.unwrap();
    browser.read("h1", "This link is not valid").await;
    browser.picture("not-valid").await;
}
