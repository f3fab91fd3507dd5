//! Names of files with `{name}` in them: a file for each sender, called by what the sender calls itself; and with `{mix}`: one of
//! all, called by that word.
//!
//! That is a peer's word. Whatever it says becomes one part of one file's name in the folder the user gave: no separator, no dot
//! in front, nothing that a shell, an option parser or another file system takes for something else, and no longer than a name
//! may be. Who is there twice has a number behind it, from 2 on.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use eyeline_proto::wire::text;

/// What stands for a sender's name.
pub const NAME: &str = "{name}";

/// What stands for the sound of all.
pub const MIX: &str = "{mix}";

/// Bytes of a file's name (`NAME_MAX` of Linux).
const LONGEST: usize = 255;

/// Bytes of a name at most: two of them in a name leave room for the rest, and a line of `ls` can be read.
const LONGEST_NAME: usize = 80;

/// Bytes for the number behind it: `-9999`.
const NUMBER: usize = 5;

/// What one is called whose name leaves nothing.
const NAMELESS: &str = "sender";

/// Files that some systems take for devices, whatever stands behind the dot.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];

/// See the module text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    folder: PathBuf,
    /// The file's name without what stands for another one, which is between these.
    pieces: Vec<OsString>,
}

impl Pattern {
    /// Of a path as the user gave it; `None` where its file's name has no `{name}`.
    pub fn of(path: &Path) -> Option<Self> {
        Self::with(path, NAME)
    }

    /// The same of `{mix}`.
    pub fn of_mix(path: &Path) -> Option<Self> {
        Self::with(path, MIX)
    }

    fn with(path: &Path, what: &str) -> Option<Self> {
        let pieces = split(path.file_name()?, what);
        let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
        (pieces.len() > 1).then_some(Pattern { folder, pieces })
    }

    /// The folder of all of them; empty where none was given.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The mix's file, or its `number`th.
    pub fn mix(&self, number: u32) -> PathBuf {
        self.file("mix", number)
    }

    /// The file of the sender of this name, or of the `number`th of it.
    pub fn file(&self, name: &str, number: u32) -> PathBuf {
        let fixed: usize = self.pieces.iter().map(|piece| piece.len()).sum();
        let names = self.pieces.len() - 1;
        let room = (LONGEST.saturating_sub(fixed) / names).saturating_sub(NUMBER);
        let mut name = safe(name, room.min(LONGEST_NAME));
        if number > 1 {
            name += &format!("-{number}");
        }
        self.folder.join(self.pieces.join(OsStr::new(&name)))
    }
}

/// What the file's name has in braces that stands for nothing: `{nmae}`, or a brace alone.
pub fn meaningless(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_string_lossy().replace(NAME, "").replace(MIX, "");
    let at = name.find(['{', '}'])?;
    let rest = &name[at..];
    let whole = rest.find('}').filter(|_| rest.starts_with('{'));
    Some(whole.map_or(&rest[..1], |end| &rest[..=end]).to_string())
}

/// Whether a folder of this path has it in its name.
pub fn in_folder(path: &Path, what: &str) -> bool {
    path.parent().is_some_and(|folder| split(folder.as_os_str(), what).len() > 1)
}

/// What stands before, between and behind.
fn split(text: &OsStr, at: &str) -> Vec<OsString> {
    let (mut rest, at) = (text.as_bytes(), at.as_bytes());
    let mut pieces = Vec::new();
    while let Some(found) = rest.windows(at.len()).position(|window| window == at) {
        pieces.push(OsStr::from_bytes(&rest[..found]).into());
        rest = &rest[found + at.len()..];
    }
    pieces.push(OsStr::from_bytes(rest).into());
    pieces
}

