// SPDX-License-Identifier: GPL-2.0-only

//! What a device is bound to.

use super::super::{
    bindings,
    flow_offload::{
        not_supported,
        Context, //
    },
    flowtable::FlowTable,
    netdev::NetDevice, //
};
use core::ptr::NonNull;
use kernel::prelude::*;

/// What a device is bound to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    FlowTable(NonNull<bindings::nf_flowtable>),
    /// A `struct tcf_block`, by its address, which is only compared.
    Ingress(NonNull<c_void>),
}

impl Source {
    pub(super) fn new(
        type_: bindings::tc_setup_type,
        data: *mut c_void,
        sch: *mut bindings::Qdisc,
    ) -> Result<Self> {
        let data = NonNull::new(data).ok_or_else(not_supported)?;
        match type_ {
            bindings::TC_SETUP_FT => Ok(Self::FlowTable(data.cast())),
            // A chain of nf_tables has no qdisc. It releases what was bound without `RTNL`, for
            // which nobody could wait.
            bindings::TC_SETUP_BLOCK if !sch.is_null() => Ok(Self::Ingress(data)),
            _ => Err(not_supported()),
        }
    }

    pub(super) fn data(self) -> *mut c_void {
        match self {
            Self::FlowTable(table) => table.as_ptr().cast(),
            Self::Ingress(block) => block.as_ptr(),
        }
    }

    /// # Safety
    ///
    /// If it is a flowtable, it must live for `'a`.
    pub(super) unsafe fn context<'a>(self, dev: &'a NetDevice) -> Context<'a> {
        match self {
            Self::FlowTable(table) => {
                // SAFETY: By the requirement of this function.
                Context::flowtable(unsafe { FlowTable::from_raw(table.as_ptr()) })
            }
            Self::Ingress(_) => Context::ingress(dev),
        }
    }
}
