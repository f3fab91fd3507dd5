//! All state of one sender: its connection, its clock, and what comes of each of its tracks ([`Reception`]). Dropped with it, and
//! made anew with another; nothing here knows of another sender but through [`AcrossSenders`].

mod ending;
mod feedback;
mod narrow;
mod pace;
mod proof;
mod reception;

pub(super) use feedback::Feedback;
pub(super) use reception::Reception;

use self::proof::Proof;
use super::begins::Begins;
use super::budget::Budget;
use crate::media::clock::Estimate;
use crate::media::depacketizer::Buffers;
use crate::session::events::Event;
use crate::session::link::LinkId;
use crate::session::liveness::QUIET;
use crate::session::path::{Control, Path, Rtt};
use crate::session::stats::Received;
use crate::session::{PeerId, TrackId};
use crate::sound::{Form, Numbered, Packet};
use crate::time::MediaTime;
use crate::wire::datagram::Message;
use crate::wire::record::{End, Film, Hello, OWN_TRACK, Track};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// Between two reports.
pub(super) const REPORT: Duration = Duration::from_millis(100);

/// Tracks that one sender may tell of: more than are received from all.
const MOST_DESCRIBED: usize = 32;

/// A sender that came back tells of its tracks at once; those it does not tell of within this time are over.
const TOLD: Duration = Duration::from_secs(3);

/// What we want of senders.
#[derive(Clone, Copy)]
pub(super) struct Wants {
    pub pictures: bool,
    pub sound: bool,
    /// A file is written.
    pub lossless: bool,
    /// We have said that we decode Opus packets.
    pub packets: bool,
    /// We have nothing for anybody, so who is over can be left.
    pub leaves: bool,
}

/// What all senders have in common.
#[derive(Default)]
pub(super) struct AcrossSenders {
    pub events: VecDeque<Event>,
    /// Tracks that are received again, of which nothing is shown.
    pub anew: Vec<TrackId>,
    pub buffers: Buffers,
    pub budget: Budget,
}

/// What a sender has told of its tracks, by their numbers; those that are over are taken out. And of its film.
#[derive(Default)]
pub(super) struct Described {
    tracks: BTreeMap<u8, Track>,
    /// Where its film is.
    pub film: Option<Film>,
}

impl Described {
    /// It tells of one. Whether that is news.
    pub fn told(&mut self, track: Track) -> bool {
        if track.media.is_none() {
            return self.tracks.remove(&track.number).is_some();
        }
        if self.tracks.get(&track.number) == Some(&track)
            || (self.tracks.len() >= MOST_DESCRIBED && !self.tracks.contains_key(&track.number))
        {
            return false;
        }
        self.tracks.insert(track.number, track);
        true
    }

