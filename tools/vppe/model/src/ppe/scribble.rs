// SPDX-License-Identifier: GPL-2.0-only
//! The fault of a broken PPE: any words in the table and the counters.

use super::mib::Counters;
use super::table::Table;
use crate::dma::Dma;
use crate::entry;

/// Writes `words` words into the table and the counters; returns how many it wrote.
///
/// `random` chooses place and value of each word. Half of the words go into entries in use,
/// where they do most harm. Some words only flip a bit.
pub(super) fn scribble(
    dma: &impl Dma,
    table: &Table,
    counters: &mut Counters,
    words: u32,
    mut random: impl FnMut() -> u32,
) -> u32 {
    let used: Vec<u32> = (0..table.entries)
        .filter(|&index| {
            let ib1 = table.read_ib1(dma, index).unwrap_or(0);
            entry::IB1_STATE.get(ib1) != entry::STATE_INVALID
        })
        .collect();
    let mut written = 0;
    for _ in 0..words {
        let [what, at, word, value] = [(); 4].map(|()| random());
        let index = match used.len() {
            n @ 1.. if what & 1 != 0 => used[at as usize % n],
            _ => at % table.entries,
        };
        if what & 0x0e == 0 {
            counters.add(index, value.into(), u64::from(random()) << 16);
            written += 1;
            continue;
        }
        // Word 0 more often than others: it has the state.
        let word = match what & 0x30 {
            0 => 0,
            _ => word % (table.entry_size / 4),
        };
        let value = match dma.read_u32(table.addr(index) + 4 * u64::from(word)) {
            Ok(old) if what & 0x40 != 0 => old ^ 1 << (value % 32),
            _ => value,
        };
        written += u32::from(table.write_word(dma, index, word, value));
    }
    written
}
