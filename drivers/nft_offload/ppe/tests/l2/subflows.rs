// SPDX-License-Identifier: GPL-2.0-only

//! Subflows of the rules of tc.

use super::*;

const SLOTS: usize = 64;
const PORT: BlockId = BlockId(1);
/// Counts from the IP header on, as the chips do.
const LAYER3: Caps = Caps {
    mib: Some(MibUnit::Layer3),
    ..CAPS
};

struct Bench {
    table: TestTable,
    rules: Filters<TestHost>,
    flows: u32,
}

impl Bench {
    fn new(rules: usize, subflows: usize) -> Self {
        Self::with_spares(rules, subflows, 0)
    }

    fn with_spares(rules: usize, subflows: usize, spares: usize) -> Self {
        Self {
            table: new_table(SLOTS, &LAYER3, spares),
            rules: Filters::new(vec![Record::EMPTY; rules], vec![Subflow::EMPTY; subflows])
                .unwrap(),
            flows: 100,
        }
    }

    fn insert(&mut self, cookie: u64, prio: u32, rule: &Filter) -> Result<Count, Reject> {
        self.flows += 1;
        let flows = BlockId(self.flows);
        self.rules
            .insert(&mut self.table, PORT, cookie, flows, prio, rule)
    }

    fn remove(&mut self, cookie: u64) -> Option<Count> {
        self.rules.remove(&mut self.table, PORT, cookie)
    }

    fn bind(&mut self, tuple: &Tuple) -> Result<Option<Replaced>, Reject> {
        let seen = sighting(*tuple);
        self.rules.bind(&mut self.table, &seen, |_| Ok(()))
    }

    /// A frame of 100 bytes. Whether it was forwarded.
    fn frame(&mut self, tuple: &Tuple) -> bool {
        self.table
            .hw
            .frame(&rule().flow(L4::Udp, tuple), 100)
            .is_some()
    }

    /// Packets since last asked.
    fn stats(&mut self, cookie: u64) -> Option<u64> {
        let (stats, _) = self.rules.stats(&mut self.table, PORT, cookie)?;
        assert_eq!(stats.delta, count(stats.delta.packets));
        Some(stats.delta.packets)
    }

    fn last_used(&mut self, cookie: u64) -> u64 {
        self.rules
            .stats(&mut self.table, PORT, cookie)
            .unwrap()
            .0
            .last_used_ms
    }

    fn age(&mut self) -> Count {
        self.rules.age(&mut self.table)
    }

    fn subflows(&self) -> u32 {
        let stats = self.rules.rules_stats();
        assert_eq!(
            stats.subflows,
            self.rules.iter().map(|rule| rule.subflows).sum::<u32>()
        );
        assert_eq!(stats.subflows, self.table.table_stats().flows);
        stats.subflows
    }
}

fn tuple(n: u16) -> Tuple {
    v4(1, 1000 + n, 2, 53)
}

/// Frames of 100 bytes.
fn count(packets: u64) -> Count {
    let bytes = packets * 100;
    Count { packets, bytes }
}

#[test]
fn connections_of_a_rule_are_bound_and_counted_together() {
    let mut b = Bench::new(4, 16);
    assert_eq!(b.bind(&tuple(0)), Ok(None));
    assert_eq!(b.insert(7, 1, &rule()), Ok(Count::ZERO));
    assert_eq!(b.subflows(), 0);
    for n in 0..3 {
        assert_eq!(b.bind(&tuple(n)), Ok(Some(Replaced::Bound)));
    }
    // Seen again before anybody knew that it is bound.
    assert_eq!(b.bind(&tuple(1)), Ok(Some(Replaced::Refreshed)));
    assert_eq!(b.subflows(), 3);
    for n in [0, 1, 1, 2, 2, 2] {
        assert!(b.frame(&tuple(n)));
    }
    assert!(!b.frame(&tuple(3)));
    assert_eq!(b.stats(7), Some(6));
    assert_eq!(b.stats(7), Some(0));
    assert!(b.frame(&tuple(0)));
    assert_eq!(b.remove(7), Some(count(1)));
    assert_eq!(b.remove(7), None);
    assert_eq!(b.stats(7), None);
    assert_eq!(b.subflows(), 0);
    assert!(b.table.hw.forwarding().is_empty());
    for n in 0..3 {
        assert!(!b.frame(&tuple(n)));
    }
}

