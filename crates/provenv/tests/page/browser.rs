//! A browser of a test's own: Debian's Chromium, driven through its own driver.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use fantoccini::actions::{InputSource as _, KeyAction, KeyActions};
use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::support::have;

/// How long something may take until it is there.
const PATIENCE: Duration = Duration::from_secs(60);

/// How pages are looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Screen {
    pub is_dark: bool,
    /// As wide as the narrowest telephones.
    pub is_narrow: bool,
}

/// A browser. It is closed when dropped.
pub struct Browser {
    runtime: Runtime,
    client: Option<Client>,
    driver: Child,
    /// Where the server is.
    url: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// One for the server at `url`; `None` (said aloud) where there is no Chromium.
    pub fn start(url: &str) -> Option<Self> {
        if !have("chromium") || !have("chromedriver") {
            return None;
        }
        let profile = tempfile::tempdir().unwrap();
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .env("HOME", profile.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let port = port(&mut driver);
        let options = json!({
            "args": [
                "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--window-size=1280,900",
                format!("--user-data-dir={}", profile.path().join("profile").display()),
            ],
        });
        let capabilities = json!({ "browserName": "chrome", "goog:chromeOptions": options });
        let Value::Object(capabilities) = capabilities else { unreachable!() };
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let connect = async {
            ClientBuilder::new(HttpConnector::new())
                .capabilities(capabilities)
                .connect(&format!("http://127.0.0.1:{port}"))
                .await
        };
        let client = runtime.block_on(connect).unwrap();
        Some(Self { runtime, client: Some(client), driver, url: url.to_owned(), _profile: profile })
    }

    fn client(&self) -> &Client {
        self.client.as_ref().unwrap()
    }

    /// Opens a page of the server.
    pub fn open(&self, path: &str) {
        self.runtime.block_on(self.client().goto(&format!("{}{path}", self.url))).unwrap();
    }

    /// Asks what Chromium alone understands.
    fn tool(&self, command: &str, parameters: &Value) -> Value {
        let tool = Tool(json!({ "cmd": command, "params": parameters }).to_string());
        self.runtime.block_on(self.client().issue_cmd(tool)).unwrap()
    }

    /// Looks in another way from now on.
    pub fn look(&self, screen: Screen) {
        let scheme = if screen.is_dark { "dark" } else { "light" };
        let features = json!([
            { "name": "prefers-color-scheme", "value": scheme },
            // Colours change at once, so that none is met on its way.
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]);
        self.tool("Emulation.setEmulatedMedia", &json!({ "features": features }));
        if screen.is_narrow {
            let size = json!({ "width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": true });
            self.tool("Emulation.setDeviceMetricsOverride", &size);
        } else {
            self.tool("Emulation.clearDeviceMetricsOverride", &json!({}));
        }
    }

    /// Signs in on the page.
    pub fn sign_in(&self, token: &str) {
        self.open("/sign-in");
        self.fill("#token", token);
        self.submit(".sign-in button");
        self.wait("signed in", |browser| !browser.path().starts_with("/sign-in"));
    }

    /// Where it is: path and query.
    pub fn path(&self) -> String {
        let url = self.runtime.block_on(self.client().current_url()).unwrap();
        url.as_str().strip_prefix(&self.url).unwrap_or(url.as_str()).to_owned()
    }

    /// What a script says.
    pub fn script(&self, script: &str) -> Value {
        self.runtime.block_on(self.client().execute(script, Vec::new())).unwrap()
    }

    /// The same for one that says it later.
    pub fn script_later(&self, script: &str) -> Value {
        self.runtime.block_on(self.client().execute_async(script, Vec::new())).unwrap()
    }

    /// The text that is seen of what `css` finds first; nothing, where there is none.
    pub fn text(&self, css: &str) -> String {
        let script = format!("return document.querySelector({})?.innerText ?? ''", json!(css));
        self.script(&script).as_str().unwrap_or_default().to_owned()
    }

    /// How many `css` finds.
    pub fn count(&self, css: &str) -> u64 {
        self.script(&format!("return document.querySelectorAll({}).length", json!(css))).as_u64().unwrap()
    }

    /// Waits for something to be so.
    #[track_caller]
    pub fn wait(&self, what: &str, so: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !so(self) {
            let shown = || format!("{}\n{}", self.path(), self.text("body"));
            assert!(begun.elapsed() < PATIENCE, "not in a minute: {what}; at {}", shown());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Waits for a text to be seen in what `css` finds first.
    #[track_caller]
    pub fn wait_for(&self, css: &str, text: &str) {
        self.wait(&format!("`{text}` in {css}"), |browser| browser.text(css).contains(text));
    }

    /// Writes into a field, in place of what is there.
    #[track_caller]
    pub fn fill(&self, css: &str, text: &str) {
        let work = async {
            let field = self.client().find(Locator::Css(css)).await?;
            field.clear().await?;
            field.send_keys(text).await
        };
        self.runtime.block_on(work).unwrap_or_else(|error| panic!("{css}: {error}"));
    }

    /// The path of a file into a field that takes one, which cannot be cleared.
    #[track_caller]
    pub fn choose_file(&self, css: &str, file: &Path) {
        let work =
            async { self.client().find(Locator::Css(css)).await?.send_keys(&file.to_string_lossy()).await };
        self.runtime.block_on(work).unwrap();
    }

    /// Clicks on what `css` finds first.
    #[track_caller]
    pub fn click(&self, css: &str) {
        let work = async { self.client().find(Locator::Css(css)).await?.click().await };
        self.runtime.block_on(work).unwrap_or_else(|error| panic!("{css}: {error}\n{}", self.text("body")));
    }

    /// Clicks, and waits until another document is there.
    #[track_caller]
    pub fn submit(&self, css: &str) {
        self.script("window.isOld = true");
        self.click(css);
        self.wait("another page", |browser| {
            browser.script("return !window.isOld && document.readyState === 'complete'") == json!(true)
        });
    }

    /// Clicks on the first link or button with this text, and waits for what it leads to.
    #[track_caller]
    pub fn follow(&self, text: &str) {
        let find = format!(
            "const found = [...document.querySelectorAll('main a, main button')].find(one => one.innerText.trim() === {});
             document.querySelectorAll('[data-found]').forEach(one => one.removeAttribute('data-found'));
             found?.setAttribute('data-found', ''); return !!found",
            json!(text)
        );
        assert_eq!(self.script(&find), json!(true), "no `{text}` in {}", self.text("main"));
        self.submit("[data-found]");
    }

    /// Keeps a picture of the page where `PROVENV_TEST_PICTURES` says, for people to look at.
    pub fn keep_picture(&self, name: &str) {
        let Some(folder) = std::env::var_os("PROVENV_TEST_PICTURES") else { return };
        let whole = json!({ "format": "png", "captureBeyondViewport": true });
        let picture = self.tool("Page.captureScreenshot", &whole)["data"].take();
        let picture = BASE64_STANDARD.decode(picture.as_str().unwrap()).unwrap();
        fs_err::create_dir_all(&folder).unwrap();
        fs_err::write(Path::new(&folder).join(format!("{name}.png")), picture).unwrap();
    }

    /// Presses keys where the focus is.
    pub fn press(&self, keys: &str) {
        // As a keyboard does, and not as `send_keys`, which some fields take for something else.
        let presses = keys.chars().fold(KeyActions::new("keyboard".to_owned()), |actions, value| {
            actions.then(KeyAction::Down { value }).then(KeyAction::Up { value })
        });
        self.runtime.block_on(self.client().perform_actions(presses)).unwrap();
    }
}

/// What Chromium alone understands.
#[derive(Debug)]
struct Tool(String);

impl WebDriverCompatibleCommand for Tool {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        (http::Method::POST, Some(self.0.clone()))
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            let _ = self.runtime.block_on(client.close());
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// Where the driver listens, which it says when it does.
fn port(driver: &mut Child) -> u16 {
    let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    let port = loop {
        let line = lines.next().expect("the driver says where it is").unwrap();
        if let Some((_, port)) = line.split_once("started successfully on port ") {
            break port.trim_end_matches('.').parse().unwrap();
        }
    };
    // What it says later must go somewhere.
    std::thread::spawn(move || lines.for_each(drop));
    port
}

/// Where axe-core is, fetched by a script once a run of the tests; `None` (said aloud) where that cannot be.
pub fn axe() -> Option<String> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    fs_err::create_dir_all(&folder).unwrap();
    let lock = fs_err::File::create(folder.join("axe.lock")).unwrap();
    lock.file().lock().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/install-axe.sh");
    let done = Command::new(script).arg(folder.join("axe")).output().unwrap();
    if !done.status.success() {
        crate::support::skip(&format!("no axe-core: {}", String::from_utf8_lossy(&done.stderr)));
        return None;
    }
    Some(fs_err::read_to_string(folder.join("axe/axe.min.js")).unwrap())
}
