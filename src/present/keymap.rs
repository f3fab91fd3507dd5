//! What the keys of the keyboard type, as the X server's XKB tables say (X Keyboard Extension, protocol specification 1.0).
//!
//! A pure copy of the tables; the server says when they are others. A key has a *place*, named alike on every keyboard (`AD01` is
//! the first letter of the upper row, `AE09` the ninth digit), up to four *groups* (the layouts a user switches between), and in
//! each group a symbol for each *level* (plain, with Shift, with AltGr…).

use x11rb::connection::RequestConnection as _;
use x11rb::errors::ReplyError;
use x11rb::protocol::xkb::{self, ConnectionExt as _};
use x11rb::protocol::xproto::KeyButMask;
use x11rb::rust_connection::RustConnection;

/// Stands for whichever device the server calls the keyboard (`XkbUseCoreKbd`).
const KEYBOARD: u16 = 0x100;

/// The levels a person reaches without knowing the layout well: plain and with Shift.
const COMMON_LEVELS: usize = 2;

/// A group and the rest of the modifiers in an event's state: bits 13 and 14 are the group.
const GROUP_SHIFT: u16 = 13;

#[derive(Default)]
pub(super) struct Keymap {
    first: u8,
    keys: Vec<xkb::KeySymMap>,
    types: Vec<xkb::KeyType>,
    first_name: u8,
    names: Vec<xkb::KeyName>,
}

/// A key as it was struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stroke {
    /// The keysym typed, by group and modifiers; 0 for none.
    pub symbol: u32,
    /// What it types in this group plain and with Shift.
    pub common: [u32; COMMON_LEVELS],
    /// Where it is; zeros where the server does not say.
    pub place: [u8; 4],
    /// Shift was held.
    pub shift: bool,
    /// Control, Alt or a key with a logo was held: it is a command to somebody, and types nothing.
    pub command: bool,
    /// The layout in use, from 0.
    pub group: usize,
}

impl Keymap {
    /// Introduces this client to the extension and asks to be told of other tables; held keys then repeat as presses alone.
    /// False where the server has no such extension: there are no tables then.
    pub(super) fn listen(connection: &RustConnection) -> Result<bool, ReplyError> {
        if connection.extension_information(xkb::X11_EXTENSION_NAME)?.is_none()
            || !connection.xkb_use_extension(1, 0)?.reply()?.supported
        {
            return Ok(false);
        }
        let (events, parts) = (xkb::EventType::MAP_NOTIFY | xkb::EventType::NEW_KEYBOARD_NOTIFY, xkb::MapPart::KEY_TYPES);
        let (parts, none) = (parts | xkb::MapPart::KEY_SYMS, xkb::SelectEventsAux::new());
        connection.xkb_select_events(KEYBOARD, xkb::EventType::from(0_u16), events, parts, parts, &none)?.check()?;
        let flag = xkb::PerClientFlag::DETECTABLE_AUTO_REPEAT;
        let none = xkb::BoolCtrl::from(0_u32);
        connection.xkb_per_client_flags(KEYBOARD, flag, flag, none, none, none)?.reply()?;
        Ok(true)
    }

    /// The tables of now.
    pub(super) fn ask(connection: &RustConnection) -> Result<Keymap, ReplyError> {
        let (wanted, nothing) = (xkb::MapPart::KEY_TYPES | xkb::MapPart::KEY_SYMS, xkb::MapPart::from(0_u16));
        let virtual_mods = xkb::VMod::from(0_u16);
        let map = connection.xkb_get_map(KEYBOARD, wanted, nothing, 0, 0, 0, 0, 0, 0, 0, 0, virtual_mods, 0, 0, 0, 0, 0, 0)?;
        let names = connection.xkb_get_names(KEYBOARD, xkb::NameDetail::KEY_NAMES)?;
        let (map, names) = (map.reply()?, names.reply()?);
        Ok(Keymap {
            first: map.first_key_sym,
            keys: map.map.syms_rtrn.unwrap_or_default(),
            types: map.map.types_rtrn.unwrap_or_default(),
            first_name: names.first_key,
            names: names.value_list.key_names.unwrap_or_default(),
        })
    }

