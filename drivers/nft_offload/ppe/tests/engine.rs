// SPDX-License-Identifier: GPL-2.0-only

//! The engine as a glue uses it.

mod devices;
mod filters;
mod hardware;
mod path;
mod teardown;
mod wakes;

use core::fmt::{
    self,
    Display,
    Formatter, //
};

use super::super::audit::Audit;
use super::super::engine::filters::FilterRule;
use super::super::engine::teardown::{
    Direction,
    EndedConnections,
    FlowTable,
    Routed,
    ENDED_AT_A_TIME, //
};
use super::super::health::Verdict;
use super::super::netdev::Event;
use super::super::obstacle::Direction as PathDirection;
use super::super::show::Next;
use super::*;
use teardown::Table;

const FT: FlowTableId = FlowTableId(1);
const LAN: PsePort = PsePort(2);
const WAN: PsePort = PsePort(1);
const SLOTS: usize = 64;

fn device(port: PsePort, up: bool) -> Device {
    let mut name = Name(*b"eth0\0\0\0\0\0\0\0\0\0\0\0");
    name.0[3] += port.0;
    Device {
        ifindex: port.0.into(),
        net: NET,
        mtu: 1500,
        name,
        up,
    }
}

fn event(event: Event, port: PsePort, up: bool) -> DeviceEvent {
    DeviceEvent {
        event,
        dev: device(port, up),
        mac: Some([port.0; 6]),
        is_user_port: false,
        user: None,
    }
}

/// Rule `n`, as nf_flowtable makes it of a UDP flow from LAN to WAN.
fn rule(n: u16) -> Flow {
    flow(L4::Udp, v4(1, n, 2, 80))
}

const POLICY: Policy = Policy {
    refuse: Kinds::NONE.with(Kind::Shaper),
    ipv4: true,
    ipv6: true,
    reserve: 0,
};

/// The zone of all connections.
const ZONE: u32 = 7;

const COUNTING: Context<'_, TestHost> = Context {
    net: &TestNet,
    counter: true,
};

const QUIET: Context<'_, TestHost> = Context {
    counter: false,
    ..COUNTING
};

struct Bench {
    engine: Engine<TestHost>,
    conntrack: Connections,
    /// The connection of the rules that are offered.
    connection: ConnectionId,
    /// Whether their routes depend on rules.
    ruled: bool,
    lan: Binding,
    wan: Binding,
}

/// What a file shows.
fn text(show: impl Fn(&mut Formatter<'_>) -> fmt::Result) -> String {
    struct Text<F>(F);

    impl<F: Fn(&mut Formatter<'_>) -> fmt::Result> Display for Text<F> {
        fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
            (self.0)(f)
        }
    }

    Text(show).to_string()
}

impl Bench {
    fn new() -> Self {
        Self::with(POLICY)
    }

    fn with(policy: Policy) -> Self {
        let spec = spec(SLOTS, &CAPS);
        let hw = Fake::with_parts(SLOTS, 1);
        let conntrack = Connections::default();
        let ports = [WAN, LAN].map(|port| Port::new(port, [port.0; 6]));
        let host = host_of(&hw);
        let engine = Engine::new(host, conntrack.clone(), hw, spec, ports.to_vec(), policy);
        let mut engine = engine.unwrap();
        engine.start().unwrap();
        assert_eq!(engine.bind(2, NET, FT, true), Err(BindError::Foreign));
        for port in [LAN, WAN] {
            engine.on_device_event(&TestNet, &event(Event::Register, port, true));
        }
        let lan = engine.bind(LAN.0.into(), NET, FT, true).unwrap();
        let wan = engine.bind(WAN.0.into(), NET, FT, true).unwrap();
        Self {
            engine,
            conntrack,
            connection: ConnectionId { id: 0, zone: ZONE },
            ruled: false,
            lan,
            wan,
        }
    }

    /// The kernel's rule for `flow` comes by a binding.
    fn offer(&mut self, by: Binding, cookie: u64, flow: &Flow) -> Option<Result<Replaced, Reject>> {
        self.offer_routed(by, cookie, flow, 0)
    }

    /// The same, for a route with this MTU.
    fn offer_routed(
        &mut self,
        by: Binding,
        cookie: u64,
        flow: &Flow,
        mtu: u32,
    ) -> Option<Result<Replaced, Reject>> {
        let offer = self.of(cookie, mtu);
        self.engine
            .replace(&by, &offer, |parser| feed(parser, flow), &|_, _| None)
    }