#[test]
fn a_subflow_ends_when_idle_and_its_counts_stay() {
    let mut b = Bench::new(4, 16);
    b.insert(7, 1, &rule()).unwrap();
    let start = b.table.hw.now_ms.get();
    b.bind(&tuple(0)).unwrap();
    b.bind(&tuple(1)).unwrap();
    assert!(b.frame(&tuple(0)));
    b.table.host.wait(IDLE_MS - 2_000);
    assert!(b.frame(&tuple(1)));
    assert_eq!(b.age(), count(2));
    assert_eq!(b.subflows(), 2);
    b.table.host.wait(2_000);
    assert_eq!(b.age(), Count::ZERO);
    assert_eq!(b.subflows(), 1);
    assert!(!b.frame(&tuple(0)) && b.frame(&tuple(1)));
    assert_eq!(b.stats(7), Some(3));
    assert!(b.last_used(7) > start + IDLE_MS - 3_000);
    // It comes back, and the engine lets it go.
    b.bind(&tuple(0)).unwrap();
    assert!(b.frame(&tuple(0)));
    let (slot, _) = b
        .table
        .hw
        .look_up(&rule().flow(L4::Udp, &tuple(0)))
        .unwrap();
    b.table.hw.age_out(slot);
    assert_eq!(b.age(), count(1));
    assert_eq!(b.subflows(), 1);
    assert_eq!(b.stats(7), Some(1));
    assert_eq!(b.rules.rules_stats().ended, 2);
}

#[test]
fn what_others_take_out_of_the_table_is_forgotten() {
    let mut b = Bench::new(4, 16);
    b.insert(7, 1, &rule()).unwrap();
    for n in 0..3 {
        b.bind(&tuple(n)).unwrap();
        assert!(b.frame(&tuple(n)));
    }
    let other = flow(L4::Tcp, v4(9, 9, 9, 9));
    b.table
        .replace(PORT, 0, ConnectionId::NONE, &other)
        .unwrap();
    let rules = &mut b.rules;
    b.table
        .remove_where(|_| true, |removed| rules.forget(removed));
    assert_eq!(b.subflows(), 0);
    assert_eq!(b.stats(7), Some(3));
    assert_eq!(b.bind(&tuple(1)), Ok(Some(Replaced::Bound)));
    assert_eq!(b.subflows(), 1);
}

#[test]
fn a_subflow_that_made_room_ends() {
    let mut b = Bench::with_spares(4, 64, 8);
    b.insert(7, 1, &rule()).unwrap();
    let first = NETSYS_V2.bucket(&rule().flow(L4::Udp, &tuple(0)), SLOTS as u32);
    let same: Vec<_> = (0..2000)
        .map(tuple)
        .filter(|t| NETSYS_V2.bucket(&rule().flow(L4::Udp, t), SLOTS as u32) == first)
        .take(5)
        .collect();
    for t in &same[..4] {
        b.bind(t).unwrap();
        assert!(b.frame(t));
    }
    assert_eq!(b.bind(&same[4]), Err(Reject::BucketFull));
    assert_eq!(b.rules.rules_stats().refused, 1);
    assert_eq!(b.subflows(), 4);
    b.table.host.wait(10_000);
    assert_eq!(b.bind(&same[4]), Ok(Some(Replaced::Bound)));
    assert_eq!(b.subflows(), 5);
    // One of the four is parked: it may come back, and the old one ends.
    let gone = same.iter().find(|t| !b.frame(t)).unwrap();
    b.table.host.wait(8_000);
    assert_eq!(b.bind(gone), Ok(Some(Replaced::Bound)));
    b.age();
    assert_eq!(b.subflows(), 4);
    assert_eq!(b.table.table_stats().parked, 0);
    let total = b.rules.iter().next().unwrap().total.packets;
    assert_eq!(b.stats(7), Some(total));
}

#[test]
fn of_two_rules_for_the_same_frames_one_counts() {
    let mut b = Bench::new(4, 16);
    let mut back = rule();
    back.out_encap.vlan = [Some(9), None];
    b.insert(1, 10, &rule()).unwrap();
    b.bind(&tuple(0)).unwrap();
    assert!(b.frame(&tuple(0)));
    // One that counts less changes nothing.
    b.insert(2, 11, &back).unwrap();
    assert!(b.frame(&tuple(0)));
    // One that counts more takes over, and so does one that replaces the first.
    let known = b.insert(3, 9, &back).unwrap();
    assert_eq!(known.packets, 2);
    assert!(!b.frame(&tuple(0)));
    b.bind(&tuple(0)).unwrap();
    assert!(b.frame(&tuple(0)));
    assert_eq!(b.stats(1), Some(2));
    assert_eq!(b.stats(2), Some(0));
    assert_eq!(b.stats(3), Some(1));
    b.insert(4, 9, &rule()).unwrap();
    assert!(!b.frame(&tuple(0)));
    b.bind(&tuple(0)).unwrap();
    assert!(b.frame(&tuple(0)));
    assert_eq!(b.stats(4), Some(1));
    b.remove(3);
    assert!(b.frame(&tuple(0)));
    b.remove(4);
    b.bind(&tuple(0)).unwrap();
    assert!(b.frame(&tuple(0)));
    assert_eq!(b.stats(1), Some(1));
}

