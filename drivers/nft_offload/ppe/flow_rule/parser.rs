// SPDX-License-Identifier: GPL-2.0-only

//! The parser.

use super::{
    super::{
        bits::{
            lower,
            upper, //
        },
        flow::{
            Encap,
            Endpoint,
            Flow,
            Key,
            Tuple,
            L4, //
        },
        netdev::NetId,
        reject::Reject, //
    },
    is_group,
    require,
    seen,
    Action,
    AddrType,
    MangleHeader,
    Match,
    Outline,
    ETH_P_8021Q,
    ETH_P_IP,
    ETH_P_IPV6,
    TCP_FIN_SYN_RST,
    VLAN_VID_MASK, //
};

/// Collects the keys and actions of one rule, and of another one after [`RuleParser::begin`].
///
/// After a key or an action that is refused the others are taken as well, for
/// [`RuleParser::outline`].
///
/// # Ethernet addresses
///
/// The kernel's flowtable sets them by four mangles. Bytes 0..4 and 8..12 of the header
/// are whole words, in memory as in the header. The word at offset 4 holds the last two
/// bytes of the destination and the first two of the source; the kernel loads such a
/// pair as a native 16-bit number and *shifts* it to the upper or lower half of the
/// word. So halves are told apart by the number's bits, not by their place in memory,
/// and only within a half does memory give the order. It makes a difference on
/// big-endian machines only.
///
/// # 802.1ad
///
/// The kernel's flowtable puts such a tag on by an action that it leaves empty
/// ([`Action::Accept`]), and in the rule of the reverse direction it neither matches the
/// tag nor takes it off: that rule reads like one for untagged frames. So the refusal of
/// the one direction has to reach the other: [`RuleParser::reverse_of_8021ad`].
#[derive(Clone, Copy, Debug)]
pub struct RuleParser {
    /// Where the flow is put together, field by field.
    flow: Flow,
    /// What of it is there: [`seen`].
    seen: u32,
    /// Why the rule is refused, and what it had said before that.
    failure: Option<(Reject, u32)>,
    ingress: (i32, NetId),
    egress: (i32, NetId),
    ip_proto: u8,
    pops: u8,
    sport: u16,
    dport: u16,
    new_sport: Option<u16>,
    new_dport: Option<u16>,
    port_header: Option<L4>,
}

impl RuleParser {
    /// A parser that [`RuleParser::begin`] has to be called of. What `flow` holds does not matter.
    pub const fn new(flow: Flow) -> Self {
        let nowhere = (0, NetId(0));
        Self {
            flow,
            seen: 0,
            failure: None,
            ingress: nowhere,
            egress: nowhere,
            ip_proto: 0,
            pops: 0,
            sport: 0,
            dport: 0,
            new_sport: None,
            new_dport: None,
            port_header: None,
        }
    }

    /// Forgets the rule that was parsed before.
    #[inline]
    pub fn begin(&mut self) {
        self.flow.in_encap = Encap::NONE;
        self.flow.out_encap = Encap::NONE;
        self.flow.routed = true;
        self.seen = 0;
        self.failure = None;
        self.ingress.0 = 0;
        self.ip_proto = 0;
        self.pops = 0;
        (self.sport, self.dport) = (0, 0);
        (self.new_sport, self.new_dport) = (None, None);
        self.port_header = None;
    }

    /// The flow that the rule is for, after [`RuleParser::finish`] was `Ok`.
    pub fn flow(&self) -> &Flow {
        &self.flow
    }

    fn has(&self, what: u32) -> bool {
        self.seen & what != 0
    }

    /// Takes a key.
    // Where the kind is known when it is compiled, little of this is left.
    #[inline(always)]
    pub fn on_match(&mut self, key: Match) {
        if let Err(reject) = self.try_match(key) {
            self.fail(reject);
        }
    }

