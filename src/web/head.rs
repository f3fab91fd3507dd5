//! The head of a request, and what may be asked by whom. Pure; its bytes may be anybody's.

use std::net::IpAddr;

/// Longer than any browser's with a cookie or two of others on the same machine.
pub const MOST_HEAD: usize = 16 << 10;

/// Lines of a head.
const MOST_LINES: usize = 64;

/// It is no request of HTTP/1 (RFC 9112), or too long.
#[derive(Debug, PartialEq, Eq)]
pub struct Nonsense;

/// What is asked.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    /// Without the query.
    pub path: String,
    /// What is behind the `?`.
    pub query: String,
    /// As they came; names in any case.
    headers: Vec<(String, Vec<u8>)>,
    /// Bytes of the head.
    pub len: usize,
}

/// Reads what came so far; `None` to go on. More than [`MOST_HEAD`] bytes without an end are nonsense.
pub fn read(bytes: &[u8]) -> Option<Result<Request, Nonsense>> {
    let mut lines = [httparse::EMPTY_HEADER; MOST_LINES];
    let mut head = httparse::Request::new(&mut lines);
    match head.parse(bytes) {
        Ok(httparse::Status::Complete(len)) if len <= MOST_HEAD => {
            let (Some(method), Some(target)) = (head.method, head.path) else { return Some(Err(Nonsense)) };
            let is_fine = target.starts_with('/') && target.bytes().all(|byte| byte.is_ascii_graphic());
            if !is_fine {
                return Some(Err(Nonsense));
            }
            let (path, query) = target.split_once('?').unwrap_or((target, ""));
            let headers = head.headers.iter().map(|line| (line.name.to_string(), line.value.to_vec())).collect();
            Some(Ok(Request { method: method.into(), path: path.into(), query: query.into(), headers, len }))
        }
        Ok(httparse::Status::Partial) if bytes.len() <= MOST_HEAD => None,
        _ => Some(Err(Nonsense)),
    }
}

impl Request {
    /// All that is said under this name.
    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.headers.iter().filter(move |(said, _)| said.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_slice())
    }

    /// What is said under this name, where it is said once and is text.
    pub fn header<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        let mut all = self.all(name);
        let first = all.next().filter(|_| all.next().is_none())?;
        std::str::from_utf8(first).ok().map(str::trim)
    }

    /// What the query says under this name, as it stands there.
    pub fn asked<'a>(&'a self, name: &str) -> Option<&'a str> {
        self.query.split('&').find_map(|pair| pair.split_once('=').filter(|(said, _)| *said == name).map(|(_, value)| value))
    }

    /// Whether it is asked for by one of our names: `localhost`, an address, or one of these. A page of the web that says its name
    /// is ours asks for another (DNS rebinding). No name is no browser's.
    pub fn is_for(&self, names: &[String]) -> bool {
        self.all("host").all(|host| std::str::from_utf8(host).is_ok_and(|host| is_own(host.trim(), names)))
    }

    /// Whether it is asked for by a page of this very host, or by none: a browser says which (RFC 6454).
    pub fn is_same_origin(&self) -> bool {
        let host = self.header("host");
        self.all("origin").all(|origin| {
            let origin = std::str::from_utf8(origin).ok().and_then(|origin| origin.trim().split_once("://"));
            origin.is_some_and(|(scheme, of)| matches!(scheme, "http" | "https") && host == Some(of))
        })
    }
}

