//! What a waiting program says of itself in mDNS (PROTOCOL.md §8): the TXT record of its service, a key and a value each, and the
//! instance's name. Keys and words that are not known here are a later program's.
//!
//! Whatever comes was written by a stranger: nothing of it is longer than it may be, or is believed before a connection proves
//! it.

use eyeline_proto::wire::record::Media;

/// The service as others ask for it (RFC 6763 §4.1); TCP is what is dialled first.
pub const SERVICE: &str = "_eyeline._tcp.local.";

/// Of a record that is said otherwise a later program may make another number.
const VERSION: &str = "1";

/// A label of a name has 63 bytes (RFC 1035 §2.3.4); who is called as another is gets a number behind its name.
const LONGEST_INSTANCE: usize = 56;

/// Random for each run: by it a program knows its own record, and tells two of the same name apart.
pub type Id = [u8; 8];

/// Which program it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Send,
    Recv,
    Call,
}

impl Role {
    const ALL: [(Role, &str); 3] = [(Role::Send, "send"), (Role::Recv, "recv"), (Role::Call, "call")];

    /// By the program's name.
    pub fn of(program: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|(_, name)| *name == program).map(|(role, _)| role)
    }

    /// The program's name.
    pub fn name(self) -> &'static str {
        Role::ALL[self as usize].1
    }
}

/// What is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    pub id: Id,
    pub role: Role,
    pub offers: Media,
    pub wants: Media,
    /// Who has no key is not let in.
    pub keyed: bool,
}

impl Record {
    /// Keys and values.
    pub fn encode(&self) -> Vec<(&'static str, String)> {
        let id = self.id.iter().map(|byte| format!("{byte:02x}")).collect();
        vec![
            ("v", VERSION.to_string()),
            ("role", self.role.name().to_string()),
            ("offers", words(self.offers)),
            ("wants", words(self.wants)),
            ("key", u8::from(self.keyed).to_string()),
            ("id", id),
        ]
    }

    /// By what a record says of each key. `None`: it is no program of ours, or of a kind that is not known here.
    pub fn decode<'a>(value: impl Fn(&str) -> Option<&'a str>) -> Option<Record> {
        if value("v")? != VERSION {
            return None;
        }
        let media = |key| value(key).map_or(Media::NONE, media);
        let role = Role::of(value("role")?)?;
        Some(Record {
            id: id(value("id")?)?,
            role,
            offers: media("offers"),
            wants: media("wants"),
            keyed: value("key") == Some("1"),
        })
    }
}

fn words(media: Media) -> String {
    let words = [(media.pictures, "video"), (media.sound, "audio")];
    words.into_iter().filter(|word| word.0).map(|word| word.1).collect::<Vec<_>>().join(",")
}

fn media(words: &str) -> Media {
    let has = |wanted| words.split(',').any(|word| word == wanted);
    Media { pictures: has("video"), sound: has("audio"), lossless: false }
}

fn id(text: &str) -> Option<Id> {
    let mut id = Id::default();
    if text.len() != 2 * id.len() || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, digits) in id.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(id)
}

/// What a program of this name is called there.
pub fn instance(name: &str) -> &str {
    let end = (0..=name.len().min(LONGEST_INSTANCE)).rev().find(|at| name.is_char_boundary(*at)).unwrap_or(0);
    name[..end].trim_end()
}

/// The instance of a full name: `\` stands before a dot or another one in it.
pub fn instance_of(full: &str) -> Option<String> {
    let suffix = full.len().checked_sub(SERVICE.len() + 1).filter(|at| full.is_char_boundary(*at))?;
    let (instance, service) = full.split_at(suffix);
    if !service.strip_prefix('.').is_some_and(|service| service.eq_ignore_ascii_case(SERVICE)) {
        return None;
    }
    let mut letters = instance.chars();
    let mut name = String::new();
    while let Some(letter) = letters.next() {
        name.extend(if letter == '\\' { letters.next() } else { Some(letter) });
    }
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(pairs: &[(&str, &str)]) -> Option<Record> {
        Record::decode(|key| pairs.iter().find(|pair| pair.0 == key).map(|pair| pair.1))
    }

    #[test]
    fn what_is_said_is_what_is_read_and_what_is_not_known_is_left_to_later_programs() {
        let sends = Media { pictures: true, sound: false, lossless: false };
        let record = Record { id: [1, 2, 3, 4, 5, 6, 7, 0xab], role: Role::Call, offers: sends, wants: Media::LIVE, keyed: true };
        let said = record.encode();
        let pairs: Vec<_> = said.iter().map(|(key, value)| (*key, value.as_str())).collect();
        assert_eq!(
            pairs,
            [
                ("v", "1"),
                ("role", "call"),
                ("offers", "video"),
                ("wants", "video,audio"),
                ("key", "1"),
                ("id", "01020304050607ab")
            ]
        );
        assert_eq!(decoded(&pairs), Some(record));
        let with =
            |key, value| decoded(&pairs.iter().map(|pair| if pair.0 == key { (key, value) } else { *pair }).collect::<Vec<_>>());
        assert_eq!(with("offers", "smell,video,").map(|record| record.offers), Some(sends));
        assert_eq!(with("key", "2").map(|record| record.keyed), Some(false));
        assert_eq!(with("role", "relay"), None, "nobody here knows what to do with that");
        assert_eq!(with("v", "2"), None);
        for wrong in ["", "01", "zz020304050607ab", "01020304050607ab0", "+1020304050607ab", "éééééééé"] {
            assert_eq!(with("id", wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_instance_is_called_as_its_program_is_as_far_as_a_label_goes() {
        assert_eq!(instance("Käthes Küche"), "Käthes Küche");
        assert_eq!(instance(&"é".repeat(127)), "é".repeat(28));
        assert_eq!(instance_of(r"v1\.2 \\o._eyeline._tcp.local.").as_deref(), Some(r"v1.2 \o"));
        assert_eq!(instance_of("lab._Eyeline._TCP.local.").as_deref(), Some("lab"));
        for wrong in ["._eyeline._tcp.local.", "_eyeline._tcp.local.", "lab._http._tcp.local.", "", "é_eyeline._tcp.local."] {
            assert_eq!(instance_of(wrong), None, "{wrong}");
        }
    }
}
