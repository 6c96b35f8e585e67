// SPDX-License-Identifier: GPL-2.0-only

//! The table, case by case.

mod counts;
mod removal;
mod room;

use super::*;

const SLOTS: usize = 64;
const A: BlockId = BlockId(1);
const B: BlockId = BlockId(2);
/// The same chip without counters.
const BLIND: Caps = Caps { mib: None, ..CAPS };

fn connection(id: u64) -> ConnectionId {
    ConnectionId { id, zone: 7 }
}

struct Bench {
    table: TestTable,
}

impl Bench {
    fn new() -> Self {
        Self::of(&CAPS, 0)
    }

    fn with_spares(spares: usize) -> Self {
        Self::of(&CAPS, spares)
    }

    fn of(caps: &Caps, spares: usize) -> Self {
        Self {
            table: new_table(SLOTS, caps, spares),
        }
    }

    fn replace(&mut self, owner: BlockId, cookie: u64, flow: &Flow) -> Result<Replaced, Reject> {
        self.table
            .replace(owner, cookie, connection(cookie + 1000), flow)
    }

    fn destroy(&mut self, owner: BlockId, cookie: u64) -> Option<Record> {
        self.table.destroy(owner, cookie).copied()
    }

    fn stats(&mut self, owner: BlockId, cookie: u64) -> Stats {
        self.table.stats(owner, cookie).unwrap()
    }

    /// The flow ends: what was not reported of it, and all that it counted.
    fn last_counts(&mut self, cookie: u64) -> (Count, Count) {
        let removed = self.destroy(A, cookie).unwrap();
        (removed.unreported, removed.total)
    }

    /// Binds these, with cookies from 0 on.
    fn bind(&mut self, flows: &[Flow]) {
        for (cookie, flow) in (0..).zip(flows) {
            assert_eq!(self.replace(A, cookie, flow), Ok(Replaced::Bound));
        }
    }

    /// Where the flow with this cookie is.
    fn at(&self, cookie: u64) -> u16 {
        self.table.find(A, cookie).unwrap()
    }

    fn is_parked(&self, cookie: u64) -> bool {
        usize::from(self.at(cookie)) >= SLOTS
    }

    /// A frame of 100 bytes arrives. Returns the slot by which it is forwarded.
    fn frame(&mut self, flow: &Flow) -> Option<u16> {
        self.table.hw.frame(flow, 100)
    }

    fn now(&self) -> u64 {
        self.table.hw.now_ms.get()
    }

    fn wait(&self, ms: u64) {
        self.table.host.wait(ms);
    }

    fn counts(&self) -> TableStats {
        *self.table.table_stats()
    }

    fn ops(&mut self) -> Vec<Op> {
        core::mem::take(&mut self.table.hw.ops)
    }

    /// What the table said since the last call: what happened, to which cookie, and what
    /// that had counted.
    fn events(&mut self) -> Vec<(Event, u64, Count)> {
        let events = core::mem::take(&mut self.table.host.events);
        let short = events
            .iter()
            .map(|(event, _, r)| (*event, r.cookie, r.total));
        short.collect()
    }

    /// `n` flows of the bucket of flow 0.
    fn bucket(&self, n: usize) -> Vec<Flow> {
        let of = |f: &Flow| NETSYS_V2.bucket(f, SLOTS as u32);
        let first = of(&routed(0));
        (0..)
            .map(routed)
            .filter(|f| of(f) == first)
            .take(n)
            .collect()
    }
}

/// How an entry is taken out. The counters are read last: the engine counts until its cache
/// is cleared.
fn taken_out(slot: u16) -> [Op; 3] {
    [Op::Invalidate(slot), Op::ClearCache, Op::ReadMib(slot)]
}

/// A table with one flow, and its slot.
fn bound(cookie: u64) -> (Bench, Flow, u16) {
    let (mut b, f) = (Bench::new(), routed(0));
    assert_eq!(b.replace(A, cookie, &f), Ok(Replaced::Bound));
    let slot = b.at(cookie);
    (b, f, slot)
}

/// Frames of 100 bytes from the Ethernet header on.
fn count(packets: u64) -> Count {
    Count {
        packets,
        bytes: packets * 86,
    }
}

