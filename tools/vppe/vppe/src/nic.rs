// SPDX-License-Identifier: GPL-2.0-only
//! The guest's NIC of a port: QEMU's `-netdev stream` over a Unix socket.
//!
//! Four bytes in network order, the length, precede each frame.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{send, SendFlags};

/// Largest frame that QEMU sends (its `NET_BUFSIZE`).
const MAX_FRAME: usize = 4096 + 65536;
/// Bytes of the receive buffer.
const RECEIVE: usize = 4 * (MAX_FRAME + 4);
/// After this many sent bytes the queue moves the others to the front of its buffer.
const COMPACT: usize = 64 * 1024;

/// A connection to QEMU.
#[derive(Debug)]
pub struct Nic {
    stream: UnixStream,
    received: Vec<u8>,
    filled: usize,
    queue: Queue,
}

/// The result of [`Nic::receive`].
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// The socket is empty.
    Drained,
    /// The socket may hold more.
    More,
}

impl Nic {
    /// A connection that queues at most `limit` frames to the guest.
    pub fn new(stream: UnixStream, limit: usize) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            received: vec![0; RECEIVE],
            filled: 0,
            queue: Queue::new(limit),
        })
    }

    /// Queues a frame to the guest with `tail` as its last bytes; returns whether the queue had
    /// room.
    #[inline]
    pub fn push(&mut self, frame: &[u8], tail: &[u8]) -> bool {
        self.queue.push(frame, tail)
    }

    /// Returns whether frames wait for the guest.
    pub fn pending(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Sends frames that wait, without blocking.
    pub fn flush(&mut self) -> io::Result<()> {
        while !self.queue.is_empty() {
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            match send(&self.stream, self.queue.bytes(), flags) {
                Ok(n) => self.queue.consume(n),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => break,
                    ErrorKind::Interrupted => (),
                    _ => return Err(error.into()),
                },
            }
        }
        Ok(())
    }

    /// Receives once and calls `frame` for each complete frame.
    ///
    /// The end of the connection is an error.
    pub fn receive(&mut self, mut frame: impl FnMut(&[u8])) -> io::Result<Received> {
        let room = &mut self.received[self.filled..];
        let wanted = room.len();
        let n = match (&self.stream).read(room) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(n) => n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Received::Drained),
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(Received::More),
            Err(error) => return Err(error),
        };
        self.filled += n;
        let mut rest = &self.received[..self.filled];
        while let Some((head, body)) = rest.split_first_chunk::<4>() {
            let len = u32::from_be_bytes(*head) as usize;
            if len == 0 || len > MAX_FRAME {
                return Err(io::Error::new(
                    ErrorKind::InvalidData,
                    format!("frame of {len} bytes"),
                ));
            }
            let Some(bytes) = body.get(..len) else {
                break;
            };
            frame(bytes);
            rest = &body[len..];
        }
        let left = rest.len();
        self.received
            .copy_within(self.filled - left..self.filled, 0);
        self.filled = left;
        Ok(if n < wanted {
            Received::Drained
        } else {
            Received::More
        })
    }
}

impl AsFd for Nic {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// Waiting frames with their lengths, in one buffer.
#[derive(Debug)]
struct Queue {
    bytes: Vec<u8>,
    head: usize,
    /// Number of unsent bytes of each frame.
    frames: VecDeque<usize>,
    limit: usize,
}

impl Queue {
    fn new(limit: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(COMPACT),
            head: 0,
            frames: VecDeque::with_capacity(limit),
            limit,
        }
    }

    fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    fn push(&mut self, frame: &[u8], tail: &[u8]) -> bool {
        if self.frames.len() >= self.limit {
            return false;
        }
        let len = frame.len() + tail.len();
        self.bytes.extend_from_slice(&(len as u32).to_be_bytes());
        self.bytes.extend_from_slice(frame);
        self.bytes.extend_from_slice(tail);
        self.frames.push_back(4 + len);
        true
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[self.head..]
    }

    fn consume(&mut self, mut n: usize) {
        self.head += n;
        while let Some(first) = self.frames.front_mut() {
            if *first > n {
                *first -= n;
                break;
            }
            n -= *first;
            self.frames.pop_front();
        }
        if self.frames.is_empty() {
            self.bytes.clear();
            self.head = 0;
        } else if self.head >= COMPACT {
            self.bytes.drain(..self.head);
            self.head = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn frames_survive_being_cut() {
        let frames: Vec<Vec<u8>> = [3, 1500, 1, 60, 257, 1514]
            .iter()
            .map(|&len| (0..len).map(|i| (i * 7 + len) as u8).collect())
            .collect();
        let mut wire = Vec::new();
        for frame in &frames {
            wire.extend_from_slice(&(frame.len() as u32).to_be_bytes());
            wire.extend_from_slice(frame);
        }
        for size in [1, 3, 11, 100, 1499, wire.len()] {
            let (ours, mut theirs) = UnixStream::pair().unwrap();
            let mut nic = Nic::new(ours, 4).unwrap();
            let mut got: Vec<Vec<u8>> = Vec::new();
            for piece in wire.chunks(size) {
                theirs.write_all(piece).unwrap();
                nic.receive(|frame| got.push(frame.to_vec())).unwrap();
            }
            assert_eq!(got, frames, "pieces of {size}");
            assert_eq!(nic.receive(|_| ()).unwrap(), Received::Drained);
            drop(theirs);
            assert!(nic.receive(|_| ()).is_err());
        }
    }

    #[test]
    fn impossible_length_is_an_error() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut nic = Nic::new(ours, 4).unwrap();
        theirs.write_all(&[0xff; 8]).unwrap();
        assert!(nic.receive(|_| ()).is_err());
    }

    #[test]
    fn queue_is_bounded_and_sends_in_pieces() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut nic = Nic::new(ours, 1000).unwrap();
        let frame = [0x5a; 1400];
        let mut accepted = 0;
        while nic.push(&frame, &[]) {
            accepted += 1;
            nic.flush().unwrap();
        }
        assert!(accepted >= 1000);
        assert!(nic.pending());
        theirs.set_nonblocking(true).unwrap();
        let mut bytes = 0;
        let mut buf = vec![0; 7001];
        loop {
            match (&theirs).read(&mut buf) {
                Ok(n) => bytes += n,
                Err(_) if nic.pending() => nic.flush().unwrap(),
                Err(_) => break,
            }
        }
        assert_eq!(bytes, accepted * 1404);
    }
}