    /// What the kernel says of a direction.
    fn of(&self, cookie: u64, mtu: u32) -> Offer<'static, TestHost> {
        Offer {
            net: &TestNet,
            cookie,
            connection: self.connection,
            mtu,
            ruled: self.ruled,
        }
    }

    fn replace(&mut self, cookie: u64, flow: &Flow) -> Result<Replaced, Reject> {
        self.offer(self.lan, cookie, flow).unwrap()
    }

    /// Flow `n` is a direction of a connection with the id `n + 100`, and is bound.
    fn bound(&mut self, n: u16) -> Flow {
        let flow = rule(n);
        self.connection.id = u64::from(n) + 100;
        self.conntrack.add(ZONE, &flow, self.connection.id);
        assert_eq!(self.replace(n.into(), &flow), Ok(Replaced::Bound));
        flow
    }

    fn frame(&mut self, flow: &Flow) -> bool {
        self.engine.table.hw.frame(flow, 100).is_some()
    }

    /// A count of the file `stats`.
    fn stat(&self, name: &str) -> u64 {
        let all = text(|f| self.engine.show_stats(0, f));
        let line = all
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap().parse().unwrap()
    }

    /// All lines of a file.
    fn lines(
        &mut self,
        next: fn(&mut Engine<TestHost>, u64) -> Next,
        show: fn(&mut Engine<TestHost>, u64, &mut Formatter<'_>) -> fmt::Result,
    ) -> Vec<String> {
        let (mut lines, mut from) = (Vec::new(), 0);
        loop {
            match next(&mut self.engine, from) {
                Next::At(at) => {
                    let engine = core::cell::RefCell::new(&mut self.engine);
                    lines.push(text(|f| show(&mut engine.borrow_mut(), at, f)));
                    from = at + 1;
                }
                Next::From(at) => from = at,
                Next::End => return lines,
            }
        }
    }

    fn flows(&mut self) -> Vec<String> {
        self.lines(|engine, from| engine.next_flow(from), Engine::show_flow)
    }
}

fn feed(parser: &mut RuleParser, flow: &Flow) {
    let (matches, actions) = rule_of(flow);
    for key in matches {
        parser.on_match(key);
    }
    for action in actions {
        parser.on_action(action);
    }
}

#[test]
fn a_flow_comes_and_goes() {
    let mut b = Bench::new();
    let flow = b.bound(1);
    assert_eq!(
        b.engine
            .table
            .get(b.engine.table.find(b.lan.owner, 1).unwrap())
            .unwrap()
            .flow,
        flow
    );
    // The other device of the flowtable brings it as well.
    assert_eq!(b.offer(b.wan, 1, &flow), None);
    assert_eq!(b.replace(1, &flow), Ok(Replaced::Refreshed));
    assert_eq!(b.stat("offered"), 2);
    for _ in 0..3 {
        assert!(b.frame(&flow));
    }
    let stats = b.engine.stats(&b.lan, &COUNTING, 1).unwrap().unwrap();
    assert_eq!(stats.delta.packets, 3);
    assert_eq!(b.engine.stats(&b.wan, &COUNTING, 1), Some(None));
    assert_eq!(b.engine.stats(&b.lan, &COUNTING, 2), None);
    assert!(b.frame(&flow));
    // It ends by whichever device.
    assert_eq!(b.engine.destroy(&b.wan, &COUNTING, 1), Some(()));
    assert_eq!(b.engine.destroy(&b.wan, &COUNTING, 1), None);
    assert!(!b.frame(&flow));
    assert_eq!(b.conntrack.get(ZONE, &flow).counted.packets, 1);
    let all = ["packets", "acct_tail_packets", "destroyed", "bound_now"].map(|name| b.stat(name));
    assert_eq!(all, [4, 1, 1, 0]);
}

#[test]
fn a_flowtable_begins_to_count() {
    let mut b = Bench::new();
    let flows = [1, 2, 3, 4].map(|n| b.bound(n));
    let counted = |b: &Bench, n: usize| b.conntrack.get(ZONE, &flows[n]).counted.packets;
    for flow in &flows {
        assert!(b.frame(flow));
    }
    // What it says when the flow ends is what counts.
    b.engine.destroy(&b.lan, &QUIET, 1).unwrap();
    b.engine.destroy(&b.lan, &COUNTING, 2).unwrap();
    assert_eq!([0, 1].map(|n| counted(&b, n)), [0, 1]);
    // Where it is not asked, what it said last.
    b.engine.stats(&b.lan, &QUIET, 3).unwrap();
    assert!(b.frame(&flows[2]));
    b.engine.flush(&TestNet, |record| record.cookie == 3);
    assert_eq!(counted(&b, 2), 0);
    b.engine.unbind(&b.wan, &COUNTING);
    assert_eq!(counted(&b, 3), 1);
    assert_eq!(b.stat("acct_tail_packets"), 2);
}

