//! What is done before the process ends by somebody else's will.
//!
//! **Problem.** When the X server goes away, or another client destroys the window, Xlib calls `exit(1)` in the middle of
//! whatever the thread with the window was doing: nothing unwinds, nothing is dropped, files would end where they are, and peers
//! would not be told.
//!
//! **Choice.** `exit` runs the functions registered with `atexit(3)`, on the thread that called it, while the other threads go
//! on: there the files' writers and the net thread can still be told to finish. **Rejected.** Xlib's own error handlers: they
//! are set for the whole process by functions of a library that is loaded later by another crate, one of the two may not return
//! either, and they would not see an `exit` of anybody else. Noticing it first on a connection of our own: a race that is lost
//! now and then.

#![allow(unsafe_code)] // one call of `atexit`

use crate::threads::lock;
use std::sync::{Mutex, Once};

type Hook = Box<dyn FnOnce() + Send>;

static HOOK: Mutex<Option<Hook>> = Mutex::new(None);
static REGISTER: Once = Once::new();

/// While it lives, its hook runs if the process exits. One a process at a time: a second would take the place of the first, and
/// be taken away with it.
pub struct ExitHook(());

impl ExitHook {
    /// `hook` runs on the thread that calls `exit`, once. Where it is dropped instead, that must need no hook of its own.
    pub fn new(hook: impl FnOnce() + Send + 'static) -> Self {
        *lock(&HOOK) = Some(Box::new(hook));
        REGISTER.call_once(|| {
            // SAFETY: `run` is a function of this program for as long as it runs, unwinds nothing, and calls no `exit`. Where it
            // cannot be registered there is no hook, as before.
            unsafe { nix::libc::atexit(run) };
        });
        ExitHook(())
    }
}

impl Drop for ExitHook {
    fn drop(&mut self) {
        *lock(&HOOK) = None;
    }
}

extern "C" fn run() {
    let hook = lock(&HOOK).take();
    if let Some(hook) = hook {
        // A panic must not go through C.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(hook));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHILD: &str = "EYELINE_TEST_ENDS_IN_EXIT";

    #[test]
    fn an_exit_in_the_middle_of_anything_runs_the_hook_and_none_that_is_gone() {
        let Some(path) = std::env::var_os(CHILD) else {
            let path = std::env::temp_dir().join(format!("eyeline-{}-exit", std::process::id()));
            let mut child = std::process::Command::new(std::env::current_exe().unwrap());
            child.args([
                "present::exit_hook::tests::an_exit_in_the_middle_of_anything_runs_the_hook_and_none_that_is_gone",
                "--exact",
            ]);
            assert_eq!(child.env(CHILD, &path).output().unwrap().status.code(), Some(7));
            assert_eq!(std::fs::read(&path).unwrap(), b"finished");
            std::fs::remove_file(path).unwrap();
            return;
        };
        drop(ExitHook::new(|| unreachable!("it is gone")));
        let _hook = ExitHook::new(move || std::fs::write(path, "finished").unwrap());
        std::process::exit(7);
    }
}