#[test]
fn storage_must_fit() {
    let table = |slots, index| table_over(spec(slots, &CAPS), slots, index);
    assert!(table(16, 16).is_some());
    assert!(table(16, 32).is_none());
    assert!(table(0, 0).is_none());
    assert!(table(0, 1).is_none());
    assert!(table(12, 16).is_none());
    assert!(table(1 << 15, 1 << 15).is_some());
    assert_eq!(index_len(12), 16);
    assert_eq!(index_len(usize::MAX), 0);

    let table = |records, slots| table_over(spec(slots, &CAPS), records, index_len(slots));
    assert_eq!(table(18, 16).unwrap().capacity(), 16);
    assert!(table(15, 16).is_none());
    assert!(table(18, 12).is_none());
    assert!(table(65535, 1 << 15).is_some());
    assert!(table(65536, 1 << 15).is_none());
    assert!(table((1 << 14) + spares(1 << 14), 1 << 14).is_some());
    assert_eq!(spares(1 << 14), 2048);

    let table = |records, entries, apart| {
        let spec = spec(
            entries,
            &Caps {
                extra_ppe_ports: apart,
                ..CAPS
            },
        );
        table_over(spec, records, index_len(spec.slots()))
    };
    let [two, three] = [&[PsePort(2)][..], &[PsePort(2), PsePort(15)]];
    let large = table(3 * (1 << 14) + spares(3 << 14), 1 << 14, three);
    assert_eq!(large.unwrap().capacity(), 49152);
    assert!(table(65535, 1 << 15, two).is_none());
    assert!(table(48, 16, three).is_some());
    assert!(table(47, 16, three).is_none());
    assert!(table(48, 24, two).is_none());
}

/// The flow as it arrives at `port`.
fn from(port: u8, flow: &Flow) -> Flow {
    Flow {
        ingress: PsePort(port).into(),
        egress: PsePort(3 - port).into(),
        ..*flow
    }
}

#[test]
fn a_port_has_its_part() {
    assert_eq!((CAPS.ppes(), TWO_PPES.ppes()), (1, 2));
    let three = Caps {
        extra_ppe_ports: &[PsePort(2), PsePort(15)],
        ..CAPS
    };
    let parts = [1, 2, 5, 15].map(|port| three.ppe_of(PsePort(port)));
    assert_eq!((three.ppes(), parts), (3, [0, 1, 0, 2]));

    let mut b = Bench::of(&TWO_PPES, 0);
    let part = SLOTS as u16;
    let flows = b.bucket(5);
    let [first, second] = [1, 2].map(|port| move |f: &Flow| from(port, f));
    for (cookie, f) in (0..).zip(&flows[..4]) {
        assert_eq!(b.replace(A, cookie, &first(f)), Ok(Replaced::Bound));
        assert!(b.at(cookie) < part);
    }
    // The same addresses in the other part are another flow, and have room.
    for (cookie, f) in (10..).zip(&flows[..4]) {
        assert_eq!(b.replace(A, cookie, &second(f)), Ok(Replaced::Bound));
        let slot = b.at(cookie);
        assert_eq!(slot, b.at(cookie - 10) + part);
        assert_eq!(b.table.slot_of_key(&second(f)), Some(slot));
        assert_eq!(b.frame(&second(f)), Some(slot));
    }
    assert_eq!(b.replace(A, 4, &first(&flows[4])), Err(Reject::BucketFull));
    assert_eq!(b.replace(A, 4, &second(&flows[4])), Err(Reject::BucketFull));
    assert_eq!(b.replace(B, 0, &second(&flows[0])), Err(Reject::KeyInUse));

    // Both leave with the reverse direction of whichever it was, and only they.
    b.table.refuse(A, &flows[0].key());
    for f in [first(&flows[0]), second(&flows[0])] {
        assert_eq!(b.frame(&f), None);
    }
    assert_eq!(b.table.hw.forwarding().len(), 6);
    b.table.remove_where(|_| true, |_| ());
    assert!(b.table.hw.forwarding().is_empty());
    assert_eq!(b.counts().stray_mib, 0);
}

#[test]
fn a_flow_moves_to_the_part_of_its_new_port() {
    let mut b = Bench::of(&TWO_PPES, 0);
    let f = routed(0);
    for (n, port) in (0..).zip([1, 2, 1]) {
        let f = from(port, &f);
        let replaced = if n == 0 {
            Replaced::Bound
        } else {
            Replaced::Updated
        };
        assert_eq!(b.replace(A, 7, &f), Ok(replaced));
        let slot = b.at(7);
        assert_eq!(usize::from(slot) / SLOTS, usize::from(port) - 1);
        assert_eq!(b.table.hw.forwarding(), [slot]);
        assert_eq!(b.frame(&f), Some(slot));
        assert_eq!(b.frame(&from(3 - port, &f)), None);
    }
    assert_eq!(b.table.iter().count(), 1);
    assert_eq!(b.destroy(A, 7).unwrap().total, count(3));
    assert_eq!(b.table.hw.forwarding(), []);
    assert_eq!(b.counts().flows, 0);
}

