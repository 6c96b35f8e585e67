// SPDX-License-Identifier: GPL-2.0-only

//! How engines are found, one file per bus.

pub(crate) mod pci;