/// A sender's name as a part of a file's name, of so many bytes at most, but one.
fn safe(name: &str, longest: usize) -> String {
    let stands_for_itself = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '+' | '@' | '=' | ',' | '(' | ')');
    // Marks of scripts that need them stand behind letters, and are neither ASCII nor spaces.
    let other = |c: char| !c.is_ascii() && !c.is_whitespace() && c != text::REPLACEMENT;
    let may_stand = |(c, may)| stands_for_itself(c) || may && other(c);
    let name: String = text::characters(name.trim()).map(|shown| if may_stand(shown) { shown.0 } else { '_' }).collect();
    let mut name = name.trim_start_matches('.').trim_end_matches('.').to_string();
    // Options begin with it.
    if name.starts_with('-') {
        name.replace_range(..1, "_");
    }
    let first = name.split('.').next().unwrap_or_default().to_lowercase();
    let port = |word: &str| first.strip_prefix(word).is_some_and(|number| matches!(number.as_bytes(), [b'0'..=b'9']));
    if DEVICES.contains(&first.as_str()) || port("com") || port("lpt") {
        name.insert(0, '_');
    }
    let cut = (0..=longest.min(name.len())).rfind(|&at| name.is_char_boundary(at)).unwrap_or(0);
    name.truncate(cut);
    if name.trim_matches(['_', '.']).is_empty() { NAMELESS[..NAMELESS.len().min(longest.max(1))].into() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(pattern: &str, name: &str, number: u32) -> String {
        Pattern::of(Path::new(pattern)).unwrap().file(name, number).to_str().unwrap().to_string()
    }

    #[test]
    fn a_file_is_called_by_its_sender_and_by_a_number_where_there_are_more_of_it() {
        assert_eq!(file("{name}.y4m", "attic", 1), "attic.y4m");
        assert_eq!(file("{name}.y4m", "attic", 2), "attic-2.y4m");
        assert_eq!(file("/tmp/of {name}, {name}.wav", "cellar.local", 13), "/tmp/of cellar.local-13, cellar.local-13.wav");
        assert_eq!(file("{name}", "чердак", 1), "чердак");
        assert_eq!(file("{name}.y4m", "अटारी", 1), "अटारी.y4m");
        assert_eq!(Pattern::of(Path::new("{name}/a.y4m")), None);
        assert_eq!((Pattern::of(Path::new("name.y4m")), Pattern::of(Path::new("/"))), (None, None));
        assert!(in_folder(Path::new("a/{name}/b"), NAME) && !in_folder(Path::new("a/{name}"), NAME));
        let mix = Pattern::of_mix(Path::new("/tmp/{mix}.wav")).unwrap();
        assert_eq!((mix.mix(1), mix.mix(2)), ("/tmp/mix.wav".into(), "/tmp/mix-2.wav".into()));
        assert_eq!(Pattern::of_mix(Path::new("mix.wav")), None);
    }

    #[test]
    fn what_stands_in_braces_and_for_nothing_is_found() {
        for (name, found) in [("{NAME}.y4m", "{NAME}"), ("of {name}, {nmae}", "{nmae}"), ("{name.y4m", "{"), ("name}{x}", "}")] {
            assert_eq!(meaningless(Path::new(name)).as_deref(), Some(found), "{name}");
        }
        for name in ["{name}.y4m", "{mix}-{name}", "{x}/plain", "/"] {
            assert_eq!(meaningless(Path::new(name)), None, "{name}");
        }
    }

    #[test]
    fn names_that_mean_something_else_become_ones_that_do_not() {
        for (name, safe) in [
            ("", "sender"),
            (".", "sender"),
            ("..", "sender"),
            ("  \n", "sender"),
            ("/", "sender"),
            ("../../etc/passwd", "_.._etc_passwd"),
            ("..\\evil", "_evil"),
            (".bashrc", "bashrc"),
            ("-rf", "_rf"),
            ("~root", "_root"),
            ("a b\tc\0d\u{1b}[2Je", "a_b_c_d__2Je"),
            ("$(reboot);`x`|y", "_(reboot)__x__y"),
            ("CON", "_CON"),
            ("nul.txt", "_nul.txt"),
            ("com7", "_com7"),
            ("console", "console"),
            ("end. ", "end"),
            ("{name}", "_name_"),
        ] {
            assert_eq!(file("{name}.y4m", name, 1), format!("{safe}.y4m"), "{name:?}");
        }
        assert_eq!(file("{name}.y4m", &"ж".repeat(200), 1), format!("{}.y4m", "ж".repeat(40)), "no half letter");
    }

    proptest! {
        #[test]
        fn whatever_a_sender_calls_itself_its_file_lies_in_the_folder_and_can_be_made(
            name in any::<String>(),
            (before, behind) in ("[a-z]{0,100}", "[a-z]{0,100}"),
            number in 1..=9999u32,
        ) {
            let (pattern, ending) = (format!("/some/folder/{before}{{name}}{behind}.y4m"), format!("{behind}.y4m"));
            let file = Pattern::of(Path::new(&pattern)).unwrap().file(&name, number);
            prop_assert_eq!(file.parent(), Some(Path::new("/some/folder")));
            let called = file.file_name().unwrap().to_str().unwrap();
            prop_assert!(called.len() <= LONGEST, "{} bytes", called.len());
            prop_assert!(called.starts_with(&before) && called.ends_with(&ending));
            prop_assert!(!called.contains(|c: char| c.is_control() || c.is_whitespace() || "/\\:*?\"<>|'`$&;!#~".contains(c)));
            prop_assert!(!called.starts_with(['.', '-']));
        }
    }
}