#[test]
fn a_flow_is_bound_and_removed() {
    let mut b = Bench::new();
    let f = routed(0);
    assert_eq!(b.replace(A, 7, &f), Ok(Replaced::Bound));
    let slot = b.at(7);
    assert_eq!(b.ops(), [Op::Commit(slot)]);
    assert_eq!(b.table.hw.look_up(&f), Some((slot, true)));
    let record = b.table.get(slot).unwrap();
    assert_eq!(
        (record.cookie, record.connection.id, record.owner),
        (7, 1007, A)
    );
    assert!(record.bound);
    assert_eq!(b.table.find(B, 7), None);
    assert_eq!(b.table.find(A, 8), None);

    for _ in 0..3 {
        assert_eq!(b.frame(&f), Some(slot));
    }
    assert_eq!(b.destroy(B, 7), None);
    let removed = b.destroy(A, 7).unwrap();
    assert_eq!(b.ops(), taken_out(slot));
    assert_eq!(
        (
            removed.cookie,
            removed.connection.id,
            removed.owner,
            removed.flow
        ),
        (7, 1007, A, f)
    );
    assert_eq!((removed.unreported, removed.total), (count(3), count(3)));
    assert_eq!(b.frame(&f), None);
    assert_eq!(b.destroy(A, 7), None);
    let stats = b.counts();
    assert_eq!((stats.flows, stats.bound, stats.high_water), (0, 0, 1));
    assert_eq!((stats.inserted, stats.removed), (1, 1));
}

#[test]
fn offered_again_unchanged() {
    let (mut b, f, _) = bound(7);
    b.frame(&f);
    b.ops();
    assert_eq!(b.replace(A, 7, &f), Ok(Replaced::Refreshed));
    assert_eq!(b.ops(), []);
    assert_eq!(b.stats(A, 7).delta, count(1));
    assert_eq!(b.counts().refreshed, 1);
    assert_eq!(b.counts().flows, 1);
}

#[test]
fn offered_again_with_another_tag() {
    let (mut b, f, _) = bound(7);
    for tag in [5, 6] {
        let replaced = b.table.replace(A, 7, connection(tag), &f);
        assert_eq!(replaced, Ok(Replaced::Refreshed));
    }
    assert_eq!(b.destroy(A, 7).unwrap().connection.id, 6);
}

#[test]
fn cookies_are_per_owner() {
    let mut b = Bench::new();
    b.replace(A, 7, &routed(0)).unwrap();
    // More owners than chains in the index.
    for n in (0..1000).filter(|n| *n != A.0) {
        assert_eq!(b.table.find(BlockId(n), 7), None);
    }
}

#[test]
fn a_flow_stays_in_its_slot_if_it_can() {
    let mut b = Bench::new();
    let flows = b.bucket(2);
    b.replace(A, 0, &flows[0]).unwrap();
    b.replace(A, 1, &flows[1]).unwrap();
    let slot = b.at(1);
    b.destroy(A, 0).unwrap();
    b.table.hw.age_out(slot);
    assert_eq!(b.replace(A, 1, &flows[1]), Ok(Replaced::Rebound));
    assert_eq!(b.table.find(A, 1), Some(slot));
}

#[test]
fn offered_again_after_the_engine_let_go() {
    let (mut b, f, slot) = bound(7);
    b.frame(&f);
    b.table.hw.age_out(slot);
    b.wait(5_000);
    assert_eq!(b.replace(A, 7, &f), Ok(Replaced::Rebound));
    assert!(b.frame(&f).is_some());
    let stats = b.stats(A, 7);
    assert_eq!(stats.delta, count(2));
    assert!(stats.bound);
    let t = b.counts();
    assert_eq!((t.rebinds, t.aged_out, t.bound, t.stray_mib), (1, 1, 1, 0));

    // And once more, this time seen before.
    b.table.hw.age_out(slot);
    assert!(!b.stats(A, 7).bound);
    assert_eq!(b.counts().bound, 0);
    assert_eq!(b.replace(A, 7, &f), Ok(Replaced::Rebound));
    let t = b.counts();
    assert_eq!((t.rebinds, t.aged_out, t.bound), (2, 2, 1));
}