#[test]
fn the_last_device_takes_the_flows_along() {
    let mut b = Bench::new();
    let out = b.bound(1);
    let own = Flow {
        ingress: LAN.into(),
        egress: LAN.into(),
        ..rule(2)
    };
    let _ = b.replace(2, &own);
    b.engine.unbind(&b.wan, &COUNTING);
    assert!(!b.frame(&out));
    let again = b.bound(3);
    b.engine.unbind(&b.lan, &COUNTING);
    assert!(!b.frame(&again));
    assert_eq!((b.engine.owner_of(FT), b.stat("flows_now")), (None, 0));
    assert_eq!(b.offer(b.lan, 4, &rule(4)), None);
}

#[test]
fn what_stands_in_the_way_of_a_flow() {
    let mut b = Bench::new();
    b.engine.pause("1").unwrap();
    assert_eq!(b.replace(1, &rule(1)), Err(Reject::Paused));
    b.engine.pause("0").unwrap();
    let flow = b.bound(1);
    b.engine.pause("1").unwrap();
    // One that is there may be refreshed.
    assert_eq!(b.replace(1, &flow), Ok(Replaced::Refreshed));
    b.engine.pause("0").unwrap();
    assert!(b.engine.pause("2").is_err());

    b.engine.set_policy("ipv4 0").unwrap();
    assert_eq!(b.replace(2, &rule(2)), Err(Reject::FamilyOff));
    b.engine.set_policy("ipv4 1").unwrap();
    b.engine.set_policy("reserve 63").unwrap();
    assert_eq!(b.replace(2, &rule(2)), Err(Reject::TableFull));
    b.engine.set_policy("reserve 0").unwrap();

    let mut before = Obstacles::NONE;
    let all = b.engine.begin_scan(&mut before).unwrap();
    assert!(all.has(Kind::Shaper) && all.has(Kind::EgressQosMap) && !all.has(Kind::Xdp));
    let mut found = Obstacles::NONE;
    let path = Path {
        at: WAN.into(),
        encap: rule(0).out_encap,
        direction: PathDirection::Out,
    };
    found.add(&path, Kind::Shaper);
    b.engine.found(&TestNet, &before, &found);
    assert!(!b.frame(&flow));
    assert_eq!(b.replace(2, &rule(2)), Err(Reject::ShapedEgress));
    // What the scan before has found ends no flow again.
    b.engine.begin_scan(&mut before).unwrap();
    assert_eq!(b.replace(3, &rule(3)), Ok(Replaced::Bound));
    b.engine.found(&TestNet, &before, &found);
    assert!(b.frame(&rule(3)));
    b.engine.begin_scan(&mut before).unwrap();
    b.engine.begin_scan(&mut before).unwrap();
    b.engine.found(&TestNet, &before, &found);
    assert!(!b.frame(&rule(3)));

    b.engine
        .on_device_event(&TestNet, &event(Event::Down, WAN, false));
    assert_eq!(b.replace(2, &rule(2)), Err(Reject::PortDown));
    let rejected: Vec<_> = b.engine.table.host.rejected.borrow().clone();
    assert_eq!(rejected.len() as u64, b.stat("rejected"));
    assert!(rejected
        .iter()
        .all(|(owner, _)| *owner == Some(b.lan.owner)));
    let lines = b.lines(
        |engine, from| engine.next_reject(from),
        |engine, at, f| engine.show_reject(at, f),
    );
    assert!(
        lines.iter().any(|line| line.starts_with("port-down 1 ")),
        "{lines:?}"
    );
    assert_eq!(
        lines
            .iter()
            .filter(|line| line.starts_with("flow reason="))
            .count(),
        5
    );
}

#[test]
fn users_end_flows() {
    let mut b = Bench::new();
    let flow = b.bound(1);
    let filter = |b: &Bench, text| FlowFilter::parse(text, &b.engine.ports);
    for text in [
        "",
        "all x",
        "dev",
        "flow udp 1.2.3.4:1",
        "flow x 1.2.3.4:1 1.2.3.4:2",
    ] {
        assert_eq!(filter(&b, text), Err(ControlError::Invalid), "{text}");
    }
    assert_eq!(filter(&b, "dev lan"), Err(ControlError::NoDevice));
    assert_eq!(filter(&b, "dev eth1"), Ok(FlowFilter::At(WAN.into())));
    assert_eq!(filter(&b, "all"), Ok(FlowFilter::All));
    let this = std::format!("flow udp {}", flow.tuple.to_string().replace("->", " "));
    let this = filter(&b, &this).unwrap();
    assert_eq!(this, FlowFilter::Connection(flow.key()));
    let record = *b.engine.table.iter().next().unwrap().1;
    assert!(this.matches(&record) && FlowFilter::At(WAN.into()).matches(&record));
    let table = Table::new(&[(1, false)]);
    assert_eq!(b.engine.end_in(&table, &|record| record.cookie == 7), 0);
    assert_eq!(b.engine.end_in(&table, &|record| this.matches(record)), 1);
    assert_eq!(table.ended(), [1]);
    assert!(!b.frame(&flow));
}

