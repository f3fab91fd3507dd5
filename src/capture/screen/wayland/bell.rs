//! Wakes a thread that waits in PipeWire's loop, from any other.

use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// Rung from any thread.
#[derive(Debug, Clone)]
pub struct Bell(Arc<UnixStream>);

impl Bell {
    /// It, and what can be read when it was rung.
    pub fn new() -> io::Result<(Bell, UnixStream)> {
        let (rung, heard) = UnixStream::pair()?;
        rung.set_nonblocking(true)?;
        heard.set_nonblocking(true)?;
        Ok((Bell(Arc::new(rung)), heard))
    }

    /// Where it was rung often and not heard yet, that is enough.
    pub fn ring(&self) {
        let _ = (&*self.0).write(&[0]);
    }
}

/// It was heard, however often it was rung.
pub fn heard(bell: &mut UnixStream) {
    while bell.read(&mut [0; 64]).is_ok_and(|read| read > 0) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bell_that_nobody_hears_holds_up_nobody_and_is_heard_once() {
        let (bell, mut waits) = Bell::new().unwrap();
        (0..1_000_000).for_each(|_| bell.ring());
        heard(&mut waits);
        assert_eq!(waits.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        bell.ring();
        assert_eq!(waits.read(&mut [0; 8]).unwrap(), 1);
        drop(bell);
        heard(&mut waits);
    }
}
