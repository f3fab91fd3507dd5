//! A screen that is sent by the real programs: what is drawn on it, and the pictures that arrive.

#![allow(dead_code, reason = "each test program uses its part")]

use std::io::{BufRead, BufReader, Read as _};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use crate::program::{Out, Program, RECV, SEND, command, free_port};
use crate::screen::{PATIENCE, Screen};
use x11rb::connection::Connection as _;
use x11rb::protocol::xproto::{
    ChangeGCAux, ConnectionExt as _, CreateGCAux, CreateWindowAux, Gcontext, Rectangle, Window, WindowClass,
};
use x11rb::wrapper::ConnectionExt as _;

pub const RED: u32 = 0x00e0_2010;
pub const GREEN: u32 = 0x0018_a828;
pub const BLUE: u32 = 0x0020_30d0;

/// A window at a place of the screen, nothing but a colour.
pub fn window(screen: &Screen, (x, y): (i16, i16), (width, height): (u16, u16), colour: u32) -> Window {
    let id = screen.x.generate_id().unwrap();
    let values = CreateWindowAux::new().background_pixel(colour).override_redirect(1);
    let class = WindowClass::INPUT_OUTPUT;
    screen.x.create_window(24, id, screen.root, x, y, width, height, 0, class, 0, &values).unwrap().check().unwrap();
    screen.x.map_window(id).unwrap().check().unwrap();
    // It is on the screen once the server answers.
    screen.x.sync().unwrap();
    id
}

pub fn brush(screen: &Screen, window: Window) -> Gcontext {
    let gc = screen.x.generate_id().unwrap();
    screen.x.create_gc(gc, window, &CreateGCAux::new()).unwrap().check().unwrap();
    gc
}

pub fn fill(screen: &Screen, (window, gc): (Window, Gcontext), colour: u32, part: Rectangle) {
    screen.x.change_gc(gc, &ChangeGCAux::new().foreground(colour)).unwrap();
    screen.x.poly_fill_rectangle(window, gc, &[part]).unwrap();
    screen.x.sync().unwrap();
}

/// A picture as it was received: 4:4:4, full range.
pub struct Picture {
    pub width: usize,
    pub height: usize,
    pub planes: Vec<u8>,
}

impl Picture {
    /// Red, green and blue there.
    pub fn at(&self, x: usize, y: usize) -> [i32; 3] {
        let (at, area) = (y * self.width + x, self.width * self.height);
        let sample = |plane: usize| f64::from(self.planes[plane * area + at]);
        let (y, cb, cr) = (sample(0), sample(1) - 128.0, sample(2) - 128.0);
        [y + 1.402 * cr, y - 0.344 * cb - 0.714 * cr, y + 1.772 * cb].map(|value| value.round() as i32)
    }

    /// Whether the colour there is this one, but for what compression makes of it.
    pub fn is(&self, (x, y): (usize, usize), colour: u32) -> bool {
        let wanted = [16, 8, 0].map(|shift| (colour >> shift & 255) as i32);
        self.at(x, y).into_iter().zip(wanted).all(|(seen, wanted)| (seen - wanted).abs() <= 10)
    }
}

/// A line of text, without its end; empty at the end of all.
fn line(out: &mut impl BufRead) -> String {
    let mut line = String::new();
    let _ = out.read_line(&mut line);
    line.trim_end().to_string()
}

/// Reads y4m until its end.
fn pictures(out: ChildStdout) -> Receiver<Picture> {
    let (to, from) = channel();
    std::thread::spawn(move || {
        let mut out = BufReader::new(out);
        let header = line(&mut out);
        let field = |name: char| header.split(' ').find_map(|word| word.strip_prefix(name)?.parse::<usize>().ok());
        let (Some(width), Some(height)) = (field('W'), field('H')) else { return };
        assert!(header.contains("C444") && header.contains("COLORRANGE=FULL"), "{header}");
        while line(&mut out).starts_with("FRAME") {
            let mut planes = vec![0; 3 * width * height];
            if out.read_exact(&mut planes).is_err() || to.send(Picture { width, height, planes }).is_err() {
                return;
            }
        }
    });
    from
}

/// A sender of this screen, and what a receiver has of it.
pub struct Sent {
    pub send: Program,
    pub recv: Program,
    pub pictures: Receiver<Picture>,
}

impl Sent {
    pub fn of(screen: &Screen, args: &str) -> Sent {
        Sent::over(&screen.name, args, |_| {})
    }

    /// Of the display of that name. `meanwhile` is done after the sender is ready, and before anybody watches.
    pub fn over(display: &str, args: &str, meanwhile: impl FnOnce(&mut Program)) -> Sent {
        let lend = |command: &mut Command| _ = command.env("DISPLAY", display);
        Sent::of_desktop(lend, args, meanwhile)
    }

    /// Of whatever the sender is started on. `meanwhile`: as above.
    pub fn of_desktop(lend: impl FnOnce(&mut Command), args: &str, meanwhile: impl FnOnce(&mut Program)) -> Sent {
        let port = free_port();
        let mut send = command(SEND, &format!("--screen {args} --no-audio --stats json -p {port}"));
        lend(&mut send);
        let mut send = Program::launch(send, Stdio::null(), Out::Stats);
        send.said("waiting on port");
        meanwhile(&mut send);
        let recv = command(RECV, &format!("--no-window --no-audio --host 127.0.0.1:{port} --output -"));
        let mut recv = Program::launch(recv, Stdio::null(), Out::Raw);
        let pictures = pictures(recv.stdout());
        Sent { send, recv, pictures }
    }

    /// Waits for a picture that is as wanted.
    pub fn until(&self, what: &str, wanted: impl Fn(&Picture) -> bool) -> Picture {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let picture = self.pictures.recv_timeout(left).unwrap_or_else(|_| panic!("never seen: {what}"));
            if wanted(&picture) {
                return picture;
            }
        }
    }

    /// Waits for a second in which as many pictures were encoded as wanted.
    pub fn second(&mut self, wanted: impl Fn(u64) -> bool) {
        let before = std::cell::Cell::new(None);
        self.send.stats_with(|stats| {
            let now = stats["pictures"].as_u64();
            let more = now.zip(before.replace(now)).map(|(now, before)| now - before);
            more.is_some_and(&wanted)
        });
    }
}
