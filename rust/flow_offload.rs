// SPDX-License-Identifier: GPL-2.0-only

//! Taking flows from nf_flowtable, and rules from tc, by way of indirect block callbacks.
//!
//! C header: [`include/net/flow_offload.h`](srctree/include/net/flow_offload.h)
//!
//! A flowtable with `flags offload` offers each of its devices that has no `ndo_setup_tc` to
//! every registered driver. A driver that takes the device gets all rules of the flowtable from
//! then on, whatever their devices, once for each device it took.
//!
//! So does the ingress side of tc's clsact with its block of rules. Such rules are for frames of
//! the device that was taken; where devices share a block, each of them gets all.

use super::{
    bindings,
    flow_rule::FlowRule,
    fwd_events::ip_addr,
    netdev::{
        Net,
        NetDevice, //
    }, //
};
use core::{
    net::IpAddr,
    ptr::NonNull, //
};
use kernel::{
    error::{
        from_err_ptr,
        from_result,
        to_result, //
    },
    new_mutex,
    prelude::*,
    sync::{
        Arc,
        Mutex, //
    }, //
};

/// The error for what is left to software or to another driver.
pub fn not_supported() -> Error {
    // CAST: Error numbers are small.
    Error::from_errno(-(bindings::EOPNOTSUPP as c_int))
}

/// Tells the rules of a flowtable apart, each one direction of one connection, or those of tc.
///
/// The value may come again for another flow after the DESTROY of the first, or after the last
/// device of its flowtable was unbound.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Cookie(pub u64);

/// One direction of a connection that a flowtable has.
#[repr(transparent)]
pub struct Direction(bindings::nft_offload_direction);

/// The way that a flowtable has found for one direction of a connection.
pub struct Way {
    /// Source address of packets that arrive.
    pub src: IpAddr,
    /// Destination address of packets that arrive.
    pub dst: IpAddr,
    /// The source address they leave with.
    pub new_src: IpAddr,
    /// The destination address they leave with.
    pub new_dst: IpAddr,
    /// Ethernet address they are sent to.
    pub dmac: [u8; 6],
    /// Whether they leave in a session of PPPoE.
    pub pppoe: bool,
    /// The device they leave by, VLANs and the like taken off.
    pub ifindex: i32,
}

impl Direction {
    /// The name of its rule.
    pub fn cookie(&self) -> Cookie {
        // CAST: `c_ulong` is at most 64 bits wide.
        Cookie(self.0.cookie as u64)
    }

    /// Whether a command for its flow, this direction or the other, is on its way to the drivers.
    pub fn is_pending(&self) -> bool {
        self.0.pending
    }

    /// Its way, where the flowtable does not ask the neighbour table for each packet.
    pub fn way(&self) -> Option<Way> {
        let Self(raw) = self;
        if !raw.has_way {
            return None;
        }
        let addr = |bytes: &[u8; 16]| ip_addr(raw.v6, bytes);
        Some(Way {
            src: addr(&raw.src)?,
            dst: addr(&raw.dst)?,
            new_src: addr(&raw.new_src)?,
            new_dst: addr(&raw.new_dst)?,
            dmac: raw.dmac,
            pppoe: raw.pppoe,
            ifindex: raw.ifindex,
        })
    }
}

/// A flowtable (`struct nf_flowtable`) that a device is being bound to.
///
/// # Invariants
///
/// The flowtable lives as long as the reference.
#[repr(transparent)]
pub struct FlowTable(kernel::types::Opaque<bindings::nf_flowtable>);

/// Tells flowtables apart while they exist. Not a reference: it keeps nothing alive.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct FlowTableId(usize);

impl FlowTableId {
    /// The id as a number, to be stored where this type is not known.
    pub fn to_usize(self) -> usize {
        self.0
    }
}

impl FlowTable {
    /// # Safety
    ///
    /// `ptr` must point to a flowtable that lives for `'a`.
    unsafe fn from_raw<'a>(ptr: *mut bindings::nf_flowtable) -> &'a Self {
        // SAFETY: By the requirement of this function; `Self` is transparent over the C type.
        unsafe { &*ptr.cast::<Self>() }
    }

    /// The flowtable's identity. All devices of a flowtable share it.
    pub fn id(&self) -> FlowTableId {
        FlowTableId(self.0.get() as usize)
    }

    /// Whether the ruleset asks for counters (`counter`, `NF_FLOWTABLE_COUNTER`).
    pub fn has_counter(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { bindings::nft_offload_helper_flowtable_counter(self.0.get()) }
    }