#[test]
fn files_say_what_there_is() {
    let mut b = Bench::new();
    let flow = b.bound(1);
    b.frame(&flow);
    let [line] = &b.flows()[..] else {
        panic!("one flow");
    };
    assert!(line.contains(" state=bound dir=reply proto=udp "), "{line}");
    assert!(line.contains(" in=eth2 out=eth1 "), "{line}");
    assert!(line.contains(" packets=1 bytes=86 owner=1"), "{line}");
    // Nothing was taken from the kernel's report.
    assert_eq!(
        b.engine
            .stats(&b.lan, &COUNTING, 1)
            .unwrap()
            .unwrap()
            .delta
            .packets,
        1
    );
    let shown = b.lines(
        |engine, from| engine.next_slot(from, |state| state == super::super::format::State::Bound),
        |engine, at, f| engine.show_slot(at, |_| true, f),
    );
    assert_eq!(shown.len(), 1);
    let status = text(|f| b.engine.show_status("1", "test", f));
    for line in [
        "engine: running",
        "flowtables: 1",
        "bound: 1",
        "port 2: 02:02:02:02:02:02 eth2 up flowtables=1",
    ] {
        assert!(
            status.lines().any(|shown| shown == line),
            "{line}: {status}"
        );
    }
}

#[test]
fn an_audit_finds_what_is_wrong() {
    let mut b = Bench::new();
    let flow = b.bound(1);
    let run = |b: &mut Bench| {
        let table = Table::new(&[]);
        let engine = core::cell::RefCell::new(&mut b.engine);
        text(|f| {
            let engine = &mut **engine.borrow_mut();
            let mut audit = Audit::new(engine);
            for range in engine.audit_ranges() {
                audit.look(engine, range, f)?;
                audit.look_for_stale(engine, &table, range, f)?;
            }
            audit.finish(engine, f)?;
            engine.count_audit();
            Ok(())
        })
    };
    let clean = run(&mut b);
    assert!(
        clean.contains("\nfaults 0\nruns 1\nlast_run -\n"),
        "{clean}"
    );
    // The reverse direction was never offered.
    assert!(
        clean.contains("half_bound 1\n") && clean.contains("opposite=unknown"),
        "{clean}"
    );
    b.conntrack.remove(ZONE, &flow);
    let slot = b.engine.table.find(b.lan.owner, 1).unwrap();
    b.engine.table.hw.words[usize::from(slot)][3] ^= 1;
    let faults = run(&mut b);
    assert!(
        faults.contains("\nfaults 2\nruns 2\nlast_run 0.000\nlast_faults 0\n"),
        "{faults}"
    );
    assert!(
        faults.contains("mismatch slot=") && faults.contains("stale slot="),
        "{faults}"
    );
}

#[test]
fn flowtables_differ() {
    let mut b = Bench::new();
    assert_eq!(b.stat("foreign_devices"), 1);
    let no_counter = b.engine.bind(LAN.0.into(), NET, FlowTableId(2), false);
    let no_counter = no_counter.unwrap();
    let flow = rule(1);
    b.conntrack.add(ZONE, &flow, 101);
    b.connection.id = 101;
    assert_eq!(b.offer(no_counter, 1, &flow), Some(Ok(Replaced::Bound)));
    assert!(b.frame(&flow));
    b.engine.destroy(&no_counter, &QUIET, 1);
    assert_eq!(b.conntrack.get(ZONE, &flow).counted, Count::ZERO);
    // A reserve is one from the start.
    let reserve = SLOTS as u32 - 1;
    let mut b = Bench::with(Policy { reserve, ..POLICY });
    b.bound(1);
    assert_eq!(b.replace(2, &rule(2)), Err(Reject::TableFull));
}

#[test]
fn an_802_1ad_tag_ends_the_opposite_direction() {
    let mut b = Bench::new();
    let flow = b.bound(1);
    let back = back(&flow);
    let tagged = |parser: &mut RuleParser| {
        parser.on_action(Action::Accept);
        feed(parser, &back);
    };
    let name_of = |_, _| None;
    let offer = b.of(2, 0);
    let replaced = b.engine.replace(&b.lan, &offer, tagged, &name_of);
    assert_eq!(replaced, Some(Err(Reject::Vlan8021ad)));
    assert!(!b.frame(&flow));
    assert_eq!(b.replace(1, &flow), Err(Reject::Vlan8021ad));
}
