// SPDX-License-Identifier: GPL-2.0-only
//! The guest's memory that the vfio-user client maps for the device.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};

use vm_memory::mmap::MmapRegion;
use vm_memory::volatile_memory::VolatileMemory;
use vm_memory::FileOffset;
use vppe_model::{Dma, DmaError};

/// A piece of guest memory.
struct Map {
    addr: u64,
    len: u64,
    writable: bool,
    region: MmapRegion,
}

impl Map {
    fn end(&self) -> u64 {
        self.addr + self.len
    }
}

/// All mapped pieces of guest memory.
#[derive(Default)]
pub struct GuestMemory {
    maps: Vec<Map>,
    last: Cell<usize>,
    bus_master: bool,
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, message)
}

impl GuestMemory {
    /// Maps `size` bytes of `file` from `offset` on at guest-physical address `addr`.
    pub fn map(
        &mut self,
        addr: u64,
        size: u64,
        file: File,
        offset: u64,
        writable: bool,
    ) -> io::Result<()> {
        let end = addr
            .checked_add(size)
            .ok_or_else(|| invalid("wraps around"))?;
        if size == 0 {
            return Err(invalid("is empty"));
        }
        if self.maps.iter().any(|m| m.addr < end && addr < m.end()) {
            return Err(invalid("overlaps another mapping"));
        }
        let len = usize::try_from(size).map_err(|_| invalid("is too large"))?;
        // An access behind the end of a file would raise SIGBUS.
        let meta = file.metadata()?;
        if meta.is_file() && offset.checked_add(size).is_none_or(|end| end > meta.len()) {
            return Err(invalid("goes beyond its file"));
        }
        let mut prot = libc::PROT_READ;
        if writable {
            prot |= libc::PROT_WRITE;
        }
        let flags = libc::MAP_SHARED | libc::MAP_NORESERVE;
        let region = MmapRegion::build(Some(FileOffset::new(file, offset)), len, prot, flags)
            .map_err(|error| invalid(&error.to_string()))?;
        self.maps.push(Map {
            addr,
            len: size,
            writable,
            region,
        });
        Ok(())
    }

    /// Unmaps the pieces within the range; returns their number.
    pub fn unmap(&mut self, addr: u64, size: u64) -> usize {
        let end = addr.saturating_add(size);
        let before = self.maps.len();
        self.maps.retain(|m| !(addr <= m.addr && m.end() <= end));
        before - self.maps.len()
    }

    /// Unmaps all pieces.
    pub fn clear(&mut self) {
        self.maps.clear();
    }

    /// Number of mapped pieces.
    pub fn maps(&self) -> usize {
        self.maps.len()
    }

    /// Returns whether the device may access memory.
    pub fn bus_master(&self) -> bool {
        self.bus_master
    }

    /// Allows or forbids the device to access memory (bus-master bit of PCI's command
    /// register).
    pub fn set_bus_master(&mut self, on: bool) {
        self.bus_master = on;
    }

    fn find(&self, addr: u64) -> Result<&Map, DmaError> {
        if !self.bus_master {
            return Err(DmaError { addr });
        }
        let holds = |map: &Map| map.addr <= addr && addr < map.end();
        if let Some(map) = self.maps.get(self.last.get()).filter(|map| holds(map)) {
            return Ok(map);
        }
        let index = self.maps.iter().position(holds).ok_or(DmaError { addr })?;
        self.last.set(index);
        Ok(&self.maps[index])
    }

    /// Calls `access` for each mapped piece of the `len` bytes at `addr`.
    fn pieces(
        &self,
        addr: u64,
        len: usize,
        mut access: impl FnMut(&Map, usize, std::ops::Range<usize>) -> Result<(), DmaError>,
    ) -> Result<(), DmaError> {
        let mut done = 0;
        while done < len {
            let at = addr.checked_add(done as u64).ok_or(DmaError { addr })?;
            let map = self.find(at)?;
            let left = usize::try_from(map.end() - at).unwrap_or(usize::MAX);
            let piece = left.min(len - done);
            access(map, (at - map.addr) as usize, done..done + piece)?;
            done += piece;
        }
        Ok(())
    }

