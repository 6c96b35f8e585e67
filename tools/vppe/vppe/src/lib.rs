// SPDX-License-Identifier: GPL-2.0-only
//! The emulated engine as a program: the model of a chip as a PCI device over
//! vfio-user, between TAP interfaces (the wires) and a guest's NICs (the CPU).

pub mod board;
pub mod bucket;
pub mod cli;
pub mod control;
pub mod core;
pub mod datapath;
pub mod device;
pub mod memory;
pub mod nic;
pub mod pci;
pub mod priority;
pub mod run;
pub mod socket;
pub mod stats;
pub mod tap;