    /// Takes an action.
    #[inline(always)]
    pub fn on_action(&mut self, action: Action) {
        if let Err(reject) = self.try_action(action) {
            self.fail(reject);
        }
    }

    /// The rule is refused.
    #[cold]
    fn fail(&mut self, reject: Reject) {
        if self.failure.is_none() {
            self.failure = Some((reject, self.seen));
            self.seen |= seen::FAILED;
        }
    }

    #[inline(always)]
    fn try_match(&mut self, key: Match) -> Result<(), Reject> {
        match key {
            Match::Meta {
                ingress,
                mask,
                other_masks,
            } => {
                self.ingress = ingress;
                require(other_masks == 0, Reject::UnknownKey)?;
                require(mask == u32::MAX, Reject::Mask)?;
                self.seen |= seen::INGRESS;
            }
            Match::Control {
                addr_type,
                flags_mask,
                thoff_mask,
            } => {
                require(flags_mask == 0, Reject::ControlFlags)?;
                require(thoff_mask == 0, Reject::UnknownKey)?;
                self.seen |= match addr_type {
                    AddrType::V4 => seen::CONTROL_V4,
                    AddrType::V6 => seen::CONTROL_V6,
                    AddrType::None => return Err(Reject::Layer2),
                    AddrType::Other => return Err(Reject::Family),
                };
            }
            Match::Basic {
                n_proto,
                n_proto_mask,
                ip_proto,
                ip_proto_mask,
            } => {
                self.ip_proto = ip_proto;
                require(
                    n_proto_mask == u16::MAX && ip_proto_mask == u8::MAX,
                    Reject::Mask,
                )?;
                let family = match n_proto {
                    ETH_P_IP => seen::BASIC_V4,
                    ETH_P_IPV6 => seen::BASIC_V6,
                    _ => return Err(Reject::Family),
                };
                self.flow.l4 = L4::from_ip_proto(ip_proto).ok_or(Reject::Protocol)?;
                self.seen |= family;
            }
            Match::Ipv4Addrs {
                src,
                dst,
                src_mask,
                dst_mask,
            } => {
                let (sport, dport) = (0, 0);
                self.flow.tuple = Tuple::V4 {
                    src,
                    dst,
                    sport,
                    dport,
                };
                self.flow.new = Tuple::V4 {
                    src,
                    dst,
                    sport,
                    dport,
                };
                self.seen |= seen::ADDRS_V4;
                require(src_mask == [0xff; 4] && dst_mask == [0xff; 4], Reject::Mask)?;
            }
            Match::Ipv6Addrs {
                src,
                dst,
                src_mask,
                dst_mask,
            } => {
                let (sport, dport) = (0, 0);
                self.flow.tuple = Tuple::V6 {
                    src,
                    dst,
                    sport,
                    dport,
                };
                self.flow.new = Tuple::V6 {
                    src,
                    dst,
                    sport,
                    dport,
                };
                self.seen |= seen::ADDRS_V6;
                require(
                    src_mask == [0xff; 16] && dst_mask == [0xff; 16],
                    Reject::Mask,
                )?;
            }
            Match::Ports {
                sport,
                dport,
                sport_mask,
                dport_mask,
            } => {
                (self.sport, self.dport) = (sport, dport);
                require(
                    sport_mask == u16::MAX && dport_mask == u16::MAX,
                    Reject::Mask,
                )?;
                self.seen |= seen::PORTS;
            }
            Match::Tcp { flags, mask } => {
                require(
                    mask & !TCP_FIN_SYN_RST == 0 && flags & mask == 0,
                    Reject::TcpFlags,
                )?;
            }
            Match::Vlan(key) => {
                let [outer, _] = &mut self.flow.in_encap.vlan;
                require(key.inner_mask == 0, Reject::UnknownKey)?;
                *outer = Some(key.vid()?);
                self.seen |= seen::TAGS;
            }
            Match::Cvlan(key) => {
                let [_, inner] = &mut self.flow.in_encap.vlan;
                require(key.inner_mask == 0, Reject::UnknownKey)?;
                *inner = Some(key.vid()?);
                self.seen |= seen::TAGS;
            }
            // TOS is no part of an entry's key, and a flow whose packets differ in it is
            // still that flow: some kernels match the TOS of the first packet, ECN bits
            // included.
            Match::Ip { ttl_mask, .. } => require(ttl_mask == 0, Reject::Ttl)?,
            Match::EthAddrs { .. } => return Err(Reject::Layer2),
            Match::Tunnel => return Err(Reject::Tunnel),
            Match::Other { .. } => return Err(Reject::UnknownKey),
        }
        Ok(())
    }

