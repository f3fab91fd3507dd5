//! What other threads tell the main one, in order. Nobody who tells anything waits, and the main thread may be away for as long
//! as a display or a sound server hangs, while strangers come and go a thousand times a second.
//!
//! Capacity: [`CAPACITY`] notes. When they are full, what is only said is dropped; of a state the newest counts; who came and who
//! left cancel each other out. What is left beyond that is as many as there are peers.

use crate::threads::{lock, wait_while};
use eyeline_proto::session::{Event, TrackId};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// A few a second come in honest use: minutes of them.
const CAPACITY: usize = 1024;

/// What may become of a note when there are too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It is kept: there are few of these in a run.
    Kept,
    /// Something to be said, or shown once: it is dropped.
    Said,
    /// How something stands now: it replaces the one of the same number.
    State(u64),
    /// Somebody came, by this number.
    Came(u64),
    /// Somebody left: nothing is known of both, where nobody has looked since the other came.
    Left(u64),
}

/// What may become of what a session tells.
pub fn kind_of(event: &Event) -> Kind {
    // Numbers of states and of peers from here on are tracks'.
    let of = |track: &TrackId| TRACKS | track.peer.0 << 8 | u64::from(track.track);
    match event {
        Event::PeerUp { peer, again: false, .. } => Kind::Came(2 * peer.0),
        Event::PeerDown { peer, .. } => Kind::Left(2 * peer.0),
        Event::SenderUp { peer, again: false, .. } => Kind::Came(2 * peer.0 + 1),
        Event::SenderDown { peer, .. } => Kind::Left(2 * peer.0 + 1),
        Event::TrackUp { track, .. } => Kind::Came(of(track)),
        Event::TrackDown { track, .. } => Kind::Left(of(track)),
        Event::Unreachable { fatal: true, .. } | Event::Delivered { .. } | Event::Paired(..) | Event::Invitation(_) => Kind::Kept,
        Event::Watched(_) => Kind::State(1),
        Event::Pressure(_) => Kind::State(2),
        Event::Target(_) => Kind::State(3),
        Event::Wanted(_) => Kind::State(4),
        Event::Owed(_) => Kind::State(6),
        Event::Stats(_) => Kind::State(5),
        Event::Rings { call, .. } => Kind::Came(CALLS | call.0),
        Event::RingOver(call) => Kind::Left(CALLS | call.0),
        Event::Known(peer, _) | Event::Unproved { peer, .. } => Kind::State(CALLS | peer.0),
        Event::Quiet(peer, _) => Kind::State(8 + peer.0),
        Event::Track(track, _) => Kind::State(of(track)),
        Event::Ended(track) => Kind::State(of(track) | TRACKS >> 1),
        _ => Kind::Said,
    }
}

/// Set in the numbers of calls that ring, and of what peers' names are worth.
const CALLS: u64 = 1 << 61;

/// Set in the numbers of tracks.
const TRACKS: u64 = 1 << 63;

/// Something to tell the main thread.
pub trait Note {
    /// What may become of it.
    fn kind(&self) -> Kind;
}

struct State<N> {
    notes: VecDeque<N>,
    untold: u64,
}

/// See the module text. Clones are the same notes.
pub struct Notes<N>(Arc<(Mutex<State<N>>, Condvar)>);

impl<N> Clone for Notes<N> {
    fn clone(&self) -> Self {
        Notes(self.0.clone())
    }
}

impl<N: Note> Notes<N> {
    pub fn new() -> Self {
        Notes(Arc::new((Mutex::new(State { notes: VecDeque::new(), untold: 0 }), Condvar::new())))
    }

    fn lock(&self) -> MutexGuard<'_, State<N>> {
        // Whoever panicked while holding it has pushed or taken a note, or has not.
        lock(&self.0.0)
    }

    /// Tells this. Never waits.
    pub fn tell(&self, note: N) {
        let mut state = self.lock();
        if state.notes.len() < CAPACITY || state.make_room(note.kind()) {
            state.notes.push_back(note);
            self.0.1.notify_one();
        }
    }

    /// Tells what `note` makes of each value it is given.
    pub fn telling<T, F: Fn(T) -> N>(&self, note: F) -> impl Fn(T) + use<N, T, F> {
        let notes = self.clone();
        move |value| notes.tell(note(value))
    }

    /// The oldest one, if there is any.
    pub fn try_take(&self) -> Option<N> {
        self.lock().notes.pop_front()
    }

    /// The oldest one, waited for so long.
    pub fn take_within(&self, time: Duration) -> Option<N> {
        wait_while(&self.0.1, self.lock(), time, |state| state.notes.is_empty()).notes.pop_front()
    }

    /// How many were not told since this was asked last.
    pub fn take_untold(&self) -> u64 {
        std::mem::take(&mut self.lock().untold)
    }
}

impl<N: Note> State<N> {
    /// Whether one more of this kind is still to be told.
    fn make_room(&mut self, kind: Kind) -> bool {
        let place = |same: &dyn Fn(Kind) -> bool| self.notes.iter().rposition(|note| same(note.kind()));
        match kind {
            Kind::Kept | Kind::Came(_) => true,
            Kind::Said => {
                self.untold += 1;
                false
            }
            Kind::State(_) => {
                if let Some(at) = place(&|other| other == kind) {
                    self.notes.remove(at);
                }
                true
            }
            Kind::Left(who) => {
                let Some(at) = place(&|other| other == Kind::Came(who)) else { return true };
                self.notes.remove(at);
                self.untold += 2;
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Told(Kind, u32);

    impl Note for Told {
        fn kind(&self) -> Kind {
            self.0
        }
    }

    #[test]
    fn notes_are_taken_in_order_and_waited_for() {
        let notes = Notes::new();
        assert!(notes.take_within(Duration::ZERO).is_none());
        let other = notes.clone();
        let teller = std::thread::spawn(move || (0..3).for_each(|n| other.tell(Told(Kind::Said, n))));
        let taken: Vec<_> = (0..3).map(|_| notes.take_within(Duration::from_secs(60)).map(|told| told.1)).collect();
        teller.join().unwrap();
        assert_eq!((taken, notes.take_untold()), (vec![Some(0), Some(1), Some(2)], 0));
    }

    #[test]
    fn whatever_strangers_do_while_nobody_looks_there_are_never_many_notes_and_none_is_lost_that_counts() {
        let notes = Notes::new();
        notes.tell(Told(Kind::Came(7), 0));
        for n in 0..10_000 {
            notes.tell(Told(Kind::Said, n));
            notes.tell(Told(Kind::State(0), n));
            notes.tell(Told(Kind::State(1), n));
            notes.tell(Told(Kind::Came(u64::from(n) + 100), n));
            notes.tell(Told(Kind::Left(u64::from(n) + 100), n));
        }
        // Who was there before anybody stopped looking.
        notes.tell(Told(Kind::Left(3), 0));
        notes.tell(Told(Kind::Kept, 1));
        assert!(notes.lock().notes.len() <= CAPACITY + 4, "{}", notes.lock().notes.len());
        assert!(notes.take_untold() > 20_000);
        let (mut there, mut states, mut kept) = (1, [None; 2], 0);
        while let Some(Told(kind, n)) = notes.try_take() {
            match kind {
                Kind::Came(_) => there += 1,
                Kind::Left(_) => there -= 1,
                Kind::State(which) => states[which as usize] = Some(n),
                Kind::Kept => kept += 1,
                Kind::Said => {}
            }
        }
        assert_eq!((there, states, kept), (1, [Some(9999); 2], 1));
    }
}
