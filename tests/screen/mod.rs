//! A screen of its own for a test: Xvfb, a window manager where wanted, a hand on the keyboard and the mouse, screenshots.
//!
//! Nothing here sleeps: it waits for X events, or looks again each time the program under test says it painted.

#![allow(dead_code)] // each test takes what it needs

use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use x11rb::connection::Connection;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{
    AtomEnum, BUTTON_PRESS_EVENT, BUTTON_RELEASE_EVENT, ChangeWindowAttributesAux, ClientMessageEvent, ConnectionExt as _,
    CreateWindowAux, EventMask, ImageFormat, KEY_PRESS_EVENT, KEY_RELEASE_EVENT, MOTION_NOTIFY_EVENT, PropMode,
    SELECTION_NOTIFY_EVENT, SelectionNotifyEvent, Window, WindowClass,
};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

/// Longer than anything here takes on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A running program, stopped when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A private X display.
pub struct Screen {
    pub name: String,
    pub x: RustConnection,
    pub root: Window,
    pub width: u16,
    pub height: u16,
    // Dropped in this order: the manager before its server.
    manager: Option<Running>,
    server: Running,
}

/// What a screen showed at one moment.
pub struct Shot {
    pub width: usize,
    pub pixels: Vec<u32>,
}

impl Shot {
    pub fn at(&self, x: i32, y: i32) -> u32 {
        self.pixels[y as usize * self.width + x as usize]
    }

    /// Pixels of this colour, or nearly: letters are smooth.
    pub fn count(&self, place: Area, colour: u32) -> usize {
        let near = |pixel: u32| [16, 8, 0].iter().all(|shift| (pixel >> shift & 0xff).abs_diff(colour >> shift & 0xff) <= 0x30);
        let inside = |at: i32| (place.x + at % place.width, place.y + at / place.width);
        (0..place.width * place.height).map(inside).filter(|(x, y)| near(self.at(*x, *y))).count()
    }

    /// Pixels that are not grey.
    pub fn coloured(&self, place: Area) -> usize {
        let pixels = (place.y..place.y + place.height).flat_map(|y| (place.x..place.x + place.width).map(move |x| (x, y)));
        let colour = |pixel: u32| {
            let channels = [16, 8, 0].map(|shift| pixel >> shift & 255);
            channels.iter().max() > channels.iter().min().map(|least| least + 40).as_ref()
        };
        pixels.filter(|(x, y)| colour(self.at(*x, *y))).count()
    }
}

/// A window's inside, in screen coordinates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Area {
    pub x: i32,
    pub y: i32,
    pub width: i32,
    pub height: i32,
}

impl Screen {
    pub fn start(width: u16, height: u16, more: &[&str]) -> Screen {
        let mut server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-nolisten", "tcp", "-screen", "0", &format!("{width}x{height}x24")])
            .args(more)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("this test needs Xvfb (package xvfb)");
        let mut number = String::new();
        let stdout = server.stdout.take().expect("it was piped");
        let server = Running(server);
        BufReader::new(stdout).read_line(&mut number).expect("Xvfb says its display");
        let name = format!(":{}", number.trim());
        let (x, screen) = RustConnection::connect(Some(&name)).expect("Xvfb accepts connections once it named its display");
        let root = x.setup().roots[screen].root;
        Screen { name, x, root, width, height, manager: None, server }
    }

    pub fn with_manager(width: u16, height: u16) -> Screen {
        let mut screen = Screen::start(width, height, &[]);
        let attributes = ChangeWindowAttributesAux::new().event_mask(EventMask::PROPERTY_CHANGE);
        screen.x.change_window_attributes(screen.root, &attributes).unwrap().check().unwrap();
        let manager = Command::new("openbox")
            .arg("--sm-disable")
            .env("DISPLAY", &screen.name)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("this test needs openbox (package openbox)");
        screen.manager = Some(Running(manager));
        // The last that Openbox says of itself as it starts. It says that it is there earlier, and then loses windows.
        let clients = screen.atom("_NET_CLIENT_LIST");
        screen.wait_for(|screen, _| screen.has(screen.root, clients));
        screen
    }

