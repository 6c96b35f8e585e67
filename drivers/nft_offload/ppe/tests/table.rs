// SPDX-License-Identifier: GPL-2.0-only

//! The table, case by case.

use super::*;

const SLOTS: usize = 64;
const A: BlockId = BlockId(1);
const B: BlockId = BlockId(2);
/// The same chip without counters.
const BLIND: Caps = Caps { mib: None, ..CAPS };

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
        let tag = cookie + 1000;
        self.table.replace(owner, cookie, tag, flow)
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

    // Both leave with the opposite direction of whichever it was, and only they.
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
    assert_eq!(b.ops(), [Op::ReadMib(slot), Op::Commit(slot)]);
    assert_eq!(b.table.hw.look_up(&f), Some((slot, true)));
    let record = b.table.get(slot).unwrap();
    assert_eq!((record.cookie, record.ct_id, record.owner), (7, 1007, A));
    assert!(record.bound);
    assert_eq!(b.table.find(B, 7), None);
    assert_eq!(b.table.find(A, 8), None);

    for _ in 0..3 {
        assert_eq!(b.frame(&f), Some(slot));
    }
    assert_eq!(b.destroy(B, 7), None);
    let removed = b.destroy(A, 7).unwrap();
    // The counters last: the engine counts until its cache is cleared.
    assert_eq!(
        b.ops(),
        [Op::Invalidate(slot), Op::ClearCache, Op::ReadMib(slot)]
    );
    assert_eq!(
        (removed.cookie, removed.ct_id, removed.owner, removed.flow),
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
    let mut b = Bench::new();
    let f = routed(0);
    b.replace(A, 7, &f).unwrap();
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
    let mut b = Bench::new();
    let f = routed(0);
    b.replace(A, 7, &f).unwrap();
    for tag in [5, 6] {
        let replaced = b.table.replace(A, 7, tag, &f);
        assert_eq!(replaced, Ok(Replaced::Refreshed));
    }
    assert_eq!(b.destroy(A, 7).unwrap().ct_id, 6);
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
    let mut b = Bench::new();
    let f = routed(0);
    b.replace(A, 7, &f).unwrap();
    let slot = b.at(7);
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
    let mut b = Bench::new();
    let f = routed(0);
    b.replace(A, 7, &f).unwrap();
    let slot = b.at(7);
    b.frame(&f);
    // Another neighbour: same key, same slot.
    let mut moved = f;
    moved.dmac[5] ^= 1;
    b.ops();
    assert_eq!(b.replace(A, 7, &moved), Ok(Replaced::Updated));
    assert_eq!(b.table.find(A, 7), Some(slot));
    let mut all = b.ops();
    let commit = all.pop();
    assert_eq!(commit, Some(Op::Commit(slot)));
    assert_eq!(
        all,
        [Op::Invalidate(slot), Op::ClearCache, Op::ReadMib(slot)]
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
    let mut b = Bench::new();
    let f = routed(0);
    b.replace(A, 7, &f).unwrap();
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
fn a_full_bucket() {
    let mut b = Bench::new();
    let flows = b.bucket(5);
    for (cookie, f) in (0..).zip(&flows[..4]) {
        assert_eq!(b.replace(A, cookie, f), Ok(Replaced::Bound));
    }
    assert_eq!(b.replace(A, 4, &flows[4]), Err(Reject::BucketFull));
    assert_eq!(b.counts().bucket_full, 1);
    assert_eq!(b.counts().flows, 4);
    b.destroy(A, 2).unwrap();
    assert_eq!(b.replace(A, 4, &flows[4]), Ok(Replaced::Bound));
    assert_eq!(b.counts().high_water, 4);
    // A full bucket is no obstacle for those that are in it.
    let slot = b.at(0);
    b.table.hw.age_out(slot);
    assert_eq!(b.replace(A, 0, &flows[0]), Ok(Replaced::Rebound));
    assert_eq!(b.table.find(A, 0), Some(slot));
}

#[test]
fn the_idlest_flow_makes_room() {
    let mut b = Bench::with_spares(4);
    let flows = b.bucket(7);
    for (cookie, f) in (0..).zip(&flows[..4]) {
        assert_eq!(b.replace(A, cookie, f), Ok(Replaced::Bound));
        b.wait(100);
    }
    assert_eq!(b.counts().collisions, 3);
    // None is idle for long enough, the first one by 1 ms.
    b.wait(EVICT_IDLE_MS - 401);
    assert_eq!(b.replace(A, 4, &flows[4]), Err(Reject::BucketFull));
    assert_eq!(b.counts().evictions, 0);
    b.wait(1);
    // It is in use again, so that the second one is idle for longest.
    b.frame(&flows[0]);
    b.wait(100);
    let slot = b.at(1);
    b.ops();
    assert_eq!(b.replace(A, 4, &flows[4]), Ok(Replaced::Bound));
    assert_eq!(b.table.find(A, 4), Some(slot));
    let place = b.at(1);
    assert!(usize::from(place) >= SLOTS);
    // Its counters are read when it cannot count any more.
    let ops = b.ops();
    let end = ops.iter().position(|op| *op == Op::Invalidate(slot));
    let entry_gone = [Op::Invalidate(slot), Op::ClearCache, Op::ReadMib(slot)];
    assert_eq!(
        ops[end.unwrap()..],
        [&entry_gone[..], &[Op::Commit(slot)]].concat()
    );
    let t = b.counts();
    assert_eq!((t.evictions, t.parked, t.flows, t.bound), (1, 1, 5, 4));
    assert_eq!((t.bucket_full, t.high_water, t.collisions), (1, 5, 4));
    assert_eq!(b.frame(&flows[1]), None);
    assert_eq!(b.frame(&flows[4]), Some(slot));

    // It is offered again: not before another one is idle.
    assert_eq!(b.replace(A, 1, &flows[1]), Err(Reject::BucketFull));
    b.wait(EVICT_IDLE_MS);
    assert_eq!(b.replace(A, 1, &flows[1]), Ok(Replaced::Rebound));
    assert!(!b.is_parked(1));
    let t = b.counts();
    assert_eq!((t.evictions, t.parked, t.flows, t.bound), (2, 1, 5, 4));
}

#[test]
fn refusals_for_a_full_bucket_cost_little() {
    let mut b = Bench::with_spares(4);
    let flows = b.bucket(5);
    b.bind(&flows[..4]);
    b.wait(EVICT_IDLE_MS - 1);
    b.ops();
    assert_eq!(b.replace(A, 4, &flows[4]), Err(Reject::BucketFull));
    assert_eq!(b.ops(), []);
    // As far as is known they are idle. They are looked at once, and were not.
    b.wait(1);
    for f in &flows[..4] {
        b.frame(f);
    }
    assert_eq!(b.replace(A, 4, &flows[4]), Err(Reject::BucketFull));
    assert_eq!(b.ops().len(), 4);
    b.wait(EVICT_IDLE_MS - 1001);
    assert_eq!(b.replace(A, 4, &flows[4]), Err(Reject::BucketFull));
    assert_eq!(b.ops(), []);
}

#[test]
fn each_bind_and_each_end_is_told() {
    use Event::{
        Bound,
        Evicted, //
    };
    let mut b = Bench::with_spares(4);
    let flows = b.bucket(5);
    b.replace(A, 0, &flows[0]).unwrap();
    b.replace(A, 0, &flows[0]).unwrap();
    let bound = |cookie| (Bound(Replaced::Bound), cookie, count(0));
    assert_eq!(b.events(), [bound(0)], "a refresh is none");

    // With all that was counted until then.
    b.frame(&flows[0]);
    let mut moved = flows[0];
    moved.dmac[5] ^= 1;
    b.replace(A, 0, &moved).unwrap();
    let changed = Event::Unbound(Unbound::Changed);
    let updated = (Bound(Replaced::Updated), 0, count(1));
    assert_eq!(b.events(), [(changed, 0, count(1)), updated]);

    // The engine lets it go: said when that is seen, and not again when it ends.
    let slot = b.at(0);
    let aged = (Event::Unbound(Unbound::Aged), 0, count(1));
    b.table.hw.age_out(slot);
    b.stats(A, 0);
    assert_eq!(b.events(), [aged]);
    b.replace(A, 0, &moved).unwrap();
    assert_eq!(b.events(), [(Bound(Replaced::Rebound), 0, count(1))]);
    b.table.hw.age_out(slot);
    b.replace(A, 0, &flows[0]).unwrap();
    assert_eq!(b.events(), [aged, updated]);
    b.table.hw.age_out(slot);
    b.stats(A, 0);
    b.destroy(A, 0);
    assert_eq!(b.events(), [aged]);

    for (cookie, f) in (1..).zip(&flows[1..]) {
        b.replace(A, cookie, f).unwrap();
        assert_eq!(b.events(), [bound(cookie)]);
    }
    b.frame(&flows[1]);
    b.wait(EVICT_IDLE_MS);
    b.replace(A, 5, &flows[0]).unwrap();
    let evicted = (Event::Unbound(Unbound::Evicted), 1, count(1));
    assert_eq!(b.events(), [evicted, (Evicted, 1, count(1)), bound(5)]);

    b.destroy(A, 1);
    assert_eq!(b.events(), [], "it was not bound");
    b.destroy(A, 2);
    let unbound = |why, cookie| (Event::Unbound(why), cookie, count(0));
    assert_eq!(b.events(), [unbound(Unbound::Ended, 2)]);
    b.table.refuse(A, &flows[3].key());
    assert_eq!(b.events(), [unbound(Unbound::Refused, 3)]);
    b.table.remove_where(|r| r.cookie < 5, |_| ());
    assert_eq!(b.events(), [unbound(Unbound::Flushed, 4)]);

    // An engine that does not answer changes nothing of that.
    b.table.hw.dies_in = Some(0);
    b.destroy(A, 5);
    assert_eq!(b.events(), [unbound(Unbound::Ended, 5)]);
}

#[test]
fn what_a_parked_flow_has_counted_is_kept() {
    let mut b = Bench::with_spares(4);
    let flows = b.bucket(6);
    for (cookie, f) in (0..).zip(&flows[..4]) {
        b.replace(A, cookie, f).unwrap();
        b.frame(f);
    }
    let used = b.now();
    b.wait(EVICT_IDLE_MS);
    b.replace(A, 4, &flows[4]).unwrap();
    b.replace(A, 5, &flows[5]).unwrap();
    let parked: Vec<_> = (0..4).filter(|c| b.is_parked(*c)).collect();
    let [first, second] = parked[..] else {
        panic!("{parked:?}")
    };
    b.ops();
    let stats = b.stats(A, first);
    assert_eq!((stats.delta, stats.bound), (count(1), false));
    assert_eq!(stats.last_used_ms, used);
    assert_eq!(b.stats(A, first).delta, Count::ZERO);
    assert_eq!(b.last_counts(second), (count(1), count(1)));
    assert_eq!(b.table.find(A, second), None);
    // The engine was not asked for any of it.
    assert_eq!(b.ops(), []);
    let t = b.counts();
    assert_eq!((t.parked, t.flows, t.bound), (1, 5, 4));

    // Counts go on from there when it is bound again.
    b.destroy(A, 4).unwrap();
    assert_eq!(
        b.replace(A, first, &flows[first as usize]),
        Ok(Replaced::Rebound)
    );
    b.frame(&flows[first as usize]);
    assert_eq!(b.last_counts(first), (count(1), count(2)));
    assert_eq!(b.counts().parked, 0);
}

#[test]
fn flows_let_go_make_room_first() {
    for caps in [CAPS, BLIND] {
        let mut b = Bench::of(&caps, 2);
        let flows = b.bucket(5);
        for (cookie, f) in (0..).zip(&flows[..4]) {
            b.replace(A, cookie, f).unwrap();
            b.wait(100);
        }
        let slot = b.at(2);
        b.table.hw.age_out(slot);
        assert_eq!(b.replace(A, 4, &flows[4]), Ok(Replaced::Bound));
        assert_eq!(b.table.find(A, 4), Some(slot));
        let t = b.counts();
        assert_eq!((t.evictions, t.parked, t.aged_out), (0, 1, 1));
        assert!(!b.stats(A, 2).bound);
    }
}

#[test]
fn parked_flows_are_few_and_can_come_back() {
    let mut b = Bench::with_spares(2);
    let flows = b.bucket(6);
    b.bind(&flows[..4]);
    b.wait(2 * EVICT_IDLE_MS);
    assert_eq!(b.replace(A, 4, &flows[4]), Ok(Replaced::Bound));
    // The last place is for one that comes back.
    assert_eq!(b.replace(A, 5, &flows[5]), Err(Reject::BucketFull));
    assert_eq!(b.counts().parked, 1);
    let parked = (0..4).find(|c| b.is_parked(*c));
    let back = parked.unwrap();
    assert_eq!(
        b.replace(A, back, &flows[back as usize]),
        Ok(Replaced::Rebound)
    );
    assert_eq!(b.counts().parked, 1);
    // No other flow is lost: all are found, and go with their owner.
    for cookie in 0..5 {
        assert!(b.table.find(A, cookie).is_some());
    }
    let mut removed = 0;
    b.table.remove_where(|_| true, |_| removed += 1);
    assert_eq!((removed, b.table.iter().count()), (5, 0));
    let t = b.counts();
    assert_eq!((t.parked, t.flows, t.bound), (0, 0, 0));
    assert_eq!(b.table.audit_sums(), 0);
}

#[test]
fn removing_parked_flows_leaves_the_engine_alone() {
    let mut b = Bench::with_spares(2);
    let flows = b.bucket(5);
    for (cookie, f) in (0..).zip(&flows[..4]) {
        b.replace(B, cookie, f).unwrap();
    }
    b.wait(EVICT_IDLE_MS);
    b.replace(A, 4, &flows[4]).unwrap();
    b.ops();
    let parked = |table: &TestTable, c| usize::from(table.find(B, c).unwrap()) >= SLOTS;
    let cookie = (0..4).find(|c| parked(&b.table, *c)).unwrap();
    let mut removed = Vec::new();
    let pred = |r: &Record| r.cookie == cookie;
    b.table.remove_where(pred, |r| removed.push(r.cookie));
    assert_eq!(removed, [cookie]);
    assert_eq!(b.ops(), []);
}

#[test]
fn an_engine_that_fails_while_room_is_made() {
    for dies_in in 0..40 {
        let mut b = Bench::with_spares(2);
        let flows = b.bucket(5);
        b.bind(&flows[..4]);
        b.wait(EVICT_IDLE_MS);
        b.table.hw.dies_in = Some(dies_in);
        let answer = b.replace(A, 4, &flows[4]);
        b.table.hw.dies_in = None;
        // Known flows stay known, and what is called bound is.
        for (cookie, f) in (0..).zip(&flows[..4]) {
            let at = b.at(cookie);
            let bound = b.table.get(at).unwrap().bound;
            assert_eq!(b.table.get(at).unwrap().flow, *f);
            assert!(!bound || NETSYS_V2.is_bound(b.table.hw.words[usize::from(at)][0]));
        }
        if answer.is_err() {
            assert_eq!(answer, Err(Reject::EngineDead));
            assert_eq!(b.table.find(A, 4), None);
            assert_eq!(b.replace(A, 4, &flows[4]), Ok(Replaced::Bound));
        }
        assert!(b.frame(&flows[4]).is_some());
    }
}

#[test]
fn the_opposite_of_a_refused_flow() {
    let mut b = Bench::new();
    let f = routed(0);
    let opposite = Flow {
        tuple: f.new.reversed(),
        new: f.tuple.reversed(),
        ..f
    };
    // Refused before it is offered.
    b.table.refuse(A, &f.key());
    assert_eq!(b.ops(), []);
    assert_eq!(b.replace(A, 1, &f), Err(Reject::Vlan8021ad));
    assert_eq!(b.replace(A, 1, &f), Err(Reject::Vlan8021ad));
    assert_eq!(b.table.iter().count(), 0);
    // Nobody else's.
    assert_eq!(b.replace(A, 2, &routed(1)), Ok(Replaced::Bound));
    assert_eq!(b.replace(B, 1, &f), Ok(Replaced::Bound));
    b.destroy(B, 1).unwrap();
    // Until the opposite direction is one that can be.
    assert_eq!(b.replace(A, 3, &opposite), Ok(Replaced::Bound));
    assert_eq!(b.replace(A, 1, &f), Ok(Replaced::Bound));

    // Refused when it is bound.
    b.frame(&f);
    b.table.refuse(B, &f.key());
    assert!(b.frame(&f).is_some());
    b.table.refuse(A, &f.key());
    assert_eq!(b.frame(&f), None);
    assert_eq!(b.replace(A, 1, &f), Err(Reject::Vlan8021ad));
    let stats = b.stats(A, 1);
    assert_eq!((stats.delta, stats.bound), (count(2), false));
    assert_eq!(b.destroy(A, 1).unwrap().total, count(2));

    // Forgotten when there are too many, never mistaken.
    for n in 0..200 {
        b.table.refuse(A, &routed(1000 + n).key());
    }
    let refused = |b: &mut Bench, n| b.replace(A, 9, &routed(n)) == Err(Reject::Vlan8021ad);
    // Number 0 is still refused unless one of these took its place.
    assert!((1..900).all(|n| !refused(&mut b, n)));
    assert!(refused(&mut b, 1199));
}

#[test]
fn refusals_end_one_by_one() {
    let mut b = Bench::new();
    let (f, g) = (routed(0), routed(1));
    b.table.refuse(A, &f.key());
    b.table.refuse(A, &g.key());
    let opposite = Flow {
        tuple: f.new.reversed(),
        new: f.tuple.reversed(),
        ..f
    };
    assert_eq!(b.replace(A, 3, &opposite), Ok(Replaced::Bound));
    assert_eq!(b.replace(A, 1, &f), Ok(Replaced::Bound));
    assert_eq!(b.replace(A, 2, &g), Err(Reject::Vlan8021ad));
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
fn an_entry_of_nobody_may_have_counted() {
    let mut b = Bench::new();
    let f = routed(0);
    b.bind(&[f]);
    let slot = usize::from(b.at(0));
    let entry = b.table.hw.words[slot].clone();
    b.destroy(A, 0).unwrap();
    b.table.hw.words[slot] = entry;
    b.table.hw.mib[slot] = count(3);
    b.bind(&[f]);
    assert_eq!(b.stats(A, 0).delta, Count::ZERO);
    assert_eq!(b.counts().stray_mib, 1);
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
        let answer = b.table.replace(A, n.into(), 0, &f);
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
    let mut b = Bench::new();
    let f = routed(0);
    b.replace(A, 1, &f).unwrap();
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
}

#[test]
fn stray_counts_are_nobodys() {
    let mut b = Bench::new();
    let f = routed(0);
    let slot = NETSYS_V2.bucket(&f, SLOTS as u32);
    b.table.hw.mib[usize::from(slot)] = count(9);
    b.replace(A, 1, &f).unwrap();
    assert_eq!(b.table.find(A, 1), Some(slot));
    assert_eq!(b.stats(A, 1).delta, Count::ZERO);
    assert_eq!(b.counts().stray_mib, 1);
}

#[test]
fn counters_that_are_zero_are_not_read() {
    let mut b = Bench::new();
    let f = routed(0);
    // Nobody knows what was there before.
    b.replace(A, 1, &f).unwrap();
    let slot = b.at(1);
    assert_eq!(b.ops(), [Op::ReadMib(slot), Op::Commit(slot)]);
    b.frame(&f);
    assert_eq!(b.destroy(A, 1).unwrap().total, count(1));
    assert_eq!(
        b.ops(),
        [Op::Invalidate(slot), Op::ClearCache, Op::ReadMib(slot)]
    );
    b.replace(A, 2, &f).unwrap();
    assert_eq!(b.ops(), [Op::Commit(slot)]);
    assert_eq!(b.stats(A, 2).delta, Count::ZERO);
}

/// Whatever fails, once, while a flow leaves or comes: the next one in its slot is not
/// given its counts.
#[test]
fn counts_after_a_failure_are_nobodys() {
    let f = routed(0);
    for fails in 0..3 {
        let mut b = Bench::new();
        b.replace(A, 1, &f).unwrap();
        let slot = b.at(1);
        b.frame(&f);
        b.table.hw.dies_in = Some(fails);
        b.table.hw.recovers = true;
        b.destroy(A, 1).unwrap();
        assert_eq!(b.table.hw.dies_in, None);
        // As long as its cache was not cleared the engine goes on.
        while b.frame(&f).is_some() && b.table.hw.mib[usize::from(slot)].packets < 5 {}
        b.replace(A, 2, &f).unwrap();
        assert_eq!(b.table.find(A, 2), Some(slot));
        assert_eq!(b.stats(A, 2).delta, Count::ZERO);
    }

    let mut b = Bench::new();
    b.replace(A, 1, &f).unwrap();
    let slot = b.at(1);
    b.destroy(A, 1).unwrap();
    // The entry is written, and read into the cache, but that is not cleared.
    b.table.hw.mib[usize::from(slot)] = count(3);
    b.table.hw.dies_in = Some(u32::from(NETSYS_V2.ways()) + 1);
    b.table.hw.recovers = true;
    assert_eq!(b.replace(A, 2, &f), Err(Reject::EngineDead));
    b.replace(A, 2, &f).unwrap();
    assert_eq!(b.stats(A, 2).delta, Count::ZERO);
}

#[test]
fn each_packet_is_reported_once() {
    let mut b = Bench::new();
    let f = routed(0);
    b.replace(A, 1, &f).unwrap();
    let slot = b.at(1);
    b.frame(&f);
    b.frame(&f);
    assert_eq!(b.stats(A, 1).delta, count(2));
    assert_eq!(b.stats(A, 1).delta, Count::ZERO);
    b.frame(&f);
    for _ in 0..2 {
        let record = b.table.refresh(slot).unwrap();
        assert_eq!((record.unreported, record.total), (count(1), count(3)));
    }
    b.frame(&f);
    assert_eq!(b.stats(A, 1).delta, count(2));
    b.frame(&f);
    assert_eq!(b.last_counts(1), (count(1), count(5)));
    assert!(b.table.refresh(slot).is_none());
    let none = b.table.stats(A, 1);
    assert!(none.is_none());
}

#[test]
fn a_chip_that_counts_layer_3() {
    let caps = Caps {
        mib: Some(MibUnit::Layer3),
        ..CAPS
    };
    let mut b = Bench::of(&caps, 0);
    let f = routed(0);
    b.replace(A, 1, &f).unwrap();
    b.frame(&f);
    assert_eq!(b.stats(A, 1).delta.bytes, 100);
}

#[test]
fn last_used_when_never_hit() {
    let mut b = Bench::new();
    let bound_at = b.now();
    b.replace(A, 1, &routed(0)).unwrap();
    // Through a whole round of the timestamp and more.
    for _ in 0..300 {
        b.wait(1_000);
        assert_eq!(b.stats(A, 1).last_used_ms, bound_at);
    }
}

#[test]
fn last_used_when_hit() {
    for start in [
        0, 243_000, 250_000, 255_999, 65_525_000, 65_535_000, 65_536_000,
    ] {
        let mut b = Bench::new();
        b.table.hw.now_ms.set(start);
        let f = routed(0);
        b.replace(A, 1, &f).unwrap();
        b.wait(10_000);
        b.frame(&f);
        b.wait(3_000);
        assert_eq!(b.stats(A, 1).last_used_ms, start + 10_000);
        b.wait(1_000);
        assert_eq!(b.stats(A, 1).last_used_ms, start + 10_000);
        // Idle for a round of the timestamp.
        b.wait(255_000);
        assert_eq!(b.stats(A, 1).last_used_ms, start + 10_000);
    }
}

#[test]
fn last_used_is_not_before_the_last_look() {
    for caps in [CAPS, BLIND] {
        let mut b = Bench::of(&caps, 0);
        let f = routed(0);
        b.replace(A, 1, &f).unwrap();
        b.wait(10_400);
        let looked = b.now();
        b.stats(A, 1);
        b.wait(500);
        b.frame(&f);
        b.wait(300);
        // One tick ago, by which the clock is too coarse.
        assert_eq!(b.stats(A, 1).last_used_ms, looked);
    }
}

#[test]
fn last_used_when_let_go() {
    let mut b = Bench::new();
    let f = routed(0);
    b.replace(A, 1, &f).unwrap();
    let slot = b.at(1);
    b.wait(5_000);
    let looked = b.now();
    b.stats(A, 1);
    b.wait(1_000);
    b.frame(&f);
    b.wait(12_000);
    b.table.hw.age_out(slot);
    let stats = b.stats(A, 1);
    assert_eq!(
        (stats.delta, stats.last_used_ms, stats.bound),
        (count(1), looked, false)
    );
    // Nothing new after that.
    b.wait(1_000);
    assert_eq!(b.stats(A, 1).last_used_ms, looked);
}

#[test]
fn last_used_survives_a_look_for_debugging() {
    let mut b = Bench::new();
    let f = routed(0);
    b.replace(A, 1, &f).unwrap();
    let slot = b.at(1);
    b.wait(7_000);
    let hit = b.now();
    b.frame(&f);
    b.wait(1_000);
    b.table.refresh(slot);
    b.wait(1_000);
    assert_eq!(b.stats(A, 1).last_used_ms, hit);
}

#[test]
fn last_used_is_new_with_a_new_bind() {
    let mut b = Bench::new();
    let f = routed(0);
    b.replace(A, 1, &f).unwrap();
    let slot = b.at(1);
    b.table.hw.age_out(slot);
    b.wait(50_000);
    b.replace(A, 1, &f).unwrap();
    b.wait(1_000);
    assert_eq!(b.stats(A, 1).last_used_ms, b.now() - 1_000);
}

#[test]
fn last_used_without_counters() {
    let mut b = Bench::of(&BLIND, 0);
    let f = routed(0);
    let bound_at = b.now();
    b.replace(A, 1, &f).unwrap();
    let slot = b.at(1);
    b.wait(4_000);
    assert_eq!(b.stats(A, 1).last_used_ms, bound_at);
    let hit = b.now();
    b.frame(&f);
    b.wait(2_000);
    let stats = b.stats(A, 1);
    assert_eq!((stats.last_used_ms, stats.delta), (hit, Count::ZERO));
    for _ in 0..300 {
        b.wait(1_000);
        assert_eq!(b.stats(A, 1).last_used_ms, hit);
    }
    b.table.hw.age_out(slot);
    let stats = b.stats(A, 1);
    assert_eq!((stats.last_used_ms, stats.bound), (hit, false));
    b.destroy(A, 1).unwrap();
    assert!(!b.table.hw.ops.iter().any(|op| matches!(op, Op::ReadMib(_))));
}

#[test]
fn an_owner_is_flushed() {
    let mut b = Bench::new();
    for n in 0..10 {
        let owner = if n % 2 == 0 { A } else { B };
        b.replace(owner, n.into(), &routed(n)).unwrap();
        assert!(b.frame(&routed(n)).is_some());
    }
    b.ops();
    let mut removed = Vec::new();
    b.table.remove_where(|r| r.owner == A, |r| removed.push(*r));
    assert_eq!(removed.len(), 5);
    for r in removed {
        assert_eq!((r.owner, r.total, r.ct_id), (A, count(1), r.cookie + 1000));
        assert_eq!(b.frame(&r.flow), None);
        assert_eq!(b.table.find(A, r.cookie), None);
    }
    let ops = b.ops();
    let clear = ops.iter().position(|op| *op == Op::ClearCache).unwrap();
    assert!(ops[..clear]
        .iter()
        .all(|op| matches!(op, Op::Invalidate(_))));
    assert!(ops[clear + 1..]
        .iter()
        .all(|op| matches!(op, Op::ReadMib(_))));
    for n in [1, 3, 5, 7, 9] {
        assert!(b.frame(&routed(n)).is_some());
        assert!(b.table.find(B, n.into()).is_some());
    }
    assert_eq!(b.table.iter().count(), 5);
    b.ops();
    b.table
        .remove_where(|r| r.owner == A, |_| panic!("none is left"));
    assert_eq!(b.ops(), []);
    // Empty slots are not asked about.
    let mut asked = 0;
    let all = |_: &Record| {
        asked += 1;
        true
    };
    b.table.remove_where(all, |_| ());
    assert_eq!(asked, 5);
}

#[test]
fn a_connection_goes_with_both_directions() {
    for (removal, whole) in [
        (Removal::Flows, false),
        (Removal::Connections, true),
        (Removal::Moved, true),
    ] {
        let mut b = Bench::new();
        for n in 0..6u16 {
            let up = routed(n);
            let down = Flow {
                tuple: up.new.reversed(),
                new: up.tuple.reversed(),
                ingress: up.egress,
                egress: up.ingress,
                ..up
            };
            b.replace(A, n.into(), &up).unwrap();
            // The last one's other direction is of somebody else.
            let owner = if n == 5 { B } else { A };
            b.replace(owner, (100 + n).into(), &down).unwrap();
        }
        let mut removed = Vec::new();
        let pred = |r: &Record| matches!(r.cookie, 1 | 103 | 5);
        b.table.remove(removal, pred, |r| removed.push(r.cookie));
        let moved = removal == Removal::Moved;
        let why = [Unbound::Flushed, Unbound::Moved][usize::from(moved)];
        let is_end = |(event, ..): &(Event, u64, Count)| !matches!(event, Event::Bound(_));
        let ends: Vec<_> = b.events().into_iter().filter(is_end).collect();
        assert!(ends.iter().all(|(event, ..)| *event == Event::Unbound(why)));
        assert_eq!(ends.len(), removed.len());
        removed.sort_unstable();
        if whole {
            assert_eq!(removed, [1, 3, 5, 101, 103]);
        } else {
            assert_eq!(removed, [1, 5, 103]);
        }
        assert!(b.table.find(B, 105).is_some());
        let left: Vec<_> = b.table.iter().map(|(_, record)| record.flow).collect();
        for flow in left {
            assert!(b.frame(&flow).is_some());
        }
        assert_eq!(b.table.hw.forwarding().len(), 12 - removed.len());
    }
}

#[test]
fn a_dead_engine_keeps_nothing() {
    for dies_in in 0..12 {
        let mut b = Bench::new();
        for n in 0..4 {
            b.replace(A, n.into(), &routed(n)).unwrap();
        }
        b.table.hw.dies_in = Some(dies_in);
        let mut removed = 0;
        b.table.remove_where(|_| true, |_| removed += 1);
        assert_eq!(removed, 4);
        assert_eq!(b.table.iter().count(), 0);
        let t = b.counts();
        assert_eq!((t.flows, t.bound), (0, 0));
        assert!(t.hw_errors > 0 || dies_in >= 9);
    }
    let mut b = Bench::new();
    b.replace(A, 1, &routed(0)).unwrap();
    b.table.hw.dies_in = Some(0);
    let stats = b.stats(A, 1);
    assert!(!stats.bound);
    assert!(b.destroy(A, 1).is_some());
    assert_eq!(b.table.iter().count(), 0);
}

#[test]
fn a_bind_that_fails_leaves_nothing() {
    for dies_in in 0..7 {
        let mut b = Bench::new();
        b.table.hw.dies_in = Some(dies_in);
        assert_eq!(b.replace(A, 1, &routed(0)), Err(Reject::EngineDead));
        assert_eq!(b.table.iter().count(), 0);
        assert_eq!(b.counts().flows, 0);
        assert!(b.counts().hw_errors > 0);
        assert_eq!(b.table.find(A, 1), None);
        // If only the one access failed, what was written is taken back.
        b.table.hw.dies_in = None;
        assert_eq!(b.replace(A, 1, &routed(0)), Ok(Replaced::Bound));
    }
    let mut b = Bench::new();
    b.table.hw.dies_in = Some(7);
    assert_eq!(b.replace(A, 1, &routed(0)), Ok(Replaced::Bound));
}

#[test]
fn a_bind_that_fails_is_taken_back() {
    for dies_in in 0..7 {
        let mut b = Bench::new();
        b.table.hw.dies_in = Some(dies_in);
        b.table.hw.recovers = true;
        assert_eq!(b.replace(A, 1, &routed(0)), Err(Reject::EngineDead));
        assert_eq!(b.table.hw.forwarding(), []);
    }
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
        match table.replace(A, cookie, 0, &f) {
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
    for cookie in bound {
        assert!(table.destroy(A, cookie).is_some());
    }
    assert_eq!(table.iter().count(), 0);
    assert!(table.hw.forwarding().is_empty());
}
