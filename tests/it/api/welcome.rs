//! `GET /`

use serde_json::json;

use crate::support::app::TestApp;

#[tokio::test]
async fn the_welcome_leads_to_documentation_registration_and_login() {
    let app = TestApp::start().await;
    let welcome = app.get("/").send().await.expect(200).json();
    assert_eq!(
        welcome,
        json!({
            "message": "Welcome to User Management",
            "links": [
                {"rel": "documentation", "href": "https://users.example.com/docs", "method": "GET", "action": "view", "type": "text/html"},
                {"rel": "openapi", "href": "https://users.example.com/openapi.json", "method": "GET", "action": "view", "type": "application/json"},
                {"rel": "register", "href": "https://users.example.com/register/", "method": "POST", "action": "register", "type": "application/json"},
                {"rel": "login", "href": "https://users.example.com/login/", "method": "POST", "action": "login", "type": "application/x-www-form-urlencoded"},
            ],
        })
    );
    for link in welcome["links"].as_array().unwrap() {
        let path = link["href"]
            .as_str()
            .unwrap()
            .replace("https://users.example.com", "");
        let answer = app
            .request(link["method"].as_str().unwrap(), &path)
            .send()
            .await;
        assert_ne!(answer.status, 404, "{path}");
    }
}
