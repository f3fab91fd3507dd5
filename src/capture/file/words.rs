//! What a child says on stderr: all of it taken, the end of it kept.

use std::io::Read;

/// A line of ffmpeg's is rarely over 200 bytes; more than this of the end is never kept.
const KEPT: usize = 4096;

/// What a child said.
#[derive(Debug, Default)]
pub struct Words {
    /// Its last line, if it said anything.
    pub last: Option<String>,
    /// How many lines it said.
    pub lines: u64,
}

/// Listens until the child closes its end.
pub fn listen(mut from: impl Read) -> Words {
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
    let last = text.lines().map(clean).rfind(|line| !line.trim().is_empty());
    // ffmpeg names the part of itself that speaks: "[mov,mp4,m4a,3gp,3g2,mj2 @ 0x55d0c] moov atom not found".
    let last = last.map(|line| match line.split_once("] ") {
        Some((part, rest)) if part.starts_with('[') && part.contains(" @ 0x") => rest.trim().to_owned(),
        _ => line.trim().to_owned(),
    });
    Words { last, lines }
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
    }
}
