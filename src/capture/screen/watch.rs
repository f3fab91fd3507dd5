//! The thread that watches a screen: what was drawn is fetched as soon as a picture may be given again, and given with the
//! cursor.
//!
//! It waits for the display's word. Only where the mouse points is asked for, a picture period apart, for of that a display
//! tells nothing. Where nothing is drawn it gives a picture every [`REST`], or when one is wanted, and fetches nothing for it;
//! while there is nothing to look at it only listens.
//!
//! The display's word may come while the answer to a question is waited for. It then lies here, and its connection wakes nobody:
//! so all of it is heard before each sleep.

use super::cursor::Cursor;
use super::damage::{Damage, Rect, mark};
use super::pace::{Pace, REST};
use super::sheet::Sheet;
use super::which::Which;
use super::x11::{Display, Target};
use super::{Error, Note};
use eyeline_proto::picture::mcu_set::McuSet;
use eyeline_proto::rate::Rate;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};
use x11rb::protocol::Event;

/// What was told of whether it can be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sight {
    Seen,
    /// A window that is minimized, or outside the screen.
    Hidden,
    /// A monitor that is off.
    Gone,
}

/// See the module text.
pub struct Watcher {
    display: Display,
    which: Which,
    /// What was fetched, without the cursor.
    sheet: Sheet,
    pace: Pace,
    /// Where it is; `None` while it is not there.
    target: Option<Target>,
    /// Something was drawn, nobody asked yet what.
    drawn: bool,
    /// What was drawn and is not fetched yet.
    damage: Damage,
    /// The target may be elsewhere.
    moved: bool,
    sight: Sight,
    cursor: Cursor,
    /// Where the mouse points, on the whole of the display.
    pointer: (i64, i64),
    /// The cursor has another look, or another place.
    pointed: bool,
    /// What it covered in the picture before.
    covered: Option<Rect>,
}

impl Watcher {
    /// Finds it, and hears of what is drawn on it from now on.
    pub fn new(mut display: Display, which: &Which, rate: Rate, sheet: Sheet) -> Result<Watcher, Error> {
        let target = found(&display, which)?;
        display.watch(which)?;
        let (pointer, pace) = (display.pointer()?, Pace::new(rate.period()));
        let mut watcher = Watcher {
            display,
            which: which.clone(),
            sheet,
            pace,
            target: None,
            drawn: false,
            damage: Damage::default(),
            // Since it was found it may have changed; and where it is not there, that is told.
            moved: true,
            sight: Sight::Seen,
            cursor: Cursor::default(),
            pointer,
            pointed: true,
            covered: None,
        };
        target.into_iter().for_each(|target| watcher.look_at(target));
        watcher.look_at_cursor()?;
        Ok(watcher)
    }

    /// Gives pictures until nobody takes them any more.
    pub fn run(&mut self, tell: &dyn Fn(Note)) -> Result<(), Error> {
        while !self.sheet.is_closed() {
            self.listen()?;
            self.turn(tell)?;
            if !self.listen()? {
                self.wait(match self.target {
                    Some(_) => self.pace.rest(Instant::now(), self.drawn, self.is_new()),
                    None => REST,
                });
            }
        }
        Ok(())
    }

    /// Hears what the display says; whether it said anything.
    fn listen(&mut self) -> Result<bool, Error> {
        let mut said = false;
        while let Some(event) = self.display.event()? {
            self.hear(&event)?;
            said = true;
        }
        Ok(said)
    }

    /// Does what is due.
    fn turn(&mut self, tell: &dyn Fn(Note)) -> Result<(), Error> {
        if std::mem::take(&mut self.moved) {
            self.find_again(tell)?;
        }
        if self.target.is_none() {
            return Ok(());
        }
        let now = Instant::now();
        if self.drawn && self.pace.may_ask(now) {
            self.pace.asks(now);
            self.ask()?;
        }
        if self.pace.may_look(now) || self.pace.is_due(now, self.is_new()) {
            self.pace.looks(now);
            let pointer = self.display.pointer()?;
            self.pointed |= pointer != std::mem::replace(&mut self.pointer, pointer);
        }
        let new = self.is_new();
        if self.pace.is_due(now, new) {
            // Of where a window goes not every manager tells.
            self.moved |= !new && matches!(self.which, Which::Window(_));
            self.give(now)?;
        }
        Ok(())
    }

    fn hear(&mut self, event: &Event) -> Result<(), Error> {
        match event {
            Event::DamageNotify(_) => self.drawn = true,
            Event::XfixesCursorNotify(_) => return self.look_at_cursor(),
            Event::ConfigureNotify(_) | Event::MapNotify(_) | Event::UnmapNotify(_) | Event::DestroyNotify(_) => {
                self.moved = true
            }
            Event::ReparentNotify(_) | Event::RandrScreenChangeNotify(_) | Event::RandrNotify(_) => self.moved = true,
            _ => {}
        }
        Ok(())
    }