#[test]
fn offered_again_changed() {
    let (mut b, f, slot) = bound(7);
    b.frame(&f);
    // Another neighbour: same key, same slot.
    let mut moved = f;
    moved.dmac[5] ^= 1;
    b.ops();
    assert_eq!(b.replace(A, 7, &moved), Ok(Replaced::Updated));
    assert_eq!(b.table.find(A, 7), Some(slot));
    assert_eq!(
        b.ops(),
        [&taken_out(slot)[..], &[Op::Commit(slot)]].concat()
    );
    // Another tuple: another slot.
    let other = routed(1);
    assert_eq!(b.replace(A, 7, &other), Ok(Replaced::Updated));
    let new = b.at(7);
    assert_ne!(new, slot);
    assert_eq!(b.frame(&f), None);
    assert_eq!(b.frame(&moved), None);
    assert_eq!(b.frame(&other), Some(new));
    assert_eq!(b.table.hw.forwarding(), [new]);
    assert_eq!(b.destroy(A, 7).unwrap().total, count(2));
    assert_eq!(b.counts().updated, 2);
    assert_eq!(b.table.iter().count(), 0);
}

#[test]
fn a_change_that_is_refused_takes_the_old_entry_out() {
    let (mut b, f, _) = bound(7);
    b.frame(&f);
    let mut hairpin = f;
    hairpin.egress = hairpin.ingress;
    assert_eq!(b.replace(A, 7, &hairpin), Err(Reject::Hairpin));
    assert_eq!(b.table.hw.forwarding(), []);
    let stats = b.stats(A, 7);
    assert_eq!((stats.delta, stats.bound), (count(1), false));
    assert_eq!(b.counts().bound, 0);
    assert_eq!(b.replace(A, 7, &f), Ok(Replaced::Rebound));
    assert_eq!(b.destroy(A, 7).unwrap().total, count(1));
}

#[test]
fn an_entry_that_ends_is_taken_out_as_a_bound_one() {
    let mut b = Bench::new();
    let flows = b.bucket(2);
    b.bind(&flows);
    let slot = b.at(1);
    b.ops();
    b.table.hw.words[usize::from(slot)][0] |= 3 << 28;
    assert_eq!(b.replace(A, 1, &flows[1]), Ok(Replaced::Rebound));
    assert_eq!(b.ops()[..2], [Op::Invalidate(slot), Op::ClearCache]);
    // Only others in the bucket are collisions.
    assert_eq!(b.counts().collisions, 1);
}

#[test]
fn slots_that_cannot_be_used() {
    let spec = Box::leak(Box::new(Spec {
        format: &NETSYS_V1_BOUNDARY,
        ..*spec(SLOTS, &CAPS)
    }));
    let mut b = Bench {
        table: table_over(spec, SLOTS, SLOTS).unwrap(),
    };
    let mut bound = Vec::new();
    for n in 0..2000 {
        let f = routed(n);
        let answer = b.table.replace(A, n.into(), ConnectionId::NONE, &f);
        if answer.is_ok() {
            bound.push(b.at(n.into()));
        } else {
            assert_eq!(answer, Err(Reject::BucketFull));
        }
    }
    bound.sort_unstable();
    let usable: Vec<_> = (0..64).filter(|s| ![12, 25, 38, 51].contains(s)).collect();
    assert_eq!(bound, usable);
}

#[test]
fn a_key_is_bound_once() {
    let (mut b, f, _) = bound(1);
    // Another port does not make another key.
    let mut other = f;
    other.ingress.port.0 = 3;
    assert_eq!(b.replace(A, 2, &other), Err(Reject::KeyInUse));
    assert_eq!(b.replace(B, 1, &f), Err(Reject::KeyInUse));
    assert_eq!(b.counts().key_in_use, 2);
    let mut tcp = f;
    tcp.l4 = L4::Tcp;
    assert_eq!(b.replace(A, 2, &tcp), Ok(Replaced::Bound));
    b.destroy(A, 1).unwrap();
    assert_eq!(b.replace(B, 1, &f), Ok(Replaced::Bound));
}

#[test]
fn the_limit() {
    let mut b = Bench::new();
    b.table.set_limit(1);
    b.replace(A, 1, &routed(1)).unwrap();
    assert_eq!(b.replace(A, 2, &routed(2)), Err(Reject::TableFull));
    assert_eq!(b.replace(A, 1, &routed(1)), Ok(Replaced::Refreshed));
    assert_eq!(b.replace(A, 1, &routed(2)), Ok(Replaced::Updated));
    assert_eq!(b.counts().table_full, 1);
    b.table.set_limit(0);
    assert!(b.destroy(A, 1).is_some());
}

