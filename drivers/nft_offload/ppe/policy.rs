// SPDX-License-Identifier: GPL-2.0-only

//! What is kept in software though the hardware could do it.

use core::{
    fmt,
    writeln, //
};

use super::{
    flow::Flow,
    obstacle::{
        Kind,
        Kinds, //
    },
    reject::Reject, //
};

/// The text is none that is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalid;

/// The keys of the kinds of obstacles that an administrator may have passed by.
const REFUSE: [(&str, Kind); 5] = [
    ("refuse_shaped", Kind::Shaper),
    ("refuse_tc_filters", Kind::TcFilter),
    ("refuse_netdev_chains", Kind::NetdevChain),
    ("refuse_xdp", Kind::Xdp),
    ("refuse_multi_vlan", Kind::MultiVlan),
];

fn kind_of(key: &str) -> Option<Kind> {
    let (_, kind) = REFUSE.into_iter().find(|(name, _)| *name == key)?;
    Some(kind)
}

/// The policy of an engine, which begins as the module's parameters say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Flows with these kinds of obstacles in their way are refused.
    pub refuse: Kinds,
    /// Flows of IPv4 are taken.
    pub ipv4: bool,
    /// Flows of IPv6 are taken.
    pub ipv6: bool,
    /// Entries that stay free.
    pub reserve: u32,
}

impl Policy {
    /// Changes what `line` says, `key value`.
    pub fn set(&mut self, line: &str) -> Result<(), Invalid> {
        let (key, value) = line.split_once(' ').ok_or(Invalid)?;
        self.set_value(key, value.trim_start())
    }

    /// Changes the value of `key`.
    #[inline(never)]
    pub fn set_value(&mut self, key: &str, value: &str) -> Result<(), Invalid> {
        let value: u32 = value.parse().map_err(|_| Invalid)?;
        if key == "reserve" {
            self.reserve = value;
            return Ok(());
        }
        let on = match value {
            0 => false,
            1 => true,
            _ => return Err(Invalid),
        };
        match key {
            "ipv4" => self.ipv4 = on,
            "ipv6" => self.ipv6 = on,
            _ => {
                let kind = kind_of(key).ok_or(Invalid)?;
                self.refuse = if on {
                    self.refuse.with(kind)
                } else {
                    self.refuse.without(kind)
                };
            }
        }
        Ok(())
    }

    /// The value of `key`. `None` if there is no such key.
    #[inline(never)]
    pub fn value(&self, key: &str) -> Option<u32> {
        Some(match key {
            "ipv4" => self.ipv4.into(),
            "ipv6" => self.ipv6.into(),
            "reserve" => self.reserve,
            _ => self.refuse.has(kind_of(key)?).into(),
        })
    }

    /// The kinds of obstacles that are looked for. To pass by the map of a VLAN device has no use.
    pub const fn obstacles(&self) -> Kinds {
        self.refuse.with(Kind::EgressQosMap)
    }

    /// Most flows there may be with so many entries.
    pub fn limit(&self, entries: usize) -> u32 {
        u32::try_from(entries)
            .unwrap_or(u32::MAX)
            .saturating_sub(self.reserve)
    }

    /// Whether `flow` may be offloaded.
    #[inline]
    pub fn admit(&self, flow: &Flow) -> Result<(), Reject> {
        let family = if flow.tuple.is_v6() {
            self.ipv6
        } else {
            self.ipv4
        };
        if family {
            Ok(())
        } else {
            Err(Reject::FamilyOff)
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = REFUSE.into_iter().map(|(key, _)| key);
        for key in keys.chain(["ipv4", "ipv6", "reserve"]) {
            writeln!(f, "{key} {}", self.value(key).unwrap_or(0))?;
        }
        Ok(())
    }
}