#[test]
fn a_rule_for_another_protocol_does_not_count() {
    let mut b = Bench::new(4, 16);
    let tcp = Filter {
        l4: Some(L4::Tcp),
        ..rule()
    };
    b.insert(1, 1, &tcp).unwrap();
    assert_eq!(b.bind(&tuple(0)), Ok(None));
    b.insert(2, 2, &rule()).unwrap();
    b.bind(&tuple(0)).unwrap();
    assert!(b.frame(&tuple(0)));
    assert_eq!((b.stats(1), b.stats(2)), (Some(0), Some(1)));
}

#[test]
fn a_rule_can_be_changed_and_offered_again() {
    let mut b = Bench::new(1, 16);
    b.insert(1, 1, &rule()).unwrap();
    b.bind(&tuple(0)).unwrap();
    assert!(b.frame(&tuple(0)));
    assert_eq!(b.insert(1, 1, &rule()), Ok(Count::ZERO));
    assert!(b.frame(&tuple(0)));
    let mut tagged = rule();
    tagged.out_encap.vlan = [Some(9), None];
    assert_eq!(b.insert(1, 1, &tagged).unwrap().packets, 2);
    assert!(!b.frame(&tuple(0)));
    assert_eq!(b.stats(1), Some(2));
    assert_eq!(b.rules.rules_stats().rules, 1);
}

#[test]
fn no_entry_is_made_for_a_flow_that_is_refused() {
    let mut b = Bench::new(4, 16);
    b.insert(1, 1, &rule()).unwrap();
    for reject in [Reject::PortDown, Reject::ShapedEgress] {
        let bound = b.rules.bind(&mut b.table, &sighting(tuple(0)), |flow| {
            assert_eq!((flow.ingress.port, flow.egress.port), (LAN, WAN));
            Err(reject)
        });
        assert_eq!(bound, Err(reject));
    }
    assert_eq!(b.subflows(), 0);
    b.bind(&tuple(0)).unwrap();
    b.bind(&tuple(1)).unwrap();
    let record = b.rules.iter().next().unwrap();
    let subflows: Vec<_> = b.rules.subflows(record).collect();
    assert_eq!(subflows.len(), 2);
    for subflow in subflows {
        let slot = b.table.find(record.flows, subflow.into()).unwrap();
        assert!(b.table.get(slot).unwrap().bound);
    }
}

#[test]
fn there_is_an_end_to_rules_and_subflows() {
    let mut b = Bench::new(2, 3);
    b.insert(1, 1, &rule()).unwrap();
    let mut other = rule();
    other.key.smac = [6; 6];
    b.insert(2, 1, &other).unwrap();
    other.key.smac = [10; 6];
    assert_eq!(b.insert(3, 1, &other), Err(Reject::TableFull));
    for n in 0..3 {
        b.bind(&tuple(n)).unwrap();
    }
    assert_eq!(b.bind(&tuple(3)), Err(Reject::TableFull));
    assert_eq!(b.subflows(), 3);
    b.remove(1);
    b.insert(3, 1, &rule()).unwrap();
    b.bind(&tuple(3)).unwrap();
    let counted = b.rules.remove_owner(&mut b.table, PORT);
    assert_eq!(counted, Count::ZERO);
    assert_eq!(b.rules.rules_stats().rules, 0);
    assert_eq!(b.subflows(), 0);
    assert!(b.table.hw.forwarding().is_empty());
}

#[test]
fn a_flow_of_others_is_not_bound_twice() {
    let mut b = Bench::new(4, 16);
    b.insert(1, 1, &rule()).unwrap();
    let routed = flow(L4::Udp, tuple(0));
    b.table
        .replace(PORT, 5, ConnectionId::NONE, &routed)
        .unwrap();
    assert_eq!(b.bind(&tuple(0)), Err(Reject::KeyInUse));
    assert_eq!(b.rules.rules_stats().subflows, 0);
    assert_eq!(b.table.hw.forwarding().len(), 1);
    // And the other way round.
    b.bind(&tuple(1)).unwrap();
    let routed = flow(L4::Udp, tuple(1));
    let replaced = b.table.replace(PORT, 6, ConnectionId::NONE, &routed);
    assert_eq!(replaced, Err(Reject::KeyInUse));
}