    #[inline(always)]
    fn try_action(&mut self, action: Action) -> Result<(), Reject> {
        match action {
            Action::Mangle {
                header,
                offset,
                mask,
                val,
            } => self.on_mangle(header, offset, mask, val)?,
            Action::VlanPush { vid, proto, prio } => {
                if proto != ETH_P_8021Q {
                    self.on_service_tag();
                    return Ok(());
                }
                require(prio == 0, Reject::VlanPriority)?;
                require(vid <= VLAN_VID_MASK, Reject::Vlan)?;
                // A tag inside of a PPPoE session.
                require(self.flow.out_encap.pppoe.is_none(), Reject::Pppoe)?;
                require(self.flow.out_encap.push_vlan(vid), Reject::VlanDepth)?;
            }
            Action::VlanPop => {
                self.pops = self.pops.saturating_add(1);
                self.seen |= seen::TAGS;
            }
            Action::PppoePush { sid } => {
                require(self.flow.out_encap.pppoe.is_none(), Reject::Pppoe)?;
                self.flow.out_encap.pppoe = Some(sid);
            }
            Action::Csum { .. } => {}
            Action::Redirect { egress } => {
                require(!self.has(seen::EGRESS), Reject::TwoRedirects)?;
                self.egress = egress;
                self.seen |= seen::EGRESS;
            }
            Action::Accept => self.on_service_tag(),
            Action::Tunnel => return Err(Reject::Tunnel),
            Action::Other { .. } => return Err(Reject::UnknownAction),
        }
        Ok(())
    }

    /// A rule that was refused before does not say enough to be known as one of these.
    fn on_service_tag(&mut self) {
        if !self.has(seen::FAILED) {
            self.seen |= seen::SERVICE_TAG;
        }
    }