#[test]
fn learned_entries_are_taken_over() {
    let mut b = Bench::new();
    let flows = b.bucket(3);
    b.table.hw.learn(&flows[0]).unwrap();
    let learned = b.table.hw.learn(&flows[1]).unwrap();
    assert_eq!(b.replace(A, 1, &flows[1]), Ok(Replaced::Bound));
    assert_eq!(b.table.find(A, 1), Some(learned));
    assert_eq!(b.frame(&flows[1]), Some(learned));
    // One that is not ours gives way.
    assert_eq!(b.replace(A, 2, &flows[2]), Ok(Replaced::Bound));
    assert!(b.frame(&flows[2]).is_some());

    // The engine lets go and learns again further in front.
    let slot = b.at(1);
    let front = b.at(2);
    assert!(front < slot);
    b.destroy(A, 2).unwrap();
    b.table.hw.age_out(slot);
    assert_eq!(b.table.hw.learn(&flows[1]), Some(front));
    assert_eq!(b.replace(A, 1, &flows[1]), Ok(Replaced::Rebound));
    assert_eq!(b.table.find(A, 1), Some(front));
    assert_eq!(b.frame(&flows[1]), Some(front));
    assert_eq!(b.destroy(A, 1).unwrap().total, count(2));

    // It learns a flow in the slot of another one: behind that entry it would not find the flow.
    let mut b = Bench::new();
    b.bind(&flows[..2]);
    let [other, slot] = [b.at(0), b.at(1)];
    b.table.hw.age_out(other);
    b.table.hw.age_out(slot);
    assert_eq!(b.table.hw.learn(&flows[1]), Some(other));
    assert_eq!(b.replace(A, 1, &flows[1]), Ok(Replaced::Rebound));
    assert_eq!(b.frame(&flows[1]), Some(slot));
}

#[test]
fn a_bind_that_fails_leaves_nothing() {
    for (dies_in, recovers) in (0..6).flat_map(|n| [(n, false), (n, true)]) {
        let mut b = Bench::new();
        b.table.hw.dies_in = Some(dies_in);
        b.table.hw.recovers = recovers;
        assert_eq!(b.replace(A, 1, &routed(0)), Err(Reject::EngineDead));
        if recovers {
            assert_eq!(b.table.hw.forwarding(), []);
        }
        assert_eq!(b.table.iter().count(), 0);
        assert_eq!(b.counts().flows, 0);
        assert!(b.counts().hw_errors > 0);
        assert_eq!(b.table.find(A, 1), None);
        // If only the one access failed, what was written is taken back.
        b.table.hw.dies_in = None;
        assert_eq!(b.replace(A, 1, &routed(0)), Ok(Replaced::Bound));
    }
    let mut b = Bench::new();
    b.table.hw.dies_in = Some(6);
    assert_eq!(b.replace(A, 1, &routed(0)), Ok(Replaced::Bound));
}

#[test]
fn a_whole_table() {
    // Not only small ones: all slots, every chain.
    let slots = 1 << 12;
    let mut table = new_table(slots, &CAPS, 0);
    let mut bound = Vec::new();
    let mut random = 1_u64;
    for n in 0..0x4000_u64 {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let mut f = routed((random >> 48) as u16);
        if let Tuple::V4 { src, .. } = &mut f.tuple {
            *src = ((random >> 16) as u32).to_ne_bytes();
        }
        f.new = f.tuple;
        let cookie = 0xffff_8880_0000_0000 + 0x140 * n;
        match table.replace(A, cookie, ConnectionId::NONE, &f) {
            Ok(Replaced::Bound) => bound.push(cookie),
            other => assert_eq!(other, Err(Reject::BucketFull)),
        }
        table.hw.ops.clear();
    }
    assert_eq!(table.table_stats().flows as usize, bound.len());
    assert!(bound.len() > slots * 9 / 10, "{}", bound.len());
    for cookie in &bound {
        let slot = table.find(A, *cookie).unwrap();
        assert_eq!(table.get(slot).unwrap().cookie, *cookie);
    }
    // From the middle of their chains, too.
    let (first, last): (Vec<_>, Vec<_>) = (0..).zip(bound).partition(|(n, _)| n % 3 == 1);
    for (_, cookie) in first.into_iter().chain(last) {
        assert!(table.destroy(A, cookie).is_some());
    }
    assert_eq!(table.iter().count(), 0);
    assert!(table.hw.forwarding().is_empty());
}
