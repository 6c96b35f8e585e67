// SPDX-License-Identifier: GPL-2.0-only
//! Model of a router chip's packet processing engine (PPE).
//!
//! The model has no I/O and no threads. Its user gives it three things: register
//! accesses ([`FrameEngine::read`], [`FrameEngine::write`]), frames
//! ([`FrameEngine::process`]) and time ([`FrameEngine::set_time`], [`FrameEngine::tick`]).
//! The model reaches guest memory through the trait [`Dma`].
//!
//! A module uses only modules above it, and those to its left:
//!
//! ```text
//! bits csum pppoe dma frame verdict faults
//! chip regs                               chips, registers
//! entry gdm                               a flow in the table, a port
//! hash packet rewrite                     from frame to flow and back
//! ppe::stats table cache mib ageing config scribble
//! ppe                                     one PPE
//! engine                                  PPEs, ports, time and faults
//! ```
//!
//! The model is deliberately unkind where a chip is:
//!
//! * The entry cache keeps an entry from its first look-up on, a free one too, until
//!   `CACHE_CTL.CLEAR` goes from 0 to 1. Changes of the table in memory do not reach it.
//! * The age scan reads words of the table at odd moments and removes idle entries.
//! * The MIB port stays busy for a while and shows the old value until it is ready.
//! * The user can switch faults on, see [`Faults`].
//!
//! Where the facts are silent, the model had to choose. The documentation marks each such
//! place with **Assumption**.
#![forbid(unsafe_code)]

pub mod bits;
pub mod chip;
mod csum;
mod dma;
mod engine;
pub mod entry;
mod faults;
mod frame;
mod gdm;
pub mod hash;
mod packet;
mod ppe;
mod pppoe;
pub mod regs;
mod rewrite;
mod verdict;

pub use dma::{Dma, DmaError, VecMemory};
pub use engine::FrameEngine;
pub use faults::Faults;
pub use frame::FrameBuf;
pub use gdm::Port;
pub use ppe::{EntryView, Ppe, PpeStats, TableCount};
pub use verdict::{CpuReason, PsePort, Verdict};
