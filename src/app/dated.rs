//! Names of files that nobody gave one: what is in them, and when it was caught, in UTC.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// `NAME-2026-11-28T02-10-33Z.ENDING` in this folder.
pub fn name(folder: &Path, name: &str, ending: &str) -> PathBuf {
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    folder.join(format!("{}-{}.{ending}", plain(name), moment(since_1970)))
}

/// The user's folder for films or pictures, which desktops call by this name (`XDG_VIDEOS_DIR`: xdg-user-dirs), if there is one;
/// else the current one.
pub fn folder(variable: &str) -> PathBuf {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).unwrap_or_else(|| home.join(".config"));
    let list = std::fs::read_to_string(config.join("user-dirs.dirs")).unwrap_or_default();
    listed(&list, variable, &home).filter(|folder| folder.is_dir()).unwrap_or_default()
}

/// What is said of a folder in a list of lines like `XDG_VIDEOS_DIR="$HOME/Videos"`.
fn listed(list: &str, variable: &str, home: &Path) -> Option<PathBuf> {
    let value = list.lines().find_map(|line| line.trim().strip_prefix(variable)?.strip_prefix('='))?;
    let value = value.trim().trim_matches('"');
    let folder = value.strip_prefix("$HOME/").map_or_else(|| PathBuf::from(value), |under| home.join(under));
    Some(folder).filter(|folder| folder.is_absolute() && folder != home)
}

/// As a part of a file's name: letters and digits stay, of any script.
fn plain(name: &str) -> String {
    name.chars().map(|letter| if letter.is_alphanumeric() || letter == '-' { letter } else { '_' }).collect()
}

/// The day by the Gregorian calendar, for 400 years are 146,097 days whenever they begin.
fn moment(since_1970: Duration) -> String {
    let seconds = since_1970.as_secs();
    // Days from 1 March of the year 0: then the leap day is the last of its year.
    let days = seconds / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let year = 400 * era + year + u64::from(month < 3);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year}-{month:02}-{day:02}T{hour:02}-{minute:02}-{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01T00-00-00Z"),
            (951_782_399, "2000-02-28T23-59-59Z"),
            (951_782_400, "2000-02-29T00-00-00Z"),
            (1_709_251_199, "2024-02-29T23-59-59Z"),
            (1_796_000_000, "2026-11-30T00-53-20Z"),
            (4_107_542_400, "2100-03-01T00-00-00Z"),
        ] {
            assert_eq!(moment(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn no_name_leads_out_of_its_folder() {
        let path = name(Path::new("/tmp"), "../Küche 1", "jpg");
        assert_eq!(path.parent(), Some(Path::new("/tmp")));
        assert!(path.to_string_lossy().starts_with("/tmp/___Küche_1-20"), "{path:?}");
    }

    #[test]
    fn a_folder_is_found_in_the_list_of_the_desktop() {
        let list =
            "# made by a tool\nXDG_VIDEOS_DIR=\"$HOME/Films\"\nXDG_PICTURES_DIR=\"/data/pictures\"\nXDG_MUSIC_DIR=\"$HOME/\"";
        let found = |variable| listed(list, variable, Path::new("/home/ada"));
        assert_eq!(found("XDG_VIDEOS_DIR"), Some("/home/ada/Films".into()));
        assert_eq!(found("XDG_PICTURES_DIR"), Some("/data/pictures".into()));
        assert_eq!([found("XDG_MUSIC_DIR"), found("XDG_DESKTOP_DIR")], [None, None], "home itself is none");
    }
}
