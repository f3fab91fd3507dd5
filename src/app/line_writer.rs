//! Lines for stdout, written by a thread of its own: whoever reads them may stand still, and holds nobody here.
//!
//! Capacity: [`MOST_LINES`] and [`MOST_BYTES`] that the reader has not taken yet; of more the oldest are left out, and counted.

use crate::slot::Slot;
use crate::threads::lock;
use std::io::{self, Write};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// A minute of statistics, beside what lies in the reader's pipe.
const MOST_LINES: usize = 60;

/// Of 256 watchers an object has 100 kB.
const MOST_BYTES: usize = 8 << 20;

pub struct LineWriter {
    lines: Arc<Slot<String>>,
    failed: Arc<Mutex<Option<io::Error>>>,
    /// Nothing is ever said; it is disconnected when the thread has ended.
    ended: Receiver<()>,
    thread: JoinHandle<()>,
}

impl LineWriter {
    /// With a thread of this name. Each line is one write, where `to` takes it whole.
    pub fn spawn(name: &str, mut to: impl Write + Send + 'static) -> io::Result<LineWriter> {
        let lines = Slot::dropping_bytes(MOST_LINES, MOST_BYTES, String::len);
        let failed: Arc<Mutex<Option<io::Error>>> = Arc::default();
        let (ends, ended) = mpsc::channel();
        let (unwritten, fails) = (lines.clone(), failed.clone());
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || {
            let _ends: mpsc::Sender<()> = ends;
            while let Some(line) = unwritten.take() {
                if let Err(error) = to.write_all(line.as_bytes()).and_then(|()| to.flush()) {
                    *lock(&fails) = Some(error);
                    unwritten.discard();
                }
            }
        })?;
        Ok(LineWriter { lines, failed, ended, thread })
    }

    /// One more, with its end. Fails once, after a line before it could not be written; from then on all are left out.
    pub fn push(&self, line: String) -> io::Result<()> {
        let closed = self.lines.push(line).is_err();
        closed.then(|| lock(&self.failed).take()).flatten().map_or(Ok(()), Err)
    }

    /// No more lines come. How many were left out because nobody took them, for `farewell` at last, and why one could not be
    /// written, where [`LineWriter::push`] did not say so.
    pub fn finish(self, farewell: Duration) -> (u64, Option<io::Error>) {
        self.lines.close();
        let stands = self.ended.recv_timeout(farewell) == Err(RecvTimeoutError::Timeout);
        let unwritten = self.lines.discard() as u64 + u64::from(stands);
        if !stands {
            let _ = self.thread.join();
        }
        let failed = lock(&self.failed).take();
        (self.lines.dropped() + unwritten, failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};

    /// More than a pipe and the queue take.
    const MANY: usize = 200;

    fn written(writer: &LineWriter) {
        for number in 0..MANY {
            writer.push(format!("{number:8000}\n")).unwrap();
        }
    }

    #[test]
    fn a_reader_that_reads_at_last_gets_the_newest_lines_and_the_others_are_counted() {
        let (from, to) = io::pipe().unwrap();
        let writer = LineWriter::spawn("lines", to).unwrap();
        written(&writer);
        let reader = std::thread::spawn(move || {
            BufReader::new(from).lines().map(|line| line.unwrap().trim().parse().unwrap()).collect::<Vec<usize>>()
        });
        let (left_out, failed) = writer.finish(Duration::from_secs(600));
        let read = reader.join().unwrap();
        assert_eq!((read.len() + left_out as usize, failed.is_none()), (MANY, true));
        assert!(read.ends_with(&(MANY - MOST_LINES..MANY).collect::<Vec<_>>()) && left_out > 0, "{read:?}");
    }

    #[test]
    fn a_reader_that_stands_still_holds_nobody() {
        let (_from, to) = io::pipe().unwrap();
        let writer = LineWriter::spawn("lines", to).unwrap();
        written(&writer);
        assert!(writer.finish(Duration::from_millis(1)).0 > MOST_LINES as u64);
    }

    #[test]
    fn a_reader_that_went_away_is_an_error_once() {
        let (from, to) = io::pipe().unwrap();
        drop(from);
        let writer = LineWriter::spawn("lines", to).unwrap();
        let error = std::iter::repeat_with(|| writer.push("line\n".to_string())).find_map(Result::err).unwrap();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        assert!(writer.push("line\n".to_string()).is_ok());
        assert!(writer.finish(Duration::from_secs(600)).1.is_none());
    }

    #[test]
    fn a_last_line_that_cannot_be_written_is_told_at_the_end() {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let writer = LineWriter::spawn("lines", full).unwrap();
        writer.push("line\n".to_string()).unwrap();
        let (left_out, failed) = writer.finish(Duration::from_secs(600));
        assert_eq!((left_out, failed.map(|error| error.kind())), (0, Some(io::ErrorKind::StorageFull)));
    }
}
