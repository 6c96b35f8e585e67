// SPDX-License-Identifier: GPL-2.0-only

//! What devices are bound to: flowtables of nf_flowtable, and rules of tc.

use super::{
    flow::PsePort,
    list::{
        Full,
        List, //
    },
    platform::Storage,
    table::BlockId, //
};

/// Devices that are bound to flowtables at once, at most.
pub const MAX_BINDINGS: usize = 256;

/// Tells flowtables apart while they exist: any number that a glue has for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowTableId(pub usize);

/// A device bound to a flowtable, or to rules of tc: what a glue keeps for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Whose the flows or rules are. Each binding to rules of tc is an owner of its own.
    pub owner: BlockId,
    /// The port whose device it is.
    pub port: PsePort,
    /// What it is bound to.
    pub to: BoundTo,
    id: u64,
}

/// What a device is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BoundTo {
    /// A flowtable.
    FlowTable,
    /// The rules of tc at its ingress.
    Ingress,
}

/// A device in a flowtable.
#[derive(Clone, Copy)]
struct Member {
    table: FlowTableId,
    owner: BlockId,
    id: u64,
    port: PsePort,
    /// Whether the ruleset asked for counters when it was last looked at.
    counter: bool,
}

impl Member {
    const EMPTY: Self = Self {
        table: FlowTableId(0),
        owner: BlockId(0),
        id: 0,
        port: PsePort(0),
        counter: false,
    };
}

/// The flowtables that have at least one of the engine's ports.
///
/// A rule arrives once for each device of its flowtable; the device that was bound first handles
/// it, so that everything counts once.
pub struct Blocks<S: Storage> {
    /// In the order in which they came.
    members: List<S::Vec<Member>>,
    next_id: u32,
}

impl<S: Storage> Blocks<S> {
    /// None. `None` if there is no memory.
    pub fn new() -> Option<Self> {
        Some(Self {
            members: List::new(S::filled(Member::EMPTY, MAX_BINDINGS)?),
            next_id: 0,
        })
    }

    /// An owner that there never was.
    pub fn new_owner(&mut self) -> Result<BlockId, Full> {
        // Numbers are given out by BIND and for rules, of which there are far less than 2^32 ever.
        self.next_id = self.next_id.checked_add(1).ok_or(Full)?;
        Ok(BlockId(self.next_id))
    }

    /// Binds the device of `port` to a flowtable.
    pub fn bind(
        &mut self,
        table: FlowTableId,
        port: PsePort,
        counter: bool,
    ) -> Result<Binding, Full> {
        let BlockId(id) = self.new_owner()?;
        let owner = self.owner_of(table).unwrap_or(BlockId(id));
        let member = Member {
            table,
            owner,
            id: id.into(),
            port,
            counter,
        };
        self.members.push(member)?;
        Ok(Binding {
            owner,
            port,
            to: BoundTo::FlowTable,
            id: member.id,
        })
    }

    /// Binds the device of `port` to rules of tc.
    pub fn bind_ingress(&mut self, port: PsePort) -> Result<Binding, Full> {
        let owner = self.new_owner()?;
        Ok(Binding {
            owner,
            port,
            to: BoundTo::Ingress,
            id: owner.0.into(),
        })
    }

    /// Whether a binding to a flowtable is the only one of its flowtable; `None` if it is not
    /// known.
    pub fn is_last(&self, binding: &Binding) -> Option<bool> {
        let members = self.members.as_slice().iter();
        let mut of_table = members.filter(|member| member.owner == binding.owner);
        of_table.clone().find(|member| member.id == binding.id)?;
        Some(of_table.all(|member| member.id == binding.id))
    }

    /// Ends a binding to a flowtable.
    pub fn unbind(&mut self, binding: &Binding) {
        self.members.retain(|member| member.id != binding.id);
    }

    /// Whether `binding` is the one that handles the rules of its flowtable.
    #[inline]
    pub fn is_first(&self, binding: &Binding) -> bool {
        let mut members = self.members.as_slice().iter();
        let first = members.find(|member| member.owner == binding.owner);
        first.is_some_and(|member| member.id == binding.id)
    }

    /// A ruleset may change whether a flowtable counts: it does now, or does not.
    #[inline]
    pub fn set_counter(&mut self, owner: BlockId, counter: bool) {
        let members = self.members.as_mut_slice().iter_mut();
        for member in members.filter(|member| member.owner == owner) {
            member.counter = counter;
        }
    }

    /// Whether the flowtable of an owner counts, as far as is known.
    pub fn has_counter(&self, owner: BlockId) -> bool {
        let mut members = self.members.as_slice().iter();
        let first = members.find(|member| member.owner == owner);
        first.is_some_and(|member| member.counter)
    }

    /// Whether this is the owner of a flowtable's flows.
    pub fn has(&self, owner: BlockId) -> bool {
        let mut members = self.members.as_slice().iter();
        members.any(|member| member.owner == owner)
    }

    /// The owner of the flows of a flowtable.
    pub fn owner_of(&self, table: FlowTableId) -> Option<BlockId> {
        let mut members = self.members.as_slice().iter();
        Some(members.find(|member| member.table == table)?.owner)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.members.as_slice().is_empty()
    }

    /// Number of flowtables.
    pub fn count(&self) -> usize {
        self.count_where(|_| true)
    }

    /// Number of flowtables that the device of a port is in.
    pub fn count_of(&self, port: PsePort) -> usize {
        self.count_where(|member| member.port == port)
    }

    fn count_where(&self, pred: impl Fn(&Member) -> bool) -> usize {
        let members = self.members.as_slice();
        let first_of_its_table = |(at, member): &(usize, &Member)| {
            let mut before = members.iter().take(*at).filter(|member| pred(member));
            pred(member) && !before.any(|other| other.owner == member.owner)
        };
        members
            .iter()
            .enumerate()
            .filter(first_of_its_table)
            .count()
    }
}
