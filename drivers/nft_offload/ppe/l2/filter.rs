// SPDX-License-Identifier: GPL-2.0-only

//! From the kernel's classifier rules to a [`Filter`].

use super::{
    super::{
        caps::{
            admit,
            Caps, //
        },
        flow::{
            Encap,
            Endpoint,
            Flow,
            PsePort,
            Tuple,
            L4, //
        },
        flow_rule::{
            is_group,
            require,
            Action,
            AddrType,
            Match,
            Outline,
            ETH_P_8021Q,
            ETH_P_IP,
            ETH_P_IPV6,
            VLAN_VID_MASK, //
        }, //
        netdev::NetId,
        reject::Reject,
    },
    Key, //
};

/// Frames between two stations, and what becomes of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filter {
    /// Which frames.
    pub key: Key,
    /// Only those of IPv6, or only those of IPv4.
    pub v6: Option<bool>,
    /// Only those of this transport protocol.
    pub l4: Option<L4>,
    /// Where they leave.
    pub egress: Endpoint,
    /// Headers that they carry as they leave.
    pub out_encap: Encap,
}

impl Filter {
    /// Placeholder for storage that holds no rule.
    pub const NONE: Self = Self {
        key: Key::NONE,
        v6: None,
        l4: None,
        egress: Flow::NONE.egress,
        out_encap: Encap::NONE,
    };

    /// Whether the rule is for this connection, if its frames have the rule's key.
    pub fn takes(&self, l4: L4, tuple: &Tuple) -> bool {
        self.v6.is_none_or(|v6| v6 == tuple.is_v6()) && self.l4.is_none_or(|only| only == l4)
    }

    /// The flow that one connection of the rule's is.
    pub fn flow(&self, l4: L4, tuple: &Tuple) -> Flow {
        Flow {
            ingress: self.key.ingress.into(),
            egress: self.egress,
            l4,
            tuple: *tuple,
            new: *tuple,
            smac: self.key.smac,
            dmac: self.key.dmac,
            in_encap: Encap {
                vlan: [self.key.vlan, None],
                pppoe: None,
            },
            out_encap: self.out_encap,
            routed: false,
        }
    }

    /// Whether a chip with `caps` can forward what the rule is for.
    pub fn admit(&self, caps: &Caps) -> Result<(), Reject> {
        // Addresses and ports do not matter to it.
        const V6: Tuple = Tuple::V6 {
            src: [0; 16],
            dst: [0; 16],
            sport: 0,
            dport: 0,
        };
        let of = |tuple| admit(&self.flow(L4::Tcp, &tuple), caps);
        match self.v6 {
            Some(true) => of(V6),
            Some(false) => of(Tuple::ZERO),
            // What the chip cannot do with the one family it may with the other.
            None => of(Tuple::ZERO).or_else(|_| of(V6)),
        }
    }
}

/// Collects the keys and actions of one rule of a classifier.
///
/// Unlike a flowtable's, such a rule takes nothing for granted: a tag stays unless it is
/// taken off, and each that is put on goes outside of those that are there.
#[derive(Clone, Debug, Default)]
pub struct FilterParser {
    outline: Outline,
    failure: Option<Reject>,
    macs: Option<([u8; 6], [u8; 6])>,
    v6: Option<bool>,
    l4: Option<L4>,
    vlan: Option<u16>,
    encap: Encap,
    is_redirected: bool,
}

impl FilterParser {
    /// A parser that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a key. All keys come before the first action.
    pub fn on_match(&mut self, key: Match) {
        self.outline.on_match(&key);
        if let Err(reject) = self.try_match(key) {
            self.failure.get_or_insert(reject);
        }
    }

    /// Takes an action.
    pub fn on_action(&mut self, action: Action) {
        self.outline.on_action(&action);
        if let Err(reject) = self.try_action(action) {
            self.failure.get_or_insert(reject);
        }
    }

    /// What the rule is about, as far as it says so.
    pub fn outline(&self) -> &Outline {
        &self.outline
    }

