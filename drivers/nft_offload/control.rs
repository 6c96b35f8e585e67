// SPDX-License-Identifier: GPL-2.0-only

//! What a user writes to files, carried out. What the text means is the core's.

use crate::{
    device::Device,
    path_scan,
    platform::Engine,
    ppe::{
        control::{
            ControlError,
            FlowFilter, //
        },
        policy::{
            Invalid,
            Policy, //
        }, //
    },
};
use core::fmt::{
    self,
    Formatter, //
};
use kernel::prelude::*;

impl Device {
    /// Ends flows as `text` says.
    pub(crate) fn flush(&self, text: &str) -> Result {
        let filter = FlowFilter::parse(text, &self.lock().engine.ports);
        let filter = filter.map_err(|error| match error {
            ControlError::Invalid => EINVAL,
            ControlError::NoDevice => ENODEV,
        })?;
        let matches = |record: &_| filter.matches(record);
        let mut ended = 0;
        self.devices.for_each_flowtable(|flowtable| {
            ended += self.lock().engine.end_in(flowtable, &matches);
        });
        ended += self.lock().engine.flush_subflows(&matches);
        if ended == 0 && matches!(filter, FlowFilter::Connection(_)) {
            return Err(ENOENT);
        }
        Ok(())
    }

    /// Keeps new flows in software or does not, as `text` says.
    pub(crate) fn pause(&self, text: &str) -> Result {
        let paused = self.lock().engine.pause(text);
        paused.map_err(|Invalid| EINVAL)
    }

    /// Changes the policy as `text` says.
    pub(crate) fn set_policy(&self, text: &str) -> Result {
        self.change_policy(&|engine| engine.set_policy(text))
    }

    /// Shows the value of one key of the policy. One copy for all keys is enough.
    #[inline(never)]
    pub(crate) fn show_policy_value(&self, key: &str, f: &mut Formatter<'_>) -> fmt::Result {
        self.lock().engine.show_policy_value(key, f)
    }

    /// Changes the value of one key of the policy.
    #[inline(never)]
    pub(crate) fn set_policy_value(&self, key: &str, value: &str) -> Result {
        self.change_policy(&|engine| engine.set_policy_value(key, value))
    }

    fn change_policy(
        &self,
        // One copy of this is enough.
        change: &dyn Fn(&mut Engine) -> core::result::Result<Policy, Invalid>,
    ) -> Result {
        let policy = {
            let mut state = self.lock();
            let policy = change(&mut state.engine).map_err(|Invalid| EINVAL)?;
            path_scan::scan(&mut state.engine, &self.dev);
            policy
        };
        self.take_out(&|record| policy.admit(&record.flow).is_err());
        Ok(())
    }
}