    /// Takes a [`Action::Mangle`].
    #[inline]
    fn on_mangle(
        &mut self,
        header: MangleHeader,
        offset: u32,
        mask: u32,
        val: u32,
    ) -> Result<(), Reject> {
        let bytes = val.to_ne_bytes();
        match header {
            MangleHeader::Eth => {
                let Flow { dmac, smac, .. } = &mut self.flow;
                // Each part is written at once.
                self.seen |= match (offset, mask) {
                    (0, 0) => {
                        if let Some((high, _)) = dmac.split_first_chunk_mut() {
                            *high = bytes;
                        }
                        seen::DMAC_HIGH
                    }
                    (4, 0xffff_0000) => {
                        if let Some((_, low)) = dmac.split_last_chunk_mut() {
                            *low = lower(val).to_ne_bytes();
                        }
                        seen::DMAC_LOW
                    }
                    (4, 0x0000_ffff) => {
                        if let Some((high, _)) = smac.split_first_chunk_mut() {
                            *high = upper(val).to_ne_bytes();
                        }
                        seen::SMAC_HIGH
                    }
                    (8, 0) => {
                        if let Some((_, low)) = smac.split_last_chunk_mut() {
                            *low = bytes;
                        }
                        seen::SMAC_LOW
                    }
                    _ => return Err(Reject::BadMangle),
                };
            }
            MangleHeader::Ip4 => {
                let is_src = match (offset, mask) {
                    (12, 0) => true,
                    (16, 0) => false,
                    _ => return Err(Reject::BadMangle),
                };
                match &mut self.flow.new {
                    Tuple::V4 { src, dst, .. } if self.seen & seen::ADDRS_V4 != 0 => {
                        *(if is_src { src } else { dst }) = bytes;
                        self.seen |= seen::NAT;
                    }
                    _ => self.seen |= seen::MIXED,
                }
            }
            MangleHeader::Ip6 => {
                require(mask == 0, Reject::BadMangle)?;
                let (is_src, at) = match offset {
                    8..=20 => (true, offset.wrapping_sub(8)),
                    24..=36 => (false, offset.wrapping_sub(24)),
                    _ => return Err(Reject::BadMangle),
                };
                require(at & 3 == 0, Reject::BadMangle)?;
                match &mut self.flow.new {
                    Tuple::V6 { src, dst, .. } if self.seen & seen::ADDRS_V6 != 0 => {
                        let address = if is_src { src } else { dst };
                        let word = usize::try_from(at >> 2)
                            .ok()
                            .and_then(|at| address.chunks_exact_mut(4).nth(at))
                            .ok_or(Reject::BadMangle)?;
                        word.copy_from_slice(&bytes);
                        self.seen |= seen::NAT;
                    }
                    _ => self.seen |= seen::MIXED,
                }
            }
            MangleHeader::Tcp | MangleHeader::Udp => {
                let l4 = match header {
                    MangleHeader::Tcp => L4::Tcp,
                    _ => L4::Udp,
                };
                require(
                    self.port_header.is_none() || self.port_header == Some(l4),
                    Reject::BadMangle,
                )?;
                self.port_header = Some(l4);
                let [a, b, c, d] = bytes;
                let (sport, dport) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
                match (offset, mask.to_ne_bytes()) {
                    (0, [0, 0, 0xff, 0xff]) => self.new_sport = Some(sport),
                    (0, [0xff, 0xff, 0, 0]) => self.new_dport = Some(dport),
                    (0, [0, 0, 0, 0]) => {
                        self.new_sport = Some(sport);
                        self.new_dport = Some(dport);
                    }
                    _ => return Err(Reject::BadMangle),
                }
            }
            MangleHeader::Unspec => return Err(Reject::BadMangle),
        }
        Ok(())
    }

    /// The flow that keys and actions add up to.
    ///
    /// [`Encap::pppoe`] of the ingress side is never set: rules neither match a PPPoE
    /// session nor ask for its header to be taken off; both are implied by the device. The
    /// engine takes it off, as it does with tags, because the entry does not put it on.
    ///
    /// `find` says which port of the engine, or of a switch behind one, a device is.
    #[inline]
    pub fn finish(&mut self, find: impl Fn(i32, NetId) -> Option<Endpoint>) -> Result<(), Reject> {
        let said = self.seen & seen::SAID;
        if said != seen::V4 && said != seen::V6 {
            return Err(self.refusal(&find));
        }
        self.flow.ingress = find(self.ingress.0, self.ingress.1).ok_or(Reject::ForeignIngress)?;
        self.flow.egress = find(self.egress.0, self.egress.1).ok_or(Reject::ForeignEgress)?;
        self.set_ports();
        let flow = &self.flow;
        // The others stay as they are.
        let nat = self.has(seen::NAT);
        if flow.tuple.is_multicast() || (nat && flow.new.is_multicast()) {
            return Err(Reject::Multicast);
        }
        if self.port_header.is_some_and(|header| header != flow.l4) {
            return Err(Reject::BadMangle);
        }
        if self.has(seen::TAGS) {
            self.finish_tags()?;
        }
        let flow = &self.flow;
        require(flow.dmac != [0; 6] && flow.smac != [0; 6], Reject::BadMac)?;
        require(!is_group(&flow.dmac), Reject::Multicast)?;
        require(!is_group(&flow.smac), Reject::BadMac)
    }

