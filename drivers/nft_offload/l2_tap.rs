// SPDX-License-Identifier: GPL-2.0-only

//! The frames that come to the CPU at ports with rules of tc.
//!
//! The engine cannot look for Ethernet addresses. So [`L2Tap`] looks at these frames, and a work
//! gives an entry to a connection of which enough frames came. From then on its frames do not come
//! to the CPU.
//!
//! Locking: softirqs take [`L2Detect::watch`], and so does whoever holds the engine's lock.

use crate::{
    platform::Kernel,
    ppe::{
        flow::PsePort,
        flow_rule::{
            ETH_P_8021Q,
            VLAN_VID_MASK, //
        }, //
        l2::{
            detect::{
                keys_len,
                Candidate,
                Detect,
                CANDIDATES, //
            },
            filters::{
                Filters,
                FILTERS, //
            },
            frame,
            Key,
            Sighting, //
        },
    },
    rust::{
        bh_lock::{
            new_bh_lock,
            BhLock, //
        },
        delayed_work::Later, //
        netdev::NetDevice,
        packet_type::{
            self,
            Frame,
            PacketHandler, //
        },
        time,
    }, //
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// What was seen at the ports.
#[pin_data]
struct L2Detect {
    #[pin]
    watch: BhLock<Detect<VVec<Option<Key>>, VVec<Candidate>>>,
}

/// Looks at what a port receives.
struct L2Tap {
    port: PsePort,
    detect: Arc<L2Detect>,
    work: Arc<dyn Later>,
}

impl PacketHandler for L2Tap {
    fn frame(&self, frame: &Frame) {
        let vlan = match frame.tag() {
            None => None,
            // An entry would lose the priority, so such frames stay in software.
            Some((ETH_P_8021Q, tci)) if tci & !VLAN_VID_MASK == 0 => Some(tci),
            Some(_) => return,
        };
        let Some((l4, tuple)) = frame::parse(frame.protocol(), frame.head()) else {
            return;
        };
        let key = Key {
            ingress: self.port,
            smac: frame.source(),
            dmac: frame.destination(),
            vlan,
        };
        let now_ms = time::now_ms();
        let enough = self
            .detect
            .watch
            .with(|watch| watch.seen(&key, l4, &tuple, frame.packets(), now_ms));
        if enough {
            self.work.request();
        }
    }
}

/// The taps, one for each port with rules.
pub(crate) struct Taps {
    detect: Arc<L2Detect>,
    taps: KVec<(PsePort, Pin<KBox<packet_type::Registration<L2Tap>>>)>,
}

impl Taps {
    /// No taps, and memory for the connections that they may see.
    pub(crate) fn new() -> Result<Self> {
        let watch = Detect::new(
            VVec::from_elem(None, keys_len(FILTERS), GFP_KERNEL)?,
            VVec::from_elem(Candidate::NONE, CANDIDATES, GFP_KERNEL)?,
        )
        .ok_or(EINVAL)?;
        Ok(Self {
            detect: Arc::pin_init(
                pin_init!(L2Detect {
                    watch <- new_bh_lock!(watch, c"nft_offload::L2Detect"),
                }),
                GFP_KERNEL,
            )?,
            taps: KVec::new(),
        })
    }

    /// A connection of which the taps have seen enough frames.
    pub(crate) fn take_seen(&self) -> Option<Sighting> {
        self.detect.watch.with(|watch| watch.take())
    }

    /// How many sightings were lost for want of room.
    pub(crate) fn lost(&self) -> u64 {
        self.detect.watch.with(|watch| watch.lost())
    }

    /// Looks at the frames that `dev`, which is `port`, receives from now on.
    pub(crate) fn attach(
        &mut self,
        port: PsePort,
        dev: &NetDevice,
        work: Arc<dyn Later>,
    ) -> Result {
        if self.taps.iter().any(|(tapped, _)| *tapped == port) {
            return Ok(());
        }
        let tap = L2Tap {
            port,
            detect: self.detect.clone(),
            work,
        };
        self.taps.reserve(1, GFP_KERNEL)?;
        let tap = KBox::pin_init(packet_type::Registration::new(dev, tap), GFP_KERNEL)?;
        self.taps
            .push_within_capacity((port, tap))
            .map_err(|_| ENOMEM)
    }

    /// Ends the tap of `port`.
    pub(crate) fn detach(&mut self, port: PsePort) {
        self.taps.retain(|(tapped, _)| *tapped != port);
    }

    /// Looks at the frames of these rules, and at no others.
    pub(crate) fn update(&mut self, rules: &Filters<Kernel>) {
        self.detect.watch.with(|watch| watch.set_keys(rules.keys()));
        self.taps
            .retain(|(port, _)| rules.keys().any(|key| key.ingress == *port));
    }
}