    /// Ends the server as a crash would.
    pub fn kill_server(&mut self) {
        self.manager = None;
        self.server.0.kill().unwrap();
        self.server.0.wait().unwrap();
    }

    /// Waits for X events until `is_so`; it is asked once before the first and then after each.
    pub fn wait_for(&self, mut is_so: impl FnMut(&Screen, Option<&Event>) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut event = None;
        while !is_so(self, event.as_ref()) {
            event = self.x.poll_for_event().unwrap();
            if event.is_none() {
                let left = deadline.saturating_duration_since(Instant::now());
                assert!(!left.is_zero(), "the display never said so");
                let mut server = [PollFd::new(self.x.stream().as_fd(), PollFlags::POLLIN)];
                poll(&mut server, PollTimeout::try_from(left).unwrap()).unwrap();
            }
        }
    }

    pub fn atom(&self, name: &str) -> u32 {
        self.x.intern_atom(false, name.as_bytes()).unwrap().reply().unwrap().atom
    }

    pub fn has(&self, window: Window, property: u32) -> bool {
        self.x.get_property(false, window, property, AtomEnum::ANY, 0, 0).unwrap().reply().unwrap().type_ != 0
    }

    pub fn words(&self, window: Window, property: u32) -> Vec<u32> {
        let reply = self.x.get_property(false, window, property, AtomEnum::ANY, 0, 1024).unwrap().reply().unwrap();
        reply.value32().map(|values| values.collect()).unwrap_or_default()
    }

    pub fn bytes(&self, window: Window, property: u32) -> Vec<u8> {
        let reply = self.x.get_property(false, window, property, AtomEnum::ANY, 0, 1024).unwrap().reply();
        // A window may vanish between the list and the question about it.
        reply.map(|reply| reply.value).unwrap_or_default()
    }

    /// The viewable window whose class is Eyeline's.
    pub fn find(&self) -> Option<Window> {
        let mut open = vec![self.root];
        while let Some(window) = open.pop() {
            if self.bytes(window, AtomEnum::WM_CLASS.into()).starts_with(b"eyeline\0") {
                let Ok(attributes) = self.x.get_window_attributes(window).unwrap().reply() else { continue };
                return (u8::from(attributes.map_state) == 2).then_some(window);
            }
            open.extend(self.x.query_tree(window).unwrap().reply().map(|tree| tree.children).unwrap_or_default());
        }
        None
    }

    pub fn area(&self, window: Window) -> Area {
        let geometry = self.x.get_geometry(window).unwrap().reply().unwrap();
        let origin = self.x.translate_coordinates(window, self.root, 0, 0).unwrap().reply().unwrap();
        let (x, y) = (i32::from(origin.dst_x), i32::from(origin.dst_y));
        Area { x, y, width: i32::from(geometry.width), height: i32::from(geometry.height) }
    }

