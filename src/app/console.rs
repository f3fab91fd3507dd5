//! stderr, where it is a terminal: one line that is written anew in its place, below all words.
//!
//! Whoever writes words takes the line away and puts it back, so that neither is ever in the middle of the other. The line is
//! never as wide as the terminal, whose width is asked each time. At the end it is taken away, and no other follows.

#![allow(unsafe_code)] // one `ioctl`, see `width`

use crate::threads::lock;
use eyeline_proto::wire::text::printable;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Mutex;

/// Takes what is left of an older line away, from the cursor on.
const CLEAR: &str = "\x1b[K";

/// Where nobody says how wide it is.
const USUAL_WIDTH: usize = 80;

/// The line as it stands there; empty where there is none.
static LINE: Mutex<Line> = Mutex::new(Line { text: String::new(), over: false });

struct Line {
    text: String,
    over: bool,
}

/// Where words are written.
pub struct Words;

impl Write for Words {
    fn write(&mut self, words: &[u8]) -> io::Result<usize> {
        let line = lock(&LINE);
        let mut stderr = io::stderr().lock();
        if line.text.is_empty() {
            return stderr.write(words);
        }
        // One write, or others see it flicker.
        let all = [b"\r", CLEAR.as_bytes(), words, line.text.as_bytes()].concat();
        stderr.write_all(&all).map(|()| words.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Writes this line in the place of the one before; none where it is empty. A terminal that takes nothing just now (Ctrl-S)
/// holds nobody up: it is left out.
pub fn draw(text: &str) {
    let mut line = lock(&LINE);
    if line.over || !takes_more() {
        return;
    }
    if is_in_background(&std::fs::read_to_string("/proc/self/stat").unwrap_or_default()) {
        line.text.clear();
        return;
    }
    // What others call themselves stands in it.
    let text = fitted(&printable(text), width().unwrap_or(USUAL_WIDTH));
    if !(text.is_empty() && line.text.is_empty()) {
        write(&format!("\r{text}{CLEAR}"));
    }
    line.text = text;
}

/// No line any more, now and later.
pub fn end() {
    take_away(&mut lock(&LINE));
}

/// The same where nobody is writing, and nothing where somebody is: it never waits.
pub fn try_end() {
    if let Ok(mut line) = LINE.try_lock()
        && takes_more()
    {
        take_away(&mut line);
    }
}

fn take_away(line: &mut Line) {
    line.over = true;
    if !std::mem::take(&mut line.text).is_empty() {
        write(&format!("\r{CLEAR}"));
    }
}

fn write(text: &str) {
    // A terminal that is gone is told of by a signal.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

fn takes_more() -> bool {
    let stderr = io::stderr();
    let mut fds = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

/// Whether the terminal is another program's, as the shell's of one that was started with `&`: `stat` is that of `/proc/self`.
fn is_in_background(stat: &str) -> bool {
    // Behind the name, which may have anything in it: state, parent, group, session, terminal, group that has the terminal.
    let mut numbers = stat.rsplit(") ").next().unwrap_or_default().split(' ');
    let (group, foreground) = (numbers.nth(2), numbers.nth(2));
    foreground.is_some_and(|foreground| !foreground.starts_with('-')) && group != foreground
}

/// Columns of the terminal, where it says so.
fn width() -> Option<usize> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the descriptor is open as long as the process runs, and TIOCGWINSZ writes one `winsize` to where the pointer shows.
    let answer = unsafe { libc::ioctl(io::stderr().as_raw_fd(), libc::TIOCGWINSZ, &mut size) };
    (answer == 0 && size.ws_col > 0).then_some(size.ws_col.into())
}

/// As much of the text as leaves the last column free, or the cursor would go to the next line.
fn fitted(text: &str, width: usize) -> String {
    let mut left = width.saturating_sub(1);
    let fits = |c: &char| {
        let columns = columns(*c);
        let fits = columns <= left;
        left = if fits { left - columns } else { 0 };
        fits
    };
    text.chars().take_while(fits).collect()
}

/// At most so many: letters of East Asia and pictures are two wide.
fn columns(c: char) -> usize {
    if u32::from(c) < 0x1100 { 1 } else { 2 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_not_the_terminal_is_in_the_background() {
        let in_background =
            |group, foreground| is_in_background(&format!("77 (a) b) S 5 {group} 9 34816 {foreground} 4194304 1"));
        assert_eq!([in_background(7, 7), in_background(7, 8), in_background(7, -1)], [false, true, false]);
        assert!(!is_in_background(""));
    }

    #[test]
    fn a_line_leaves_the_last_column_free_and_no_half_of_a_wide_letter_at_its_end() {
        assert_eq!(
            [fitted("kitchen", 8), fitted("kitchen", 7), fitted("kitchen", 1), fitted("kitchen", 0)],
            ["kitchen", "kitche", "", ""]
        );
        assert_eq!([fitted("厨房の窓", 9), fitted("厨房の窓", 8), fitted("厨房x", 4)], ["厨房の窓", "厨房の", "厨"]);
    }
}
