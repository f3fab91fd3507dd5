//! Lines that are typed on stdin, where there is no window to type them in.

use eyeline_proto::wire::record::MAX_TEXT;
use std::io::{self, BufRead, Read};
use std::thread;

/// Gives each line to `on_line`, on a thread that ends with stdin and else with the process: nobody can wake it. What is longer
/// than may be said is said in pieces.
pub fn listen(on_line: impl Fn(String) + Send + 'static) -> io::Result<()> {
    let read = move || {
        let mut stdin = io::stdin().lock();
        loop {
            let mut line = Vec::new();
            match stdin.by_ref().take(MAX_TEXT as u64).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let line = String::from_utf8_lossy(&line);
            if !line.trim().is_empty() {
                on_line(line.trim().to_string());
            }
        }
    };
    thread::Builder::new().name("typed".into()).spawn(read).map(|_| ())
}
