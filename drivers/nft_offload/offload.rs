// SPDX-License-Identifier: GPL-2.0-only

//! What nf_flowtable and tc ask of an engine.

use crate::{
    device::Device,
    path_scan,
    platform::{
        connection_id,
        jiffies_of,
        Kernel, //
    },
    ppe::{
        block::{
            Binding,
            BoundTo,
            FlowTableId, //
        },
        engine::{
            filters::FilterRule,
            BindError,
            Context,
            Offer, //
        },
        platform::ConnectionId,
        reject::{
            ErrnoClass,
            Reject, //
        }, //
    },
    rust::{
        flow_offload::{
            self,
            BlockOps,
            Filter,
            Refused, //
        },
        flow_rule::FlowRule,
        flowtable::{
            Cookie,
            FlowTable,
            LiveFlow, //
        },
        fwd_events,
        netdev::NetDevice, //
    },
    translate::{
        self,
        net_id, //
    }, //
};
use kernel::prelude::*;

/// What the kernel is told about a refusal.
fn errno(reject: Reject) -> Error {
    match reject.errno_class() {
        ErrnoClass::Unsupported => flow_offload::not_supported(),
        ErrnoClass::NoSpace => ENOSPC,
    }
}

/// What the kernel is told about a device that is not taken.
fn bind_errno(error: BindError) -> Error {
    match error {
        BindError::Foreign => flow_offload::not_supported(),
        BindError::Full => ENOSPC,
    }
}

/// What the kernel says of a flowtable, as the core has it.
fn context(of: flow_offload::Context<'_>) -> Context<'_, Kernel> {
    Context {
        net: of.net,
        counter: of.counter,
    }
}

#[vtable]
impl BlockOps for Device {
    type Binding = Binding;

    fn bind(&self, dev: &NetDevice, table: &FlowTable) -> Result<Binding> {
        let id = FlowTableId(table.id().to_usize());
        let (net, counter) = (net_id(dev.net()), table.has_counter());
        let mut state = self.lock();
        let bound = state.engine.bind(dev.ifindex(), net, id, counter);
        if bound == Err(BindError::Full) {
            dev_warn!(
                self.dev,
                "no room for another device of a flowtable: its flows go on in software\n"
            );
        }
        let binding = bound.map_err(bind_errno)?;
        path_scan::scan(&mut state.engine, &self.dev);
        drop(state);
        // Before the first flow comes.
        fwd_events::watch(table.net());
        Ok(binding)
    }

    fn bind_ingress(&self, dev: &NetDevice) -> Result<Binding> {
        let mut state = self.lock();
        let bound = state.engine.bind_ingress(dev.ifindex(), net_id(dev.net()));
        bound.map_err(bind_errno)
    }

    fn unbind(&self, binding: &Binding, of: flow_offload::Context<'_>) {
        if binding.to != BoundTo::Ingress {
            fwd_events::unwatch(of.net);
        }
        self.lock().engine.unbind(binding, &context(of));
    }

    fn replace(
        &self,
        binding: &Binding,
        of: flow_offload::Context<'_>,
        flow: &LiveFlow,
        rule: &FlowRule,
    ) -> Result {
        let net = of.net;
        let offer = Offer {
            net,
            cookie: flow.cookie().0,
            connection: flow.connection().map_or(ConnectionId::NONE, connection_id),
            mtu: flow.mtu(),
            ruled: net.has_routing_rules(),
        };
        let replaced = self.lock().engine.replace(
            binding,
            &offer,
            |parser| translate::feed(parser, rule, net_id(net)),
            &|ifindex, id| translate::name_of(net, ifindex, id),
        );
        replaced.ok_or(EEXIST)?.map(|_| ()).map_err(errno)
    }

    fn classify(
        &self,
        binding: &Binding,
        dev: &NetDevice,
        filter: Filter<'_>,
    ) -> Result<(), Refused> {
        let (rule, net) = (filter.rule, dev.net());
        let mut state = self.lock();
        // Without its frames nothing would come of a rule.
        state
            .attach_tap(binding.port, dev)
            .map_err(|error| Refused {
                error,
                message: c"nft_offload: no memory",
            })?;
        let replaced = state.engine.replace_filter(
            binding,
            &FilterRule {
                cookie: filter.cookie.0,
                prio: filter.prio,
                chain: filter.chain,
                demands_counters: rule.demands_counters(),
            },
            |parser| translate::feed(parser, rule, net_id(net)),
            &|ifindex, id| translate::name_of(net, ifindex, id),
        );
        replaced.map_err(|reject| Refused {
            error: errno(reject),
            message: reject.message(),
        })
    }

    fn destroy(&self, binding: &Binding, of: flow_offload::Context<'_>, cookie: Cookie) -> Result {
        let destroyed = self.lock().engine.destroy(binding, &context(of), cookie.0);
        destroyed.ok_or(ENOENT)
    }

    fn stats(
        &self,
        binding: &Binding,
        of: flow_offload::Context<'_>,
        cookie: Cookie,
        flow: Option<&LiveFlow>,
        stats: &mut flow_offload::Stats<'_>,
    ) -> Result {
        let found = self.lock().engine.stats(binding, &context(of), cookie.0);
        let Some(found) = found.ok_or(ENOENT)? else {
            return Ok(());
        };
        let (delta, last_used) = (found.delta, jiffies_of(found.last_used_ms));
        stats.update(delta.packets, delta.bytes, last_used);
        if let Some(flow) = flow.filter(|_| found.hit) {
            if let Some(connection) = flow.connection() {
                connection.seen(delta.packets > 1, last_used);
            }
            if found.neighbour {
                flow.use_neighbour();
            }
        }
        Ok(())
    }
}
