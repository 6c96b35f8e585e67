// SPDX-License-Identifier: GPL-2.0-only

//! Hashes, and tables in which a hash gives a few places.

/// Places for a hash.
const WAYS: usize = 4;

/// The places of a key with this hash, the latest first, if there are any.
pub(super) fn places_of<T>(places: &mut [T], hash: u64) -> Option<&mut [T]> {
    let buckets = places.len() / WAYS;
    let hash = usize::try_from(hash.wrapping_shr(32)).unwrap_or(0);
    let bucket = hash.checked_rem(buckets)?;
    places.chunks_exact_mut(WAYS).nth(bucket)
}

/// A hash of words.
#[inline(never)]
pub(super) fn mix(words: &[u64]) -> u64 {
    let mut hash = 0x9e37_79b9_7f4a_7c15_u64;
    for word in words {
        hash = (hash ^ *word).wrapping_mul(0xff51_afd7_ed55_8ccd);
        hash ^= hash.wrapping_shr(32);
    }
    hash
}

/// The halves of a number.
pub(super) fn halves(number: u128) -> [u64; 2] {
    let low = |number: u128| u64::try_from(number & u128::from(u64::MAX)).unwrap_or(0);
    [low(number.wrapping_shr(64)), low(number)]
}

/// Puts `what` first, and moves the others back, up to the one that `is` finds or the last, which is
/// returned.
pub(super) fn put_first<T: Copy>(
    ways: &mut [Option<T>],
    what: T,
    is: impl Fn(&Option<T>) -> bool,
) -> Option<T> {
    let mut out = Some(what);
    for way in ways {
        core::mem::swap(way, &mut out);
        if is(&out) {
            break;
        }
    }
    out
}
