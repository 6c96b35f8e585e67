// SPDX-License-Identifier: GPL-2.0-only
//! Access to guest memory.

use std::cell::RefCell;
use std::fmt;

/// A failed access to guest memory: no memory is mapped at the address, or the device is not
/// a bus master.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DmaError {
    /// Guest-physical address.
    pub addr: u64,
}

impl fmt::Display for DmaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no DMA to {:#x}", self.addr)
    }
}

impl std::error::Error for DmaError {}

/// Guest memory as a PPE sees it. Words are little-endian.
pub trait Dma {
    /// Reads `buf.len()` bytes at guest-physical address `addr`.
    fn read(&self, addr: u64, buf: &mut [u8]) -> Result<(), DmaError>;

    /// Writes `buf` at guest-physical address `addr`.
    fn write(&self, addr: u64, buf: &[u8]) -> Result<(), DmaError>;

    /// Reads one aligned word atomically.
    fn read_u32(&self, addr: u64) -> Result<u32, DmaError>;

    /// Atomically replaces the aligned word at `addr` by `new` if it is `old`; returns whether
    /// it was.
    ///
    /// **Assumption**: a PPE never overwrites a state word that the CPU changed after the PPE
    /// read it. The facts do not say how silicon does this.
    fn cas_u32(&self, addr: u64, old: u32, new: u32) -> Result<bool, DmaError>;
}

/// Memory for tests and benchmarks, without a guest.
pub struct VecMemory {
    base: u64,
    bytes: RefCell<Vec<u8>>,
}

impl VecMemory {
    /// `len` zero bytes from address `base` on.
    pub fn new(base: u64, len: usize) -> Self {
        Self {
            base,
            bytes: RefCell::new(vec![0; len]),
        }
    }

    fn range(&self, addr: u64, len: usize) -> Result<std::ops::Range<usize>, DmaError> {
        let start = addr.checked_sub(self.base).ok_or(DmaError { addr })?;
        let start = usize::try_from(start).map_err(|_| DmaError { addr })?;
        match start.checked_add(len) {
            Some(end) if end <= self.bytes.borrow().len() => Ok(start..end),
            _ => Err(DmaError { addr }),
        }
    }

    /// Writes one word.
    pub fn write_u32(&self, addr: u64, value: u32) -> Result<(), DmaError> {
        self.write(addr, &value.to_le_bytes())
    }
}

impl Dma for VecMemory {
    fn read(&self, addr: u64, buf: &mut [u8]) -> Result<(), DmaError> {
        let range = self.range(addr, buf.len())?;
        buf.copy_from_slice(&self.bytes.borrow()[range]);
        Ok(())
    }

    fn write(&self, addr: u64, buf: &[u8]) -> Result<(), DmaError> {
        let range = self.range(addr, buf.len())?;
        self.bytes.borrow_mut()[range].copy_from_slice(buf);
        Ok(())
    }

    fn read_u32(&self, addr: u64) -> Result<u32, DmaError> {
        let mut word = [0; 4];
        self.read(addr, &mut word)?;
        Ok(u32::from_le_bytes(word))
    }

    fn cas_u32(&self, addr: u64, old: u32, new: u32) -> Result<bool, DmaError> {
        if self.read_u32(addr)? != old {
            return Ok(false);
        }
        self.write_u32(addr, new)?;
        Ok(true)
    }
}
