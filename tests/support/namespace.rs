//! Network namespaces of a test's own: needs root, or leave for users to make them.

#![allow(dead_code, reason = "each test program uses its part")]

use crate::program::{self, Program};
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

/// A network namespace, which is gone with its only process.
pub struct Namespace(Child);

/// What `nsenter` needs beside the process: who is not root owns namespaces within a user namespace only, one for all of them.
fn user() -> &'static str {
    if nix::unistd::geteuid().is_root() { "" } else { "-U --preserve-credentials" }
}

impl Namespace {
    /// A second one, `beside` the first, has the same owner.
    pub fn new(beside: Option<&Namespace>) -> Namespace {
        let mut command = match beside {
            Some(first) if !user().is_empty() => {
                program::command("nsenter", &format!("-t {} {} unshare -n", first.0.id(), user()))
            }
            _ if user().is_empty() => program::command("unshare", "-n"),
            _ => program::command("unshare", "-U -r -n"),
        };
        command.args(["sh", "-c", "echo here; exec sleep 600"]).stdout(Stdio::piped());
        let mut child = command.spawn().expect("unshare and nsenter are in util-linux");
        let mut line = String::new();
        let read = child.stdout.take().map(|stdout| BufReader::new(stdout).read_line(&mut line));
        let namespace = Namespace(child);
        assert!(
            matches!(read, Some(Ok(_))) && line == "here\n",
            "no network namespace can be made: run this as root, or let users make them (sysctl kernel.unprivileged_userns_clone=1, \
             kernel.apparmor_restrict_unprivileged_userns=0)"
        );
        namespace
    }

    /// The process that holds it.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// What `nsenter` is told to come here.
    pub fn enter(&self) -> String {
        format!("-t {} {} -n", self.0.id(), user())
    }

    pub fn ip(&self, args: &str) -> bool {
        let mut command = program::command("nsenter", &format!("{} ip {args}", self.enter()));
        command.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    }

    /// What `ip` prints.
    pub fn ip_says(&self, args: &str) -> String {
        let output = program::command("nsenter", &format!("{} ip {args}", self.enter())).output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
    }

    pub fn start(&self, path: &str, args: &str) -> Program {
        Program::start("nsenter", &format!("{} {path} {args}", self.enter()))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
