// SPDX-License-Identifier: GPL-2.0-only
//! The Internet checksum, whole and by difference (RFC 1624).

use etherparse::checksum::u64_16bit_word;

/// Folds a sum of 16-bit words into one, with end-around carry.
pub fn fold(mut sum: u32) -> u16 {
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    sum as u16
}

/// What replacing the 32-bit quantity `old` by `new` adds to a checksum's sum.
pub fn diff32(old: u32, new: u32) -> u32 {
    let (o, n) = (!old, new);
    (o & 0xffff) + (o >> 16) + (n & 0xffff) + (n >> 16)
}

/// The checksum `check` after a change worth `diff` (a sum of [`diff32`] and the like).
pub fn update(check: u16, diff: u32) -> u16 {
    !fold(u32::from(!check) + u32::from(fold(diff)))
}

/// Whether the words of `bytes`, a checksum among them, sum up, with `start` added to them.
pub fn verify(start: u64, bytes: &[u8]) -> bool {
    u64_16bit_word::ones_complement(u64_16bit_word::add_slice(start, bytes)) == 0
}

/// The start of [`verify`] for TCP and UDP: the pseudo header.
pub fn pseudo(addresses: &[u8], protocol: u8, len: u32) -> u64 {
    let sum = u64_16bit_word::add_slice(0, addresses);
    let sum = u64_16bit_word::add_4bytes(sum, len.to_be_bytes());
    u64_16bit_word::add_2bytes(sum, [0, protocol])
}
