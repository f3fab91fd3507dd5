//! Who calls and is not let in yet: said in words, in the window and by a tone, until somebody answers.

use super::super::door::Door;
use super::super::pairs;
use super::super::screen::Screen;
use crate::net;
use crate::present::mixer::Mixer;
use crate::present::ring_tone::RingTone;
use eyeline_proto::session::Command;
use eyeline_proto::session::keyring::Standing;
use eyeline_proto::session::link::LinkId;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// One of them.
struct Caller {
    call: LinkId,
    name: String,
    /// Whether he is let in, once that was said.
    answer: Option<bool>,
}

/// A key that was meant for the one before answers nobody else.
const SETTLES: Duration = Duration::from_millis(700);

/// What somebody typed, where it is an answer.
pub fn answer(line: &str) -> Option<bool> {
    match line.trim().to_lowercase().as_str() {
        "y" | "yes" => Some(true),
        "n" | "no" => Some(false),
        _ => None,
    }
}

/// All of them, the first first. As many as strangers have places.
#[derive(Default)]
pub struct Ring {
    callers: Vec<Caller>,
    tone: Option<RingTone>,
    /// Since when the first is the first, where another was before him.
    since: Option<Instant>,
}

impl Ring {
    /// One more calls.
    pub fn begins(&mut self, call: LinkId, (name, standing): (&str, &Standing), address: SocketAddr, door: &mut Door<'_>) {
        let name = pairs::marked(name, standing);
        door.says(&format!("{name} ({address}) calls: y lets in, n does not"));
        if self.callers.is_empty() {
            // Nobody was meant before.
            self.since = None;
        }
        self.callers.push(Caller { call, name, answer: None });
    }

    /// One calls no more: he was answered, or hung up.
    pub fn ends(&mut self, call: LinkId, door: &mut Door<'_>) {
        let Some(place) = self.callers.iter().position(|caller| caller.call == call) else { return };
        let Caller { name, answer, .. } = self.callers.remove(place);
        match answer {
            None => _ = door.says(&format!("{name} calls no more")),
            Some(false) => _ = door.says(&format!("declined {name}")),
            // That he is here is said of him as of everybody.
            Some(true) => {}
        }
        if let Some(next) = self.callers.first().filter(|_| place == 0) {
            self.since = Some(Instant::now());
            door.says(&format!("{} still calls: y or n", next.name));
        }
    }

    /// Whether anybody calls.
    pub fn is_on(&self) -> bool {
        !self.callers.is_empty()
    }

    /// The first is let in, or not; nothing where nobody calls.
    pub fn answer(&mut self, taken: bool, net: &net::Handle<Command>) {
        let settled = self.since.is_none_or(|since| since.elapsed() >= SETTLES);
        let Some(caller) = self.callers.first_mut().filter(|caller| caller.answer.is_none()) else { return };
        if !settled {
            return tracing::info!("who calls now is another than a moment ago: press it again");
        }
        caller.answer = Some(taken);
        net.command(Command::Answer { call: caller.call, taken });
    }

    /// What the window says.
    pub fn show(&self, screen: &mut Screen) {
        let lines = self.callers.first().map(|caller| {
            let more = match self.callers.len() - 1 {
                0 => String::new(),
                more => format!(", and {more} more"),
            };
            vec![format!("{} calls{more}", caller.name), "y lets in, n does not".to_string()]
        });
        screen.ringing(lines.unwrap_or_default());
    }

    /// The tone goes on as long as somebody calls.
    pub fn sound(&mut self, now: Instant, mixer: Option<&Mixer>) {
        if self.callers.is_empty() {
            self.tone = None;
            return;
        }
        if self.tone.is_none() {
            self.tone = mixer.and_then(Mixer::voice).map(|voice| RingTone::new(voice, now));
        }
        if let Some(tone) = &mut self.tone {
            tone.turn(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yes_and_no_are_answers_in_whatever_letters_and_other_words_are_none() {
        assert_eq!(["y", "Yes", " YES "].map(answer), [Some(true); 3]);
        assert_eq!(["n", "No", "NO"].map(answer), [Some(false); 3]);
        assert_eq!(["", "yes please", "nobody", "ja"].map(answer), [None; 4]);
    }
}
