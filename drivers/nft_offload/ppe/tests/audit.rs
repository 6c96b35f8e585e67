// SPDX-License-Identifier: GPL-2.0-only

//! The audit finds what is wrong, and nothing else, with an engine that lies.

use super::*;

const SLOTS: usize = 64;
const SPARES: usize = 8;
const A: BlockId = BlockId(1);
const B: BlockId = BlockId(2);

struct Bench {
    table: TestTable,
}

impl Bench {
    fn new() -> Self {
        Self::of(&CAPS)
    }

    fn of(caps: &Caps) -> Self {
        Self {
            table: new_table(SLOTS, caps, SPARES),
        }
    }

    fn bind(&mut self, cookie: u64, flow: &Flow) -> u16 {
        let replaced = self.table.replace(A, cookie, ConnectionId::NONE, flow);
        replaced.unwrap();
        self.table.find(A, cookie).unwrap()
    }

    /// A connection in both directions, with cookies `cookie` and the next one.
    fn connect(&mut self, cookie: u64, there: &Flow) -> [u16; 2] {
        [
            self.bind(cookie, there),
            self.bind(cookie + 1, &back(there)),
        ]
    }

    fn audit(&mut self) -> Vec<(u16, Finding)> {
        let (mut found, ops) = (Vec::new(), self.table.hw.ops.len());
        for at in 0..self.table.numbers() as u16 {
            let here = self.table.audit(at).into_iter().flatten();
            found.extend(here.map(|finding| (at, finding)));
        }
        assert_eq!(self.table.hw.ops.len(), ops, "the audit changes something");
        found
    }

    fn reverse(&self, slot: u16) -> Reverse {
        let record = self.table.get(slot).unwrap();
        self.table.reverse(record)
    }

    fn clean(&mut self) {
        assert_eq!(self.audit(), []);
        assert_eq!(self.table.audit_sums(), 0);
    }
}

/// With source NAT.
fn masqueraded(port: u16) -> Flow {
    Flow {
        new: v4(77, port + 5000, 2, 80),
        ..routed(port)
    }
}

#[test]
fn what_is_right_is_clean() {
    let mut b = Bench::new();
    b.clean();
    for n in 0..10 {
        b.connect(u64::from(n) * 2, &masqueraded(n));
        b.clean();
    }
    // The engine changes timestamps, at whatever time of its clock.
    for seconds in [1, 100, 200, 300] {
        b.table.host.wait(seconds * 1000);
        for n in 0..10 {
            assert!(b.table.hw.frame(&masqueraded(n), 100).is_some());
        }
        b.clean();
    }
    // What it has learned of its own accord it does not forward by.
    assert!(b.table.hw.learn(&routed(500)).is_some());
    b.clean();
    for n in 0..20 {
        b.table.destroy(A, n).unwrap();
        if n % 2 == 1 {
            b.clean();
        }
    }
}

#[test]
fn two_ppes() {
    let mut b = Bench::of(&TWO_PPES);
    let [there, again] = b.connect(1, &masqueraded(3));
    assert_ne!(usize::from(there) / SLOTS, usize::from(again) / SLOTS);
    b.clean();
    b.table.hw.words[usize::from(again)][7] ^= 1;
    assert_eq!(b.audit(), [(again, Finding::Differs)]);
}

#[test]
fn an_entry_of_nobody_is_an_orphan() {
    let mut b = Bench::new();
    let [there, again] = b.connect(1, &routed(1));
    let entry = b.table.hw.words[usize::from(there)].clone();
    let free = (0..SLOTS as u16)
        .find(|at| ![there, again].contains(at))
        .unwrap();
    b.table.hw.words[usize::from(free)] = entry.clone();
    assert_eq!(b.audit(), [(free, Finding::Orphan)]);
    b.table.hw.words[usize::from(free)][0] = 0;
    b.clean();

    // One that came back after its flow had gone.
    b.table.remove(Scope::Connection, |_| true, |_| ());
    b.clean();
    b.table.hw.words[usize::from(there)] = entry;
    assert_eq!(b.audit(), [(there, Finding::Orphan)]);
}

#[test]
fn an_entry_of_a_flow_that_is_not_bound_is_an_orphan() {
    let mut b = Bench::new();
    let [there, again] = b.connect(1, &routed(1));
    let before = b.table.hw.words.clone();
    for slot in [there, again] {
        b.table.hw.age_out(slot);
        b.table.refresh(slot);
    }
    b.clean();
    b.table.hw.words = before;
    assert_eq!(
        b.audit(),
        [(there, Finding::Orphan), (again, Finding::Orphan)]
    );
}

