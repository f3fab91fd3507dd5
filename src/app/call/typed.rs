//! Lines that are typed, and said no faster than others take them.
//!
//! Of those on stdin, where there is no window to type them in, the rest waits where it comes from, in the pipe or the terminal,
//! and nothing of it is lost. What is longer than may be said at once is said in pieces. Of those in the window, and on the page
//! for browsers, [`Unsaid`] keeps what was typed too fast.

use eyeline_proto::wire::record::MAX_TEXT;
use std::collections::VecDeque;
use std::io::{self, BufRead, Read};
use std::thread;
use std::time::{Duration, Instant};

/// Others take five lines a second of one who speaks; one less, for lines come together on their way.
const EACH: Duration = Duration::from_millis(250);

/// Lines at once, after a pause.
const AT_ONCE: u32 = 4;

/// Half a minute of lines.
const MOST_UNSAID: usize = 120;

/// Gives each line to `on_line`, on a thread that ends with stdin and else with the process: nobody can wake it.
pub fn listen(on_line: impl Fn(String) + Send + 'static) -> io::Result<()> {
    let read = move || {
        let (mut pieces, mut pace, mut warned) = (Pieces::new(io::stdin().lock()), Pace::default(), false);
        while let Some((line, cut)) = pieces.next() {
            thread::sleep(pace.wait(Instant::now()));
            if cut && !warned {
                warned = true;
                tracing::warn!("a line of more than {MAX_TEXT} bytes is said in pieces");
            }
            on_line(line);
        }
    };
    thread::Builder::new().name("typed".into()).spawn(read).map(|_| ())
}

/// A line that somebody has typed; `by`: who, where it was on the page for browsers.
pub struct Unspoken {
    pub by: Option<String>,
    pub line: String,
}

/// Lines that have yet to be said. Capacity: [`MOST_UNSAID`]; of more the newest are not taken.
#[derive(Default)]
pub struct Unsaid {
    lines: VecDeque<Unspoken>,
    pace: Pace,
}

impl Unsaid {
    /// One more; false where there are too many.
    #[must_use]
    pub fn push(&mut self, line: Unspoken) -> bool {
        let room = self.lines.len() < MOST_UNSAID;
        if room {
            self.lines.push_back(line);
        }
        room
    }

    /// The next that may be said now.
    pub fn due(&mut self, now: Instant) -> Option<Unspoken> {
        self.lines.front()?;
        let mut pace = self.pace;
        if pace.wait(now) > Duration::ZERO {
            return None;
        }
        self.pace = pace;
        self.lines.pop_front()
    }
}

/// How long each line waits.
#[derive(Clone, Copy, Default)]
struct Pace {
    /// When the last line would have been said, had each taken its time.
    last: Option<Instant>,
}

impl Pace {
    /// How long the next line has to wait, which is then said.
    fn wait(&mut self, now: Instant) -> Duration {
        let next = self.last.map_or(now, |last| now.max(last + EACH));
        self.last = Some(next);
        next.saturating_duration_since(now + EACH * (AT_ONCE - 1))
    }
}

/// Lines, and pieces of longer ones, trimmed; empty ones are left out.
struct Pieces<R> {
    source: R,
    /// Of a character whose end has yet to be read.
    rest: Vec<u8>,
}

impl<R: BufRead> Pieces<R> {
    fn new(source: R) -> Self {
        Pieces { source, rest: Vec::new() }
    }

    /// The next one, and whether its line goes on behind it; `None` at the end.
    fn next(&mut self) -> Option<(String, bool)> {
        loop {
            let mut bytes = std::mem::take(&mut self.rest);
            let room = (MAX_TEXT - bytes.len()) as u64;
            let read = self.source.by_ref().take(room).read_until(b'\n', &mut bytes);
            if bytes.is_empty() || read.is_err() {
                return None;
            }
            let cut = bytes.len() == MAX_TEXT && bytes.last() != Some(&b'\n');
            if cut {
                // A character is not said in halves; what is no character at all is.
                let begins = bytes.iter().rposition(|byte| byte & 0xC0 != 0x80).filter(|at| *at > 0 && at + 4 > bytes.len());
                if let Some(at) = begins.filter(|at| std::str::from_utf8(&bytes[*at..]).is_err()) {
                    self.rest = bytes.split_off(at);
                }
            }
            let line = String::from_utf8_lossy(&bytes);
            if !line.trim().is_empty() {
                return Some((line.trim().replace('\t', " "), cut));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pasted_is_said_a_few_lines_at_once_and_then_four_a_second() {
        let (mut pace, start) = (Pace::default(), Instant::now());
        let mut now = start;
        let said: Vec<u128> = (0..300)
            .map(|_| {
                now += pace.wait(now);
                (now - start).as_millis()
            })
            .collect();
        assert_eq!(said[..6], [0, 0, 0, 0, 250, 500]);
        assert_eq!(said[299], 296 * 250);
        assert_eq!(pace.wait(now + Duration::from_secs(60)), Duration::ZERO, "after a pause at once");
    }

    #[test]
    fn what_is_typed_too_fast_is_said_as_soon_as_others_take_it() {
        let (mut unsaid, start) = (Unsaid::default(), Instant::now());
        assert_eq!((0..150).filter(|line: &u32| unsaid.push(Unspoken { by: None, line: line.to_string() })).count(), MOST_UNSAID);
        let mut said = Vec::new();
        for ms in (0..1000).step_by(10) {
            while let Some(line) = unsaid.due(start + Duration::from_millis(ms)) {
                said.push((ms, line.line));
            }
        }
        let said: Vec<_> = said.iter().map(|(ms, line)| (*ms, line.as_str())).collect();
        assert_eq!(said, [(0, "0"), (0, "1"), (0, "2"), (0, "3"), (250, "4"), (500, "5"), (750, "6")]);
    }

    #[test]
    fn a_long_line_is_said_in_pieces_of_whole_characters_and_nothing_of_it_is_lost() {
        let long = format!("x{}", "é".repeat(600));
        let text = format!("  hello \n\n{long}\nend");
        let mut pieces = Pieces::new(text.as_bytes());
        assert_eq!(pieces.next(), Some(("hello".to_string(), false)));
        let said: Vec<(String, bool)> = std::iter::from_fn(|| pieces.next()).collect();
        assert_eq!(said.iter().map(|(_, cut)| *cut).collect::<Vec<_>>(), [true, true, false, false]);
        assert!(said.iter().all(|(line, _)| line.len() <= MAX_TEXT));
        assert_eq!(said[..3].iter().map(|(line, _)| line.as_str()).collect::<String>(), long);
        assert_eq!(said[3].0, "end");
        let rubbish = [0x80; 2 * MAX_TEXT + 7];
        let mut pieces = Pieces::new(&rubbish[..]);
        assert_eq!(std::iter::from_fn(|| pieces.next()).count(), 3, "no characters at all come to an end, too");
    }
}