    fn try_match(&mut self, key: Match) -> Result<(), Reject> {
        match key {
            Match::Meta {
                mask, other_masks, ..
            } => {
                require(other_masks == 0, Reject::UnknownKey)?;
                require(mask == u32::MAX, Reject::Mask)?;
            }
            Match::Control {
                addr_type,
                flags_mask,
                thoff_mask,
            } => {
                require(flags_mask == 0, Reject::ControlFlags)?;
                require(thoff_mask == 0, Reject::UnknownKey)?;
                require(addr_type == AddrType::None, Reject::NotBridged)?;
            }
            Match::Basic {
                n_proto,
                n_proto_mask,
                ip_proto,
                ip_proto_mask,
            } => {
                self.v6 = match (n_proto, n_proto_mask) {
                    (_, 0) => None,
                    (ETH_P_IP, u16::MAX) => Some(false),
                    (ETH_P_IPV6, u16::MAX) => Some(true),
                    (_, u16::MAX) => return Err(Reject::Family),
                    _ => return Err(Reject::Mask),
                };
                self.l4 = match ip_proto_mask {
                    0 => None,
                    u8::MAX => Some(L4::from_ip_proto(ip_proto).ok_or(Reject::Protocol)?),
                    _ => return Err(Reject::Mask),
                };
            }
            Match::EthAddrs {
                src,
                dst,
                src_mask,
                dst_mask,
            } => {
                require(src_mask == [0xff; 6] && dst_mask == [0xff; 6], Reject::Mask)?;
                self.macs = Some((src, dst));
            }
            Match::Vlan(key) => {
                // What tc says of the EtherType behind a tag, it says as that of the frame, too.
                let inner = match self.v6 {
                    Some(true) => ETH_P_IPV6,
                    _ => ETH_P_IP,
                };
                let same = key.inner_mask == u16::MAX && key.inner == inner && self.v6.is_some();
                require(key.inner_mask == 0 || same, Reject::Mask)?;
                let vid = key.vid()?;
                self.vlan = Some(vid);
                self.encap.vlan = [Some(vid), None];
            }
            Match::Cvlan(_) => return Err(Reject::VlanDepth),
            Match::Tunnel => return Err(Reject::Tunnel),
            Match::Other { .. } => return Err(Reject::UnknownKey),
            Match::Ipv4Addrs { .. }
            | Match::Ipv6Addrs { .. }
            | Match::Ports { .. }
            | Match::Tcp { .. }
            | Match::Ip { .. } => return Err(Reject::NotBridged),
        }
        Ok(())
    }

    fn try_action(&mut self, action: Action) -> Result<(), Reject> {
        // What comes behind the redirection would not be done to the frame.
        if self.is_redirected {
            return Err(match action {
                Action::Redirect { .. } => Reject::TwoRedirects,
                _ => Reject::UnknownAction,
            });
        }
        let [outer, inner] = &mut self.encap.vlan;
        match action {
            Action::VlanPop => {
                require(outer.is_some(), Reject::Vlan)?;
                (*outer, *inner) = (*inner, None);
            }
            Action::VlanPush { vid, proto, prio } => {
                require(proto == ETH_P_8021Q, Reject::Vlan8021ad)?;
                require(prio == 0, Reject::VlanPriority)?;
                require(vid <= VLAN_VID_MASK, Reject::Vlan)?;
                require(inner.is_none(), Reject::VlanDepth)?;
                (*outer, *inner) = (Some(vid), *outer);
            }
            Action::PppoePush { sid } => {
                // A tag that is there would be inside of the session.
                require(outer.is_none() && self.encap.pppoe.is_none(), Reject::Pppoe)?;
                self.encap.pppoe = Some(sid);
            }
            Action::Redirect { .. } => self.is_redirected = true,
            Action::Mangle { .. } | Action::Csum { .. } => return Err(Reject::BadMangle),
            Action::Tunnel => return Err(Reject::Tunnel),
            Action::Accept | Action::Other { .. } => return Err(Reject::UnknownAction),
        }
        Ok(())
    }

    /// The rule that keys and actions add up to, for frames that arrive at `ingress`. `find` says
    /// which port of the engine, or of a switch behind one, a device is.
    pub fn finish(
        &self,
        ingress: PsePort,
        find: impl Fn(i32, NetId) -> Option<Endpoint>,
    ) -> Result<Filter, Reject> {
        if let Some(reject) = self.failure {
            return Err(reject);
        }
        let egress = match self.outline.egress {
            Some((ifindex, net)) => Some(find(ifindex, net).ok_or(Reject::ForeignEgress)?),
            None => None,
        };
        // A block of rules may be shared by several devices, and the rule be for one only.
        let is_ingress = |(ifindex, net)| find(ifindex, net) == Some(ingress.into());
        require(
            self.outline.ingress.is_none_or(is_ingress),
            Reject::ForeignIngress,
        )?;
        let (smac, dmac) = self.macs.ok_or(Reject::NotBridged)?;
        require(dmac != [0; 6] && smac != [0; 6], Reject::BadMac)?;
        require(!is_group(&dmac), Reject::Multicast)?;
        require(!is_group(&smac), Reject::BadMac)?;
        Ok(Filter {
            key: Key {
                ingress,
                smac,
                dmac,
                vlan: self.vlan,
            },
            v6: self.v6,
            l4: self.l4,
            egress: egress.ok_or(Reject::NoRedirect)?,
            out_encap: self.encap,
        })
    }
}
