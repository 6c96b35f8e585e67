// SPDX-License-Identifier: GPL-2.0-only

//! What a rule that was refused is about.

use crate::{
    ppe::{
        flow::Tuple,
        refusals::Refused,
        reject::Reject, //
    },
    rust::{
        flow_rule::{
            Action,
            FlowRule, //
        },
        netdev::{
            Name,
            Net, //
        }, //
    }, //
};

/// The flow of `rule`, refused for `reject`, as far as the rule says.
///
/// It is not taken from what the parser has made of the rule, which may have stopped anywhere.
pub(crate) fn describe(rule: &FlowRule, net: &Net, reject: Reject) -> Refused<Name> {
    let (sport, dport) = rule
        .ports()
        .map_or((0, 0), |ports| (ports.key.src, ports.key.dst));
    let v4 = rule.ipv4_addrs().map(|addrs| Tuple::V4 {
        src: addrs.key.src,
        dst: addrs.key.dst,
        sport,
        dport,
    });
    let v6 = rule.ipv6_addrs().map(|addrs| Tuple::V6 {
        src: addrs.key.src,
        dst: addrs.key.dst,
        sport,
        dport,
    });
    let ingress = rule
        .ingress_ifindex()
        .map(|ifindex| net.device_name(ifindex.key).unwrap_or(Name::UNKNOWN));
    let egress = rule.actions().find_map(|action| match action {
        Action::Redirect(dev) => Some(dev.map_or(Name::UNKNOWN, |dev| dev.copy_name())),
        _ => None,
    });
    Refused {
        reject,
        ip_proto: rule.basic().map_or(0, |basic| basic.ip_proto.key),
        tuple: v4.or(v6),
        ingress,
        egress,
    }
}