    /// What it told of one.
    pub fn get(&self, track: u8) -> Option<&Track> {
        self.tracks.get(&track)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Track> {
        self.tracks.values()
    }
}

pub(super) struct Inbound {
    pub peer: PeerId,
    pub name: String,
    pub process: [u8; 16],
    wants: Wants,
    /// It skips nothing.
    film: bool,
    /// It forwards what others send to it.
    pub forwards: bool,
    /// It has a track of its own.
    pub has_own: bool,
    /// Another guest of a meeting, who is heard of by the meeting point: only its own track is of use.
    pub direct: bool,
    /// How many of its tracks may begin now.
    pub begins: Begins,
    /// It is left when its own stream is over, and somebody only watches: it has nothing else for us, nor we for it.
    leaves: bool,
    /// What counts since its connection began.
    pub feedback: Feedback,
    /// The link before it, of which the last may still be on its way.
    former: Option<LinkId>,
    clock: Estimate,
    next_report: Instant,
    quiet: bool,
    /// What it says that it sends.
    pub described: Described,
    /// Until when it has time to tell of its tracks anew, and those it has told of since.
    telling: Option<(Instant, Vec<u8>)>,
    receptions: Vec<Reception>,
    /// Its tracks that are not received for want of room, each of which was told of.
    roomless: BTreeSet<u8>,
    pub proof: Proof,
    /// What came of no track that is received.
    counts: Received,
    /// What came of tracks that are received no longer.
    ended: Received,
    /// Packets that its earlier connections lost.
    lost_before: u64,
}

impl Inbound {
    /// Nothing of it has been looked at yet but its packet numbers.
    pub fn new(now: Instant, peer: PeerId, hello: &Hello, feedback: Feedback, wants: Wants) -> Self {
        Inbound {
            peer,
            name: hello.name.clone(),
            process: hello.id,
            wants,
            film: hello.offers.lossless,
            forwards: hello.forwards(),
            has_own: false,
            direct: false,
            begins: Begins::new(now, hello.forwards()),
            leaves: wants.leaves && !hello.forwards(),
            former: None,
            clock: Estimate::new(),
            next_report: now + REPORT,
            quiet: false,
            described: Described::default(),
            telling: None,
            receptions: Vec::new(),
            roomless: BTreeSet::new(),
            proof: Proof::new(),
            counts: Received::default(),
            ended: Received::default(),
            lost_before: 0,
            feedback,
        }
    }

    /// The link in use.
    pub fn link(&self) -> LinkId {
        self.feedback.link
    }

    /// Whether pictures that come over `link` are its.
    pub fn is_of(&self, link: LinkId) -> bool {
        self.feedback.link == link || self.former == Some(link)
    }

    /// The same process came back: pictures and blocks go on, and all that is counted by connection starts afresh.
    pub fn reconnected(&mut self, now: Instant, link: LinkId, name: String) {
        self.name = name;
        self.lost_before += self.feedback.lost();
        let mut fresh = Feedback::new(link, self.film || self.wants.lossless);
        fresh.known = true;
        self.former = Some(std::mem::replace(&mut self.feedback, fresh).link);
        self.receptions.iter_mut().for_each(Reception::reconnected);
        self.telling = Some((now + TOLD, Vec::new()));
    }

    /// It gives up its place, and what it holds is given back; what is left is what a sender that waits has.
    pub fn leave(self, across: &mut AcrossSenders) -> (Feedback, Described) {
        for reception in self.receptions {
            across.events.push_back(Event::TrackDown { track: reception.id, over: false });
            reception.leave(across);
        }
        (self.feedback, self.described)
    }

    /// What came of it so far, track by track. What belongs to none is counted with the first.
    pub fn received(&self) -> impl Iterator<Item = (TrackId, Received, Option<Form>)> {
        let of_none = self.of_none();
        self.receptions.iter().enumerate().map(move |(place, reception)| {
            let mut received = reception.received();
            if place == 0 {
                received += &of_none;
            }
            (reception.id, received, reception.form)
        })
    }

    fn of_none(&self) -> Received {
        Received { lost_packets: self.lost_before + self.feedback.lost(), ..self.counts }
    }

    /// What came of it in all.
    pub fn received_in_all(&self) -> Received {
        let mut sum = self.of_none();
        sum += &self.ended;
        self.receptions.iter().for_each(|reception| sum += &reception.received());
        sum
    }

    /// Nothing is heard of it.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// It can be left when its stream is over.
    pub fn is_watched(&self) -> bool {
        !self.direct && !self.film && !self.wants.lossless && self.leaves
    }

    /// This process stood still.
    pub fn stood_still(&mut self, now: Instant) {
        self.receptions.iter_mut().for_each(|reception| reception.stood_still(now));
    }

    /// What comes of this track.
    pub fn reception(&mut self, track: u8) -> Option<&mut Reception> {
        self.receptions.iter_mut().find(|reception| reception.id.track == track)
    }

    /// The tracks that are received of it.
    pub fn tracks(&self) -> impl Iterator<Item = u8> {
        self.receptions.iter().map(|reception| reception.id.track)
    }