    /// Ends the flows for which `pred` holds. It gets both directions, first the one in which the
    /// connection was opened, and must not sleep. Flows that end already it is not asked for.
    ///
    /// Their next packets pass the ruleset. The drivers are told within a second or two, as when a
    /// flow ends by itself.
    pub fn end_flows<F: FnMut(&Direction, &Direction) -> bool>(&self, mut pred: F) {
        /// # Safety
        ///
        /// `arg` must point to an `F` that nobody else uses, `original` and `reply` to what their
        /// type says.
        unsafe extern "C" fn pred_callback<F: FnMut(&Direction, &Direction) -> bool>(
            arg: *mut c_void,
            original: *const bindings::nft_offload_direction,
            reply: *const bindings::nft_offload_direction,
        ) -> bool {
            // SAFETY: By the requirement of this function; `Direction` is transparent.
            let (pred, original, reply) = unsafe {
                (
                    &mut *arg.cast::<F>(),
                    &*original.cast::<Direction>(),
                    &*reply.cast::<Direction>(),
                )
            };
            pred(original, reply)
        }

        // SAFETY: The flowtable lives by the type invariant, and the function is called back with
        // this very `pred`, before the call returns.
        unsafe {
            bindings::nft_offload_helper_flowtable_end(
                self.0.get(),
                Some(pred_callback::<F>),
                core::ptr::from_mut(&mut pred).cast(),
            )
        };
    }

    /// The namespace the flowtable is in, which outlives it.
    pub fn net(&self) -> &Net {
        // SAFETY: By the type invariant, and a flowtable is gone before its namespace is.
        unsafe { Net::from_raw(bindings::nft_offload_helper_flowtable_net(self.0.get())) }
    }
}

/// Has nf_flowtable end all flows, of whatever flowtable, whose lowest device on either side is
/// `ifindex` of `net`. It does so itself where that device goes down.
///
/// Returns when the drivers were told of them; a flow that is being offered meanwhile ends within
/// a second. So no lock may be held that the functions of a [`BlockOps`] take. `RTNL` may be.
pub fn end_flows(net: &Net, ifindex: i32) {
    // SAFETY: `net` lives for the call.
    unsafe { bindings::nft_offload_helper_flowtable_cleanup(net.as_raw(), ifindex) };
}

/// The answer to a request for statistics.
pub struct Stats<'a>(&'a mut bindings::flow_stats);

impl Stats<'_> {
    /// Adds what was counted since the last request, and when the flow was last used, as a value
    /// of the 64-bit jiffies counter.
    pub fn update(&mut self, packets: u64, bytes: u64, last_used: u64) {
        // SAFETY: The reference is valid by construction.
        unsafe { bindings::nft_offload_helper_stats_update(self.0, bytes, packets, last_used) };
    }
}

/// A rule of tc.
#[derive(Clone, Copy)]
pub struct Filter<'a> {
    /// Its name.
    pub cookie: Cookie,
    /// What it matches and does.
    pub rule: &'a FlowRule,
    /// Of rules for the same frames the one with the lowest number is first.
    pub prio: u32,
    /// The chain it is in; packets begin in chain 0.
    pub chain: u32,
}

/// Why a rule of tc is not taken.
pub struct Refused {
    /// The error.
    pub error: Error,
    /// The reason, for the user of tc.
    pub message: &'static CStr,
}