#[test]
fn subflows_of_an_engine_that_is_gone_end() {
    let mut b = Bench::new(4, 16);
    b.insert(1, 1, &rule()).unwrap();
    b.bind(&tuple(0)).unwrap();
    b.table.hw.dies_in = Some(0);
    assert_eq!(b.bind(&tuple(1)), Err(Reject::EngineDead));
    b.age();
    assert_eq!(b.subflows(), 0);
    b.bind(&tuple(2)).unwrap_err();
    assert_eq!(b.remove(1), Some(Count::ZERO));
}

#[test]
fn a_chip_that_counts_ethernet_headers_is_corrected() {
    let mut b = Bench::new(4, 16);
    b.table = new_table(SLOTS, &CAPS, 0);
    let mut tagged = rule();
    tagged.key.vlan = Some(5);
    b.insert(1, 1, &tagged).unwrap();
    let seen = Sighting {
        key: tagged.key,
        ..sighting(tuple(0))
    };
    b.rules.bind(&mut b.table, &seen, |_| Ok(())).unwrap();
    b.table
        .hw
        .frame(&tagged.flow(L4::Udp, &tuple(0)), 100 + 14 + 4)
        .unwrap();
    assert_eq!(b.stats(1), Some(1));
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Insert(u8, u8, bool),
    Remove(u8),
    Bind(u8),
    Frame(u8),
    Stats(u8),
    Age,
    AgeOut(u8),
    FlushPort,
    Wait(u16),
}

fn step() -> impl Strategy<Value = Step> {
    let rule = || 0_u8..4;
    let conn = || 0_u8..40;
    prop_oneof![
        2 => (rule(), 0_u8..3, any::<bool>()).prop_map(|(c, p, t)| Step::Insert(c, p, t)),
        1 => rule().prop_map(Step::Remove),
        6 => conn().prop_map(Step::Bind),
        10 => conn().prop_map(Step::Frame),
        3 => rule().prop_map(Step::Stats),
        1 => Just(Step::Age),
        1 => conn().prop_map(Step::AgeOut),
        1 => Just(Step::FlushPort),
        2 => (0_u16..20_000).prop_map(Step::Wait),
    ]
}

proptest! {
    /// Whatever happens: each packet that was forwarded is reported once, to a rule that was
    /// there, or was not asked for before its rule went; and no rule, no entry.
    #[test]
    fn no_packet_is_lost_or_counted_twice(steps in prop::collection::vec(step(), 1..200)) {
        let mut b = Bench::with_spares(3, 20, 4);
        let mut live: HashMap<u64, u64> = HashMap::new();
        let (mut forwarded, mut reported, mut dropped) = (0_u64, 0_u64, 0_u64);
        for step in steps {
            match step {
                Step::Insert(cookie, prio, tagged) => {
                    let mut rule = rule();
                    if tagged {
                        rule.out_encap.vlan = [Some(3), None];
                    }
                    if b.insert(cookie.into(), prio.into(), &rule).is_ok() {
                        live.entry(cookie.into()).or_default();
                    }
                }
                Step::Remove(cookie) => {
                    let total = b.rules.iter().find(|r| r.cookie == u64::from(cookie));
                    let before = total.map(|r| r.total.packets);
                    let end = b.remove(cookie.into());
                    let known = live.remove(&cookie.into());
                    prop_assert_eq!(end.is_some(), known.is_some());
                    if let (Some(end), Some(known), Some(before)) = (end, known, before) {
                        dropped += before + end.packets - known;
                    }
                }
                Step::Bind(n) => { let _ = b.bind(&tuple(n.into())); }
                Step::Frame(n) => forwarded += u64::from(b.frame(&tuple(n.into()))),
                Step::Stats(cookie) => {
                    let stats = b.stats(cookie.into());
                    prop_assert_eq!(stats.is_some(), live.contains_key(&cookie.into()));
                    if let Some(stats) = stats {
                        reported += stats;
                        *live.get_mut(&cookie.into()).unwrap() += stats;
                    }
                }
                Step::Age => { b.age(); }
                Step::AgeOut(n) => {
                    let flow = rule().flow(L4::Udp, &tuple(n.into()));
                    if let Some((slot, true)) = b.table.hw.look_up(&flow) {
                        b.table.hw.age_out(slot);
                    }
                }
                Step::FlushPort => {
                    let rules = &mut b.rules;
                    b.table.remove_where(|_| true, |r| rules.forget(r));
                }
                Step::Wait(ms) => b.table.host.wait(u64::from(ms)),
            }
            b.subflows();
            if live.is_empty() {
                prop_assert!(b.table.hw.forwarding().is_empty());
            }
        }
        for cookie in live.keys().copied().collect::<Vec<_>>() {
            reported += b.stats(cookie).unwrap();
        }
        prop_assert_eq!(reported + dropped, forwarded);
    }
}
