//! What a child says on stderr: all of it taken, the end of it kept.

use std::io::Read;

/// A line of ffmpeg's is rarely over 200 bytes; more than this of the end is never kept.
const KEPT: usize = 4096;

/// What a child said.
#[derive(Debug, Default)]
pub struct Stderr {
    /// Its last line, if it said anything.
    pub last: Option<String>,
    /// The first thing a part of it said: nearer to the cause than the last line, which says that it did not work.
    pub telling: Option<String>,
    /// How many lines it said.
    pub lines: u64,
}

/// Listens until the child closes its end.
pub fn listen(mut from: impl Read) -> Stderr {
    let mut tail: Vec<u8> = Vec::new();
    let mut lines = 0;
    let mut chunk = [0; 1024];
    loop {
        match from.read(&mut chunk) {
            Ok(0) => break,
            Ok(n) => {
                lines += chunk[..n].iter().filter(|&&byte| byte == b'\n').count() as u64;
                tail.extend_from_slice(&chunk[..n]);
                tail.drain(..tail.len().saturating_sub(KEPT));
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    let text = String::from_utf8_lossy(&tail);
    let clean = |line: &str| line.chars().filter(|c| !c.is_control()).collect::<String>();
    let lines_left: Vec<String> = text.lines().map(clean).filter(|line| !line.trim().is_empty()).collect();
    let telling = lines_left.iter().find_map(|line| part(line).map(str::to_owned));
    let last = lines_left.last().map(|line| part(line).unwrap_or(line.trim()).to_owned());
    Stderr { last, telling, lines }
}

/// What a part of ffmpeg says: "moov atom not found" of "[mov,mp4,m4a,3gp,3g2,mj2 @ 0x55d0c] moov atom not found".
pub fn part(line: &str) -> Option<&str> {
    let (name, rest) = line.split_once("] ")?;
    (name.starts_with('[') && name.contains(" @ 0x")).then(|| rest.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_kept_without_its_speaker_however_much_was_said() {
        let mut said = "noise\n".repeat(10_000);
        said += "[mov @ 0x55d0c] moov atom not found\n\n";
        let words = listen(said.as_bytes());
        assert_eq!((words.last.as_deref(), words.lines), (Some("moov atom not found"), 10_002));
        assert_eq!(listen(&b""[..]).last, None);
        let words = listen(&b"[mov @ 0x1] moov atom not found\na.mp4: Invalid data found when processing input\n"[..]);
        assert_eq!(words.telling.as_deref(), Some("moov atom not found"));
    }
}
