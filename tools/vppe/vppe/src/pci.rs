// SPDX-License-Identifier: GPL-2.0-only
//! The device's PCI configuration space.

/// Bytes of the configuration space.
pub const CONFIG_SIZE: usize = 256;
/// PCI vendor ID of the board.
pub const VENDOR: u16 = 0x1af4;
/// PCI device ID of the board.
pub const DEVICE: u16 = 0x10f7;
/// Bytes of BAR0.
pub const BAR0_SIZE: u32 = 64 * 1024;
/// Bytes of BAR2.
pub const BAR2_SIZE: u32 = 4 * 1024;

const COMMAND: usize = 0x04;
const COMMAND_MASTER: u8 = 1 << 2;
/// Memory space, bus master, SERR, INTx disable.
const COMMAND_WRITABLE: u16 = 0x0506;

/// A header of type 0 with two memory BARs and no capabilities.
pub struct ConfigSpace {
    bytes: [u8; CONFIG_SIZE],
    writable: [u8; CONFIG_SIZE],
}

impl ConfigSpace {
    /// The configuration space after reset.
    pub fn new() -> Self {
        let mut this = Self {
            bytes: [0; CONFIG_SIZE],
            writable: [0; CONFIG_SIZE],
        };
        let put = |array: &mut [u8; CONFIG_SIZE], at: usize, bytes: &[u8]| {
            array[at..at + bytes.len()].copy_from_slice(bytes);
        };
        put(&mut this.bytes, 0x00, &VENDOR.to_le_bytes());
        put(&mut this.bytes, 0x02, &DEVICE.to_le_bytes());
        put(&mut this.bytes, 0x08, &[0x01, 0x00, 0x80, 0x02]);
        put(&mut this.bytes, 0x2c, &VENDOR.to_le_bytes());
        put(&mut this.bytes, 0x2e, &DEVICE.to_le_bytes());
        put(&mut this.writable, COMMAND, &COMMAND_WRITABLE.to_le_bytes());
        put(&mut this.writable, 0x10, &(!(BAR0_SIZE - 1)).to_le_bytes());
        put(&mut this.writable, 0x18, &(!(BAR2_SIZE - 1)).to_le_bytes());
        put(&mut this.writable, 0x3c, &[0xff]); // interrupt line, for software's use
        this
    }

    /// Reads a range; returns whether it exists.
    pub fn read(&self, offset: u64, data: &mut [u8]) -> bool {
        let Some(range) = range(offset, data.len()) else {
            return false;
        };
        data.copy_from_slice(&self.bytes[range]);
        true
    }

    /// Writes the writable bits of a range; returns whether it exists.
    pub fn write(&mut self, offset: u64, data: &[u8]) -> bool {
        let Some(range) = range(offset, data.len()) else {
            return false;
        };
        for (at, new) in range.zip(data) {
            let mask = self.writable[at];
            self.bytes[at] = self.bytes[at] & !mask | new & mask;
        }
        true
    }

    /// Returns whether the bus-master bit is set.
    pub fn bus_master(&self) -> bool {
        self.bytes[COMMAND] & COMMAND_MASTER != 0
    }
}

impl Default for ConfigSpace {
    fn default() -> Self {
        Self::new()
    }
}

fn range(offset: u64, len: usize) -> Option<std::ops::Range<usize>> {
    let start = usize::try_from(offset).ok()?;
    let end = start.checked_add(len)?;
    (end <= CONFIG_SIZE).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(config: &ConfigSpace, at: u64) -> u32 {
        let mut data = [0; 4];
        assert!(config.read(at, &mut data));
        u32::from_le_bytes(data)
    }

    #[test]
    fn identity_and_bars() {
        let mut config = ConfigSpace::new();
        assert_eq!(word(&config, 0x00), 0x10f7_1af4);
        assert_eq!(word(&config, 0x08) >> 8, 0x02_8000);
        for bar in [0x10, 0x14, 0x18, 0x1c, 0x20, 0x24, 0x30] {
            assert!(config.write(bar, &[0xff; 4]));
        }
        assert_eq!(word(&config, 0x10), 0xffff_0000, "BAR0: 64 KiB");
        assert_eq!(word(&config, 0x14), 0);
        assert_eq!(word(&config, 0x18), 0xffff_f000, "BAR2: 4 KiB");
        assert_eq!(word(&config, 0x30), 0, "no ROM");
        assert!(!config.bus_master());
        config.write(0x04, &0xffff_u16.to_le_bytes());
        assert!(config.bus_master());
        assert_eq!(word(&config, 0x04), 0x0506);
        config.write(0x00, &[0xff; 4]);
        assert_eq!(word(&config, 0x00), 0x10f7_1af4, "read-only");
    }

    #[test]
    fn ranges_outside_are_refused() {
        let mut config = ConfigSpace::new();
        assert!(!config.read(253, &mut [0; 4]));
        assert!(!config.write(u64::MAX, &[0; 4]));
    }
}
