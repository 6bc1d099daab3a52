//! A large section inflated by a thread of its own, some pieces ahead of whoever parses it.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

/// Bytes of one piece.
const PIECE: usize = 256 << 10;
/// Pieces that may wait to be parsed.
const AHEAD: usize = 8;

/// The bytes of a reader, read ahead. The thread has ended when this is dropped.
pub(super) struct Ahead {
    pieces: Option<Receiver<io::Result<Vec<u8>>>>,
    thread: Option<JoinHandle<()>>,
    piece: Vec<u8>,
    used: usize,
}

impl Ahead {
    /// Starts reading `source`. Fails when no thread can be had.
    pub(super) fn new<R: Read + Send + 'static>(source: R) -> io::Result<Ahead> {
        let (sender, pieces) = sync_channel(AHEAD);
        let thread = thread::Builder::new()
            .name("inflate".into())
            .spawn(move || read_all(source, &sender))?;
        Ok(Ahead {
            pieces: Some(pieces),
            thread: Some(thread),
            piece: Vec::new(),
            used: 0,
        })
    }
}

/// Ends at the end of the source, at an error, or when nobody listens any more.
fn read_all(mut source: impl Read, sender: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        let read = source.by_ref().take(PIECE as u64).read_to_end(&mut piece);
        let last = !matches!(read, Ok(PIECE));
        // What was inflated before an error is still good.
        if !piece.is_empty() && sender.send(Ok(piece)).is_err() {
            return;
        }
        if let Err(error) = read {
            let _ = sender.send(Err(error));
        }
        if last {
            return;
        }
    }
}

impl Read for Ahead {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.used == self.piece.len() {
            let next = self.pieces.as_ref().and_then(|pieces| pieces.recv().ok());
            let Some(piece) = next else { return Ok(0) };
            (self.piece, self.used) = (piece?, 0);
        }
        let rest = self.piece.get(self.used..).unwrap_or_default();
        let len = rest.len().min(buf.len());
        if let (Some(to), Some(from)) = (buf.get_mut(..len), rest.get(..len)) {
            to.copy_from_slice(from);
        }
        self.used += len;
        Ok(len)
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        // Nobody listens: the thread's next send fails. It must be gone before anybody forks.
        self.pieces = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bytes_come_in_order_whatever_the_pieces() {
        let bytes: Vec<u8> = (0..3 * PIECE + 17).map(|n| (n / 7) as u8).collect();
        let mut ahead = Ahead::new(io::Cursor::new(bytes.clone())).unwrap();
        let mut first = [0; 5];
        ahead.read_exact(&mut first).unwrap();
        let mut rest = Vec::new();
        ahead.read_to_end(&mut rest).unwrap();
        assert_eq!([&first[..], &rest].concat(), bytes);
    }

    /// Some bytes, then an error.
    struct Broken(usize);

    impl Read for Broken {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let len = buf.len().min(self.0);
            buf[..len].fill(1);
            self.0 -= len;
            Ok(len)
        }
    }

    #[test]
    fn an_error_comes_after_the_bytes_before_it() {
        let mut ahead = Ahead::new(Broken(PIECE + 10)).unwrap();
        let mut all = Vec::new();
        let error = ahead.read_to_end(&mut all).unwrap_err();
        assert_eq!((all.len(), error.kind()), (PIECE + 10, io::ErrorKind::InvalidData));
    }

    #[test]
    fn dropped_early_it_ends_its_thread() {
        let mut ahead = Ahead::new(io::repeat(3)).unwrap();
        ahead.read_exact(&mut [0; 100]).unwrap();
        drop(ahead); // would wait for ever
    }
}
