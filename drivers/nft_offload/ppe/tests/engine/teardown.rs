// SPDX-License-Identifier: GPL-2.0-only

//! Flows that end before the kernel says so.

use super::*;

/// From here on cookies are those of reverse directions, which nobody has offered.
const OPPOSITE: u64 = 1000;

/// One direction of a connection that a flowtable has.
pub(super) struct Half {
    cookie: u64,
    pending: bool,
}

impl Direction for Half {
    fn cookie(&self) -> u64 {
        self.cookie
    }

    fn is_pending(&self) -> bool {
        self.pending
    }

    // The kernel names the interface, which only the engine knows as a port.
    fn path(&self) -> Option<(FlowPath, i32)> {
        let path = FlowPath::of(&rule(self.cookie as u16))?;
        let egress = None;
        (self.cookie < OPPOSITE).then_some((FlowPath { egress, ..path }, WAN.0.into()))
    }
}

/// A flowtable with these flows, each one connection.
pub(super) struct Table(Vec<Half>, core::cell::RefCell<Vec<u64>>);

impl Table {
    pub(super) fn new(flows: &[(u64, bool)]) -> Self {
        let half = |(cookie, pending): &(u64, bool)| Half {
            cookie: *cookie,
            pending: *pending,
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

    fn end_flows(&self, mut pred: impl FnMut([&Half; 2]) -> bool) {
        for half in &self.0 {
            let reverse = Half {
                cookie: half.cookie + OPPOSITE,
                pending: false,
            };
            if pred([half, &reverse]) {
                self.1.borrow_mut().push(half.cookie);
            }
        }
    }
}

#[test]
fn flows_follow_a_change() {
    let mut b = Bench::new();
    let flow = b.bound(1);
    // 2 is on its way, 3 is in software.
    let table = Table::new(&[(1, false), (2, true), (3, false)]);
    let (mut pending, mut changes) = (Pending::new().unwrap(), ChangeSet::new().unwrap());
    let addr = FlowPath::of(&flow).unwrap().new_dst;
    let neighbour = |mac| FwdEvent::Neighbour {
        ifindex: 1,
        addr,
        mac,
    };
    // As it is, and of another namespace.
    pending.push(NET, neighbour(flow.dmac));
    pending.push(NetId(8), neighbour([9; 6]));
    b.engine.take_pending(&mut pending, &mut changes);
    b.engine.revalidate(&table, &changes);
    assert_eq!(table.ended(), []);
    assert!(b.frame(&flow));

    changes.clear();
    pending.push(NET, neighbour([9; 6]));
    b.engine.take_pending(&mut pending, &mut changes);
    b.engine.revalidate(&table, &changes);
    assert_eq!(table.ended(), [1, 2, 3]);
    assert!(!b.frame(&flow));
    // The queued one is not taken when it comes, once.
    assert_eq!(b.replace(2, &rule(2)), Err(Reject::Ended));
    assert_eq!(b.replace(2, &rule(2)), Ok(Replaced::Bound));
    assert_eq!(b.replace(3, &rule(3)), Ok(Replaced::Bound));
    assert_eq!(
        (b.stat("moves"), b.stat("moved"), b.stat("moves_lost")),
        (3, 1, 0)
    );
}

#[test]
fn more_changes_than_can_wait_end_all_flows() {
    let mut b = Bench::new();
    let flow = b.bound(1);
    let table = Table::new(&[(1, false)]);
    let (mut pending, mut changes) = (Pending::new().unwrap(), ChangeSet::new().unwrap());
    let route = FwdEvent::Route {
        addr: [10, 0, 0, 0].into(),
        len: 8,
    };
    for _ in 0..513 {
        pending.push(NET, route);
    }
    b.engine.take_pending(&mut pending, &mut changes);
    assert!(!pending.is_lost() && pending.events().is_empty());
    b.engine.revalidate(&table, &changes);
    assert!(!b.frame(&flow));
    assert_eq!((b.stat("moves"), b.stat("moves_lost")), (512, 1));
    changes.clear();
    assert!(changes.is_empty());
}

/// What becomes of flow 1, and of the flows of its flowtable, by events.
fn after(events: &[FwdEvent]) -> (bool, Vec<u64>) {
    let mut b = Bench::new();
    let flow = b.bound(1);
    let table = Table::new(&[(1, false)]);
    let (mut pending, mut changes) = (Pending::new().unwrap(), ChangeSet::new().unwrap());
    for event in events {
        pending.push(NET, *event);
    }
    b.engine.take_pending(&mut pending, &mut changes);
    b.engine.revalidate(&table, &changes);
    (b.frame(&flow), table.ended())
}

#[test]
fn each_kind_of_event_ends_what_it_concerns() {
    let dmac = rule(1).dmac;
    let at = |port: PsePort| FwdEvent::FdbEntry {
        ifindex: port.0.into(),
        mac: dmac,
    };
    let gateway = |mac| FwdEvent::Neighbour {
        ifindex: 1,
        addr: [10, 0, 0, 1].into(),
        mac,
    };
    for (events, ends) in [
        (&[at(WAN)][..], false),
        (&[at(LAN)], true),
        (&[FwdEvent::NextHopObject], true),
        // Another address is behind the same next hop, until that has another one.
        (&[gateway(dmac)], false),
        (&[gateway(dmac), gateway([9; 6])], true),
    ] {
        let ended = if ends { vec![1] } else { vec![] };
        assert_eq!(after(events), (!ends, ended), "{events:?}");
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
    let (mut pending, mut changes) = (Pending::new().unwrap(), ChangeSet::new().unwrap());
    pending.push(NET, FwdEvent::NextHopObject);
    b.engine.take_pending(&mut pending, &mut changes);
    b.engine.revalidate(&table, &changes);
    assert_eq!(b.engine.destroy(&b.lan, &COUNTING, 2), None);
    assert_eq!(b.replace(2, &rule(2)), Ok(Replaced::Bound));
}
