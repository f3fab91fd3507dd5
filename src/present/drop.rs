//! Files that are dropped on the window: the receiving side of XDND 5, the protocol of file managers and browsers.
//!
//! **Problem.** Messages about a drop go to the client that made the window, which is the toolkit, and it throws them away.
//! **Choice.** `XdndProxy`: the window names another, ours, which is sent them instead. What is dropped is asked for as
//! `text/uri-list` (RFC 2483), as long as one list of names may be; what comes in pieces (INCR), or from another machine, is
//! refused.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;
use x11rb::connection::Connection;
use x11rb::errors::{ReplyError, ReplyOrIdError};
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{
    Atom, AtomEnum, ClientMessageEvent, ConnectionExt as _, CreateWindowAux, EventMask, PropMode, Window, WindowClass,
};
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

/// The version that is spoken here; an older one lacks nothing that is needed.
const VERSION: u32 = 5;

/// Words of 32 bits of the longest list of names: 64 KiB.
const LONGEST: u32 = 16 << 10;

x11rb::atom_manager! {
    Atoms: AtomsCookie {
        XdndActionCopy,
        XdndAware,
        XdndDrop,
        XdndEnter,
        XdndFinished,
        XdndLeave,
        XdndPosition,
        XdndProxy,
        XdndSelection,
        XdndStatus,
        XdndTypeList,
        NAMES: b"text/uri-list",
    }
}

/// Takes what is dropped on one window.
pub(super) struct Drops {
    window: Window,
    /// Ours, to which messages for that window are sent.
    proxy: Window,
    atoms: Atoms,
    /// Whose drag is over the window, and whether it has names of files.
    source: Option<(Window, bool)>,
}

impl Drops {
    /// From now on this window takes files.
    pub(super) fn take(connection: &RustConnection, root: Window, window: Window) -> Result<Drops, ReplyOrIdError> {
        let atoms = Atoms::new(connection)?.reply()?;
        let proxy = connection.generate_id()?;
        let (class, nothing) = (WindowClass::INPUT_ONLY, CreateWindowAux::new());
        connection.create_window(0, proxy, root, -1, -1, 1, 1, 0, class, x11rb::COPY_FROM_PARENT, &nothing)?;
        // The proxy names itself, so that one left behind by a program that is gone is known for that.
        for one in [window, proxy] {
            connection.change_property32(PropMode::REPLACE, one, atoms.XdndAware, AtomEnum::ATOM, &[VERSION])?;
            connection.change_property32(PropMode::REPLACE, one, atoms.XdndProxy, AtomEnum::WINDOW, &[proxy])?;
        }
        connection.flush()?;
        Ok(Drops { window, proxy, atoms, source: None })
    }

    /// One thing the server said, of a drop or of something else; the files that were dropped.
    pub(super) fn handle(&mut self, event: &Event, connection: &RustConnection) -> Result<Vec<PathBuf>, ReplyError> {
        match event {
            Event::ClientMessage(message) if message.format == 32 => {
                self.hear(message.type_, message.data.as_data32(), connection)?;
            }
            Event::SelectionNotify(event) if event.requestor == self.proxy => return self.receive(event.property, connection),
            _ => {}
        }
        Ok(Vec::new())
    }

    fn hear(&mut self, what: Atom, data: [u32; 5], connection: &RustConnection) -> Result<(), ReplyError> {
        let source = data[0];
        if what == self.atoms.XdndEnter {
            // The lowest bit: there are more than three kinds, in a list of their own.
            let kinds = if data[1] & 1 == 0 { data[2..].to_vec() } else { self.kinds(source, connection)? };
            self.source = Some((source, kinds.contains(&self.atoms.NAMES)));
        } else if what == self.atoms.XdndPosition {
            let takes = self.source == Some((source, true));
            let action = if takes { self.atoms.XdndActionCopy } else { x11rb::NONE };
            // No rectangle: it is told wherever the pointer goes.
            self.tell(source, self.atoms.XdndStatus, [self.window, u32::from(takes), 0, 0, action], connection)?;
        } else if what == self.atoms.XdndLeave {
            self.source = None;
        } else if what == self.atoms.XdndDrop && self.source == Some((source, true)) {
            let Atoms { XdndSelection: selection, NAMES: names, .. } = self.atoms;
            connection.convert_selection(self.proxy, selection, names, selection, data[2])?;
            connection.flush()?;
        } else if what == self.atoms.XdndDrop {
            self.finish(source, false, connection)?;
        }
        Ok(())
    }