/// Whether this is how a machine speaks of itself, with or without a port.
fn is_own(host: &str, names: &[String]) -> bool {
    let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
    let name = host.rsplit_once(':').filter(|(_, port)| is_port(port)).map_or(host, |(name, _)| name);
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let is_named = |own: &str| name.strip_suffix('.').unwrap_or(name).eq_ignore_ascii_case(own);
    let is_name = is_named("localhost") || names.iter().any(|own| is_named(own));
    is_name || [bare, host].iter().any(|text| text.parse::<IpAddr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn request(lines: &str) -> Request {
        read(format!("GET /metrics?a=1&track=lab HTTP/1.1\r\n{lines}\r\n\r\n").as_bytes()).unwrap().unwrap()
    }

    #[test]
    fn a_request_is_told_from_what_is_none() {
        let read = |head: &str| read(head.as_bytes()).map(|read| read.map(|request| (request.method, request.path)));
        let asked = |method: &str, path: &str| Some(Ok((method.to_string(), path.to_string())));
        assert_eq!(read("GET /metrics?x=1 HTTP/1.1\r\nHost: a\r\n\r\n"), asked("GET", "/metrics"));
        assert_eq!(read("GET / HTTP/1.0\n\n"), asked("GET", "/"));
        assert_eq!(read("POST /../a HTTP/1.1\r\n\r\n"), asked("POST", "/../a"));
        let nonsense = [
            "GET /metrics\r\n\r\n",
            "GET  /metrics HTTP/1.1\r\n\r\n",
            "GET /metrics HTTP/1.1 x\r\n\r\n",
            "GET /metrics HTTP/2.0\r\n\r\n",
            "GET http://a/metrics HTTP/1.1\r\n\r\n",
            "GET /met\x01rics HTTP/1.1\r\n\r\n",
            "hello\r\n",
            "\x16\x03\x01",
        ];
        for head in nonsense {
            assert_eq!(read(head), Some(Err(Nonsense)), "{head:?}");
        }
        assert_eq!(["", "GE", "GET /metrics HTTP/1.1\r\n"].map(read), [None, None, None]);
        let long = |len: usize| read(&format!("GET /metrics HTTP/1.1\r\nX: {}", "a".repeat(len)));
        assert_eq!((long(MOST_HEAD / 2), long(MOST_HEAD)), (None, Some(Err(Nonsense))));
        let lines = "X: a\r\n".repeat(MOST_LINES + 1);
        assert_eq!(read(&format!("GET / HTTP/1.1\r\n{lines}\r\n")), Some(Err(Nonsense)));
    }

    #[test]
    fn what_is_said_is_found_by_its_name_in_any_case_and_only_where_it_is_said_once() {
        let request = request("Host: a\r\nUPGRADE: websocket\r\nX: 1\r\nx: 2");
        assert_eq!((request.header("upgrade"), request.header("x"), request.header("y")), (Some("websocket"), None, None));
        assert_eq!((request.asked("track"), request.asked("b")), (Some("lab"), None));
    }

    #[test]
    fn who_asks_calls_us_by_an_address_or_a_name_of_ours() {
        let names = ["kitchen".to_string(), "kitchen.local".to_string()];
        let own = [
            "Host: localhost:9100",
            "host:LOCALHOST",
            "Host: 127.0.0.1:9100",
            "HOST: [::1]:9100",
            "Host: ::1",
            "Accept: */*",
            "Host: Kitchen.local:9690",
            "Host: kitchen.",
        ];
        for line in own {
            assert!(request(line).is_for(&names), "{line}");
        }
        let others = [
            "Host: evil.example",
            "Host: localhost.evil.example:9100",
            "Host:",
            "Host: 127.0.0.1\r\nHost: evil.example",
            "Host: \u{fc}",
        ];
        for line in others {
            assert!(!request(line).is_for(&names), "{line}");
        }
    }

    #[test]
    fn a_page_of_another_host_is_not_ours() {
        for line in ["Accept: */*", "Host: a:1\r\nOrigin: http://a:1", "Origin: https://[::1]:9\r\nHost: [::1]:9"] {
            assert!(request(line).is_same_origin(), "{line}");
        }
        let others = [
            "Host: a:1\r\nOrigin: http://a:2",
            "Host: a:1\r\nOrigin: http://b:1",
            "Host: a:1\r\nOrigin: null",
            "Host: a:1\r\nOrigin: file://a:1",
            "Origin: http://a:1",
            "Host: a\r\nOrigin: http://a\r\nOrigin: http://b",
        ];
        for line in others {
            assert!(!request(line).is_same_origin(), "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(
            bytes in proptest::collection::vec(prop_oneof![Just(b' '), Just(b'\r'), Just(b'\n'), Just(b'/'), any::<u8>()], 0..200),
        ) {
            for bytes in [bytes.clone(), [b"GET ", &bytes[..], b" HTTP/1.1\r\n\r\n"].concat()] {
                if let Some(Ok(request)) = read(&bytes) {
                    prop_assert!(request.path.starts_with('/') && request.len <= bytes.len());
                    let _ = (request.is_for(&[]), request.is_same_origin());
                }
            }
        }
    }
}
