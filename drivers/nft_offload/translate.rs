// SPDX-License-Identifier: GPL-2.0-only

//! A flow rule of the kernel, and what it names, in the terms of the core.

use crate::{
    ppe::{
        flow_rule::{
            parser::RuleParser,
            Action,
            AddrType,
            MangleHeader,
            Match,
            VlanKey, //
        }, //
        l2,
        netdev::{
            Name,
            NetId, //
        },
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
            Net, //
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

/// The name of the device with this interface index in `net`, for the core.
pub(crate) fn name_of(net: &Net, ifindex: i32, id: NetId) -> Option<Name> {
    if id != net_id(net) {
        return None;
    }
    net.device_name(ifindex).map(name)
}

/// What keys and actions are given to.
pub(crate) trait Parser {
    fn on_match(&mut self, key: Match);
    fn on_action(&mut self, action: Action);
}

impl Parser for RuleParser {
    // Where the kind of a key is known when it is compiled, little of it is left.
    #[inline(always)]
    fn on_match(&mut self, key: Match) {
        self.on_match(key);
    }

    #[inline(always)]
    fn on_action(&mut self, action: Action) {
        self.on_action(action);
    }
}

impl Parser for l2::filter::FilterParser {
    fn on_match(&mut self, key: Match) {
        self.on_match(key);
    }

    fn on_action(&mut self, action: Action) {
        self.on_action(action);
    }
}

/// Gives `rule` of a flowtable or a classifier in `net` to its parser.
#[inline(always)]
pub(crate) fn feed(parser: &mut impl Parser, rule: &FlowRule, net: NetId) {
    feed_keys(parser, rule, net);
    for action in rule.actions() {
        match action.mangle() {
            Some(mangle) => parser.on_action(to_mangle(mangle)),
            None => feed_other(parser, action),
        }
    }
}

// Not within the loop, where a mangle would be compared with the numbers of all actions.
#[inline(never)]
fn feed_other(parser: &mut impl Parser, action: flow_rule::ActionEntry<'_>) {
    parser.on_action(to_action(action.other()));
}

#[inline(always)]
fn feed_keys(parser: &mut impl Parser, rule: &FlowRule, net: NetId) {
    if let Some(control) = rule.control() {
        parser.on_match(Match::Control {
            addr_type: match control.addr_type {
                0 => AddrType::None,
                flow_rule::ADDR_TYPE_IPV4 => AddrType::V4,
                flow_rule::ADDR_TYPE_IPV6 => AddrType::V6,
                _ => AddrType::Other,
            },
            flags_mask: control.flags.mask,
            thoff_mask: control.thoff_mask,
        });
    }
    if let Some(flow_rule::Basic { n_proto, ip_proto }) = rule.basic() {
        parser.on_match(Match::Basic {
            n_proto: n_proto.key,
            n_proto_mask: n_proto.mask,
            ip_proto: ip_proto.key,
            ip_proto_mask: ip_proto.mask,
        });
    }
    if let Some(Masked { key, mask }) = rule.ipv4_addrs() {
        parser.on_match(Match::Ipv4Addrs {
            src: key.src,
            dst: key.dst,
            src_mask: mask.src,
            dst_mask: mask.dst,
        });
    }
    if let Some(Masked { key, mask }) = rule.ipv6_addrs() {
        parser.on_match(Match::Ipv6Addrs {
            src: key.src,
            dst: key.dst,
            src_mask: mask.src,
            dst_mask: mask.dst,
        });
    }
    if let Some(Masked { key, mask }) = rule.ports() {
        parser.on_match(Match::Ports {
            sport: key.src,
            dport: key.dst,
            sport_mask: mask.src,
            dport_mask: mask.dst,
        });
    }
    if rule.has_rare_keys() {
        feed_rare_keys(parser, rule);
    }
    if let Some(Masked { key, mask }) = rule.tcp_flags() {
        parser.on_match(Match::Tcp { flags: key, mask });
    }
    if let Some(meta) = rule.meta() {
        parser.on_match(Match::Meta {
            ingress: (meta.ifindex.key, net),
            mask: u32::from_ne_bytes(meta.ifindex.mask.to_ne_bytes()),
            other_masks: u32::from(meta.iftype_mask) << 8 | u32::from(meta.l2_miss_mask),
        });
    }
    if let Some(key) = rule.other_key() {
        parser.on_match(Match::Other { key });
    }
}

/// The keys that rules of a flowtable seldom have.
#[inline(never)]
fn feed_rare_keys(parser: &mut impl Parser, rule: &FlowRule) {
    if let Some(Masked { key, mask }) = rule.eth_addrs() {
        parser.on_match(Match::EthAddrs {
            src: key.src,
            dst: key.dst,
            src_mask: mask.src,
            dst_mask: mask.dst,
        });
    }
    if let Some(tag) = rule.vlan() {
        parser.on_match(Match::Vlan(to_vlan(tag)));
    }
    if rule.is_tunnelled() {
        parser.on_match(Match::Tunnel);
    }
    if let Some(flow_rule::Ip { tos, ttl }) = rule.ip() {
        parser.on_match(Match::Ip {
            tos: tos.key,
            tos_mask: tos.mask,
            ttl: ttl.key,
            ttl_mask: ttl.mask,
        });
    }
    if let Some(tag) = rule.cvlan() {
        parser.on_match(Match::Cvlan(to_vlan(tag)));
    }
}

fn to_vlan(tag: Masked<flow_rule::VlanKey>) -> VlanKey {
    VlanKey {
        id: tag.key.id,
        id_mask: tag.mask.id,
        tpid: tag.key.tpid,
        tpid_mask: tag.mask.tpid,
        prio_mask: tag.mask.priority,
        dei_mask: tag.mask.dei,
        inner: tag.key.inner,
        inner_mask: tag.mask.inner,
    }
}

#[inline(always)]
fn to_mangle(mangle: flow_rule::Mangle) -> Action {
    Action::Mangle {
        header: match mangle.base {
            MangleBase::Eth => MangleHeader::Eth,
            MangleBase::Ip4 => MangleHeader::Ip4,
            MangleBase::Ip6 => MangleHeader::Ip6,
            MangleBase::Tcp => MangleHeader::Tcp,
            MangleBase::Udp => MangleHeader::Udp,
            MangleBase::Unspec => MangleHeader::Unspec,
        },
        offset: mangle.offset,
        mask: mangle.mask,
        val: mangle.val,
    }
}

// For each parser by itself: an action then is taken from the rule without being put together.
#[inline(always)]
fn to_action(action: flow_rule::Action<'_>) -> Action {
    use flow_rule::Action as A;

    match action {
        A::VlanPush { vid, proto, prio } => Action::VlanPush { vid, proto, prio },
        A::VlanPop => Action::VlanPop,
        A::PppoePush { sid } => Action::PppoePush { sid },
        A::Csum { flags } => Action::Csum { flags },
        A::Redirect(dev) => Action::Redirect {
            egress: dev.map_or((0, NetId(0)), |dev| (dev.ifindex(), net_id(dev.net()))),
        },
        A::Accept => Action::Accept,
        A::Tunnel => Action::Tunnel,
        A::Other(id) => Action::Other { id },
    }
}