#[test]
fn every_word_and_bit_is_compared() {
    let mut b = Bench::new();
    let [there, _] = b.connect(1, &masqueraded(1));
    let len = NETSYS_V2.entry_words();
    for word in 0..len {
        for bit in 0..32 {
            // Timestamp and cache are the engine's, and in other states it does not forward.
            if word == 0 && (bit < 8 || bit == 20 || bit == 28 || bit == 29) {
                continue;
            }
            b.table.hw.words[usize::from(there)][word] ^= 1 << bit;
            assert_eq!(b.audit(), [(there, Finding::Differs)], "{word}, {bit}");
            b.table.hw.words[usize::from(there)][word] ^= 1 << bit;
        }
    }
    b.clean();
    for bits in [0xff, 1 << 20] {
        b.table.hw.words[usize::from(there)][0] ^= bits;
        b.clean();
    }
}

#[test]
fn what_the_engine_changes_has_its_place_in_each_format() {
    let f = masqueraded(1);
    let formats: [(&dyn Format, u32); 3] = [
        (&NETSYS_V1, 0x0040_7fff),
        (&NETSYS_V2, 0x0010_00ff),
        (&NETSYS_V3, 0x0010_00ff),
    ];
    for (format, own) in formats {
        let entry = format.encode(&f, 7).unwrap();
        let mut words = entry.words().to_vec();
        for bit in 0..32 {
            words[0] ^= 1 << bit;
            assert_eq!(format.is_as_written(&words, &entry), (own >> bit) & 1 == 1);
            words[0] ^= 1 << bit;
        }
        assert!(!format.is_as_written(&words[..words.len() - 1], &entry));
        assert!(!format.is_as_written(&[], &entry));
    }
}

#[test]
fn an_entry_that_is_gone() {
    let mut b = Bench::new();
    let tcp = flow(L4::Tcp, v4(1, 9, 2, 80));
    let [udp, udp_back] = b.connect(1, &routed(1));
    let [tcp, tcp_back] = b.connect(3, &tcp);
    // A UDP flow does not go so soon, a TCP flow does with its FIN.
    b.table.host.wait(1999);
    b.table.hw.age_out(udp);
    b.table.hw.age_out(tcp);
    let mut found = vec![(udp, Finding::Lost), (tcp, Finding::AgedOut)];
    found.sort_by_key(|(slot, _)| *slot);
    assert_eq!(b.audit(), found);
    // With time it is what an engine does.
    b.table.host.wait(1);
    found
        .iter_mut()
        .for_each(|found| found.1 = Finding::AgedOut);
    assert_eq!(b.audit(), found);

    // Once that was seen, it is the reverse directions that are alone.
    for slot in [udp, tcp] {
        b.table.refresh(slot);
    }
    let mut found = vec![
        (udp_back, Finding::OneDirection),
        (tcp_back, Finding::OneDirection),
    ];
    found.sort_by_key(|(slot, _)| *slot);
    assert_eq!(b.audit(), found);
    assert_eq!(b.reverse(udp_back), Reverse::Aged);
    assert_eq!(b.reverse(udp), Reverse::Bound);
}

#[test]
fn why_a_direction_is_alone() {
    let mut b = Bench::new();
    let first = routed(1);
    let slot = b.bind(1, &first);
    assert_eq!(b.audit(), [(slot, Finding::OneDirection)]);
    assert_eq!(b.reverse(slot), Reverse::Unknown);
    // That of another owner is of another flowtable.
    b.table
        .replace(B, 9, ConnectionId::NONE, &back(&first))
        .unwrap();
    let other = b.table.find(B, 9).unwrap();
    let mut alone = [slot, other].map(|slot| (slot, Finding::OneDirection));
    alone.sort_by_key(|(slot, _)| *slot);
    assert_eq!(b.audit(), alone);
    b.table.destroy(B, 9).unwrap();
    b.bind(2, &back(&first));
    b.clean();

    // Those of one bucket take the slot of the reverse direction.
    for (owner, reverse) in [(A, Reverse::Parked), (B, Reverse::Unknown)] {
        let mut b = Bench::new();
        let slot = b.bind(1, &first);
        b.table
            .replace(owner, 2, ConnectionId::NONE, &back(&first))
            .unwrap();
        b.table.host.wait(EVICT_IDLE_MS);
        let bucket = b.table.hw.bucket(&back(&first)).start;
        let others = (1000..)
            .map(routed)
            .filter(|f| b.table.hw.bucket(f).start == bucket);
        for (cookie, f) in (10..).zip(others.take(4).collect::<Vec<_>>()) {
            b.bind(cookie, &f);
        }
        assert_eq!(b.table.table_stats().parked, 1);
        assert_eq!(b.table.audit_sums(), 0);
        assert!(b.audit().contains(&(slot, Finding::OneDirection)));
        assert_eq!(b.reverse(slot), reverse);
    }

    // A rule of tc has no reverse direction.
    let mut b = Bench::new();
    let bridged = Flow {
        routed: false,
        ..first
    };
    b.bind(1, &bridged);
    b.clean();
}

