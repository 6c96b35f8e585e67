// SPDX-License-Identifier: GPL-2.0-only

//! A flow rule of the kernel, and what it names, in the terms of the core.

use crate::{
    ppe::{
        flow::{
            Endpoint,
            PsePort,
            Tuple, //
        },
        flow_rule::{
            Action,
            AddrType,
            MangleHeader,
            Match,
            RuleParser,
            VlanKey, //
        }, //
        l2,
        netdev::{
            Name,
            NetId, //
        },
        platform::Storage,
        ports::Ports,
        reject::Reject,
        reject_log::RejectedRule,
    },
    rust::{
        flow_rule::{
            self,
            FlowRule,
            MangleBase,
            Masked, //
        },
        netdev::{
            self,
            Net,
            NetDevice, //
        }, //
    }, //
};

/// The number by which the core knows a namespace.
pub(crate) fn net_id(net: &Net) -> NetId {
    NetId(net.id().to_usize())
}

/// A device's name in the core's terms.
pub(crate) fn name(name: netdev::Name) -> Name {
    Name(name.to_bytes())
}

/// Says which port of the engine, or of a switch behind it, a device is.
pub(crate) trait PortOf {
    /// The device with this interface index in a namespace.
    fn by_ifindex(&self, ifindex: i32, net: NetId) -> Option<Endpoint>;
    /// The device `dev`.
    fn by_device(&self, dev: &NetDevice) -> Option<Endpoint>;
}

impl<S: Storage> PortOf for Ports<S> {
    #[inline]
    fn by_ifindex(&self, ifindex: i32, net: NetId) -> Option<Endpoint> {
        self.find(ifindex, net)
    }

    #[inline]
    fn by_device(&self, dev: &NetDevice) -> Option<Endpoint> {
        self.find(dev.ifindex(), net_id(dev.net()))
    }
}

/// Gives `rule` of a flowtable in `net` to the parser.
pub(crate) fn feed(
    parser: &mut RuleParser<'_>,
    rule: &FlowRule,
    net: NetId,
    ports: &impl PortOf,
) -> Result<(), Reject> {
    feed_to(parser, rule, net, ports)
}

/// Parses a rule of a classifier, for what arrives at `ingress`, a device in `net`.
pub(crate) fn parse_filter(
    rule: &FlowRule,
    ingress: PsePort,
    net: NetId,
    ports: &impl PortOf,
) -> Result<l2::filter::Filter, Reject> {
    let mut parser = l2::filter::FilterParser::new();
    feed_to(&mut parser, rule, net, ports)?;
    parser.finish(ingress)
}

/// What keys and actions are given to.
trait Parser {
    fn on_match(&mut self, key: Match) -> Result<(), Reject>;
    fn on_action(&mut self, action: Action) -> Result<(), Reject>;
}

impl Parser for RuleParser<'_> {
    // Where the kind of a key is known when it is compiled, little of it is left.
    #[inline(always)]
    fn on_match(&mut self, key: Match) -> Result<(), Reject> {
        self.on_match(key)
    }

    #[inline(always)]
    fn on_action(&mut self, action: Action) -> Result<(), Reject> {
        self.on_action(action)
    }
}

impl Parser for l2::filter::FilterParser {
    fn on_match(&mut self, key: Match) -> Result<(), Reject> {
        self.on_match(key)
    }

    fn on_action(&mut self, action: Action) -> Result<(), Reject> {
        self.on_action(action)
    }
}

fn feed_to(
    parser: &mut impl Parser,
    rule: &FlowRule,
    net: NetId,
    ports: &impl PortOf,
) -> Result<(), Reject> {
    feed_keys(parser, rule, net, ports)?;
    for action in rule.actions() {
        parser.on_action(to_action(action, ports))?;
    }
    Ok(())
}

