// SPDX-License-Identifier: GPL-2.0-only

//! What is kept in software though the hardware could do it.

use crate::{
    module_parameters,
    ppe::{
        flow::Flow,
        reject::Reject, //
    },
    rust::params, //
};
use core::{
    fmt,
    writeln, //
};
use kernel::prelude::*;

/// The policy of an engine, which begins as the module's parameters say.
#[derive(Clone, Copy)]
pub(crate) struct Policy {
    /// Flows that leave by a device with a shaping qdisc are refused.
    pub(crate) refuse_shaped: bool,
    ipv4: bool,
    ipv6: bool,
    /// Entries that stay free.
    reserve: u32,
}

impl Policy {
    /// That of the module's parameters.
    pub(crate) fn of_parameters() -> Self {
        Self {
            refuse_shaped: params::value(&module_parameters::refuse_shaped) != 0,
            ipv4: params::value(&module_parameters::ipv4) != 0,
            ipv6: params::value(&module_parameters::ipv6) != 0,
            reserve: params::value(&module_parameters::reserve),
        }
    }

    /// Changes what `line` says, `key value`.
    pub(crate) fn set(&mut self, line: &str) -> Result {
        let (key, value) = line.split_once(' ').ok_or(EINVAL)?;
        let value: u32 = value.trim_start().parse().map_err(|_| EINVAL)?;
        let switch = match key {
            "refuse_shaped" => &mut self.refuse_shaped,
            "ipv4" => &mut self.ipv4,
            "ipv6" => &mut self.ipv6,
            "reserve" => {
                self.reserve = value;
                return Ok(());
            }
            _ => return Err(EINVAL),
        };
        *switch = match value {
            0 => false,
            1 => true,
            _ => return Err(EINVAL),
        };
        Ok(())
    }

    /// Most flows there may be with so many entries.
    pub(crate) fn limit(&self, entries: usize) -> u32 {
        u32::try_from(entries)
            .unwrap_or(u32::MAX)
            .saturating_sub(self.reserve)
    }

    /// Whether `flow` may be offloaded.
    #[inline]
    pub(crate) fn admit(&self, flow: &Flow) -> Result<(), Reject> {
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
        writeln!(f, "refuse_shaped {}", u8::from(self.refuse_shaped))?;
        writeln!(f, "ipv4 {}", u8::from(self.ipv4))?;
        writeln!(f, "ipv6 {}", u8::from(self.ipv6))?;
        writeln!(f, "reserve {}", self.reserve)
    }
}
