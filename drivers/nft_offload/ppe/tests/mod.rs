// SPDX-License-Identifier: GPL-2.0-only

//! Tests of the pure core, on the host.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used
)]

mod account;
mod audit;
mod basics;
mod block;
mod engine;
mod flow_rule;
mod health;
mod hw;
mod kernel;
mod l2;
mod model;
mod netsys;
mod obstacle;
mod policy;
mod ports;
mod reject_log;
mod revalidate;
mod table;

use core::cell::{
    Cell,
    RefCell, //
};
use std::{
    boxed::Box,
    collections::HashMap,
    rc::Rc,
    string::{
        String,
        ToString, //
    },
    vec::Vec, //
};

use proptest::prelude::*;

// For all tests.
use self::{
    hw::*,
    kernel::*, //
};
use super::{
    account::*,
    block::*,
    caps::*,
    control::*,
    count::*,
    engine::*,
    flow::*,
    flow_rule::{
        parser::*,
        *, //
    },
    format::{
        netsys::*,
        *, //
    },
    hw::*,
    netdev::*,
    obstacle::{
        Kind,
        *, //
    },
    platform::*,
    policy::*,
    ports::*,
    reject::*,
    reject_log::{
        RejectLog,
        RejectedRule, //
    },
    revalidate::{
        cancelled::*,
        neigh::*,
        pending::*,
        *, //
    },
    spec::*,
    table::{
        audit::*,
        Event,
        *, //
    },
    testing::*, //
};

/// Port `number` of a switch with these tags.
fn dsa(number: u8) -> Option<DsaPort> {
    Some(DsaPort {
        tag: DSA_TAG,
        number,
    })
}

/// A chip that can do all that the format can.
const CAPS: Caps = Caps {
    ipv4: true,
    ipv6: true,
    nat44: true,
    nat66: false,
    bridge: true,
    hairpin: false,
    vlan_tags: 2,
    pppoe: true,
    headers: 2,
    dsa: Some(DsaCaps {
        tag: DSA_TAG,
        ports: 6,
    }),
    mib: Some(MibUnit::Layer2 { fcs: false }),
    extra_ppe_ports: &[],
};

/// A port with a part of the table of its own.
const APART: PsePort = PsePort(2);

/// The same chip with two PPEs.
const TWO_PPES: Caps = Caps {
    extra_ppe_ports: &[APART],
    ..CAPS
};

/// An IPv4 tuple of host numbers in two networks.
fn v4(src: u8, sport: u16, dst: u8, dport: u16) -> Tuple {
    Tuple::V4 {
        src: [192, 168, 1, src],
        dst: [198, 51, 100, dst],
        sport,
        dport,
    }
}

/// An IPv6 tuple of host numbers in two networks.
fn v6(src: u8, sport: u16, dst: u8, dport: u16) -> Tuple {
    let address = |net, host| [0x20, 1, 0x0d, 0xb8, 0, net, 0, 0, 0, 0, 0, 0, 0, 0, 0, host];
    Tuple::V6 {
        src: address(1, src),
        dst: address(2, dst),
        sport,
        dport,
    }
}

/// A routed flow from port 2 to port 1.
fn flow(l4: L4, tuple: Tuple) -> Flow {
    Flow {
        ingress: PsePort(2).into(),
        egress: PsePort(1).into(),
        l4,
        tuple,
        new: tuple,
        smac: [0x02, 0x00, 0x00, 0xaa, 0xbb, 0xcc],
        dmac: [0x0a, 0x1b, 0x2c, 0x3d, 0x4e, 0x5f],
        in_encap: Encap::NONE,
        out_encap: Encap::NONE,
        routed: true,
    }
}

/// Any number of flows.
fn routed(n: u16) -> Flow {
    flow(L4::Udp, v4(1, n, 2, 80))
}

/// The reverse direction.
fn back(flow: &Flow) -> Flow {
    Flow {
        ingress: flow.egress,
        egress: flow.ingress,
        tuple: flow.new.reversed(),
        new: flow.tuple.reversed(),
        ..*flow
    }
}
