// SPDX-License-Identifier: GPL-2.0-only

//! MediaTek's PPE, part of the frame engine (FE) of the chips' network subsystem (NETSYS).

mod netsys;
mod netsys_v1;
mod netsys_v2;
mod netsys_v3;
mod regs;

pub(super) use netsys_v1::*;
pub(super) use netsys_v2::*;
pub(super) use netsys_v3::*;