    /// As which of its tracks it forwards those of this process, where that is received.
    pub fn forwards_of(&self, process: &[u8; 16]) -> Option<TrackId> {
        let of = |track: &&Track| track.number != OWN_TRACK && track.origin == *process && self.receives(track.number);
        self.described.iter().find(of).filter(|_| !self.direct).map(|track| TrackId { peer: self.peer, track: track.number })
    }

    /// Whether this track is received.
    pub fn receives(&self, track: u8) -> bool {
        self.receptions.iter().any(|reception| reception.id.track == track)
    }

    /// From now on this track is received.
    pub fn receive(&mut self, track: u8, across: &mut AcrossSenders) {
        let label = || self.described.get(track).map(|described| described.label.clone()).unwrap_or_default();
        let name = if track == OWN_TRACK { self.name.clone() } else { label() };
        let (id, film) = (TrackId { peer: self.peer, track }, self.film);
        if self.feedback.receives(track) {
            across.anew.push(id);
        }
        let mut reception = Reception::new(id, film, self.wants, self.feedback.next_expected());
        across.events.push_back(Event::TrackUp { track: id, name, film });
        if let Some(described) = self.described.get(track) {
            reception.begins_at(described.format.first);
            across.events.push_back(Event::Track(id, described.clone()));
        }
        if let Some(film) = self.described.film.filter(|_| id.is_own()) {
            across.events.push_back(Event::Film(id, film));
        }
        self.receptions.push(reception);
    }

    /// For these of its tracks there is no room.
    pub fn has_no_room(&mut self, tracks: BTreeSet<u8>, across: &mut AcrossSenders) {
        let label = |track: &u8| self.described.get(*track).map(|described| described.label.clone()).unwrap_or_default();
        let told = tracks.difference(&self.roomless).map(|track| Event::NoRoom(self.peer, label(track)));
        across.events.extend(told);
        self.roomless = tracks;
    }

    /// This track is received no longer.
    pub fn let_go(&mut self, track: u8, across: &mut AcrossSenders) {
        if let Some(place) = self.receptions.iter().position(|reception| reception.id.track == track) {
            let reception = self.receptions.remove(place);
            let over = self.described.get(track).is_none();
            self.ended += &Received { assembly_bytes: 0, ..reception.received() };
            across.events.push_back(Event::TrackDown { track: reception.id, over });
            reception.leave(across);
        }
    }

    /// A datagram of so many bytes came over the connection in use, `data` if it carried a piece of a picture.
    pub fn datagram_came(&mut self, now: Instant, number: u64, bytes: usize, data: bool) {
        self.feedback.datagram_came(now, number, bytes, data);
        self.hears(now, number);
    }

    /// This packet was a probe that was too long for the path: it is asked for by nobody, and the path loses nothing.
    pub fn is_no_loss(&mut self, now: Instant, number: u64) {
        self.feedback.is_no_loss(now, number);
        self.hears(now, number);
    }

    fn hears(&mut self, now: Instant, number: u64) {
        let overtaken = self.feedback.overtaken(now);
        self.receptions.iter_mut().for_each(|reception| reception.datagram_came(now, number, overtaken));
    }

    /// Its clock was asked, and answered.
    pub fn clock_came(
        &mut self,
        now: Instant,
        asked: Instant,
        received: MediaTime,
        replied: MediaTime,
        across: &mut AcrossSenders,
    ) {
        self.clock.sample(now, asked, received, replied);
        across.events.extend(self.clock.mapping().map(|mapping| Event::Clock(self.peer, mapping)));
    }