/// A driver that takes flows.
///
/// All functions are called in process context and may sleep. `replace`, `destroy` and `stats` of
/// a flowtable's flows run on all CPUs at once, with the flowtable's `flow_block_lock` held for
/// reading; calls for the same flow do not overlap. `bind` and `bind_ingress` are called with
/// `flow_indr_block_lock` held. All that is about rules of tc is called with `RTNL` and the
/// block's `cb_lock` held.
///
/// Only flow errors are of interest to the core, not their kind: a rule that was refused stays in
/// software, and is offered again while packets come that way.
#[vtable]
pub trait BlockOps: Sized + Send + Sync + 'static {
    /// What the driver keeps for a device that is bound to a flowtable.
    type Binding: Send + Sync;

    /// Offers `dev`, a member of `table`. To leave it to others, return [`not_supported()`].
    fn bind(&self, dev: &NetDevice, table: &FlowTable) -> Result<Self::Binding>;

    /// Offers the ingress side of `dev`: the rules that tc has there, and will have. To leave it
    /// to others, return [`not_supported()`].
    fn bind_ingress(&self, dev: &NetDevice) -> Result<Self::Binding>;

    /// The device was taken out of the flowtable, or tc's rules off its ingress side, or the
    /// driver is being unregistered.
    ///
    /// No other call with this binding is running or will come. For flows of a flowtable that
    /// there still were the core does not send a `destroy`; for rules of tc it did. Flowtable and
    /// namespace still exist.
    fn unbind(&self, binding: &Self::Binding, net: &Net);

    /// A rule, new or offered before.
    fn replace(
        &self,
        binding: &Self::Binding,
        net: &Net,
        cookie: Cookie,
        rule: &FlowRule,
    ) -> Result;

    /// A rule of tc for what arrives at `dev`, new or offered before.
    fn classify(
        &self,
        binding: &Self::Binding,
        dev: &NetDevice,
        filter: Filter<'_>,
    ) -> Result<(), Refused>;

    /// The flow or rule ends.
    fn destroy(&self, binding: &Self::Binding, net: &Net, cookie: Cookie) -> Result;

    /// What did the flow carry since the last call, and when was it last used? Without it the
    /// flow expires in software.
    fn stats(
        &self,
        _binding: &Self::Binding,
        _net: &Net,
        _cookie: Cookie,
        _stats: &mut Stats<'_>,
    ) -> Result {
        kernel::build_error!(kernel::error::VTABLE_DEFAULT_ERROR)
    }
}

/// What a device is bound to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    FlowTable(NonNull<bindings::nf_flowtable>),
    /// A `struct tcf_block`, by its address.
    Ingress(NonNull<c_void>),
}

impl Source {
    fn new(type_: bindings::tc_setup_type, data: *mut c_void) -> Result<Self> {
        let data = NonNull::new(data).ok_or_else(not_supported)?;
        match type_ {
            bindings::TC_SETUP_FT => Ok(Self::FlowTable(data.cast())),
            bindings::TC_SETUP_BLOCK => Ok(Self::Ingress(data)),
            // The same callback is asked for other things, and without a device for actions.
            _ => Err(not_supported()),
        }
    }

    fn data(self) -> *mut c_void {
        match self {
            Self::FlowTable(table) => table.as_ptr().cast(),
            Self::Ingress(block) => block.as_ptr(),
        }
    }

    /// # Safety
    ///
    /// The flowtable, or `dev` if it is none, must live for `'a`.
    unsafe fn net<'a>(self, dev: NonNull<bindings::net_device>) -> &'a Net {
        // SAFETY: By the requirement of this function.
        unsafe {
            match self {
                Self::FlowTable(table) => FlowTable::from_raw(table.as_ptr()).net(),
                Self::Ingress(_) => NetDevice::from_raw(dev.as_ptr()).net(),
            }
        }
    }
}

/// A device bound to a flowtable or to rules of tc: `cb_priv` of a `struct flow_block_cb`.
struct Bound<T: BlockOps> {
    driver: Arc<T>,
    binding: T::Binding,
    source: Source,
    dev: NonNull<bindings::net_device>,
    devices: Arc<Devices<T>>,
}

/// One element of the list of bound devices.
struct Entry<T: BlockOps> {
    block_cb: NonNull<bindings::flow_block_cb>,
    bound: NonNull<Bound<T>>,
}

// SAFETY: The pointers are only followed by the callbacks, as their comments say.
unsafe impl<T: BlockOps> Send for Entry<T> {}

/// The devices that a driver has taken.
#[pin_data]
pub struct Devices<T: BlockOps> {
    /// Taken with `flow_indr_block_lock`, `flow_block_lock` or `cb_lock` held. Only
    /// [`Devices::for_each_flowtable`] has others taken inside.
    #[pin]
    list: Mutex<KVec<Entry<T>>>,
}