    fn word(&self, addr: u64, write: bool) -> Result<&AtomicU32, DmaError> {
        let map = self.find(addr)?;
        if write && !map.writable {
            return Err(DmaError { addr });
        }
        map.region
            .get_atomic_ref((addr - map.addr) as usize)
            .map_err(|_| DmaError { addr })
    }
}

impl Dma for GuestMemory {
    fn read(&self, addr: u64, buf: &mut [u8]) -> Result<(), DmaError> {
        self.pieces(addr, buf.len(), |map, offset, range| {
            let slice = map
                .region
                .get_slice(offset, range.len())
                .map_err(|_| DmaError { addr })?;
            slice.copy_to(&mut buf[range]);
            Ok(())
        })
    }

    fn write(&self, addr: u64, buf: &[u8]) -> Result<(), DmaError> {
        self.pieces(addr, buf.len(), |map, offset, range| {
            if !map.writable {
                return Err(DmaError { addr });
            }
            let slice = map
                .region
                .get_slice(offset, range.len())
                .map_err(|_| DmaError { addr })?;
            slice.copy_from(&buf[range]);
            Ok(())
        })
    }

    fn read_u32(&self, addr: u64) -> Result<u32, DmaError> {
        let word = self.word(addr, false)?.load(Ordering::Acquire);
        Ok(u32::from_le(word))
    }

    fn cas_u32(&self, addr: u64, old: u32, new: u32) -> Result<bool, DmaError> {
        let word = self.word(addr, true)?;
        let done = word.compare_exchange(
            old.to_le(),
            new.to_le(),
            Ordering::AcqRel,
            Ordering::Relaxed,
        );
        Ok(done.is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(len: u64) -> File {
        let file = tempfile::tempfile().unwrap();
        file.set_len(len).unwrap();
        file
    }

    #[test]
    fn accesses_cross_from_map_to_map() {
        let mut memory = GuestMemory::default();
        memory.set_bus_master(true);
        let backing = file(0x4000);
        let again = || backing.try_clone().unwrap();
        memory.map(0x1000, 0x1000, again(), 0x2000, true).unwrap();
        memory.map(0x2000, 0x1000, again(), 0x0000, true).unwrap();
        memory.write(0x1ffe, &[1, 2, 3, 4]).unwrap();
        let mut bytes = [0; 4];
        memory.read(0x1ffe, &mut bytes).unwrap();
        assert_eq!(bytes, [1, 2, 3, 4]);
        assert_eq!(memory.read_u32(0x2000).unwrap(), 0x0000_0403);
        assert!(memory.cas_u32(0x2000, 0x0403, 7).unwrap());
        assert!(!memory.cas_u32(0x2000, 0x0403, 8).unwrap());
        assert_eq!(memory.read_u32(0x2000).unwrap(), 7);
        assert!(memory.read_u32(0x2001).is_err());
        assert!(memory.read(0x2ffe, &mut bytes).is_err());
        assert_eq!(memory.unmap(0x2000, 0x1000), 1);
        assert!(memory.read_u32(0x2000).is_err());
    }

    #[test]
    fn wrong_maps_and_accesses_are_refused() {
        let mut memory = GuestMemory::default();
        memory.map(0x1000, 0x1000, file(0x1000), 0, false).unwrap();
        assert!(memory.read_u32(0x1000).is_err(), "not a bus master");
        memory.set_bus_master(true);
        assert_eq!(memory.read_u32(0x1000).unwrap(), 0);
        assert!(memory.write(0x1000, &[1]).is_err(), "read-only");
        assert!(memory.cas_u32(0x1000, 0, 1).is_err(), "read-only");
        let overlap = memory.map(0x1800, 0x1000, file(0x1000), 0, true);
        assert!(overlap.is_err());
        let short = memory.map(0x8000, 0x2000, file(0x1000), 0, true);
        assert!(short.is_err(), "file is shorter than the mapping");
        assert_eq!(memory.maps(), 1);
    }
}
