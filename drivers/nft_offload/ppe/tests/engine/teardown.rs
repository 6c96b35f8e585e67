// SPDX-License-Identifier: GPL-2.0-only

//! Flows that end before the kernel says so.

use core::net::{
    Ipv4Addr,
    Ipv6Addr, //
};

use super::*;

/// From here on cookies are those of reverse directions, which nobody has offered.
const OPPOSITE: u64 = 1000;

/// One direction of a connection that a flowtable has.
pub(super) struct Half {
    cookie: u64,
    pending: bool,
    current: bool,
}

impl Direction for Half {
    fn cookie(&self) -> u64 {
        self.cookie
    }

    fn is_pending(&self) -> bool {
        self.pending
    }
}

impl Routed for Half {
    fn path(&self) -> Option<FlowPath> {
        (self.cookie < OPPOSITE).then(|| path(self.cookie))
    }

    fn is_current(&self) -> bool {
        self.current
    }
}

/// The reverse direction, of which nothing is known.
fn reverse(half: &Half) -> Half {
    Half {
        cookie: half.cookie + OPPOSITE,
        pending: false,
        current: true,
    }
}

fn v4_addr(addr: [u8; 4]) -> Ipv6Addr {
    Ipv4Addr::from(addr).to_ipv6_mapped()
}

fn path(cookie: u64) -> FlowPath {
    FlowPath {
        dst: v4_addr([198, 51, 100, 2]),
        new_src: v4_addr([192, 168, 1, 1]),
        new_dst: v4_addr([198, 51, 100, 2]),
        dmac: [2, 0, 0, 0, 0, cookie as u8],
        ifindex: WAN.0.into(),
        vlan: None,
    }
}

/// A flowtable with these flows, each one connection.
pub(super) struct Table(Vec<Half>, core::cell::RefCell<Vec<u64>>);

impl Table {
    pub(super) fn new(flows: &[(u64, bool)]) -> Self {
        let half = |(cookie, pending): &(u64, bool)| Half {
            cookie: *cookie,
            pending: *pending,
            current: false,
        };
        Self(flows.iter().map(half).collect(), Default::default())
    }

    pub(super) fn ended(&self) -> Vec<u64> {
        self.1.borrow().clone()
    }
}

impl FlowTable for Table {
    type Net = TestNet;
    type Direction = Half;

    fn id(&self) -> FlowTableId {
        FT
    }

    fn net(&self) -> (&TestNet, NetId) {
        (&TestNet, NET)
    }

    fn has_counter(&self) -> bool {
        true
    }

    fn end_flows(&self, pred: &mut dyn FnMut([&Half; 2]) -> bool) {
        for half in &self.0 {
            if pred([half, &reverse(half)]) {
                self.1.borrow_mut().push(half.cookie);
            }
        }
    }
}

/// As a glue does it: a walk in steps, each of which ends as many as it can. Returns the most
/// operations of the hardware that a step took.
fn walk(b: &mut Bench, table: &Table, events: &[FwdEvent]) -> usize {
    walk_of(b, &COUNTING, table, events)
}

fn walk_of(b: &mut Bench, of: &Context<'_, TestHost>, table: &Table, events: &[FwdEvent]) -> usize {
    let mut pending = Pending::<TestHost>::new().unwrap();
    for event in events {
        pending.hear(NET, event);
    }
    let mut changes = ChangeSet::new().unwrap();
    pending.swap(&mut changes);
    b.engine.begin_walk(changes.events());
    let (mut ended, mut most) = (EndedConnections::NONE, 0);
    for step in table.0.chunks(ENDED_AT_A_TIME) {
        for half in step {
            if ended.revalidate(NET, &changes, [half, &reverse(half)]) {
                table.1.borrow_mut().push(half.cookie);
            }
        }
        let before = b.engine.table.hw.ops.len();
        b.engine.remove_ended(FT, of, &mut ended);
        assert!(ended.is_empty());
        most = most.max(b.engine.table.hw.ops.len() - before);
    }
    most
}

/// The kernel has these FDB entries elsewhere: of the flows with these cookies.
fn moved(cookies: &[u8]) -> Vec<FwdEvent> {
    let event = |cookie: &u8| FwdEvent::FdbEntry {
        mac: [2, 0, 0, 0, 0, *cookie],
    };
    cookies.iter().map(event).collect()
}

#[test]
fn flows_follow_a_change() {
    let mut b = Bench::new();
    let (flow, other) = (b.bound(1), b.bound(4));
    // 2 is on its way, 3 is in software, 4 is as it was.
    let mut table = Table::new(&[(1, false), (2, true), (3, false), (4, false)]);
    walk(&mut b, &table, &moved(&[9]));
    assert_eq!(table.ended(), []);
    assert!(b.frame(&flow));

    table.0[3].current = true;
    walk(&mut b, &table, &moved(&[1, 2, 3, 4]));
    assert_eq!(table.ended(), [1, 2, 3]);
    assert!(!b.frame(&flow) && b.frame(&other));
    // The queued one is not taken when it comes, once.
    assert_eq!(b.replace(2, &rule(2)), Err(Reject::Ended));
    assert_eq!(b.replace(2, &rule(2)), Ok(Replaced::Bound));
    assert_eq!(b.replace(3, &rule(3)), Ok(Replaced::Bound));
    assert_eq!(
        (b.stat("moves"), b.stat("moved"), b.stat("walks")),
        (5, 1, 2)
    );
}

