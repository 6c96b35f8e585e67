// SPDX-License-Identifier: GPL-2.0-only

//! What a user has an engine do: end flows, keep new ones in software.

use crate::{
    engine::{
        uses,
        Engine,
        PortsIn, //
    },
    moved::{
        self,
        Leads, //
    },
    ppe::{
        flow::{
            Endpoint,
            Key,
            Tuple,
            L4, //
        },
        table::{
            Record,
            Removal, //
        }, //
    },
    rust::{
        flow_offload::Direction,
        netdev::NetId, //
    }, //
};
use kernel::prelude::*;

/// Which flows.
enum Which {
    /// All.
    All,
    /// Those that come or go there.
    At(Endpoint),
    /// The connection of which this is a direction.
    Connection(Key),
}

impl Which {
    fn holds(&self, record: &Record) -> bool {
        let flow = &record.flow;
        match self {
            Self::All => true,
            Self::At(at) if at.dsa.is_none() => uses(flow, at.port),
            Self::At(at) => flow.ingress == *at || flow.egress == *at,
            Self::Connection(key) => flow.key() == *key || flow.opposite() == *key,
        }
    }
}

impl Engine {
    /// Ends flows as `text` says; `Documentation/ABI/testing/debugfs-nft_offload` says how.
    pub(crate) fn flush(&self, text: &str) -> Result {
        let mut words = text.split_ascii_whitespace();
        let which = match (words.next(), words.next(), words.next(), words.next()) {
            (Some("all"), None, ..) => Which::All,
            (Some("dev"), Some(name), None, _) => {
                Which::At(self.with(|state| state.endpoint(name)).ok_or(ENODEV)?)
            }
            (Some("flow"), Some(l4), Some(src), Some(dst)) if words.next().is_none() => {
                Which::Connection(Key {
                    l4: L4::parse(l4).ok_or(EINVAL)?,
                    tuple: Tuple::parse(src, dst).ok_or(EINVAL)?,
                })
            }
            _ => return Err(EINVAL),
        };
        let ended = self.end(Removal::Connections, &|_, record| which.holds(record), None)
            // What tc's rules have brought nf_flowtable does not know.
            + self.with(|state| state.flush_subflows(|record| which.holds(record)));
        if ended == 0 && matches!(which, Which::Connection(_)) {
            return Err(ENOENT);
        }
        Ok(())
    }

    /// Ends the connections of flowtables for which `pred` holds, for one direction at least, in
    /// nf_flowtable and in the hardware. Returns how many flows there were in the latter.
    ///
    /// With `leads`, those whose way it holds for are ended, too: they may be about to be offered.
    pub(crate) fn end(
        &self,
        removal: Removal,
        pred: &dyn Fn(NetId, &Record) -> bool,
        leads: Option<Leads<'_>>,
    ) -> usize {
        let mut ended = 0;
        self.devices.for_each_flowtable(|flowtable| {
            let net = flowtable.net();
            self.with(|state| {
                let Some(owner) = state.owner_of(flowtable.id()) else {
                    return;
                };
                let holds = |record: &Record| record.owner == owner && pred(net.id(), record);
                let table = &state.table;
                if leads.is_none() && !table.iter().any(|(_, record)| holds(record)) {
                    return;
                }
                let ports = PortsIn {
                    ports: &state.ports,
                    switch_ports: &state.switch_ports,
                    net: net.id(),
                };
                let early = &mut state.ended;
                let is_meant = |direction: &Direction| {
                    let record = table
                        .find(owner, direction.cookie().0)
                        .and_then(|at| table.get(at));
                    record.is_some_and(holds)
                        || leads.is_some_and(|leads| {
                            let way = direction.way();
                            way.is_some_and(|way| leads(net.id(), &moved::way(&way, &ports)))
                        })
                };
                flowtable.end_flows(|original, reply| {
                    let meant = is_meant(original) || is_meant(reply);
                    if meant && original.is_pending() {
                        // One that is not here may be about to be offered, from the kernel's queue.
                        for cookie in [original, reply].map(|direction| direction.cookie().0) {
                            if table.find(owner, cookie).is_none() {
                                early.add(owner, cookie);
                            }
                        }
                    }
                    meant
                });
                ended += state.flush_as(removal, net, holds);
            });
        });
        ended
    }

    /// Whether new flows are kept in software.
    pub(crate) fn pause(&self, text: &str) -> Result {
        let paused = match text {
            "0" => false,
            "1" => true,
            _ => return Err(EINVAL),
        };
        self.with(|state| state.paused = paused);
        Ok(())
    }

    /// Changes the policy as `text` says.
    pub(crate) fn set_policy(&self, text: &str) -> Result {
        let entries = self.spec.slots();
        let policy = self.with(|state| {
            state.policy.set(text)?;
            state.table.set_limit(state.policy.limit(entries));
            state.look_for_shapers(&self.dev);
            Ok::<_, Error>(state.policy)
        })?;
        let refused = |record: &Record| policy.admit(&record.flow).is_err();
        self.take_out(refused);
        self.with(|state| state.flush_subflows(refused));
        Ok(())
    }

    /// Takes the flows of flowtables out for which `pred` holds. They go on in software.
    pub(crate) fn take_out(&self, pred: impl Fn(&Record) -> bool) {
        self.devices.for_each_flowtable(|table| {
            self.with(|state| {
                if let Some(owner) = state.owner_of(table.id()) {
                    state.flush(table.net(), |record| record.owner == owner && pred(record));
                }
            });
        });
    }
}
