// SPDX-License-Identifier: GPL-2.0-only

//! Which connections of bridged flows are worth an entry. For the path of packets: nothing
//! here waits or allocates, and the cost does not depend on how many rules there are.

use core::{
    hash::{
        Hash,
        Hasher, //
    },
    ops::DerefMut, //
};

use super::{
    super::{
        flow::{
            Tuple,
            L4, //
        },
        hash::Fnv, //
    },
    Key,
    Sighting, //
};

/// Packets in [`WINDOW_MS`] from which on a connection gets an entry: what MediaTek's
/// mainline driver asks of its engines (`BIND_RATE`). Each entry that is written costs all
/// others their place in the engine's cache.
pub const BIND_PACKETS: u32 = 30;

/// Time in which these have to come, in milliseconds. A connection is reported once in that
/// time at most.
pub const WINDOW_MS: u64 = 1_000;

/// Connections that are watched at once, at most.
pub const CANDIDATES: usize = 256;

/// Sightings that wait to be taken, at most.
pub const QUEUE: usize = 32;

/// A connection of which packets are counted.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    seen: Sighting,
    since_ms: u64,
    packets: u32,
}

impl Candidate {
    /// No connection.
    pub const NONE: Self = Self {
        seen: Sighting::NONE,
        since_ms: 0,
        packets: 0,
    };
}

/// The keys of all rules, and the connections that were seen, over storage of the caller's.
///
/// A connection has one place among the candidates, by its hash. Who has it keeps it for
/// [`WINDOW_MS`]: so a busy connection gets its entry however many others there are, and
/// those that come and go cannot push it out.
pub struct Detect<K, C> {
    keys: K,
    used: usize,
    candidates: C,
    queue: [Sighting; QUEUE],
    /// The first that waits, and how many there are.
    first: usize,
    waiting: usize,
    lost: u64,
}

/// Elements of the storage of keys for so many rules: twice as many, so that a search ends
/// soon.
pub const fn keys_len(rules: usize) -> usize {
    match rules.saturating_mul(2).checked_next_power_of_two() {
        Some(len) => len,
        None => 0,
    }
}

impl<K, C> Detect<K, C>
where
    K: DerefMut<Target = [Option<Key>]>,
    C: DerefMut<Target = [Candidate]>,
{
    /// A watch without keys over `keys`, of [`keys_len`] elements, and `candidates`. What
    /// they hold is overwritten. `None` if either has a length that is no power of two.
    pub fn new(mut keys: K, mut candidates: C) -> Option<Self> {
        if !keys.len().is_power_of_two() || !candidates.len().is_power_of_two() {
            return None;
        }
        keys.fill(None);
        candidates.fill(Candidate::NONE);
        Some(Self {
            keys,
            used: 0,
            candidates,
            queue: [Sighting::NONE; QUEUE],
            first: 0,
            waiting: 0,
            lost: 0,
        })
    }

    /// Watches frames with these keys, and no others, from now on. Keys beyond half of the
    /// storage are left out.
    pub fn set_keys(&mut self, keys: impl Iterator<Item = Key>) {
        self.keys.fill(None);
        self.used = 0;
        for key in keys {
            if self.used >= self.keys.len() / 2 {
                return;
            }
            let free = self.place(&key);
            if let Some(place @ None) = free.and_then(|at| self.keys.get_mut(at)) {
                *place = Some(key);
                self.used = self.used.saturating_add(1);
            }
        }
    }

    /// Where a key is, or would be put.
    fn place(&self, key: &Key) -> Option<usize> {
        let mask = self.keys.len().wrapping_sub(1);
        let first = hash(key) & mask;
        (0..self.keys.len())
            .map(|step| first.wrapping_add(step) & mask)
            .find(|at| {
                self.keys
                    .get(*at)
                    .is_some_and(|there| there.is_none() || *there == Some(*key))
            })
    }

    /// Whether there is a rule with this key.
    pub fn has(&self, key: &Key) -> bool {
        let at = self.place(key).and_then(|at| self.keys.get(at));
        self.used > 0 && at.is_some_and(Option::is_some)
    }

    /// Frames of a connection came to the CPU: `packets` of them, that were one when they
    /// got here. Returns whether that was enough, and there is something to be taken.
    pub fn seen(&mut self, key: &Key, l4: L4, tuple: &Tuple, packets: u32, now_ms: u64) -> bool {
        if !self.has(key) {
            return false;
        }
        let seen = Sighting {
            key: *key,
            l4,
            tuple: *tuple,
        };
        let at = hash(&seen) & self.candidates.len().wrapping_sub(1);
        let Some(candidate) = self.candidates.get_mut(at) else {
            return false;
        };
        let fresh = candidate.packets == 0;
        if fresh || now_ms.saturating_sub(candidate.since_ms) >= WINDOW_MS {
            *candidate = Candidate {
                seen,
                since_ms: now_ms,
                packets: 0,
            };
        } else if candidate.seen != seen {
            return false;
        }
        let before = candidate.packets;
        candidate.packets = before.saturating_add(packets);
        if before >= BIND_PACKETS || candidate.packets < BIND_PACKETS {
            return false;
        }
        self.put(seen)
    }

    fn put(&mut self, seen: Sighting) -> bool {
        let at = self.first.wrapping_add(self.waiting) & QUEUE.wrapping_sub(1);
        match self.queue.get_mut(at) {
            Some(place) if self.waiting < QUEUE => {
                *place = seen;
                self.waiting = self.waiting.saturating_add(1);
                true
            }
            _ => {
                self.lost = self.lost.saturating_add(1);
                false
            }
        }
    }

    /// The connection that waits for longest.
    pub fn take(&mut self) -> Option<Sighting> {
        self.waiting = self.waiting.checked_sub(1)?;
        let seen = self.queue.get(self.first).copied();
        self.first = self.first.wrapping_add(1) & QUEUE.wrapping_sub(1);
        seen
    }

    /// Sightings for which there was no room; they come again with the connection's next
    /// frames.
    pub fn lost(&self) -> u64 {
        self.lost
    }
}

fn hash(value: &impl Hash) -> usize {
    let mut hasher = Fnv::default();
    value.hash(&mut hasher);
    usize::try_from(hasher.finish().wrapping_shr(32)).unwrap_or(0)
}