#[test]
fn what_a_flow_that_moved_has_carried_is_accounted() {
    for (of, packets) in [(&COUNTING, 3), (&QUIET, 0)] {
        let mut b = Bench::new();
        let flow = b.bound(1);
        for _ in 0..3 {
            assert!(b.frame(&flow));
        }
        b.engine.table.host.events.clear();
        walk_of(&mut b, of, &Table::new(&[(1, false)]), &moved(&[1]));
        assert_eq!(b.conntrack.get(ZONE, &flow).counted.packets, packets);
        assert_eq!(b.stat("packets"), 3);
        let [(event, ..)] = b.engine.table.host.events[..] else {
            panic!("one event");
        };
        assert_eq!(event, super::super::Event::Unbound(Unbound::Revalidated));
    }
}

#[test]
fn a_refresh_that_was_queued_before_a_change_is_refused() {
    let mut b = Bench::new();
    let flow = b.bound(1);
    // It is in the table, and the kernel has queued it once more.
    let table = Table::new(&[(1, true)]);
    walk(&mut b, &table, &moved(&[1]));
    assert!(!b.frame(&flow));
    assert_eq!(b.replace(1, &flow), Err(Reject::Ended));
    assert!(!b.frame(&flow));
}

/// Two connections, each with two directions, and three operations to remove one: what the engine's
/// lock is held for.
#[test]
fn a_step_removes_four_flows() {
    let mut b = Bench::new();
    let bound: Vec<_> = (0..10)
        .flat_map(|cookie| [cookie, cookie + OPPOSITE])
        .map(|cookie| b.bound(cookie as u16))
        .collect();
    let flows: Vec<_> = (0..10).map(|cookie| (cookie, false)).collect();
    let table = Table::new(&flows);
    b.engine.table.hw.ops.clear();
    let most = walk(&mut b, &table, &[FwdEvent::NextHopObject]);
    assert_eq!(most, 2 * 2 * 3);
    assert_eq!(b.engine.table.hw.ops.len(), bound.len() * 3);
    assert!(!bound.iter().any(|flow| b.frame(flow)));
}

#[test]
fn any_number_of_flows_ends_in_steps() {
    let mut b = Bench::new();
    let flows: Vec<_> = (0..20).map(|cookie| (cookie, false)).collect();
    let bound: Vec<_> = flows
        .iter()
        .map(|(cookie, _)| b.bound(*cookie as u16))
        .collect();
    let table = Table::new(&flows);
    walk(&mut b, &table, &[FwdEvent::NextHopObject]);
    assert_eq!(table.ended().len(), 20);
    assert!(!bound.iter().any(|flow| b.frame(flow)));
    assert_eq!(b.stat("moved"), 20);
    // A step that can end no more leaves the rest to the next one.
    let mut ended = EndedConnections::NONE;
    let mut pending = Pending::<TestHost>::new().unwrap();
    pending.hear(NET, &FwdEvent::NextHopObject);
    let mut changes = ChangeSet::new().unwrap();
    pending.swap(&mut changes);
    let all = table.0.iter();
    let taken = all.filter(|half| ended.revalidate(NET, &changes, [*half, &reverse(half)]));
    assert_eq!(taken.count(), ENDED_AT_A_TIME);
}

/// What becomes of flow 1, and of the flows of its flowtable, by events after which the kernel
/// would choose the same path, or another one.
fn after(current: bool, events: &[FwdEvent]) -> (bool, Vec<u64>) {
    let mut b = Bench::new();
    let flow = b.bound(1);
    let mut table = Table::new(&[(1, false)]);
    table.0[0].current = current;
    walk(&mut b, &table, events);
    (b.frame(&flow), table.ended())
}

#[test]
fn each_kind_of_event_ends_what_it_concerns() {
    let dmac = path(1).dmac;
    let all_flows = |port: PsePort| FwdEvent::AllFlows {
        ifindex: port.0.into(),
    };
    let gateway = |mac| FwdEvent::Neighbour {
        ifindex: 1,
        addr: v4_addr([10, 0, 0, 1]),
        mac,
    };
    for (current, events, ends) in [
        (true, &[FwdEvent::FdbEntry { mac: dmac }][..], false),
        (false, &[FwdEvent::FdbEntry { mac: dmac }], true),
        (true, &[FwdEvent::NextHopObject], false),
        (false, &[FwdEvent::NextHopObject], true),
        // The kernel is not asked.
        (true, &[all_flows(WAN)], true),
        (false, &[all_flows(LAN)], false),
        // Another address is behind the same next hop, until that has another one.
        (false, &[gateway(dmac)], false),
        (false, &[gateway(dmac), gateway([9; 6])], true),
    ] {
        let ended = if ends { vec![1] } else { vec![] };
        assert_eq!(after(current, events), (!ends, ended), "{events:?}");
    }
}

#[test]
fn a_flowtable_is_flushed_alone() {
    let mut b = Bench::new();
    let (flow, table) = (b.bound(1), Table::new(&[]));
    let other = b.engine.bind(LAN.0.into(), NET, FlowTableId(2), false);
    let other = other.unwrap();
    assert_eq!(b.offer(other, 1, &rule(2)), Some(Ok(Replaced::Bound)));
    b.engine.flush_table(&table, |_| true);
    assert!(!b.frame(&flow) && b.frame(&rule(2)));
    // Nor does it take others along as it goes.
    b.bound(1);
    b.engine.unbind(&b.lan, &COUNTING);
    b.engine.unbind(&b.wan, &COUNTING);
    assert!(!b.frame(&flow) && b.frame(&rule(2)));
}

#[test]
fn a_flow_that_has_ended_is_not_waited_for() {
    let mut b = Bench::new();
    let table = Table::new(&[(1, false), (2, true)]);
    b.bound(1);
    walk(&mut b, &table, &[FwdEvent::NextHopObject]);
    assert_eq!(b.engine.destroy(&b.lan, &COUNTING, 2), None);
    assert_eq!(b.replace(2, &rule(2)), Ok(Replaced::Bound));
}