    /// The whole screen as it is now; saved as a PNG where `$EYELINE_SCREENSHOTS` names a folder.
    pub fn shot(&self, name: &str) -> Shot {
        let image =
            self.x.get_image(ImageFormat::Z_PIXMAP, self.root, 0, 0, self.width, self.height, !0).unwrap().reply().unwrap();
        let words = image.data.chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap()) & 0x00ff_ffff);
        let shot = Shot { width: usize::from(self.width), pixels: words.collect() };
        if let Some(folder) = std::env::var_os("EYELINE_SCREENSHOTS") {
            let path = std::path::Path::new(&folder).join(format!("{name}.png"));
            let mut encoder = png::Encoder::new(std::fs::File::create(path).unwrap(), self.width.into(), self.height.into());
            encoder.set_color(png::ColorType::Rgb);
            let bytes: Vec<u8> = shot.pixels.iter().flat_map(|pixel| pixel.to_be_bytes()[1..].to_vec()).collect();
            encoder.write_header().unwrap().write_image_data(&bytes).unwrap();
        }
        shot
    }

    /// Presses and releases the key that gives this keysym, with shift where it is needed.
    pub fn key(&self, keysym: u32) {
        let setup = self.x.setup();
        let (first, last) = (setup.min_keycode, setup.max_keycode);
        let map = self.x.get_keyboard_mapping(first, last - first + 1).unwrap().reply().unwrap();
        let levels = usize::from(map.keysyms_per_keycode);
        let find = |keysym: u32| {
            let place = map.keysyms.iter().position(|it| *it == keysym).expect("the keyboard has this key");
            (first + (place / levels) as u8, place % levels % 2 == 1)
        };
        let (code, is_shifted) = find(keysym);
        let shift = find(0xffe1).0;
        let fake = |kind, code| drop(self.x.xtest_fake_input(kind, code, 0, self.root, 0, 0, 0).unwrap());
        if is_shifted {
            fake(KEY_PRESS_EVENT, shift);
        }
        fake(KEY_PRESS_EVENT, code);
        fake(KEY_RELEASE_EVENT, code);
        if is_shifted {
            fake(KEY_RELEASE_EVENT, shift);
        }
        self.x.flush().unwrap();
    }

    /// Gives the keyboard another layout, as a desktop's settings do.
    pub fn layout(&self, layout: &str) {
        let mut command = Command::new("setxkbmap");
        command.args(["-display", &self.name, "-layout", layout]);
        let status = command.status().expect("this test needs setxkbmap (package x11-xkb-utils)");
        assert!(status.success(), "setxkbmap {layout}: {status}");
    }

    /// Presses and releases the key in this place, which has the same code whatever the layout, with shift where wanted.
    pub fn strike(&self, place: &str, is_shifted: bool) {
        // Codes of every X server on Linux: those of the kernel and eight.
        let code = match place {
            "AD01" => 24,
            "AC01" => 38,
            "AC04" => 41,
            "AB07" => 58,
            "AE07" => 16,
            "AE09" => 18,
            "AE10" => 19,
            "AD08" => 31,
            "AC06" => 43,
            "SPCE" => 65,
            "KP9" => 81,
            "KP0" => 90,
            "AC10" => 47,
            "AB10" => 61,
            other => panic!("no code for {other}"),
        };
        const SHIFT: u8 = 50;
        let fake = |kind, code| drop(self.x.xtest_fake_input(kind, code, 0, self.root, 0, 0, 0).unwrap());
        let shift = is_shifted.then_some(SHIFT);
        shift.into_iter().chain([code]).for_each(|code| fake(KEY_PRESS_EVENT, code));
        [code].into_iter().chain(shift).for_each(|code| fake(KEY_RELEASE_EVENT, code));
        self.x.flush().unwrap();
    }

    pub fn point(&self, x: i32, y: i32) {
        self.x.xtest_fake_input(MOTION_NOTIFY_EVENT, 0, 0, self.root, x as i16, y as i16, 0).unwrap().check().unwrap();
    }

    pub fn button(&self, is_down: bool) {
        let kind = if is_down { BUTTON_PRESS_EVENT } else { BUTTON_RELEASE_EVENT };
        self.x.xtest_fake_input(kind, 1, 0, self.root, 0, 0, 0).unwrap().check().unwrap();
    }

    /// Presses the left button and lets go in the same moment, as a touch pad does.
    pub fn click(&self) {
        for kind in [BUTTON_PRESS_EVENT, BUTTON_RELEASE_EVENT] {
            self.x.xtest_fake_input(kind, 1, 0, self.root, 0, 0, 0).unwrap().ignore_error();
        }
        self.x.get_input_focus().unwrap().reply().unwrap();
    }

    /// Turns the wheel by a step, away from the hand or towards it.
    pub fn wheel(&self, away: bool) {
        let button = if away { 4 } else { 5 };
        for kind in [BUTTON_PRESS_EVENT, BUTTON_RELEASE_EVENT] {
            self.x.xtest_fake_input(kind, button, 0, self.root, 0, 0, 0).unwrap().ignore_error();
        }
        self.x.get_input_focus().unwrap().reply().unwrap();
    }

    /// Drops a list of names on a window, as a file manager does (XDND 5): says whether it was taken.
    pub fn drop_on(&self, window: Window, names: &str) -> bool {
        let (source, atom) = (self.x.generate_id().unwrap(), |name| self.atom(name));
        let (class, nothing) = (WindowClass::INPUT_ONLY, CreateWindowAux::new());
        self.x.create_window(0, source, self.root, -1, -1, 1, 1, 0, class, x11rb::COPY_FROM_PARENT, &nothing).unwrap();
        self.x.set_selection_owner(source, atom("XdndSelection"), x11rb::CURRENT_TIME).unwrap();
        let proxy = self.words(window, atom("XdndProxy"))[0];
        assert_eq!(self.words(proxy, atom("XdndProxy")), [proxy], "it is alive");
        assert!(self.words(window, atom("XdndAware"))[0] >= 4);
        let tell = |what, data: [u32; 5]| {
            let message = ClientMessageEvent::new(32, window, atom(what), data);
            self.x.send_event(false, proxy, EventMask::NO_EVENT, message).unwrap().check().unwrap();
        };
        tell("XdndEnter", [source, 5 << 24, atom("text/plain"), atom("text/uri-list"), 0]);
        tell("XdndPosition", [source, 0, 0, 0, atom("XdndActionCopy")]);
        let mut taken = None;
        self.wait_for(|_, event| {
            match event {
                Some(Event::ClientMessage(message)) if message.type_ == atom("XdndStatus") => {
                    assert_eq!(message.data.as_data32()[1] & 1, 1, "names of files are taken");
                    tell("XdndDrop", [source, 0, x11rb::CURRENT_TIME, 0, 0]);
                }
                Some(Event::SelectionRequest(asked)) => {
                    let (to, property, kind) = (asked.requestor, asked.property, asked.target);
                    self.x.change_property8(PropMode::REPLACE, to, property, kind, names.as_bytes()).unwrap();
                    let told = SelectionNotifyEvent {
                        response_type: SELECTION_NOTIFY_EVENT,
                        sequence: 0,
                        time: asked.time,
                        requestor: to,
                        selection: asked.selection,
                        target: kind,
                        property,
                    };
                    self.x.send_event(false, to, EventMask::NO_EVENT, told).unwrap().check().unwrap();
                }
                Some(Event::ClientMessage(message)) if message.type_ == atom("XdndFinished") => {
                    taken = Some(message.data.as_data32()[1] & 1 == 1);
                }
                _ => {}
            }
            taken.is_some()
        });
        taken.unwrap()
    }

    /// How thick the manager's frame is: left, right, top, bottom.
    pub fn frame(&self, window: Window) -> [i32; 4] {
        let words = self.words(window, self.atom("_NET_FRAME_EXTENTS"));
        [0, 1, 2, 3].map(|side| words.get(side).map_or(0, |width| *width as i32))
    }

    /// Openbox may sleep on events it had read already when it started; any event wakes it.
    pub fn nudge_manager(&self) {
        let name = self.atom("EYELINE_NUDGE");
        self.x.change_property32(PropMode::REPLACE, self.root, name, AtomEnum::CARDINAL, &[0]).unwrap().check().unwrap();
    }

    /// Asks the window manager for something about a window (EWMH).
    pub fn ask_manager(&self, window: Window, what: &str, data: [u32; 5]) {
        let message = ClientMessageEvent::new(32, window, self.atom(what), data);
        let mask = EventMask::SUBSTRUCTURE_REDIRECT | EventMask::SUBSTRUCTURE_NOTIFY;
        self.x.send_event(false, self.root, mask, message).unwrap().check().unwrap();
    }
}
