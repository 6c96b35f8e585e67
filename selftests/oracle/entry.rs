// SPDX-License-Identifier: GPL-2.0-only

//! What C gives and gets: ports, and the entry of a flow or why there is none.

use crate::{
    memory::Registers,
    ppe::{
        caps,
        chip,
        flow::{
            DsaPort,
            DsaTag,
            Endpoint,
            Flow,
            PsePort,
            L4, //
        },
        netdev::NetId,
        reject::Reject,
        spec::Spec, //
    }, //
};
use kernel::ffi::c_int;

const MAX_WORDS: usize = 32;
const MAX_PORTS: usize = 3;
const NAME_LEN: usize = 24;

/// `struct oracle_ports`.
#[repr(C)]
pub(crate) struct Ports {
    ifindex: [c_int; MAX_PORTS],
    pse: [u8; MAX_PORTS],
    count: u8,
    switch_ifindex: c_int,
    switch_pse: u8,
    switch_port: u8,
}

/// `struct oracle_entry`.
#[repr(C)]
pub(crate) struct Entry {
    reject: [u8; NAME_LEN],
    ppe: u8,
    bucket: u16,
    ways: u16,
    count: u32,
    words: [u32; MAX_WORDS],
    v6: bool,
    udp: bool,
}

/// All devices are in one namespace.
pub(crate) const NET: NetId = NetId(0);

impl Ports {
    pub(crate) fn find(&self, ifindex: i32) -> Option<Endpoint> {
        if ifindex != self.switch_ifindex {
            let ports = self.ifindex.iter().zip(self.pse);
            return ports
                .take(self.count.into())
                .find(|(port, _)| **port == ifindex)
                .map(|(_, pse)| PsePort(pse).into());
        }
        Some(Endpoint {
            port: PsePort(self.switch_pse),
            dsa: Some(DsaPort {
                tag: DsaTag::MTK,
                number: self.switch_port,
            }),
        })
    }
}

impl Entry {
    pub(crate) fn refuse(&mut self, reject: Reject) {
        for (to, from) in self.reject.iter_mut().zip(reject.name().bytes()) {
            *to = from;
        }
        // C wants an end.
        self.reject[NAME_LEN - 1] = 0;
    }

    /// The entry of `flow`, and where it is.
    pub(crate) fn bind(&mut self, spec: &Spec, flow: &Flow, clock: u32) -> Result<(), Reject> {
        caps::admit(flow, &spec.caps)?;
        let format = spec.format;
        // CAST: As the module has it, the table holds as many bits as it has room for.
        let entry = format.encode(flow, clock as u16)?;
        for (to, from) in self.words.iter_mut().zip(entry.words()) {
            *to = *from;
        }
        self.count = entry.words().len() as u32;
        self.ppe = spec.caps.ppe_of(flow.ingress.port) as u8;
        self.bucket = format.bucket(flow, spec.entries.into());
        self.ways = format.ways();
        self.v6 = flow.tuple.is_v6();
        self.udp = flow.l4 == L4::Udp;
        Ok(())
    }
}

/// The chip with this number.
pub(crate) fn spec(chip: u32) -> Option<&'static Spec> {
    Some(chip::by_id::<Registers>(chip)?.spec())
}
