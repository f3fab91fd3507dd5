//! Chromium without a screen, driven over the pipes of its DevTools protocol, which need no network: it may live in one of its own.

use crate::clock::now_us;
use crate::rig::{Launch, Running};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Where Chromium reads what it is told, and writes what it says.
const ENDS: [RawFd; 2] = [3, 4];

/// Above those, and above what a command has of its own.
const ASIDE: RawFd = 100;

/// How often the page is asked what time it is: the soonest answer counts.
const ASKED: usize = 50;

/// One page of a browser of its own. Gone when dropped.
pub struct Browser {
    pub running: Running,
    pipes: RefCell<(File, BufReader<File>)>,
    calls: RefCell<u64>,
    session: Value,
}

impl Browser {
    /// In this network.
    pub fn start(directory: &Path, network: Option<RawFd>) -> Result<Browser, String> {
        let mut command = Command::new("chromium");
        command.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]);
        command.args(["--disable-component-update", "--disable-background-networking", "--no-proxy-server"]);
        command.args(["--remote-debugging-pipe", "--window-size=1280,800"]);
        command.arg(format!("--user-data-dir={}", directory.join("browser").display())).arg("about:blank");
        command.stdin(Stdio::null()).stdout(Stdio::null()).env("HOME", directory);
        let pipe = || std::io::pipe().map_err(|e| e.to_string());
        let ((told, tell), (heard, says)) = (pipe()?, pipe()?);
        let theirs = [told.as_raw_fd(), says.as_raw_fd()];
        // SAFETY: only system calls between fork and exec.
        unsafe {
            command.pre_exec(move || {
                // Either may be where the other is to go.
                let aside = theirs.map(|end| libc::fcntl(end, libc::F_DUPFD_CLOEXEC, ASIDE));
                for (end, place) in aside.into_iter().zip(ENDS) {
                    if libc::dup2(end, place) < 0 {
                        return Err(std::io::Error::last_os_error());
                    }
                }
                Ok(())
            });
        }
        let running = Launch { command, name: "browser", cores: None, network }.start(directory)?;
        let file = |end: OwnedFd| File::from(end);
        let pipes = RefCell::new((file(tell.into()), BufReader::new(file(heard.into()))));
        let mut browser = Browser { running, pipes, calls: RefCell::new(0), session: Value::Null };
        let made = browser.call("Target.createTarget", &json!({ "url": "about:blank", "newWindow": true }))?;
        let attached = browser.call("Target.attachToTarget", &json!({ "targetId": made["targetId"], "flatten": true }))?;
        browser.session = attached["sessionId"].clone();
        Ok(browser)
    }

    fn call(&self, method: &str, params: &Value) -> Result<Value, String> {
        let mut calls = self.calls.borrow_mut();
        *calls += 1;
        let mut call = json!({ "id": *calls, "method": method, "params": params });
        if !self.session.is_null() {
            call["sessionId"] = self.session.clone();
        }
        let (tell, heard) = &mut *self.pipes.borrow_mut();
        tell.write_all(format!("{call}\0").as_bytes()).map_err(|e| e.to_string())?;
        loop {
            let mut said = Vec::new();
            if heard.read_until(0, &mut said).map_err(|e| e.to_string())? == 0 {
                return Err(format!("Chromium ended: {}", self.running.words()));
            }
            said.pop();
            let mut said: Value = serde_json::from_slice(&said).map_err(|e| e.to_string())?;
            // Others are events.
            if said["id"] == *calls {
                let error = said.get("error").map(|error| format!("{method}: {error}"));
                return error.map_or_else(|| Ok(said["result"].take()), Err);
            }
        }
    }

    pub fn open(&self, address: &str) -> Result<(), String> {
        self.call("Page.navigate", &json!({ "url": address })).map(|_| ())
    }

    /// What this is on the page; a promise is waited for.
    pub fn value(&self, script: &str) -> Result<Value, String> {
        let params = json!({ "expression": script, "awaitPromise": true, "returnByValue": true });
        let mut said = self.call("Runtime.evaluate", &params)?;
        let error = said.get("exceptionDetails").map(|error| format!("{script}: {error}"));
        error.map_or_else(|| Ok(said["result"]["value"].take()), Err)
    }

    /// What is to be added to the page's `performance.now()`, in microseconds, for it to be of our clock; and how far that may be off.
    pub fn ahead_us(&self) -> Result<(f64, f64), String> {
        let mut best = (0.0, f64::INFINITY);
        for _ in 0..ASKED {
            let asked = now_us() as f64;
            let there = self.value("performance.now()")?.as_f64().ok_or("the page has no clock")? * 1e3;
            let trip = now_us() as f64 - asked;
            if trip / 2.0 < best.1 {
                best = (asked + trip / 2.0 - there, trip / 2.0);
            }
        }
        Ok(best)
    }
}