    /// The key of this code, struck while the event's `state` held.
    pub(super) fn stroke(&self, code: u8, state: KeyButMask) -> Stroke {
        let state = u16::from(state);
        let name = code.checked_sub(self.first_name).and_then(|at| self.names.get(usize::from(at)));
        let key = code.checked_sub(self.first).and_then(|at| self.keys.get(usize::from(at)));
        let mut stroke = Stroke {
            symbol: 0,
            common: [0; COMMON_LEVELS],
            place: name.map_or([0; 4], |name| name.name),
            shift: state & u16::from(KeyButMask::SHIFT) != 0,
            command: state & u16::from(KeyButMask::CONTROL | KeyButMask::MOD1 | KeyButMask::MOD4) != 0,
            group: usize::from(state >> GROUP_SHIFT & 3),
        };
        if let Some(key) = key {
            let group = group_of(key, stroke.group);
            stroke.symbol = symbol(key, group, self.level(key, group, state));
            stroke.common = std::array::from_fn(|level| symbol(key, group, level));
        }
        stroke
    }

    /// Whether any key of this group types the symbol plain or with Shift.
    pub(super) fn has(&self, group: usize, is_it: impl Fn(u32) -> bool) -> bool {
        self.keys.iter().any(|key| (0..COMMON_LEVELS).any(|level| is_it(symbol(key, group_of(key, group), level))))
    }

    /// The level of a key's group that the modifiers in `state` reach.
    fn level(&self, key: &xkb::KeySymMap, group: usize, state: u16) -> usize {
        let kind = key.kt_index.get(group).and_then(|at| self.types.get(usize::from(*at)));
        let Some(kind) = kind else { return 0 };
        let held = state & u16::from(kind.mods_mask);
        let entry = kind.map.iter().find(|entry| entry.active && u16::from(entry.mods_mask) == held);
        entry.map_or(0, |entry| usize::from(entry.level))
    }
}

/// A key's own group for the one in use: some keys have fewer. The bits say how that is mended (specification §7.2.2).
fn group_of(key: &xkb::KeySymMap, wanted: usize) -> usize {
    let count = usize::from(key.group_info & 0x0f);
    match key.group_info & 0xc0 {
        _ if wanted < count => wanted,
        _ if count == 0 => 0,
        0x40 => count - 1,
        0x80 => usize::from(key.group_info >> 4 & 3).min(count - 1),
        _ => wanted % count,
    }
}

fn symbol(key: &xkb::KeySymMap, group: usize, level: usize) -> u32 {
    let width = usize::from(key.width);
    if level >= width {
        return 0;
    }
    key.syms.get(group * width + level).copied().unwrap_or(0)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The type of keys with two levels: Shift reaches the second.
    fn shifted() -> xkb::KeyType {
        let mods = u8::try_from(u16::from(KeyButMask::SHIFT)).unwrap();
        let entry = xkb::KTMapEntry { active: true, mods_mask: mods.into(), level: 1, ..xkb::KTMapEntry::default() };
        xkb::KeyType { mods_mask: mods.into(), num_levels: 2, map: vec![entry], ..xkb::KeyType::default() }
    }

    /// A keyboard from code 10 on: each key's place, and for each group what it types plain and with Shift.
    pub fn keymap(keys: &[(&str, &[[u32; 2]])]) -> Keymap {
        let key = |groups: &[[u32; 2]]| xkb::KeySymMap {
            kt_index: [0; 4],
            group_info: groups.len() as u8,
            width: 2,
            syms: groups.concat(),
        };
        let name = |name: &str| {
            let mut bytes = [0; 4];
            bytes[..name.len()].copy_from_slice(name.as_bytes());
            xkb::KeyName { name: bytes }
        };
        Keymap {
            first: 10,
            keys: keys.iter().map(|(_, groups)| key(groups)).collect(),
            types: vec![shifted()],
            first_name: 10,
            names: keys.iter().map(|(place, _)| name(place)).collect(),
        }
    }

    #[test]
    fn a_stroke_is_read_by_its_group_and_its_modifiers() {
        let map = keymap(&[("AD01", &[['q' as u32, 'Q' as u32], [0x6ca, 0x6ea]]), ("SPCE", &[[' ' as u32, ' ' as u32]])]);
        let typed = |code, state: u16| map.stroke(code, KeyButMask::from(state)).symbol;
        assert_eq!(
            [typed(10, 0), typed(10, 1), typed(10, 1 << 13), typed(10, 1 << 13 | 1)],
            ['q' as u32, 'Q' as u32, 0x6ca, 0x6ea]
        );
        assert_eq!(typed(10, 4), 'q' as u32, "Control reaches no other level");
        assert_eq!(typed(11, 1 << 13), ' ' as u32, "a key without a second group keeps its first");
        assert_eq!([typed(9, 0), typed(12, 0)], [0, 0], "keys that there are not");
        assert_eq!(&map.stroke(10, KeyButMask::from(0_u16)).place, b"AD01");
        assert!(map.has(0, |symbol| symbol == 'q' as u32) && !map.has(1, |symbol| symbol == 'q' as u32));
    }
}