    /// It says what it sends. Whether that is news: a sender may say it as often as it likes.
    pub fn told(&mut self, track: Track, across: &mut AcrossSenders) -> bool {
        let number = track.number;
        if let Some((_, told)) = &mut self.telling
            && !told.contains(&number)
        {
            told.push(number);
        }
        let (first, of, muted) = (track.format.first, track.origin, track.muted);
        let was_anothers = self.described.get(number).is_some_and(|known| known.origin != of);
        if let Some(reception) = self.reception(number) {
            reception.begins_at(first);
            reception.muted(muted);
        }
        let news = self.described.told(track);
        if was_anothers {
            // The number is used again, for a track that is none of the one before.
            self.let_go(number, across);
        }
        if let Some(track) = self.described.get(number).filter(|_| news && self.receives(number)) {
            across.events.push_back(Event::Track(TrackId { peer: self.peer, track: number }, track.clone()));
        }
        news
    }

    /// It says where its film is.
    pub fn film_told(&mut self, film: Film, across: &mut AcrossSenders) {
        let before = self.described.film.replace(film);
        let (news, from) = (before != Some(film), before.unwrap_or_default().first_block);
        if let Some(reception) = self.reception(OWN_TRACK).filter(|_| news) {
            reception.goes_on_at(film.first, &mut across.buffers);
            // Sound begins anew where it went: until then nothing is late.
            if film.paused || film.first_block > from {
                reception.sound_rests();
            }
            let track = reception.id;
            across.events.push_back(Event::Film(track, film));
        }
    }

    /// A sender that came back has had time to tell of its tracks: those it told nothing of are over. Whether there are such.
    pub fn forget_untold(&mut self, now: Instant) -> bool {
        let Some((_, told)) = self.telling.take_if(|(until, _)| now >= *until) else { return false };
        let before = self.described.tracks.len();
        self.described.tracks.retain(|number, _| told.contains(number));
        self.described.tracks.len() < before
    }

    /// A datagram of media, of so many bytes, at `at_us` on our media clock. Says whether it is the first that proves that it
    /// sends.
    pub fn message(
        &mut self,
        now: Instant,
        (link, number): (LinkId, u64),
        message: &Message<'_>,
        (bytes, at_us): (usize, u64),
        across: &mut AcrossSenders,
    ) -> bool {
        // Packet numbers, and what is told of them, are a connection's.
        let current = link == self.feedback.link;
        if current {
            self.datagram_came(now, number, bytes, matches!(message, Message::Fragment(..)));
        }
        if let Message::Fragment(track, head, _) = message
            && self.wants.pictures
            && (current || !self.film)
        {
            self.proof.tries(now);
            if current {
                self.feedback.piece_came(now, (*track, head), (number, bytes), at_us);
            }
        }
        let overtaken = self.feedback.overtaken(now);
        let place = message.track().and_then(|track| self.receptions.iter().position(|reception| reception.id.track == track));
        let Some(place) = place else {
            self.counts.datagrams += 1;
            self.counts.bytes += bytes as u64;
            return false;
        };
        let gaps = (self.feedback.misses_any(), self.feedback.lost());
        let proved = self.receptions[place].message(now, message, (bytes, current, overtaken), gaps, &mut self.proof, across);
        self.settle_feedback(now);
        proved
    }

    /// A block came over TCP. Says whether it is the first that proves that it sends.
    pub fn block_came(&mut self, now: Instant, track: u8, sound: Numbered<MediaTime>, across: &mut AcrossSenders) -> bool {
        let Some(place) = self.receptions.iter().position(|reception| reception.id.track == track) else { return false };
        self.receptions[place].block_came(now, sound, &mut self.proof, across)
    }

    /// A block came over TCP as an Opus packet. Says whether it is the first that proves that it sends.
    pub fn packet_came(
        &mut self,
        now: Instant,
        track: u8,
        sound: Numbered<MediaTime, Packet>,
        across: &mut AcrossSenders,
    ) -> bool {
        let Some(place) = self.receptions.iter().position(|reception| reception.id.track == track) else { return false };
        self.receptions[place].packet_came(now, sound, true, &mut self.proof, across)
    }

