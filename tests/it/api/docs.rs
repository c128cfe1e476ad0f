//! `GET /openapi.json` and `GET /docs`

use crate::support::{app::TestApp, operations::DOCUMENT};

#[tokio::test]
async fn the_document_is_served_as_it_is() {
    let app = TestApp::start().await;
    let served = app.get("/openapi.json").send().await.expect(200);
    assert_eq!(served.header("content-type"), "application/json");
    assert_eq!(served.header("cache-control"), "no-cache");
    assert_eq!(served.json(), *DOCUMENT);
}

#[tokio::test]
async fn swagger_ui_comes_from_the_binary_with_all_that_it_loads() {
    let app = TestApp::start().await;
    let page = app.get("/docs").send().await.expect(200);
    assert_eq!(page.body, app.get("/docs/").send().await.expect(200).body);
    assert!(page.header("content-type").starts_with("text/html"));
    let mut loaded = Vec::new();
    for attribute in ["src=\"", "href=\""] {
        for (at, _) in page.body.match_indices(attribute) {
            let url = page.body[at + attribute.len()..].split('"').next().unwrap();
            assert!(url.starts_with("/docs/"), "{url} is not ours");
            let kind = match url.rsplit('.').next().unwrap() {
                "js" => "javascript",
                "css" => "text/css",
                "png" => "image/png",
                other => panic!("{url}: {other}"),
            };
            let file = app.get(url).send().await.expect(200);
            assert!(
                file.header("content-type").contains(kind),
                "{url}: {:?}",
                file.headers
            );
            assert!(!file.body.is_empty(), "{url}");
            loaded.push(url.to_owned());
        }
    }
    assert!(
        loaded
            .iter()
            .any(|url| url.ends_with("swagger-ui-bundle.js")),
        "{loaded:?}"
    );
    let start = app
        .get("/docs/swagger-initializer.js")
        .send()
        .await
        .expect(200);
    assert!(start.body.contains("/openapi.json"), "{}", start.body);
}

#[tokio::test]
async fn its_page_has_no_script_of_its_own_and_talks_to_nobody_else() {
    let app = TestApp::start().await;
    let page = app.get("/docs").send().await.expect(200);
    let policy = page.header("content-security-policy");
    let directive = |name: &str| {
        let mut all = policy.split("; ");
        all.find_map(|part| part.strip_prefix(name)).unwrap().trim()
    };
    assert_eq!(directive("default-src"), "'none'");
    assert_eq!(directive("script-src"), "'self'");
    assert_eq!(directive("connect-src"), "'self'");
    for part in page.body.split("<script").skip(1) {
        let (attributes, rest) = part.split_once('>').unwrap();
        assert!(attributes.contains("src="), "{part}");
        assert!(
            rest.trim_start().starts_with("</script"),
            "an inline script: {part}"
        );
    }
}
