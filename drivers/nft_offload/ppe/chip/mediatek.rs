// SPDX-License-Identifier: GPL-2.0-only

//! MediaTek's PPE, part of the frame engine (FE) of the chips' network subsystem (NETSYS).

mod netsys;
mod regs;
mod socs;

pub(super) use socs::*;
