// SPDX-License-Identifier: GPL-2.0-only
//! TAP interfaces: the wires.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use anyhow::{Context, Result};

/// Frames that the kernel queues for the program while it does not run.
const QUEUE_LEN: u32 = 4096;

/// A TAP interface. The kernel removes it when the program ends.
#[derive(Debug)]
pub struct Tap {
    file: File,
}

impl Tap {
    /// Creates the interface `name` in the program's network namespace.
    pub fn create(name: &str) -> Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/net/tun")
            .context("cannot open /dev/net/tun")?;
        set_iff(&file, name).with_context(|| {
            format!("cannot make the TAP interface {name} (is it there already? are you root?)")
        })?;
        // A failure is no error: the queue then has the kernel's default length, 500.
        let queue_len = format!("/sys/class/net/{name}/tx_queue_len");
        if let Err(error) = fs::write(&queue_len, QUEUE_LEN.to_string()) {
            log::debug!("{queue_len}: {error}");
        }
        Ok(Self { file })
    }

    /// Receives a frame.
    #[inline]
    pub fn recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        (&self.file).read(buf)
    }

    /// Sends a frame.
    #[inline]
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        (&self.file).write(frame).map(drop)
    }
}

/// For tests: any descriptor that receives and sends whole frames without blocking, such as
/// one end of a pair of datagram sockets.
impl From<OwnedFd> for Tap {
    fn from(fd: OwnedFd) -> Self {
        Self {
            file: File::from(fd),
        }
    }
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Attaches the descriptor to a new interface.
fn set_iff(file: &File, name: &str) -> io::Result<()> {
    // SAFETY: `ifreq` is plain data, for which all zeroes is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if name.len() >= request.ifr_name.len() {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    let flags = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_TUN_EXCL;
    request.ifr_ifru.ifru_flags = flags as libc::c_short;
    // SAFETY: the descriptor is open, and TUNSETIFF reads and writes one `ifreq`, which
    // `request` is and which outlives the call.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &mut request) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
