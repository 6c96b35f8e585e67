// SPDX-License-Identifier: GPL-2.0-only

//! What nf_flowtable and tc ask of an engine.

use crate::{
    device::Device,
    ppe::{
        block::{
            Binding,
            FlowTableId, //
        },
        engine::{
            filters::FilterRule,
            BindError, //
        },
        reject::{
            ErrnoClass,
            Reject, //
        }, //
    },
    qdisc_scan,
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
            FlowTable, //
        },
        netdev::{
            Net,
            NetDevice, //
        },
        time, //
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
        qdisc_scan::scan(&mut state.engine, &self.dev);
        Ok(binding)
    }

    fn bind_ingress(&self, dev: &NetDevice) -> Result<Binding> {
        let mut state = self.lock();
        let bound = state.engine.bind_ingress(dev.ifindex(), net_id(dev.net()));
        bound.map_err(bind_errno)
    }

    fn unbind(&self, binding: &Binding, net: &Net) {
        self.lock().engine.unbind(binding, net);
    }

    fn replace(&self, binding: &Binding, net: &Net, cookie: Cookie, rule: &FlowRule) -> Result {
        let replaced = self.lock().engine.replace(
            binding,
            net,
            cookie.0,
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

    fn destroy(&self, binding: &Binding, net: &Net, cookie: Cookie) -> Result {
        let destroyed = self.lock().engine.destroy(binding, net, cookie.0);
        destroyed.ok_or(ENOENT)
    }

    fn stats(
        &self,
        binding: &Binding,
        _net: &Net,
        cookie: Cookie,
        stats: &mut flow_offload::Stats<'_>,
    ) -> Result {
        let found = self.lock().engine.stats(binding, cookie.0);
        if let Some(flow) = found.ok_or(ENOENT)? {
            let ago = time::now_ms().saturating_sub(flow.last_used_ms);
            stats.update(flow.delta.packets, flow.delta.bytes, time::jiffies_ago(ago));
        }
        Ok(())
    }
}
