// SPDX-License-Identifier: GPL-2.0-only

//! What a user has an engine do, as text: end flows, keep new ones in software, change the policy.

use super::{
    engine::{
        Engine,
        Platform, //
    },
    flow::{
        Endpoint,
        Key,
        Tuple,
        L4, //
    },
    policy::{
        Invalid,
        Policy, //
    },
    ports::Ports,
    table::Record, //
};

/// Why nothing is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ControlError {
    /// The text is none that is understood.
    Invalid,
    /// There is no such device.
    NoDevice,
}

impl From<Invalid> for ControlError {
    fn from(_: Invalid) -> Self {
        Self::Invalid
    }
}

/// Which flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowFilter {
    /// All.
    All,
    /// Those that come or go there.
    At(Endpoint),
    /// The connection of which this is a direction.
    Connection(Key),
}

impl FlowFilter {
    /// Those that `text` names; `Documentation/ABI/testing/debugfs-nft_offload` says how.
    pub fn parse<P: Platform>(text: &str, ports: &Ports<P>) -> Result<Self, ControlError> {
        let mut words = text.split_ascii_whitespace();
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("all"), None, ..) => Ok(Self::All),
            (Some("dev"), Some(name), None, _) => {
                let at = ports.by_name(name);
                at.map(Self::At).ok_or(ControlError::NoDevice)
            }
            (Some("flow"), Some(l4), Some(src), Some(dst)) if words.next().is_none() => {
                Ok(Self::Connection(Key {
                    l4: L4::parse(l4).ok_or(Invalid)?,
                    tuple: Tuple::parse(src, dst).ok_or(Invalid)?,
                }))
            }
            _ => Err(ControlError::Invalid),
        }
    }

    /// Whether that is one of them.
    pub fn matches(&self, record: &Record) -> bool {
        let flow = &record.flow;
        match self {
            Self::All => true,
            Self::At(at) if at.dsa.is_none() => flow.uses(at.port),
            Self::At(at) => flow.ingress == *at || flow.egress == *at,
            Self::Connection(key) => flow.key() == *key || flow.reverse() == *key,
        }
    }
}

impl<P: Platform> Engine<P> {
    /// Whether new flows are kept in software, as `text` says.
    pub fn pause(&mut self, text: &str) -> Result<(), Invalid> {
        self.paused = match text {
            "0" => false,
            "1" => true,
            _ => return Err(Invalid),
        };
        Ok(())
    }

    /// Changes the policy as `text` says. Flows that it does not admit have to be taken out.
    pub fn set_policy(&mut self, text: &str) -> Result<Policy, Invalid> {
        self.policy.set(text)?;
        Ok(self.policy_changed())
    }

    /// As [`Engine::set_policy`], for the value of one key.
    pub fn set_policy_value(&mut self, key: &str, value: &str) -> Result<Policy, Invalid> {
        self.policy.set_value(key, value)?;
        Ok(self.policy_changed())
    }

    fn policy_changed(&mut self) -> Policy {
        let limit = self.policy.limit(self.table.capacity());
        self.table.set_limit(limit);
        self.policy
    }
}