#[test]
fn a_broken_index_is_found() {
    let mut b = Bench::new();
    for n in 0..20 {
        b.connect(u64::from(n) * 2, &masqueraded(n));
    }
    b.clean();
    let slot = |b: &Bench, cookie| b.table.find(A, cookie).unwrap();
    let (one, two) = (slot(&b, 3), slot(&b, 4));
    assert_ne!(b.table.begins(A, 3), b.table.begins(A, 4));

    // Found by no chain.
    b.table.begin_at(A, 3, u16::MAX);
    assert!(b.audit().contains(&(one, Finding::Index)));
    b.table.begin_at(A, 3, one);
    b.clean();
    // In the chain of another one.
    b.table.begin_at(A, 4, one);
    assert!(b.audit().contains(&(two, Finding::Index)));
    assert_eq!(b.table.audit_sums(), 1);
    b.table.begin_at(A, 4, two);
    b.clean();
    // A chain with no end.
    b.table.set_next(two, two);
    let found = b.audit();
    assert!(!found.contains(&(one, Finding::Index)));
    b.table.begin_at(A, 4, u16::MAX - 1);
    assert!(b.audit().contains(&(two, Finding::Index)));
    // One that leads to the chain of another flow, or nowhere.
    for next in [one, SLOTS as u16, u16::MAX - 1] {
        b.table.begin_at(A, 4, two);
        b.table.set_next(two, next);
        assert_eq!(b.audit(), [(two, Finding::Index)]);
    }
}

#[test]
fn sums_that_do_not_fit_are_found() {
    let mut b = Bench::new();
    b.connect(1, &routed(1));
    let first = SLOTS as u16;
    let last = first + SPARES as u16 - 1;
    // A list of free places that ends too soon, goes round, or leads to a flow.
    for (at, next) in [
        (last, u16::MAX),
        (last, last),
        (first, last),
        (first, 0),
        (last, 0),
    ] {
        let before = if at == first { u16::MAX } else { at - 1 };
        b.table.set_next(at, next);
        assert_eq!(b.table.audit_sums(), 1, "{at} to {next}");
        b.table.set_next(at, before);
        b.clean();
    }
    b.table.stats_mut().flows += 1;
    assert_eq!(b.table.audit_sums(), 1);
    b.table.stats_mut().bound -= 1;
    assert_eq!(b.table.audit_sums(), 2);
    b.table.stats_mut().parked += 1;
    assert_eq!(b.table.audit_sums(), 3);
}

#[test]
fn an_engine_that_was_given_up_has_no_bound_flow() {
    let mut b = Bench::new();
    let slots = b.connect(1, &routed(1));
    b.table.host.events.clear();
    for slot in slots {
        b.table.hw.age_out(slot);
    }
    b.table.mark_all_unbound();
    let ended = b.table.host.events.iter().map(|(event, ..)| *event);
    assert!(ended.eq([Event::Unbound(Unbound::Aged); 2]));
    assert_eq!(b.table.table_stats().bound, 0);
    assert_eq!(b.table.table_stats().flows, 2);
    b.clean();
}

#[test]
fn an_engine_that_does_not_answer() {
    let mut b = Bench::new();
    b.connect(1, &routed(1));
    b.table.hw.dies_in = Some(3);
    let found = b.audit();
    assert_eq!(found.len(), SLOTS - 3);
    assert!(found.iter().all(|(_, finding)| *finding == Finding::Unread));
}