impl<T: BlockOps> Devices<T> {
    /// None.
    pub fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                list <- new_mutex!(KVec::new(), "nft_offload::Devices"),
            }),
            GFP_KERNEL,
        )
    }

    /// Runs `f` for each flowtable that a device was taken in. A flowtable does not go meanwhile,
    /// and none comes. `f` may sleep, and take locks that the functions of [`BlockOps`] take.
    pub fn for_each_flowtable(&self, mut f: impl FnMut(&FlowTable)) {
        let list = self.list.lock();
        // SAFETY: As in `take()`.
        let source = |entry: &Entry<T>| unsafe { entry.bound.as_ref() }.source;
        for (at, entry) in list.iter().enumerate() {
            let Source::FlowTable(table) = source(entry) else {
                continue;
            };
            let before = list.iter().take(at);
            if !before.map(source).any(|other| other == source(entry)) {
                // SAFETY: The flowtable is there until its last device was unbound, which takes
                // the entry off the list first.
                f(unsafe { FlowTable::from_raw(table.as_ptr()) });
            }
        }
    }

    /// Takes the entry for `source` and `dev` off the list.
    fn take(&self, source: Source, dev: NonNull<bindings::net_device>) -> Option<Entry<T>> {
        let mut list = self.list.lock();
        let index = list.iter().position(|entry| {
            // SAFETY: What is on the list has not been freed: the callbacks take an entry off
            // the list before they free what it points to.
            let bound = unsafe { entry.bound.as_ref() };
            bound.source == source && bound.dev == dev
        })?;
        list.remove(index).ok()
    }
}

/// The registration of a driver for indirect blocks. Dropping it takes the driver out of all
/// flowtables, and returns when no callback runs any more.
///
/// # Invariants
///
/// The registration's address is the `cb_priv` under which the driver is registered from the end
/// of initialisation to the drop.
#[pin_data(PinnedDrop)]
pub struct Registration<T: BlockOps> {
    driver: Arc<T>,
    devices: Arc<Devices<T>>,
    #[pin]
    registered: kernel::types::Opaque<()>,
}

// SAFETY: All callbacks may run on any thread; `T` is `Send + Sync`.
unsafe impl<T: BlockOps> Send for Registration<T> {}
// SAFETY: As above; there is nothing to be done with a shared reference.
unsafe impl<T: BlockOps> Sync for Registration<T> {}

impl<T: BlockOps> Registration<T> {
    /// Registers `driver`, which takes `devices`.
    ///
    /// Flowtables that exist already are not taken over: the core would offer only one device of
    /// each, and could not tell whether the flowtable still exists.
    pub fn new(driver: Arc<T>, devices: Arc<Devices<T>>) -> impl PinInit<Self, Error> {
        try_pin_init!(&this in Self {
            driver,
            devices,
            registered <- kernel::types::Opaque::try_ffi_init(move |_| {
                // SAFETY: The other fields were initialised before, and the value is pinned, so
                // callbacks can use it from here on.
                to_result(unsafe {
                    bindings::flow_indr_dev_register(
                        Some(Self::setup_callback),
                        this.as_ptr().cast(),
                    )
                })
            }),
        })
    }

    /// # Safety
    ///
    /// Called by the flow offload core only, with `flow_indr_block_lock` held.
    unsafe extern "C" fn setup_callback(
        dev: *mut bindings::net_device,
        sch: *mut bindings::Qdisc,
        cb_priv: *mut c_void,
        type_: bindings::tc_setup_type,
        type_data: *mut c_void,
        data: *mut c_void,
        cleanup: Option<unsafe extern "C" fn(*mut bindings::flow_block_cb)>,
    ) -> c_int {
        from_result(|| {
            let dev = NonNull::new(dev).ok_or_else(not_supported)?;
            let bo = NonNull::new(type_data.cast::<bindings::flow_block_offload>())
                .ok_or_else(not_supported)?;
            let source = Source::new(type_, data)?;
            // SAFETY: `cb_priv` is what `new()` registered; only fields that were initialised
            // before the registration are looked at.
            let (driver, devices) = unsafe {
                let this = cb_priv.cast::<Self>();
                (
                    &*core::ptr::addr_of!((*this).driver),
                    &*core::ptr::addr_of!((*this).devices),
                )
            };
            // SAFETY: The core passes its own request, which is ours for the call.
            let request = unsafe { bo.as_ref() };

            match request.command {
                bindings::FLOW_BLOCK_BIND => {
                    // Not the rules of an egress side, or of a qdisc.
                    if request.binder_type != bindings::FLOW_BLOCK_BINDER_TYPE_CLSACT_INGRESS {
                        return Err(not_supported());
                    }
                    // What the core replays to a new driver has no block. Such a request may be
                    // for a flowtable that no longer exists, so `source` is not to be looked at.
                    if request.block.is_null() {
                        match source {
                            Source::FlowTable(_) => kernel::pr_info_once!(
                                "a flowtable was there first: reload the ruleset to offload it\n"
                            ),
                            Source::Ingress(_) => kernel::pr_info_once!(
                                "rules of tc were there first: add clsact again to offload them\n"
                            ),
                        }
                        return Err(not_supported());
                    }
                    // SAFETY: A request with a block comes from the flowtable or from tc itself.
                    unsafe { Self::bind(driver, devices, dev, sch, cb_priv, bo, source, cleanup)? };
                    Ok(0)
                }
                bindings::FLOW_BLOCK_UNBIND => {
                    let entry = devices.take(source, dev).ok_or(ENOENT)?;
                    let Source::FlowTable(table) = source else {
                        // SAFETY: The entry was on the list, so `block_cb` has not been freed, and
                        // it is ours to detach. The core sends a DESTROY for each rule when this
                        // has returned, and then calls `release_callback()`, all under `RTNL`.
                        unsafe {
                            bindings::nft_offload_helper_tc_block_cb_detach(
                                entry.block_cb.as_ptr(),
                                bo.as_ptr(),
                            )
                        };
                        return Ok(0);
                    };
                    // SAFETY: The entry was on the list, so `block_cb` has not been freed, and
                    // it is ours to detach: the core frees it after this call.
                    unsafe {
                        bindings::nft_offload_helper_block_cb_detach(
                            entry.block_cb.as_ptr(),
                            bo.as_ptr(),
                            table.as_ptr(),
                        )
                    };
                    // SAFETY: No worker can see the block_cb any more, and its release callback
                    // is gone, so the value that `bind()` leaked has this one owner left.
                    let bound = unsafe { KBox::from_raw(entry.bound.as_ptr()) };
                    // SAFETY: The flowtable is there until its last device is unbound.
                    let net = unsafe { source.net(dev) };
                    bound.driver.unbind(&bound.binding, net);
                    Ok(0)
                }
                _ => Err(not_supported()),
            }
        })
    }

