//! What the shell took apart: a code that is shown with a space in it, and the words of a key. Clap would take what is behind the
//! first space for hosts.

use super::super::spoken;
use std::ffi::OsString;

/// `--pair 624 348` as `--pair=624348`: no host is a number, and a code is shown with a space in it.
pub(super) fn with_code(args: Vec<OsString>) -> Vec<OsString> {
    let digits =
        |arg: &&OsString| arg.to_str().is_some_and(|text| text.starts_with(|c: char| c.is_ascii_digit()) && is_code(text));
    let end = args.iter().position(|arg| arg == "--").unwrap_or(args.len());
    let Some(at) = args[..end].iter().position(|arg| arg == "--pair") else { return args };
    let code: Vec<&str> = args[at + 1..end].iter().take_while(digits).filter_map(|arg| arg.to_str()).collect();
    if code.is_empty() {
        return args;
    }
    let joined = OsString::from(format!("--pair={}", code.concat()));
    [&args[..at], &[joined], &args[at + 1 + code.len()..]].concat()
}

/// Whether it is a code or a part of one, be it right or not.
fn is_code(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_digit() || c.is_whitespace() || c == '-')
}

/// What is said where the words of a key are hosts to the shell; not which they are.
pub(super) const WORDS: &str = "the words of a key belong together, and here each but the first is taken for a host: put quotes round them, \
     --key \"WORD WORD …\", or dashes between them";

/// Whether words of a key follow its first one as arguments of their own. Two that are on the list are no accident.
pub(super) fn are_words_of_a_key(args: &[OsString]) -> bool {
    let is_word = |arg: &&OsString| arg.to_str().is_some_and(spoken::is_word);
    let first = |arg: &OsString| arg.to_str().and_then(|text| text.strip_prefix("--key=")).is_some_and(spoken::is_word);
    let behind = |(at, arg): (usize, &OsString)| match () {
        () if first(arg) => Some(at + 1),
        () if arg == "--key" && args.get(at + 1).as_ref().is_some_and(is_word) => Some(at + 2),
        () => None,
    };
    let rest = args.iter().enumerate().find_map(behind).map_or(&[][..], |at| &args[at..]);
    let loose = rest.iter().take_while(|arg| !arg.to_string_lossy().starts_with('-'));
    loose.filter(is_word).count() >= 2
}

#[cfg(test)]
mod tests {
    use super::super::{Command, Common, Env, Pairing, send};
    use super::*;
    use eyeline_proto::crypto::Code;

    fn common(line: &str) -> Common {
        match send::parse(line.split_whitespace().map(OsString::from), &Env::default()) {
            Ok(Command::Run(config)) => config.common,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn refusal(line: &str) -> String {
        send::parse(line.split_whitespace().map(OsString::from), &Env::default()).unwrap_err().to_string()
    }

    #[test]
    fn a_code_may_stand_behind_its_flag_as_it_is_shown() {
        let code = |line: &str| common(line).pairing;
        let typed = Some(Pairing::With(Code::parse("624348").unwrap()));
        for line in
            ["send lab --pair 624348", "send --pair 624 348 lab", "send --pair 624-348 --host lab", "send lab --pair=624348"]
        {
            assert_eq!(code(line), typed, "{line}");
        }
        assert_eq!(code("send --pair lab"), Some(Pairing::Ask));
        assert_eq!(common("send --pair 192.168.1.7").rendezvous.dial[0].name, "192.168.1.7");
        assert!(refusal("send lab --pair 62434").contains("--pair=62434 is no code: it is six digits"));
        assert!(refusal("send --pair 624348").contains("--pair=CODE is for who dials"));
    }

    #[test]
    fn words_of_a_key_without_quotes_are_no_hosts_and_are_told_how_they_are_written() {
        for line in [
            "send --key WARM hidden zoo abandon year legal winner",
            "send lab --key=warm hidden zoo --quiet",
            "send --key warm HIDEN hidden zoo",
        ] {
            let told = refusal(line);
            assert!(told.contains("put quotes round them") && !told.to_lowercase().contains("hidden"), "{told}");
        }
        for line in ["send --key warm robot", "send --key long-enough-key warm zoo", "send --key warm --host zoo --host hidden"] {
            assert!(!common(line).rendezvous.dial.is_empty(), "{line}");
        }
        let quoted = ["send", "--key", "warm hidden zoo abandon year legal winner"].map(OsString::from);
        assert!(send::parse(quoted, &Env::default()).is_ok());
    }
}
