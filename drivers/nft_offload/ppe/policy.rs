// SPDX-License-Identifier: GPL-2.0-only

//! What is kept in software though the hardware could do it.

use core::{
    fmt,
    writeln, //
};

use super::{
    flow::Flow,
    reject::Reject, //
};

/// The text is none that is understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Invalid;

/// The keys of a policy, in the order in which it is shown.
const KEYS: [&str; 4] = ["refuse_shaped", "ipv4", "ipv6", "reserve"];

/// The policy of an engine, which begins as the module's parameters say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Flows that leave by a device with a shaping qdisc are refused.
    pub refuse_shaped: bool,
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
    pub fn set_value(&mut self, key: &str, value: &str) -> Result<(), Invalid> {
        let value: u32 = value.parse().map_err(|_| Invalid)?;
        let switch = match key {
            "refuse_shaped" => &mut self.refuse_shaped,
            "ipv4" => &mut self.ipv4,
            "ipv6" => &mut self.ipv6,
            "reserve" => {
                self.reserve = value;
                return Ok(());
            }
            _ => return Err(Invalid),
        };
        *switch = match value {
            0 => false,
            1 => true,
            _ => return Err(Invalid),
        };
        Ok(())
    }

    /// The value of `key`. `None` if there is no such key.
    pub fn value(&self, key: &str) -> Option<u32> {
        Some(match key {
            "refuse_shaped" => self.refuse_shaped.into(),
            "ipv4" => self.ipv4.into(),
            "ipv6" => self.ipv6.into(),
            "reserve" => self.reserve,
            _ => return None,
        })
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
        for key in KEYS {
            writeln!(f, "{key} {}", self.value(key).unwrap_or(0))?;
        }
        Ok(())
    }
}