    /// Whether the next picture is another than the last, or is wanted.
    fn is_new(&self) -> bool {
        let pointed = self.covers() != self.covered || (self.pointed && self.covered.is_some());
        !self.damage.is_empty() || pointed || self.sheet.is_wanted()
    }

    /// Waits for the display's word, but not longer.
    fn wait(&self, most: Duration) {
        let mut display = [PollFd::new(self.display.connection.stream().as_fd(), PollFlags::POLLIN)];
        // Whatever wakes it, what there is is looked at.
        let _ = ppoll(&mut display, Some(TimeSpec::from_duration(most)), None);
    }

    fn look_at_cursor(&mut self) -> Result<(), Error> {
        let image = self.display.cursor()?;
        self.cursor = Cursor::new((image.width, image.height), (image.xhot, image.yhot), &image.cursor_image);
        self.pointed = true;
        Ok(())
    }

    /// What the cursor covers of the picture now.
    fn covers(&self) -> Option<Rect> {
        let target = self.target?;
        self.cursor.covers(target.size, self.at(&target))
    }

    /// Where in the picture the mouse points.
    fn at(&self, target: &Target) -> (i64, i64) {
        (self.pointer.0 - target.on_root.0, self.pointer.1 - target.on_root.1)
    }

    /// From now on that is looked at, all of it anew where more than its place is another.
    fn look_at(&mut self, target: Target) {
        let before = self.target.replace(target);
        let same = |before: &Target| (before.size, before.corner, before.seen) == (target.size, target.corner, target.seen);
        if before.as_ref().is_some_and(same) {
            return;
        }
        if before.is_none_or(|before| before.size != target.size) {
            self.sheet.resize(target.size);
            self.covered = None;
        }
        self.damage.take();
        self.damage.add(Rect::all(target.size));
    }

    /// It may be elsewhere, larger, or not there.
    fn find_again(&mut self, tell: &dyn Fn(Note)) -> Result<(), Error> {
        let (found, name) = (found(&self.display, &self.which)?, self.which.to_string());
        let sight = match &found {
            None => Sight::Gone,
            Some(target) if target.seen.is_none() => Sight::Hidden,
            Some(_) => Sight::Seen,
        };
        let (before, size) = (std::mem::replace(&mut self.sight, sight), found.map(|target| target.size));
        match (before == sight, sight, size) {
            (false, Sight::Gone, _) => tell(Note::Gone(name)),
            (false, Sight::Hidden, _) => tell(Note::Hidden(name)),
            (false, Sight::Seen, Some(size)) => tell(Note::Back(name, size)),
            (true, _, Some(size))
                if !matches!(self.which, Which::Window(_)) && self.target.is_some_and(|before| before.size != size) =>
            {
                tell(Note::Resized(name, size));
            }
            _ => {}
        }
        match found {
            Some(target) => self.look_at(target),
            None => {
                self.target = None;
                self.covered = None;
                self.damage.take();
            }
        }
        Ok(())
    }

    /// Asks what was drawn. On a display of several monitors it may be elsewhere.
    fn ask(&mut self) -> Result<(), Error> {
        self.drawn = false;
        let drawn = self.display.drawn()?;
        let Some(target) = self.target else { return Ok(()) };
        let (x, y) = (i64::from(target.corner.0), i64::from(target.corner.1));
        let inside = |((left, top), size)| Rect::within(target.size, (left - x, top - y), size);
        drawn.into_iter().filter_map(inside).for_each(|part| self.damage.add(part));
        Ok(())
    }

    /// Fetches what was drawn, and gives the picture.
    fn give(&mut self, now: Instant) -> Result<(), Error> {
        let Some(target) = self.target else { return Ok(()) };
        let mut changed = McuSet::new(target.size, self.sheet.sampling());
        for part in self.damage.take() {
            let part = part.in_mcus(self.sheet.sampling(), target.size);
            let Some(part) = target.seen.and_then(|seen| part.and(seen)) else { continue };
            let mut planes = self.sheet.planes();
            let row = |row: u32, pixels: &[u8]| planes.row(part, row, pixels, row + 1 == part.size.height);
            if self.display.fetch(&target, part, row)? {
                mark(part, &mut changed);
            } else {
                // A window that is just being hidden, or moved.
                self.damage.add(part);
                self.moved = true;
            }
        }
        let covers = self.covers();
        if std::mem::take(&mut self.pointed) || covers != self.covered {
            self.covered.iter().chain(&covers).for_each(|part| mark(*part, &mut changed));
        }
        self.covered = covers;
        let (cursor, at) = (&self.cursor, self.at(&target));
        self.sheet.give(now, Some(changed), |planes, sampling| cursor.draw(planes, sampling, target.size, at));
        self.pace.gives(now);
        Ok(())
    }
}

/// Where it is now; `None`: not there, as a monitor that is off.
fn found(display: &Display, which: &Which) -> Result<Option<Target>, Error> {
    match display.find(which) {
        Ok(target) => Ok(Some(target)),
        Err(Error::NoMonitor { .. } | Error::Outside { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
