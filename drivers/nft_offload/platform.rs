// SPDX-License-Identifier: GPL-2.0-only

//! What the core asks of the kernel: its traits over the abstractions of `rust/`.

use crate::{
    ppe::{
        block,
        engine::{
            self,
            teardown,
            Platform, //
        },
        flow::{
            Flow,
            Tuple, //
        },
        mapped::MappedHw,
        netdev::NetId,
        platform::{
            Clock,
            ConnectionId,
            Conntrack,
            HwError,
            Passed,
            Regs,
            Storage,
            Words, //
        },
        reject_log::RejectedRule,
        revalidate::FlowPath,
        table::{
            BlockId,
            Event,
            Host,
            Record, //
        }, //
    },
    rust::{
        conntrack::{
            self,
            Addresses,
            Connection,
            DirectionId,
            DirectionRef,
            Zone, //
        },
        dma::{
            self,
            WordTable, //
        },
        flowtable::{
            Direction,
            FlowTable, //
        },
        mmio::Registers,
        netdev,
        time, //
    },
    trace::Trace,
    translate::net_id, //
};
use kernel::prelude::*;

impl Regs for Registers {
    fn read(&self, offset: usize) -> Result<u32, HwError> {
        self.read(offset).map_err(|_| HwError)
    }

    fn write(&self, offset: usize, value: u32) -> Result<(), HwError> {
        self.write(offset, value).map_err(|_| HwError)
    }

    fn poll(
        &self,
        offset: usize,
        timeout_us: u32,
        done: impl Fn(u32) -> bool,
    ) -> Result<u32, HwError> {
        self.wait(offset, timeout_us, done).map_err(|_| HwError)
    }
}

impl Words for WordTable {
    fn address(&self) -> u64 {
        self.dma_address()
    }

    #[inline]
    fn read(&self, at: usize) -> Result<u32, HwError> {
        self.read(at).ok_or(HwError)
    }

    #[inline]
    fn write(&self, at: usize, value: u32) -> Result<(), HwError> {
        if self.write(at, value) {
            Ok(())
        } else {
            Err(HwError)
        }
    }

    #[inline]
    fn write_all(&self, at: usize, values: &[u32]) -> Result<(), HwError> {
        if self.write_all(at, values) {
            Ok(())
        } else {
            Err(HwError)
        }
    }

    #[inline]
    fn write_barrier(&self) {
        dma::write_barrier();
    }
}

/// The kernel as an engine uses it.
pub(crate) struct Kernel {
    pub(crate) trace: Trace,
}

impl Clock for Kernel {
    fn now_ms(&self) -> u64 {
        time::now_ms()
    }
}

impl Storage for Kernel {
    type Vec<T> = VVec<T>;

    fn filled<T: Clone>(item: T, len: usize) -> Option<VVec<T>> {
        VVec::from_elem(item, len, GFP_KERNEL).ok()
    }
}

impl Host for Kernel {
    type Hw = MappedHw<Registers, WordTable>;

    #[inline(always)]
    fn event(&mut self, event: Event, slot: u16, record: &Record) {
        self.trace.table(event, slot, record);
    }
}

impl Platform for Kernel {
    type Conntrack = Connections;

    fn rejected(&self, owner: Option<BlockId>, rule: &RejectedRule) {
        self.trace.reject(owner, rule);
    }

    fn is_other_neighbour(&self, net: &netdev::Net, ifindex: i32, flow: &Flow) -> bool {
        let dst = match flow.new {
            Tuple::V4 { dst, .. } => dst.into(),
            Tuple::V6 { dst, .. } => dst.into(),
        };
        net.is_other_neighbour(ifindex, dst, &flow.dmac)
    }

    fn quarantined(&self, chip: &str) {
        self.trace.quarantine(chip);
    }
}

/// The core of an engine.
pub(crate) type Engine = engine::Engine<Kernel>;

/// The value that the 64-bit jiffies counter had at a time.
pub(crate) fn jiffies_of(ms: u64) -> u64 {
    time::jiffies_ago(time::now_ms().saturating_sub(ms))
}

/// The kernel's conntrack.
pub(crate) struct Connections;

/// The name of a direction of a connection.
pub(crate) fn connection_id(direction: DirectionRef<'_>) -> ConnectionId {
    ConnectionId {
        id: direction.id().to_u64(),
        zone: direction.zone().to_u32(),
    }
}

/// Finds the connection of which `flow` is a direction.
fn connection(net: &netdev::Net, zone: u32, flow: &Flow) -> Option<Connection> {
    let (sport, dport) = flow.tuple.ports();
    let tuple = conntrack::Tuple {
        addrs: match flow.tuple {
            Tuple::V4 { src, dst, .. } => Addresses::V4 { src, dst },
            Tuple::V6 { src, dst, .. } => Addresses::V6 { src, dst },
        },
        protocol: flow.l4.ip_proto(),
        sport,
        dport,
    };
    Connection::find(net, Zone::from_u32(zone), tuple)
}

impl Conntrack for Connections {
    type Net = netdev::Net;

    fn find(&self, net: &netdev::Net, zone: u32, flow: &Flow) -> Option<u64> {
        Some(connection(net, zone, flow)?.direction().id().to_u64())
    }

    fn account(
        &self,
        net: &netdev::Net,
        flow: &Flow,
        ConnectionId { id, zone }: ConnectionId,
        passed: &Passed,
    ) -> bool {
        let found = connection(net, zone, flow);
        let direction = found.as_ref().map(Connection::direction);
        let Some(direction) = direction.filter(|it| it.id().to_u64() == id) else {
            return false;
        };
        direction.account(passed.uncounted.packets, passed.uncounted.bytes);
        direction.seen(passed.several, jiffies_of(passed.last_used_ms));
        true
    }

    fn is_reply(id: u64) -> bool {
        DirectionId::direction_of(id) == conntrack::Direction::Reply
    }
}

impl teardown::FlowTable for FlowTable {
    type Net = netdev::Net;
    type Direction = Direction;

    fn id(&self) -> block::FlowTableId {
        block::FlowTableId(self.id().to_usize())
    }

    fn net(&self) -> (&netdev::Net, NetId) {
        let net = self.net();
        (net, net_id(net))
    }

    #[inline]
    fn has_counter(&self) -> bool {
        self.has_counter()
    }

    fn end_flows(&self, pred: &mut dyn FnMut([&Direction; 2]) -> bool) {
        self.end_flows(u32::MAX, &mut |there: &Direction, back: &Direction| {
            pred([there, back])
        });
    }
}

/// A direction of a connection, for the question where the kernel would send its packets.
pub(crate) struct Routed<'a> {
    pub(crate) direction: &'a Direction,
    pub(crate) net: &'a netdev::Net,
}

impl teardown::Direction for Direction {
    fn cookie(&self) -> u64 {
        self.cookie().0
    }

    fn is_pending(&self) -> bool {
        self.is_pending()
    }
}

impl teardown::Direction for Routed<'_> {
    fn cookie(&self) -> u64 {
        self.direction.cookie().0
    }

    fn is_pending(&self) -> bool {
        self.direction.is_pending()
    }
}

impl teardown::Routed for Routed<'_> {
    fn path(&self) -> Option<FlowPath> {
        let path = self.direction.path()?;
        Some(FlowPath {
            dst: path.dst,
            new_src: path.new_src,
            new_dst: path.new_dst,
            dmac: path.dmac,
            ifindex: path.ifindex,
            vlan: path.vlan,
        })
    }

    fn is_current(&self) -> bool {
        self.direction.is_current(self.net)
    }
}
