// SPDX-License-Identifier: GPL-2.0-only

//! What a driver does that offloads flows of nf_flowtable and rules of tc.
//!
//! C header: [`include/net/flow_offload.h`](srctree/include/net/flow_offload.h)
//!
//! A flowtable with `flags offload` offers each of its devices that has no `ndo_setup_tc` to
//! every registered driver. A driver that takes the device gets all rules of the flowtable from
//! then on, whatever their devices, once for each device it took.
//!
//! The ingress side of tc's clsact does the same with its block of rules. These rules are for
//! frames of the device that was taken. If devices share a block, each of them gets all rules.

use super::{
    bindings,
    flow_rule::FlowRule,
    flowtable::{
        Cookie,
        FlowTable,
        LiveFlow, //
    },
    netdev::{
        Net,
        NetDevice, //
    }, //
};
use kernel::prelude::*;

/// The error by which a driver leaves something to software or to another driver.
pub fn not_supported() -> Error {
    // CAST: Error numbers are small.
    Error::from_errno(-(bindings::EOPNOTSUPP as c_int))
}

/// The answer to a request for statistics.
pub struct Stats<'a>(&'a mut bindings::flow_stats);

impl<'a> Stats<'a> {
    pub(super) fn new(stats: &'a mut bindings::flow_stats) -> Self {
        Self(stats)
    }

    /// Adds what was counted since the last request, and when the flow was last used, as a value
    /// of the 64-bit jiffies counter.
    pub fn update(&mut self, packets: u64, bytes: u64, last_used: u64) {
        // SAFETY: The reference is valid by construction.
        unsafe { bindings::nft_offload_helper_stats_update(self.0, bytes, packets, last_used) };
    }
}

/// A rule of tc.
#[derive(Clone, Copy)]
pub struct Filter<'a> {
    /// Its name.
    pub cookie: Cookie,
    /// What it matches and does.
    pub rule: &'a FlowRule,
    /// Of rules for the same frames the one with the lowest number is first.
    pub prio: u32,
    /// The chain it is in; packets begin in chain 0.
    pub chain: u32,
}

/// Why a rule of tc is not taken.
pub struct Refused {
    /// The error.
    pub error: Error,
    /// The reason, for the user of tc.
    pub message: &'static CStr,
}

/// What a command or a binding is of: a flowtable, or rules of tc at a device.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The namespace it is in.
    pub net: &'a Net,
    /// Whether it is a flowtable that counts in conntrack now, see [`FlowTable::has_counter`].
    pub counter: bool,
}

impl<'a> Context<'a> {
    #[inline]
    pub(super) fn flowtable(table: &'a FlowTable) -> Self {
        Self {
            net: table.net(),
            counter: table.has_counter(),
        }
    }

    #[inline]
    pub(super) fn ingress(dev: &'a NetDevice) -> Self {
        Self {
            net: dev.net(),
            counter: false,
        }
    }
}

/// A driver that takes flows.
///
/// All functions are called in process context and may sleep. `replace`, `destroy` and `stats` of
/// a flowtable's flows run on all CPUs at once, with the flowtable's `flow_block_lock` held for
/// reading; calls for the same flow do not overlap. `bind` and `bind_ingress` are called with
/// `flow_indr_block_lock` held. All that is about rules of tc is called with `RTNL` and the
/// block's `cb_lock` held.
///
/// The core does not look at the kind of an error: a rule that was refused stays in software, and
/// nf_flowtable offers it again while packets of the flow come.
#[vtable]
pub trait BlockOps: Sized + Send + Sync + 'static {
    /// What the driver keeps for a device that is bound to a flowtable.
    type Binding: Send + Sync;

    /// Offers `dev`, a member of `table`. To leave it to others, return [`not_supported()`].
    fn bind(&self, dev: &NetDevice, table: &FlowTable) -> Result<Self::Binding>;

    /// Offers the ingress side of `dev`: the rules that tc has there, and will have. To leave it
    /// to others, return [`not_supported()`].
    fn bind_ingress(&self, dev: &NetDevice) -> Result<Self::Binding>;

    /// The device was taken out of the flowtable, or tc's rules off its ingress side, or the
    /// driver is being unregistered.
    ///
    /// No other call with this binding is running or will come. The core has sent a `destroy` for
    /// each rule of tc, but sends none for the flows that a flowtable still has. Flowtable and
    /// namespace still exist.
    fn unbind(&self, binding: &Self::Binding, context: Context<'_>);

    /// A rule, new or offered before.
    fn replace(
        &self,
        binding: &Self::Binding,
        context: Context<'_>,
        flow: &LiveFlow,
        rule: &FlowRule,
    ) -> Result;

    /// A rule of tc for what arrives at `dev`, new or offered before.
    fn classify(
        &self,
        binding: &Self::Binding,
        dev: &NetDevice,
        filter: Filter<'_>,
    ) -> Result<(), Refused>;

    /// The flow or rule ends.
    fn destroy(&self, binding: &Self::Binding, context: Context<'_>, cookie: Cookie) -> Result;

    /// What did the flow carry since the last call, and when was it last used? Without it the
    /// flow expires in software. There is a `flow` if it is no rule of tc.
    fn stats(
        &self,
        _binding: &Self::Binding,
        _context: Context<'_>,
        _cookie: Cookie,
        _flow: Option<&LiveFlow>,
        _stats: &mut Stats<'_>,
    ) -> Result {
        kernel::build_error!(kernel::error::VTABLE_DEFAULT_ERROR)
    }
}