    /// # Safety
    ///
    /// The pointers must be those of a BIND request of an existing flowtable or block of tc.
    #[allow(clippy::too_many_arguments)]
    unsafe fn bind(
        driver: &Arc<T>,
        devices: &Arc<Devices<T>>,
        dev: NonNull<bindings::net_device>,
        sch: *mut bindings::Qdisc,
        cb_priv: *mut c_void,
        bo: NonNull<bindings::flow_block_offload>,
        source: Source,
        cleanup: Option<unsafe extern "C" fn(*mut bindings::flow_block_cb)>,
    ) -> Result {
        // SAFETY: By the requirement of this function.
        let (netdev, net) = unsafe { (NetDevice::from_raw(dev.as_ptr()), source.net(dev)) };
        // All that can fail for want of memory, save for the core's own part, comes before the
        // driver takes the device. Requests are serialised by `flow_indr_block_lock`, and all
        // others only take entries off the list, so that the room stays.
        let slot = KBox::<Bound<T>>::new_uninit(GFP_KERNEL)?;
        devices.list.lock().reserve(1, GFP_KERNEL)?;

        let binding = match source {
            Source::FlowTable(table) => {
                // SAFETY: By the requirement of this function.
                let flowtable = unsafe { FlowTable::from_raw(table.as_ptr()) };
                driver.bind(netdev, flowtable)
            }
            Source::Ingress(_) => driver.bind_ingress(netdev),
        }?;
        let bound = KBox::leak(KBox::write(
            slot,
            Bound {
                driver: driver.clone(),
                binding,
                source,
                dev,
                devices: devices.clone(),
            },
        ));
        let bound = NonNull::from(bound);
        // SAFETY: The pointers are those of the request; `bound` is handed over to the callbacks.
        let block_cb = unsafe {
            bindings::flow_indr_block_cb_alloc(
                Some(Self::block_callback),
                dev.as_ptr().cast(),
                bound.as_ptr().cast(),
                Some(Self::release_callback),
                bo.as_ptr(),
                dev.as_ptr(),
                sch,
                source.data(),
                cb_priv,
                cleanup,
            )
        };
        let block_cb = from_err_ptr(block_cb).and_then(|p| NonNull::new(p).ok_or(ENOMEM));
        let block_cb = block_cb.inspect_err(|_| {
            // SAFETY: The core did not take the pointer, so it is still ours alone.
            let bound = unsafe { KBox::from_raw(bound.as_ptr()) };
            driver.unbind(&bound.binding, net);
        })?;
        // SAFETY: Both are valid; the core takes the block_cb from the request under
        // `flow_block_lock` or `cb_lock` when this call has returned.
        unsafe { bindings::nft_offload_helper_block_cb_add(block_cb.as_ptr(), bo.as_ptr()) };
        devices
            .list
            .lock()
            .push_within_capacity(Entry { block_cb, bound })
            .map_err(|_| ENOMEM)
    }

