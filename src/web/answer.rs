//! What is answered, as bytes.

/// A page: its status, as `200 OK`, its kind, lines of its head beside those (each ends in CRLF), and what is on it. The connection
/// is closed behind it.
pub fn page(status: &str, kind: &str, lines: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nCache-Control: no-store\r\n\
         Connection: close\r\n{lines}\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// A sentence.
pub fn sentence(status: &str, sentence: &str) -> Vec<u8> {
    page(status, "text/plain; charset=utf-8", "", format!("{sentence}\n").as_bytes())
}

/// Only GET is there.
pub fn otherwise() -> Vec<u8> {
    page("405 Method Not Allowed", "text/plain; charset=utf-8", "Allow: GET\r\n", b"GET is all there is\n")
}
