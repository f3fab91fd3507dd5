//! A real browser without a screen, Chromium, told what to do over its DevTools protocol; it is gone with the test.

#![allow(dead_code, reason = "each test program uses its part")]

use std::cell::RefCell;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

/// Longer than anything here takes on a machine that builds something else beside it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Of several that run at once.
static NUMBER: AtomicU32 = AtomicU32::new(0);

pub struct Browser {
    child: Child,
    profile: PathBuf,
    page: RefCell<WebSocket<TcpStream>>,
    asked: RefCell<u64>,
}

impl Browser {
    /// On an empty page of this size. Its camera and microphone are made up; certificates are not looked at; every name is this
    /// machine.
    pub fn start(width: u32, height: u32) -> Browser {
        Browser::start_with(width, height, |_| {})
    }

    /// The same of a command changed as the test needs it.
    pub fn start_with(width: u32, height: u32, change: impl FnOnce(&mut Command)) -> Browser {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let profile = std::env::temp_dir().join(format!("eyeline-{}-browser-{number}", std::process::id()));
        let mut command = Command::new("chromium");
        command.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0", "--no-first-run"]);
        command.args(["--ignore-certificate-errors", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]);
        command.arg("--host-resolver-rules=MAP * 127.0.0.1");
        command.arg(format!("--user-data-dir={}", profile.display())).arg(format!("--window-size={width},{height}"));
        change(&mut command);
        let child = command.arg("about:blank").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut child = child.expect("Chromium is needed: scripts/install rig");
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let line = said.find(|line| line.contains("DevTools listening on")).expect("Chromium says where it listens");
        // What it says further is of no interest, but it must be able to say it.
        std::thread::spawn(move || said.for_each(drop));
        let port: u16 = line.split(':').nth(2).and_then(|rest| rest.split('/').next()).unwrap().parse().unwrap();
        let socket = wait_for(|| {
            let page = pages(port).into_iter().find(|page| page["type"] == "page")?;
            page["webSocketDebuggerUrl"].as_str().map(str::to_string)
        });
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let page = RefCell::new(tungstenite::client(socket, stream).unwrap().0);
        let browser = Browser { child, profile, page, asked: RefCell::new(0) };
        let (mobile, scale) = (width < 600, if width < 600 { 3 } else { 1 });
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": mobile });
        browser.command("Page.enable", &json!({}));
        browser.command("Emulation.setDeviceMetricsOverride", &size);
        browser
    }

    fn command(&self, method: &str, params: &Value) -> Value {
        let id = *self.asked.borrow() + 1;
        *self.asked.borrow_mut() = id;
        let mut page = self.page.borrow_mut();
        page.send(Message::text(json!({ "id": id, "method": method, "params": params }).to_string())).unwrap();
        loop {
            let Message::Text(text) = page.read().unwrap() else { continue };
            let mut answer: Value = serde_json::from_str(text.as_str()).unwrap();
            if answer["id"] == id {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].take();
            }
        }
    }

    /// Each page from now on begins with this script.
    pub fn before(&self, script: &str) {
        self.command("Page.addScriptToEvaluateOnNewDocument", &json!({ "source": script }));
    }

    pub fn open(&self, address: &str) {
        self.command("Page.navigate", &json!({ "url": address }));
    }

    /// What this is on the page.
    pub fn value(&self, script: &str) -> Value {
        self.evaluate(script, false)
    }

    /// `touched`: somebody has just touched the page, which then may play sound.
    fn evaluate(&self, script: &str, touched: bool) -> Value {
        let params = json!({ "expression": script, "awaitPromise": true, "returnByValue": true, "userGesture": touched });
        let mut answer = self.command("Runtime.evaluate", &params);
        assert!(answer["exceptionDetails"].is_null(), "{script}: {answer}");
        answer["result"]["value"].take()
    }

    /// Waits until this is true on the page; of a page that is not there yet it is not.
    pub fn until(&self, script: &str) {
        let guarded = format!("(() => {{ try {{ return Boolean({script}); }} catch {{ return false; }} }})()");
        let until = Instant::now() + PATIENCE;
        while self.value(&guarded) != true {
            let seen = || self.value("document.body.innerText");
            assert!(Instant::now() < until, "never true: {script}; the page says {}", seen());
            // The page's next turn.
            self.value("new Promise((done) => setTimeout(done, 50))");
        }
    }

    pub fn click(&self, selector: &str) {
        self.evaluate(&format!("document.querySelector({selector:?}).click()"), true);
    }

    /// What is seen, as a PNG under this name in the folder of what tests leave.
    pub fn picture(&self, name: &str) {
        let answer = self.command("Page.captureScreenshot", &json!({ "format": "png" }));
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let png = data_encoding::BASE64.decode(answer["data"].as_str().unwrap().as_bytes()).unwrap();
        fs::write(&path, png).unwrap();
        println!("{}", path.display());
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.profile);
    }
}

fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "Chromium shows no page");
        std::thread::yield_now();
    }
}

fn pages(port: u16) -> Vec<Value> {
    let answer = get(port, "/json", "");
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    serde_json::from_str(body).unwrap_or_default()
}

/// What is answered to a GET with these lines in its head, whole.
pub fn get(port: u16, path: &str, lines: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let host = if lines.contains("Host:") { "" } else { "Host: localhost\r\n" };
    stream.write_all(format!("GET {path} HTTP/1.1\r\n{host}{lines}Connection: close\r\n\r\n").as_bytes()).unwrap();
    let (mut head, mut answer) = ([0; 1], Vec::new());
    // As far as it says, for not everybody closes.
    while !answer.ends_with(b"\r\n\r\n") && stream.read(&mut head).unwrap_or(0) > 0 {
        answer.push(head[0]);
    }
    let said = String::from_utf8_lossy(&answer).to_lowercase();
    let length = said.split("content-length:").nth(1).and_then(|rest| rest.lines().next()?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).unwrap();
    answer.extend(body);
    String::from_utf8_lossy(&answer).into_owned()
}