    /// # Safety
    ///
    /// Called by nf_flowtable's workers, with `flow_block_lock` held for reading, and by tc, with
    /// `RTNL` and `cb_lock` held.
    unsafe extern "C" fn block_callback(
        type_: bindings::tc_setup_type,
        type_data: *mut c_void,
        cb_priv: *mut c_void,
    ) -> c_int {
        from_result(|| {
            if type_ != bindings::TC_SETUP_CLSFLOWER {
                return Err(not_supported());
            }
            // SAFETY: `cb_priv` is what `bind()` leaked. One of the locks is held, and it is freed
            // only after the block_cb was taken off the list with that lock held for writing.
            let bound = unsafe { &*cb_priv.cast::<Bound<T>>() };
            // SAFETY: The type says what the data is, and it is ours for the call.
            let cls = unsafe { &mut *type_data.cast::<bindings::flow_cls_offload>() };
            // SAFETY: The lock that is held is part of the flowtable, or the device is still bound
            // to tc's block, which the core ends before the device goes.
            let (net, dev) = unsafe {
                (
                    bound.source.net(bound.dev),
                    NetDevice::from_raw(bound.dev.as_ptr()),
                )
            };
            // CAST: `c_ulong` is at most 64 bits wide.
            let cookie = Cookie(cls.cookie as u64);

            match cls.command {
                bindings::FLOW_CLS_REPLACE => {
                    if cls.rule.is_null() {
                        return Err(EINVAL);
                    }
                    // SAFETY: A REPLACE carries the rule that the core built for this call.
                    let rule = unsafe { FlowRule::from_raw(cls.rule) };
                    let Source::Ingress(_) = bound.source else {
                        bound.driver.replace(&bound.binding, net, cookie, rule)?;
                        return Ok(0);
                    };
                    let filter = Filter {
                        cookie,
                        rule,
                        prio: cls.common.prio,
                        chain: cls.common.chain_index,
                    };
                    let taken = bound.driver.classify(&bound.binding, dev, filter);
                    taken.map_err(|refused| {
                        // SAFETY: `extack` is null or valid, and the message is static.
                        unsafe {
                            bindings::nft_offload_helper_set_extack(
                                cls.common.extack,
                                refused.message.as_char_ptr(),
                            )
                        };
                        refused.error
                    })?;
                }
                bindings::FLOW_CLS_DESTROY => {
                    bound.driver.destroy(&bound.binding, net, cookie)?;
                }
                bindings::FLOW_CLS_STATS if T::HAS_STATS => {
                    let mut stats = Stats(&mut cls.stats);
                    bound
                        .driver
                        .stats(&bound.binding, net, cookie, &mut stats)?;
                }
                _ => return Err(not_supported()),
            }
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// Called by the core only, with the block_cb off the list: for a flowtable when the driver is
    /// being unregistered, with `flow_block_lock` held for writing, and not after an UNBIND; for
    /// tc after both, with `RTNL` and `cb_lock` held.
    unsafe extern "C" fn release_callback(cb_priv: *mut c_void) {
        // SAFETY: `cb_priv` is what `bind()` leaked, and no callback can use it any more.
        let bound = unsafe { KBox::from_raw(cb_priv.cast::<Bound<T>>()) };
        let _ = bound.devices.take(bound.source, bound.dev);
        // SAFETY: The lock that is held is part of the flowtable, or the device is still bound to
        // tc's block, which the core ends before the device goes.
        let net = unsafe { bound.source.net(bound.dev) };
        bound.driver.unbind(&bound.binding, net);
    }
}

#[pinned_drop]
impl<T: BlockOps> PinnedDrop for Registration<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: Registered with these very values by the type invariant. The call returns when
        // the core has released all block_cbs of this registration.
        unsafe {
            bindings::flow_indr_dev_unregister(
                Some(Self::setup_callback),
                core::ptr::from_ref(self.as_ref().get_ref())
                    .cast_mut()
                    .cast(),
                Some(Self::release_callback),
            )
        };
        // Those that tc had unbound before, under `RTNL`, it may not have released yet.
        // SAFETY: No requirements but that `RTNL` is not held, which the above would take.
        unsafe { bindings::nft_offload_helper_rtnl_barrier() };
    }
}
