//! Noticing that datagrams no longer pass while TCP does: a port that was closed in the middle of a run.
//!
//! **Problem.** Silence alone says nothing: the cable may be out, the other machine asleep. Only where something comes over TCP
//! *while* nothing comes over UDP is it UDP that is cut. TCP is often still by itself: a receiver says nothing over it, a sender
//! without sound neither; and where datagrams are lost one way only, the side they come from hears well and knows of nothing.
//!
//! **Choice.** After [`SILENCE`] without a datagram a side says so over TCP, once (`Record::Heard(false)`). Who gets that and
//! hears well answers that it does (`Heard(true)`); who does not will ask by itself. Whatever comes over TCP from then on is the
//! evidence; where still no datagram came [`GRACE`] later, UDP is cut: after an outage of both, TCP may be back a little sooner
//! than the next ping. Who is told that it is not heard waits as long for the word to be taken back, which is what its peer does
//! with the next datagram.
//!
//! **Rejected.** That TCP takes what we write: the kernel of a stopped process does so for seconds.

use std::time::{Duration, Instant};

/// No datagram for so long: six pings. With what it takes to notice that TCP hangs (`liveness::SILENT`), for then the silence is
/// one of a fresh link, and with [`GRACE`], less than three seconds.
pub const SILENCE: Duration = Duration::from_millis(1500);

/// From the evidence to the word: two pings.
pub const GRACE: Duration = Duration::from_millis(500);

#[derive(Default)]
enum State {
    #[default]
    Hears,
    /// None did for a while, and nothing came over TCP since that was said.
    Asked,
    /// Something came over TCP, first at that time.
    Contrast(Instant),
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Todo {
    /// Tell the peer over TCP whether it is heard.
    Tell(bool),
    /// UDP is cut while TCP goes on.
    Complain,
}

/// See the module text. One for each link.
#[derive(Default)]
pub struct UdpWatch {
    state: State,
    /// Since when the peer says that it does not hear us.
    unheard: Option<Instant>,
    /// It was said, of this silence.
    complained: bool,
}

impl UdpWatch {
    /// A datagram opened. What to do where that ends a silence.
    pub fn datagram_came(&mut self) -> Option<Todo> {
        let silent = !matches!(std::mem::replace(&mut self.state, State::Hears), State::Hears);
        self.complained &= self.unheard.is_some();
        silent.then_some(Todo::Tell(true))
    }

    /// Something came over TCP.
    pub fn tcp_came(&mut self, now: Instant) {
        if matches!(self.state, State::Asked) {
            self.state = State::Contrast(now);
        }
    }

    /// The peer says whether it hears our datagrams.
    pub fn told(&mut self, now: Instant, heard: bool) -> Option<Todo> {
        let hears = matches!(self.state, State::Hears);
        if heard {
            self.unheard = None;
            self.complained &= !hears;
            return None;
        }
        self.unheard.get_or_insert(now);
        hears.then_some(Todo::Tell(true))
    }

    /// What is due; the peer was last heard by a datagram at `heard`.
    pub fn poll(&mut self, now: Instant, heard: Instant) -> Option<Todo> {
        if matches!(self.state, State::Hears) && now >= heard + SILENCE {
            self.state = State::Asked;
            return Some(Todo::Tell(false));
        }
        let complains = self.complaint().is_some_and(|at| now >= at);
        self.complained |= complains;
        complains.then_some(Todo::Complain)
    }

    /// When [`UdpWatch::poll`] has something to do.
    pub fn deadline(&self, heard: Instant) -> Option<Instant> {
        let asks = matches!(self.state, State::Hears).then(|| heard + SILENCE);
        asks.into_iter().chain(self.complaint()).min()
    }

    fn complaint(&self) -> Option<Instant> {
        let contrast = match self.state {
            State::Contrast(at) => Some(at),
            State::Hears | State::Asked => None,
        };
        let since = contrast.into_iter().chain(self.unheard).min();
        since.filter(|_| !self.complained).map(|at| at + GRACE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// All that is due until then, with its time.
    fn run(watch: &mut UdpWatch, heard: Instant, until: Instant) -> Vec<(u128, Todo)> {
        let mut due = Vec::new();
        while let Some(at) = watch.deadline(heard).filter(|at| *at <= until) {
            due.extend(watch.poll(at, heard).map(|todo| ((at - heard).as_millis(), todo)));
        }
        due
    }

    #[test]
    fn silence_without_a_word_over_tcp_is_an_outage_and_no_complaint() {
        let (mut watch, start) = (UdpWatch::default(), Instant::now());
        assert_eq!(run(&mut watch, start, start + ms(600_000)), [(1500, Todo::Tell(false))]);
        // Both come back, TCP a ping sooner.
        watch.tcp_came(start + ms(600_000));
        assert_eq!(run(&mut watch, start, start + ms(600_250)), []);
        assert_eq!(watch.datagram_came(), Some(Todo::Tell(true)));
        assert_eq!(run(&mut watch, start + ms(600_250), start + ms(601_000)), []);
    }

    #[test]
    fn silence_while_tcp_speaks_is_said_once_and_again_of_the_next_one() {
        let (mut watch, start) = (UdpWatch::default(), Instant::now());
        watch.tcp_came(start + ms(1000)); // before it was asked for it proves nothing
        assert_eq!(run(&mut watch, start, start + ms(1500)), [(1500, Todo::Tell(false))]);
        watch.tcp_came(start + ms(1510));
        watch.tcp_came(start + ms(1520));
        assert_eq!(run(&mut watch, start, start + ms(60_000)), [(2010, Todo::Complain)]);
        assert_eq!(watch.datagram_came(), Some(Todo::Tell(true)));
        let again = start + ms(60_000);
        assert_eq!(run(&mut watch, again, again + ms(1500)), [(1500, Todo::Tell(false))]);
        watch.tcp_came(again + ms(1510));
        assert_eq!(run(&mut watch, again, again + ms(9000)), [(2010, Todo::Complain)]);
    }

    #[test]
    fn who_hears_and_is_not_heard_answers_and_complains_unless_the_word_is_taken_back() {
        let (mut watch, start) = (UdpWatch::default(), Instant::now());
        assert_eq!(watch.told(start, false), Some(Todo::Tell(true)));
        assert_eq!(watch.told(start + ms(400), true), None);
        assert_eq!(run(&mut watch, start, start + ms(1400)), []);
        assert_eq!(watch.told(start + ms(1400), false), Some(Todo::Tell(true)));
        assert_eq!(watch.datagram_came(), None, "it hears all the time");
        let heard = start + ms(1400);
        assert_eq!(run(&mut watch, heard, start + ms(2800)), [(500, Todo::Complain)]);
    }
}
