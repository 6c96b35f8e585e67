// SPDX-License-Identifier: GPL-2.0-only

//! What a rule has said.

/// [`super::Match::Meta`].
pub(super) const INGRESS: u32 = 1 << 0;
/// [`super::Match::Control`]: IPv4.
pub(super) const CONTROL_V4: u32 = 1 << 1;
/// [`super::Match::Control`]: IPv6.
pub(super) const CONTROL_V6: u32 = 1 << 2;
/// [`super::Match::Basic`]: IPv4.
pub(super) const BASIC_V4: u32 = 1 << 3;
/// [`super::Match::Basic`]: IPv6.
pub(super) const BASIC_V6: u32 = 1 << 4;
/// [`super::Match::Ipv4Addrs`].
pub(super) const ADDRS_V4: u32 = 1 << 5;
/// [`super::Match::Ipv6Addrs`].
pub(super) const ADDRS_V6: u32 = 1 << 6;
/// [`super::Match::Ports`].
pub(super) const PORTS: u32 = 1 << 7;
/// Bytes 0 to 3 of the destination Ethernet address.
pub(super) const DMAC_HIGH: u32 = 1 << 8;
/// Bytes 4 and 5.
pub(super) const DMAC_LOW: u32 = 1 << 9;
/// Bytes 0 and 1 of the source Ethernet address.
pub(super) const SMAC_HIGH: u32 = 1 << 10;
/// Bytes 2 to 5.
pub(super) const SMAC_LOW: u32 = 1 << 11;
/// [`super::Action::Redirect`].
pub(super) const EGRESS: u32 = 1 << 12;
/// An address of the other family is changed.
pub(super) const MIXED: u32 = 1 << 13;
/// An 802.1ad tag is put on.
pub(super) const SERVICE_TAG: u32 = 1 << 14;
/// A key or an action was refused.
pub(super) const FAILED: u32 = 1 << 15;
/// All of these: what decides whether the rule is a flow's.
pub(super) const SAID: u32 = 0xffff;

/// Addresses are changed.
pub(super) const NAT: u32 = 1 << 16;
/// Tags are matched or taken off.
pub(super) const TAGS: u32 = 1 << 17;

/// All of both Ethernet addresses.
pub(super) const MACS: u32 = DMAC_HIGH | DMAC_LOW | SMAC_HIGH | SMAC_LOW;
/// What tells the family.
pub(super) const FAMILY: u32 =
    CONTROL_V4 | CONTROL_V6 | BASIC_V4 | BASIC_V6 | ADDRS_V4 | ADDRS_V6 | PORTS | MIXED;
/// What a flow of either family needs.
const ANY: u32 = INGRESS | PORTS | MACS | EGRESS;
/// Exactly what a flow of IPv4 has said.
pub(super) const V4: u32 = ANY | CONTROL_V4 | BASIC_V4 | ADDRS_V4;
/// Exactly what a flow of IPv6 has said.
pub(super) const V6: u32 = ANY | CONTROL_V6 | BASIC_V6 | ADDRS_V6;