    /// What is whole, or is waited for no longer.
    pub fn settle(&mut self, now: Instant, across: &mut AcrossSenders) {
        let (overtaken, all_came) = (self.feedback.overtaken(now), !self.feedback.misses_any());
        self.receptions.iter_mut().for_each(|reception| reception.settle(now, overtaken, all_came, across));
        self.settle_feedback(now);
    }

    fn settle_feedback(&mut self, now: Instant) {
        if !self.receptions.iter().any(Reception::is_waiting) {
            self.feedback.settle(now);
        }
    }

    /// The sender says that a track ends. Believed of one that it told of.
    pub fn end_said(&mut self, now: Instant, track: u8, end: End) {
        if self.described.get(track).is_some()
            && let Some(reception) = self.reception(track)
        {
            reception.end_said(now, end);
        }
    }

    /// Finishes tracks that have ended, and says whether its own did just now. `gone`: nothing more can come.
    pub fn finish_ends(&mut self, now: Instant, gone: bool, across: &mut AcrossSenders) -> bool {
        let Inbound { receptions, proof, .. } = self;
        let mut ended = |reception: &mut Reception| reception.finish_end(now, gone, proof, across) && reception.id.is_own();
        receptions.iter_mut().filter_map(|reception| ended(reception).then_some(())).count() > 0
    }

    /// What is to be asked for now that something came, or time went by.
    pub fn requests(&mut self, now: Instant, rtt: Rtt) -> Vec<Control> {
        let mut requests = Vec::new();
        let nack = self.patience(now, rtt).and_then(|patience| self.feedback.nack(now, rtt, patience));
        self.counts.nacks += u64::from(nack.is_some());
        requests.extend(nack.map(|nack| Control::Nack(Box::new(nack))));
        for reception in &mut self.receptions {
            requests.extend(reception.misses().map(|misses| Control::Misses(reception.id.track, misses)));
            requests.extend(reception.wanted(now).map(|wanted| Control::SoundRequest(reception.id.track, wanted)));
        }
        requests
    }

    /// For how long pictures are of use, where any is worth asking for.
    fn patience(&self, now: Instant, rtt: Rtt) -> Option<u16> {
        let overtaken = self.feedback.overtaken(now);
        self.receptions.iter().filter_map(|reception| reception.patience(now, rtt, overtaken)).max()
    }

    /// What it is told ten times a second.
    pub fn report(&mut self, now: Instant, at_us: u64) -> Option<Control> {
        if now < self.next_report {
            return None;
        }
        self.next_report = now + REPORT;
        let tracks = self.receptions.iter_mut().map(Reception::report);
        Some(Control::Report(Box::new(self.feedback.report(at_us, tracks))))
    }

    /// What the application is told of its path: whether anything, and anything long, comes through. `reported`: it is time to
    /// look.
    pub fn watch(&mut self, now: Instant, path: Option<&Path>, reported: bool, across: &mut AcrossSenders) {
        if reported
            && let Some(narrow) = self.feedback.watch_narrow(now).filter(|_| self.wants.pictures)
            && let Some(address) = path.and_then(Path::address)
        {
            across.events.push_back(Event::Narrow { name: self.name.clone(), address, narrow });
        }
        let quiet = path.is_none_or(|path| path.heard().is_some() && path.is_quiet(now));
        if std::mem::replace(&mut self.quiet, quiet) != quiet {
            across.events.push_back(Event::Quiet(self.peer, quiet));
        }
    }

    /// When something is to be done although nothing comes.
    pub fn deadline(&self, now: Instant, rtt: Rtt, heard: Option<Instant>) -> Option<Instant> {
        let silence = heard.filter(|_| !self.quiet).map(|heard| heard + QUIET);
        let nack = self.patience(now, rtt).and_then(|_| self.feedback.nack_deadline(now, rtt));
        let told = self.telling.as_ref().map(|(until, _)| *until);
        let receptions = self.receptions.iter().filter_map(|reception| reception.deadline(now)).min();
        [Some(self.next_report), receptions, silence, nack, told].into_iter().flatten().min()
    }
}