#[inline(always)]
fn feed_keys(
    parser: &mut impl Parser,
    rule: &FlowRule,
    net: NetId,
    ports: &impl PortOf,
) -> Result<(), Reject> {
    if let Some(control) = rule.control() {
        parser.on_match(Match::Control {
            addr_type: match control.addr_type {
                0 => AddrType::None,
                flow_rule::ADDR_TYPE_IPV4 => AddrType::V4,
                flow_rule::ADDR_TYPE_IPV6 => AddrType::V6,
                _ => AddrType::Other,
            },
            flags_mask: control.flags.mask,
        })?;
    }
    if let Some(flow_rule::Basic { n_proto, ip_proto }) = rule.basic() {
        parser.on_match(Match::Basic {
            n_proto: n_proto.key,
            n_proto_mask: n_proto.mask,
            ip_proto: ip_proto.key,
            ip_proto_mask: ip_proto.mask,
        })?;
    }
    if let Some(Masked { key, mask }) = rule.ipv4_addrs() {
        parser.on_match(Match::Ipv4Addrs {
            src: key.src,
            dst: key.dst,
            src_mask: mask.src,
            dst_mask: mask.dst,
        })?;
    }
    if let Some(Masked { key, mask }) = rule.ipv6_addrs() {
        parser.on_match(Match::Ipv6Addrs {
            src: key.src,
            dst: key.dst,
            src_mask: mask.src,
            dst_mask: mask.dst,
        })?;
    }
    if let Some(Masked { key, mask }) = rule.ports() {
        parser.on_match(Match::Ports {
            sport: key.src,
            dport: key.dst,
            sport_mask: mask.src,
            dport_mask: mask.dst,
        })?;
    }
    if let Some(Masked { key, mask }) = rule.eth_addrs() {
        parser.on_match(Match::EthAddrs {
            src: key.src,
            dst: key.dst,
            src_mask: mask.src,
            dst_mask: mask.dst,
        })?;
    }
    if let Some(tag) = rule.vlan() {
        parser.on_match(Match::Vlan(to_vlan(tag)))?;
    }
    if rule.is_tunnelled() {
        parser.on_match(Match::Tunnel)?;
    }
    if let Some(Masked { key, mask }) = rule.tcp_flags() {
        parser.on_match(Match::Tcp { flags: key, mask })?;
    }
    if let Some(flow_rule::Ip { tos, ttl }) = rule.ip() {
        parser.on_match(Match::Ip {
            tos: tos.key,
            tos_mask: tos.mask,
            ttl: ttl.key,
            ttl_mask: ttl.mask,
        })?;
    }
    if let Some(tag) = rule.cvlan() {
        parser.on_match(Match::Cvlan(to_vlan(tag)))?;
    }
    if let Some(ifindex) = rule.ingress_ifindex() {
        parser.on_match(Match::Meta {
            ingress: ports.by_ifindex(ifindex.key, net),
            mask: u32::from_ne_bytes(ifindex.mask.to_ne_bytes()),
        })?;
    }
    if let Some(key) = rule.other_key() {
        parser.on_match(Match::Other { key })?;
    }
    Ok(())
}

fn to_vlan(tag: Masked<flow_rule::VlanKey>) -> VlanKey {
    VlanKey {
        id: tag.key.id,
        id_mask: tag.mask.id,
        tpid: tag.key.tpid,
        tpid_mask: tag.mask.tpid,
        prio_mask: tag.mask.priority,
    }
}

// For each parser by itself: an action then is taken from the rule without being put together.
#[inline(always)]
fn to_action(action: flow_rule::Action<'_>, ports: &impl PortOf) -> Action {
    use flow_rule::Action as A;

    match action {
        A::Mangle {
            base,
            offset,
            mask,
            val,
        } => Action::Mangle {
            header: match base {
                MangleBase::Eth => MangleHeader::Eth,
                MangleBase::Ip4 => MangleHeader::Ip4,
                MangleBase::Ip6 => MangleHeader::Ip6,
                MangleBase::Tcp => MangleHeader::Tcp,
                MangleBase::Udp => MangleHeader::Udp,
                MangleBase::Unspec => MangleHeader::Unspec,
            },
            offset,
            mask,
            val,
        },
        A::VlanPush { vid, proto, prio } => Action::VlanPush { vid, proto, prio },
        A::VlanPop => Action::VlanPop,
        A::PppoePush { sid } => Action::PppoePush { sid },
        A::Csum { flags } => Action::Csum { flags },
        A::Redirect(dev) => Action::Redirect {
            egress: dev.and_then(|dev| ports.by_device(dev)),
        },
        A::Accept => Action::Accept,
        A::Tunnel => Action::Tunnel,
        A::Other(id) => Action::Other { id },
    }
}

/// The flow of `rule`, refused for `reject`, as far as the rule says.
///
/// It is not taken from what the parser has made of the rule, which may have stopped anywhere.
pub(crate) fn describe(rule: &FlowRule, net: &Net, reject: Reject) -> RejectedRule {
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
        .map(|ifindex| net.device_name(ifindex.key).map_or(Name::UNKNOWN, name));
    let egress = rule.actions().find_map(|action| match action {
        flow_rule::Action::Redirect(dev) => {
            Some(dev.map_or(Name::UNKNOWN, |dev| name(dev.copy_name())))
        }
        _ => None,
    });
    RejectedRule {
        reject,
        ip_proto: rule.basic().map_or(0, |basic| basic.ip_proto.key),
        tuple: v4.or(v6),
        ingress,
        egress,
    }
}