    /// The tags of frames that arrive.
    fn finish_tags(&mut self) -> Result<(), Reject> {
        let in_encap = &mut self.flow.in_encap;
        match in_encap.vlan {
            // The kernel's flowtable fills the keys of tags in and does not say that they
            // are used: that a rule is for tagged frames shows in what it takes off.
            [None, None] => {
                for _ in 0..self.pops {
                    require(in_encap.push_vlan(0), Reject::VlanDepth)?;
                }
            }
            [None, Some(_)] => return Err(Reject::Vlan),
            [Some(_), _] => {}
        }
        // The engine takes all tags off and puts on what the entry says.
        require(self.pops == in_encap.tags(), Reject::Vlan)
    }

    /// Why the rule is refused: for what it said first.
    #[cold]
    fn refusal(&mut self, find: &dyn Fn(i32, NetId) -> Option<Endpoint>) -> Reject {
        let (reject, before) = self.failure.unwrap_or_else(|| (self.lacks(), self.seen));
        let foreign = |what, at: (i32, NetId)| before & what != 0 && find(at.0, at.1).is_none();
        if foreign(seen::INGRESS, self.ingress) {
            self.seen &= !seen::SERVICE_TAG;
            Reject::ForeignIngress
        } else if foreign(seen::EGRESS, self.egress) {
            Reject::ForeignEgress
        } else {
            reject
        }
    }

    /// What the rule is about, as far as it says so.
    #[cold]
    pub fn outline(&self) -> Outline {
        let tuple = self.has(seen::ADDRS_V4 | seen::ADDRS_V6).then(|| {
            let mut tuple = self.flow.tuple;
            tuple.set_ports(self.sport, self.dport);
            tuple
        });
        let (ingress, _) = self.ingress;
        Outline {
            ip_proto: self.ip_proto,
            tuple,
            ingress: (ingress != 0).then_some(self.ingress),
            egress: self.has(seen::EGRESS).then_some(self.egress),
        }
    }

    /// What keeps the rule from being a flow's.
    fn lacks(&self) -> Reject {
        use seen::*;

        if self.has(SERVICE_TAG) {
            return Reject::Vlan8021ad;
        }
        let needs = [
            (INGRESS, Reject::NoMeta),
            (CONTROL_V4 | CONTROL_V6, Reject::NoControl),
            (BASIC_V4 | BASIC_V6, Reject::NoBasic),
            (ADDRS_V4 | ADDRS_V6, Reject::NoAddrs),
            (PORTS, Reject::NoPorts),
        ];
        for (any, reject) in needs {
            if !self.has(any) {
                return reject;
            }
        }
        if !self.is_of_one_family() {
            return Reject::MixedFamily;
        }
        if self.seen & MACS != MACS {
            return Reject::MissingMac;
        }
        Reject::NoRedirect
    }

    /// Whether addresses, ports and protocol are there, all of the same family.
    fn is_of_one_family(&self) -> bool {
        let said = self.seen & seen::FAMILY;
        said == seen::V4 & seen::FAMILY || said == seen::V6 & seen::FAMILY
    }

    /// Writes the ports, which may have come before the addresses.
    #[inline]
    fn set_ports(&mut self) {
        self.flow.tuple.set_ports(self.sport, self.dport);
        self.flow.new.set_ports(
            self.new_sport.unwrap_or(self.sport),
            self.new_dport.unwrap_or(self.dport),
        );
    }

    /// If the rule puts on an 802.1ad tag, the key of the reverse direction of its
    /// connection, whose rule does not tell that it is one of these.
    #[cold]
    pub fn reverse_of_8021ad(&mut self) -> Option<Key> {
        if !self.has(seen::SERVICE_TAG) || !self.is_of_one_family() {
            return None;
        }
        self.set_ports();
        Some(self.flow.reverse())
    }
}
