// SPDX-License-Identifier: GPL-2.0-only
//! From a 5-tuple to a bucket.

use crate::entry::Key;

/// Returns the three words that the hash mixes.
fn words(key: &Key) -> [u32; 3] {
    if key.v6 {
        let (s, d) = (&key.src, &key.dst);
        [
            s[3] ^ d[3] ^ key.ports,
            s[2] ^ d[2] ^ d[0],
            s[1] ^ d[1] ^ s[0],
        ]
    } else {
        [key.ports, key.dst[0], key.src[0]]
    }
}

/// Returns the index of the first way of the key's bucket.
///
/// `entries` and `ways` are powers of two. The facts describe hash mode 1.
/// **Assumption**: in the other modes the model mixes differently and uses `seed`. The PPE
/// then finds no entry of a driver that does not set the mode.
pub fn bucket(key: &Key, mode: u32, seed: u32, entries: u32, ways: u32) -> u32 {
    let [a, b, c] = words(key);
    let mut h = if mode == 1 {
        ((a & b) | (!a & c)).rotate_left(8) ^ a ^ b ^ c
    } else {
        a.wrapping_mul(0x9e37_79b1) ^ b.rotate_left(7) ^ c.rotate_left(13) ^ seed
    };
    h ^= h >> 16;
    (h << ways.trailing_zeros()) & (entries - 1)
}
