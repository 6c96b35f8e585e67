// SPDX-License-Identifier: GPL-2.0-only
//! The Internet checksum, in full and by difference (RFC 1624).

use etherparse::checksum::u64_16bit_word;

/// Folds a sum of 16-bit words into one, with end-around carry.
fn fold(mut sum: u32) -> u16 {
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum as u16
}

/// Returns the difference that replacing the word `old` by `new` makes to a sum of 16-bit words.
pub(crate) fn diff32(old: u32, new: u32) -> u32 {
    let (o, n) = (!old, new);
    (o & 0xffff) + (o >> 16) + (n & 0xffff) + (n >> 16)
}

/// Returns the checksum `check` after a change of `diff` (a sum of [`diff32`]s).
pub(crate) fn update(check: u16, diff: u32) -> u16 {
    !fold(u32::from(!check) + u32::from(fold(diff)))
}

/// Returns whether `bytes`, which include a checksum, and `start` have a correct sum.
pub(crate) fn verify(start: u64, bytes: &[u8]) -> bool {
    u64_16bit_word::ones_complement(u64_16bit_word::add_slice(start, bytes)) == 0
}

/// Returns the `start` of [`verify`] for TCP and UDP: the sum of the pseudo header.
pub(crate) fn pseudo(addresses: &[u8], protocol: u8, len: u32) -> u64 {
    let sum = u64_16bit_word::add_slice(0, addresses);
    let sum = u64_16bit_word::add_4bytes(sum, len.to_be_bytes());
    u64_16bit_word::add_2bytes(sum, [0, protocol])
}
