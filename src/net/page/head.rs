//! The head of a request: what is asked for, as far as it is any of ours. Pure; its bytes may be anybody's.

use std::net::IpAddr;

/// Longer than any scraper's.
pub const MOST_HEAD: usize = 8 << 10;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// `GET /metrics`, with or without a query.
    Page,
    /// Another page.
    Nothing,
    /// By another method.
    Otherwise,
    /// Of a host that has a name: a page of the web that says its name is ours asks so (DNS rebinding).
    Elsewhere,
    /// It is no request of HTTP/1, or too long.
    Nonsense,
}

/// Reads what came so far; `None` to go on. More than [`MOST_HEAD`] bytes without an end are nonsense. `is_local`: only this
/// machine asks, which calls itself `localhost` or by an address.
pub fn read(bytes: &[u8], is_local: bool) -> Option<Asked> {
    let has = |end: &[u8]| bytes.windows(end.len()).any(|part| part == end);
    if !has(b"\r\n\r\n") && !has(b"\n\n") {
        let begins_well = bytes.iter().take(MOST_METHOD).take_while(|byte| **byte != b' ').all(u8::is_ascii_uppercase);
        return (bytes.len() > MOST_HEAD || !begins_well).then_some(Asked::Nonsense);
    }
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut words = line.split(|byte| *byte == b' ');
    let (method, target, version) = (words.next()?, words.next(), words.next());
    let (Some(target), Some(b"HTTP/1.1" | b"HTTP/1.0"), None) = (target, version, words.next()) else {
        return Some(Asked::Nonsense);
    };
    let is_method = (1..=MOST_METHOD).contains(&method.len()) && method.iter().all(u8::is_ascii_uppercase);
    let is_target = target.first() == Some(&b'/') && target.iter().all(u8::is_ascii_graphic);
    Some(match target.split(|byte| *byte == b'?').next() {
        _ if !is_method || !is_target => Asked::Nonsense,
        _ if is_local && !hosts(bytes).all(is_own) => Asked::Elsewhere,
        _ if method != b"GET" => Asked::Otherwise,
        Some(b"/metrics") => Asked::Page,
        _ => Asked::Nothing,
    })
}

/// What is said of the host, on each line that says it.
fn hosts(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    head.split(|byte| *byte == b'\n').skip(1).filter_map(|line| {
        let (name, value) = line.split_at_checked(line.iter().position(|byte| *byte == b':')?)?;
        name.trim_ascii().eq_ignore_ascii_case(b"host").then(|| value[1..].trim_ascii())
    })
}

/// Whether this is how a machine speaks of itself: `localhost` or an address, with or without a port.
fn is_own(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    let name =
        host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit())).map_or(host, |(name, _)| name);
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    name.eq_ignore_ascii_case("localhost") || [bare, host].iter().any(|text| text.parse::<IpAddr>().is_ok())
}

/// Letters of the longest method there is, and some more.
const MOST_METHOD: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_request_for_the_page_is_told_from_all_others() {
        let asked = |head: &str| read(head.as_bytes(), false);
        let page = [
            "GET /metrics HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n",
            "GET /metrics HTTP/1.0\r\n\r\n",
            "GET /metrics?x=1 HTTP/1.1\r\n\r\n",
            "GET /metrics HTTP/1.1\n\n",
        ];
        assert_eq!(page.map(asked), [Some(Asked::Page); 4]);
        let nothing = ["GET / HTTP/1.1\r\n\r\n", "GET /metrics/ HTTP/1.1\r\n\r\n", "GET /../metrics HTTP/1.1\r\n\r\n"];
        assert_eq!(nothing.map(asked), [Some(Asked::Nothing); 3]);
        assert_eq!(["POST /metrics HTTP/1.1\r\n\r\n", "HEAD / HTTP/1.1\r\n\r\n"].map(asked), [Some(Asked::Otherwise); 2]);
        let nonsense = [
            "GET /metrics\r\n\r\n",
            "GET  /metrics HTTP/1.1\r\n\r\n",
            "GET /metrics HTTP/1.1 x\r\n\r\n",
            "GET /metrics HTTP/2.0\r\n\r\n",
            "get /metrics HTTP/1.1\r\n\r\n",
            "GET http://a/metrics HTTP/1.1\r\n\r\n",
            "GET /met\x01rics HTTP/1.1\r\n\r\n",
            "\r\n\r\n",
            "hello",
            "\x16\x03\x01",
        ];
        assert_eq!(nonsense.map(asked), [Some(Asked::Nonsense); 10]);
        assert_eq!(["", "GE", "GET /metrics HTTP/1.1\r\n"].map(asked), [None; 3]);
        let long = |len: usize| read(&[&b"GET /metrics HTTP/1.1\r\nX: "[..], &vec![b'a'; len]].concat(), false);
        assert_eq!((long(MOST_HEAD / 2), long(MOST_HEAD)), (None, Some(Asked::Nonsense)));
    }

    #[test]
    fn who_asks_this_machine_alone_calls_it_so_or_by_an_address() {
        let asked = |host: &str, is_local| read(format!("GET /metrics HTTP/1.1\r\n{host}\r\n\r\n").as_bytes(), is_local);
        let own =
            ["Host: localhost:9100", "host:LOCALHOST", "Host: 127.0.0.1:9100", "HOST: [::1]:9100", "Host: ::1", "Accept: */*"];
        for host in own {
            assert_eq!(asked(host, true), Some(Asked::Page), "{host}");
        }
        for host in ["Host: evil.example", "Host: localhost.evil.example:9100", "Host:", "Host: 127.0.0.1\r\nHost: evil.example"]
        {
            assert_eq!(asked(host, true), Some(Asked::Elsewhere), "{host}");
            assert_eq!(asked(host, false), Some(Asked::Page), "{host}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic_and_only_a_get_of_the_page_is_given_it(
            bytes in proptest::collection::vec(prop_oneof![Just(b' '), Just(b'\r'), Just(b'\n'), Just(b'/'), any::<u8>()], 0..200),
        ) {
            for bytes in [bytes.clone(), [b"GET ", &bytes[..], b" HTTP/1.1\r\n\r\n"].concat()] {
                prop_assert!(read(&bytes, true).is_none() == read(&bytes, false).is_none());
                if read(&bytes, false) == Some(Asked::Page) {
                    prop_assert!(bytes.starts_with(b"GET /metrics"));
                }
            }
        }
    }
}
