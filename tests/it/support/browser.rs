//! A headless Chromium, driven by chromedriver.
//!
//! With `SCREENSHOTS=<directory>` in the environment it keeps the pictures that tests take, for
//! people to look at.

use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    panic::AssertUnwindSafe,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
};

use fantoccini::{Client, ClientBuilder, Locator, elements::Element};
use futures::FutureExt as _;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use super::eventually::eventually;

/// What keeps Chromium quiet: no window, no sandbox (containers forbid it), and nothing fetched
/// that the page doesn't ask for.
const FLAGS: &[&str] = &[
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,1000",
];

/// A browser with a fresh profile.
pub struct Browser {
    /// What the driver understands.
    pub client: Client,
    driver_url: String,
}

/// Runs `test` with a browser, which is ended afterwards, also when the test fails.
pub async fn with_browser(test: impl AsyncFnOnce(&Browser)) {
    let profile = tempfile::tempdir().unwrap();
    let mut driver = Driver::start();
    let browser = Browser::start(&driver.url, profile.path()).await;
    let client = browser.client.clone();
    let outcome = AssertUnwindSafe(test(&browser)).catch_unwind().await;
    // The end of the session is the end of the browser.
    let closed = client.close().await;
    driver.stop();
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
    closed.unwrap();
}

/// A chromedriver on a free port.
struct Driver {
    child: Child,
    url: String,
}

impl Driver {
    fn start() -> Self {
        let mut child = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("scripts/ensure-browser.sh installs chromedriver");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.find_map(|line| {
            let line = line.unwrap();
            let (_, port) = line.split_once("started successfully on port ")?;
            Some(port.trim_end_matches('.').to_owned())
        });
        // Whatever else it says must not fill the pipe.
        thread::spawn(move || lines.for_each(drop));
        let url = format!("http://127.0.0.1:{}", port.unwrap());
        Self { child, url }
    }

    fn stop(&mut self) {
        let _ended_already = self.child.kill();
        self.child.wait().unwrap();
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Browser {
    async fn start(driver_url: &str, profile: &Path) -> Self {
        let mut arguments: Vec<_> = FLAGS.iter().map(|flag| (*flag).to_owned()).collect();
        arguments.push(format!("--user-data-dir={}", profile.display()));
        let capabilities = json!({
            "goog:chromeOptions": {"args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        });
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(serde_json::from_value(capabilities).unwrap())
            .connect(driver_url)
            .await
            .unwrap();
        Self {
            client,
            driver_url: driver_url.to_owned(),
        }
    }

    /// Goes to a page.
    pub async fn open(&self, url: &str) {
        self.client.goto(url).await.unwrap();
    }

    /// Waits for the first element that the CSS selector finds and that is to be seen.
    pub async fn see(&self, selector: &str) -> Element {
        eventually(&format!("{selector} is to be seen"), async || {
            let found = self.client.find(Locator::Css(selector)).await.ok()?;
            // A page that is just changing may have taken it away again.
            matches!(found.is_displayed().await, Ok(true)).then_some(found)
        })
        .await
    }

    /// Waits for an element, and clicks it as soon as nothing is in the way.
    pub async fn click(&self, selector: &str) {
        eventually(&format!("{selector} can be clicked"), async || {
            let found = self.client.find(Locator::Css(selector)).await.ok()?;
            found.click().await.ok()
        })
        .await;
    }

    /// Waits until an element has this text in it.
    pub async fn read(&self, selector: &str, text: &str) {
        eventually(&format!("{selector} says {text}"), async || {
            let found = self.client.find(Locator::Css(selector)).await.ok()?;
            found.text().await.ok()?.contains(text).then_some(())
        })
        .await;
    }

    /// What the browser complained of since the last call.
    pub async fn complaints(&self) -> Vec<String> {
        let session = self.client.session_id().await.unwrap().unwrap();
        let url = format!("{}/session/{session}/se/log", self.driver_url);
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = http.post(url).json(&json!({"type": "browser"}));
        let log: Value = request.send().await.unwrap().json().await.unwrap();
        let entries = log["value"].as_array().unwrap().iter();
        entries
            .filter(|entry| entry["level"] != "INFO" && entry["level"] != "DEBUG")
            .map(|entry| entry["message"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Keeps a picture of the page, if somebody wants to look at it.
    pub async fn picture(&self, name: &str) {
        if let Some(directory) = env::var_os("SCREENSHOTS") {
            let picture = self.client.screenshot().await.unwrap();
            fs::create_dir_all(&directory).unwrap();
            fs::write(Path::new(&directory).join(format!("{name}.png")), picture).unwrap();
        }
    }
}
