// SPDX-License-Identifier: GPL-2.0-only

//! What a glue gives to the core: the engine's registers, the memory that it shares with the
//! engine, and time.
//!
//! All is called with the engine's lock held, or before anybody else has the engine, in process
//! context.

use core::ops::DerefMut;

use super::{
    count::Count,
    flow::Flow, //
};

/// The engine does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HwError;

/// A block of 32-bit registers. Offsets are in bytes, values in host byte order.
///
/// An access fails with [`HwError`] where there is no register, or no device any more.
pub trait Regs: 'static {
    /// Reads a register.
    fn read(&self, offset: usize) -> Result<u32, HwError>;
    /// Writes a register. The engine sees all [`Words`] that were written before, first.
    fn write(&self, offset: usize, value: u32) -> Result<(), HwError>;
    /// Reads a register until `done` says so of its value, which is returned. May sleep between
    /// two reads. Fails after `timeout_us` microseconds, but not before a read after that time.
    fn poll(
        &self,
        offset: usize,
        timeout_us: u32,
        done: impl Fn(u32) -> bool,
    ) -> Result<u32, HwError>;
}

/// Memory that the engine and the CPU both read and write, in 32-bit words in host byte order.
/// The engine may write any word at any time.
///
/// An access fails with [`HwError`] beyond the end.
pub trait Words {
    /// The address under which the engine sees the first word.
    fn address(&self) -> u64;
    /// Reads a word.
    fn read(&self, at: usize) -> Result<u32, HwError>;
    /// Writes a word.
    fn write(&self, at: usize, value: u32) -> Result<(), HwError>;
    /// Writes the words from `at` on, in order, or none of them.
    fn write_all(&self, at: usize, values: &[u32]) -> Result<(), HwError>;
    /// The engine sees the words that were written before this call before those that are written
    /// after it.
    fn write_barrier(&self);
}

/// Time.
pub trait Clock {
    /// Milliseconds since any fixed point, never less than before.
    fn now_ms(&self) -> u64;
}

/// Storage for many of a kind. All of it is asked for when an engine is made.
pub trait Storage {
    /// As many as there were at first.
    type Vec<T>: DerefMut<Target = [T]>;

    /// So many copies of `item`. `None` if there is no memory.
    fn filled<T: Clone>(item: T, len: usize) -> Option<Self::Vec<T>>;
}

/// The connections that the kernel tracks.
///
/// A direction of a connection has an *id*: a number other than 0 that no other one has while it
/// exists. A flow of a flowtable holds its connection, so between REPLACE and DESTROY no other one
/// can have the id of the flow's.
pub trait Conntrack {
    /// A network namespace.
    type Net: ?Sized;

    /// The id of the direction that `flow` is, if a flowtable has the connection.
    fn offloaded(&self, net: &Self::Net, flow: &Flow) -> Option<u64>;
    /// The id of the direction that `flow` is.
    fn find(&self, net: &Self::Net, flow: &Flow) -> Option<u64>;
    /// Adds to the counters of the direction that `flow` is. Returns whether it has this id.
    fn account(&self, net: &Self::Net, flow: &Flow, id: u64, count: Count) -> bool;
    /// Whether the direction with this id is that of the replies.
    fn is_reply(id: u64) -> bool;
}
