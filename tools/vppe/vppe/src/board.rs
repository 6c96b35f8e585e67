// SPDX-License-Identifier: GPL-2.0-only
//! The interface of the board to its driver (Documentation/emulated-board.md): the board
//! description in BAR2, and the receive words.

use vppe_model::{CpuReason, Port};

/// The magic word, the bytes `VPPE`.
pub const MAGIC: u32 = u32::from_le_bytes(*b"VPPE");
/// Layout version.
pub const VERSION: u32 = 1;
/// Bytes of BAR2.
pub const SIZE: usize = 4096;
/// Most ports of a board.
pub const MAX_PORTS: usize = 16;

/// The board description.
#[derive(Debug, Clone)]
pub struct Board {
    /// Magic word.
    pub magic: u32,
    /// Layout version.
    pub version: u32,
    /// Number of the chip.
    pub chip: u32,
    /// A receive word follows each frame to the CPU.
    pub rx_words: bool,
    /// Ports in the order of the command line.
    pub ports: Vec<Port>,
}

impl Board {
    /// Returns the content of BAR2.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; SIZE];
        let mut put = |offset: usize, word: u32| {
            bytes[offset..offset + 4].copy_from_slice(&word.to_le_bytes());
        };
        put(0x00, self.magic);
        put(0x04, self.version);
        put(0x08, self.chip);
        put(0x0c, self.ports.len() as u32);
        put(0x10, u32::from(self.rx_words));
        for (i, port) in self.ports.iter().enumerate().take(MAX_PORTS) {
            let m = port.mac;
            put(0x40 + 16 * i, u32::from(port.pse));
            put(0x44 + 16 * i, u32::from_le_bytes([m[0], m[1], m[2], m[3]]));
            put(0x48 + 16 * i, u32::from_le_bytes([m[4], m[5], 0, 0]));
        }
        bytes
    }
}

/// Returns the receive word of a frame for the CPU: what a receive descriptor says.
pub fn rx_word(reason: CpuReason, entry: Option<u32>) -> [u8; 4] {
    const MARK: u32 = 0x5a;
    const NO_ENTRY: u32 = 0xffff;
    const OTHER_REASON: u8 = 0x1f;
    let reason = u32::from(reason.number().unwrap_or(OTHER_REASON));
    (MARK << 24 | reason << 16 | entry.unwrap_or(NO_ENTRY)).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_where_the_contract_says() {
        let board = Board {
            magic: MAGIC,
            version: VERSION,
            chip: 0x7986,
            rx_words: true,
            ports: vec![
                Port::new(1, [0x02, 0x11, 0x22, 0x33, 0x44, 0x55]),
                Port::new(2, [0x02, 0, 0, 0, 0, 2]),
            ],
        };
        let bytes = board.bytes();
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!(word(0x00), 0x4550_5056);
        assert_eq!(word(0x04), 1);
        assert_eq!(word(0x08), 0x7986);
        assert_eq!(word(0x0c), 2);
        assert_eq!(word(0x10), 1);
        assert_eq!(word(0x40), 1);
        assert_eq!(word(0x44), 0x3322_1102);
        assert_eq!(word(0x48), 0x0000_5544);
        assert_eq!(word(0x4c), 0);
        assert_eq!(word(0x50), 2);
        assert_eq!(word(0x54), 0x0000_0002);
        assert_eq!(word(0x58), 0x0000_0200);
        assert_eq!(word(0x60), 0);
        assert_eq!(bytes.len(), 4096);
    }
}
