//! Where what is to be known the next time is kept: `$XDG_STATE_HOME/eyeline`, else below `~/.local/state`.

use std::path::PathBuf;

/// The file of that name; `None`: there is no place for it.
pub fn file(name: &str) -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|folder| folder.is_absolute());
    let folder = variable("XDG_STATE_HOME").or_else(|| Some(variable("HOME")?.join(".local/state")));
    folder.map(|folder| folder.join("eyeline").join(name))
}