    /// All kinds in which a drag is to be had.
    fn kinds(&self, source: Window, connection: &RustConnection) -> Result<Vec<u32>, ReplyError> {
        let list = connection.get_property(false, source, self.atoms.XdndTypeList, AtomEnum::ATOM, 0, 1024)?;
        // It may be gone again.
        let Ok(reply) = list.reply() else { return Ok(Vec::new()) };
        Ok(reply.value32().map(Iterator::collect).unwrap_or_default())
    }

    /// What was asked for is there, or (`NONE`) is not to be had.
    fn receive(&mut self, property: Atom, connection: &RustConnection) -> Result<Vec<PathBuf>, ReplyError> {
        let mut files = Vec::new();
        if property != x11rb::NONE {
            let names = connection.get_property(true, self.proxy, property, AtomEnum::ANY, 0, LONGEST)?.reply()?;
            if names.type_ == self.atoms.NAMES && names.bytes_after == 0 {
                files = paths(&names.value);
            }
        }
        if let Some((source, _)) = self.source.take() {
            self.finish(source, !files.is_empty(), connection)?;
        }
        Ok(files)
    }

    fn finish(&self, source: Window, taken: bool, connection: &RustConnection) -> Result<(), ReplyError> {
        let action = if taken { self.atoms.XdndActionCopy } else { x11rb::NONE };
        self.tell(source, self.atoms.XdndFinished, [self.window, u32::from(taken), action, 0, 0], connection)
    }

    fn tell(&self, to: Window, what: Atom, data: [u32; 5], connection: &RustConnection) -> Result<(), ReplyError> {
        connection.send_event(false, to, EventMask::NO_EVENT, ClientMessageEvent::new(32, to, what, data))?.ignore_error();
        connection.flush()?;
        Ok(())
    }
}

/// The files of this machine in a list of names (RFC 2483, RFC 8089).
fn paths(list: &[u8]) -> Vec<PathBuf> {
    let lines = list.split(|byte| matches!(byte, b'\r' | b'\n' | 0)).filter(|line| !line.starts_with(b"#"));
    lines.filter_map(path).collect()
}

/// `file:///films/a%20b.mp4`, also with `localhost` between; a name of another host is not a file of ours.
fn path(name: &[u8]) -> Option<PathBuf> {
    let path = [&b"file://localhost/"[..], b"file:///", b"file:/"].into_iter().find_map(|start| name.strip_prefix(start));
    let path = path.filter(|path| !path.starts_with(b"/"))?;
    let mut bytes = vec![b'/'];
    let mut rest = path.iter().copied();
    while let Some(byte) = rest.next() {
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        bytes.push(if byte == b'%' { (digit(rest.next())? * 16 + digit(rest.next())?) as u8 } else { byte });
    }
    // No file has such a name, and nobody else could be handed it.
    (bytes.len() > 1 && !bytes.contains(&0)).then(|| OsString::from_vec(bytes).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_of_files_are_read_as_file_managers_write_them() {
        let list = b"# a list\r\nfile:///films/a%20b.mp4\r\nfile://localhost/c.mkv\r\nhttp://d/e.mp4\r\nfile://other/f\r\nfile:/g%C3%A4\r\n";
        assert_eq!(paths(list), ["/films/a b.mp4", "/c.mkv", "/g\u{e4}"].map(PathBuf::from));
        for wrong in ["", "file:///", "file:///a%", "file:///a%0", "file:///a%zz", "file:///a%00b", "/plain"] {
            assert!(paths(wrong.as_bytes()).is_empty(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_list_of_absolute_names_or_of_none(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            for list in [bytes.clone(), [b"file:///", &bytes[..]].concat()] {
                prop_assert!(paths(&list).iter().all(|path| path.is_absolute()));
            }
        }
    }
}
