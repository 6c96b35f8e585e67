// SPDX-License-Identifier: GPL-2.0-only

//! Taking flows from nf_flowtable by way of indirect block callbacks.
//!
//! C header: [`include/net/flow_offload.h`](srctree/include/net/flow_offload.h)
//!
//! A flowtable with `flags offload` offers each of its devices that has no `ndo_setup_tc` to
//! every registered driver. A driver that takes the device gets all rules of the flowtable from
//! then on, whatever their devices, once for each device it took.

use super::{
    bindings,
    flow_rule::FlowRule,
    netdev::{
        Net,
        NetDevice, //
    }, //
};
use core::ptr::NonNull;
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

/// Tells the rules of a flowtable apart: one direction of one connection.
///
/// The value may come again for another flow after the DESTROY of the first, or after the last
/// device of its flowtable was unbound.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Cookie(pub u64);

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

/// A driver that takes flows.
///
/// All functions are called in process context and may sleep. `replace`, `destroy` and `stats`
/// run on all CPUs at once, with the flowtable's `flow_block_lock` held for reading; calls for the
/// same flow do not overlap. `bind` is called with `flow_indr_block_lock` held.
///
/// Only flow errors are of interest to the core, not their kind: a rule that was refused stays in
/// software, and is offered again while packets come that way.
#[vtable]
pub trait BlockOps: Sized + Send + Sync + 'static {
    /// What the driver keeps for a device that is bound to a flowtable.
    type Binding: Send + Sync;

    /// Offers `dev`, a member of `table`. To leave it to others, return [`not_supported()`].
    fn bind(&self, dev: &NetDevice, table: &FlowTable) -> Result<Self::Binding>;

    /// The device was taken out of the flowtable, or the driver is being unregistered.
    ///
    /// No other call with this binding is running or will come, and the core does not send a
    /// `destroy` for the flows it still had. The flowtable and its namespace still exist.
    fn unbind(&self, binding: &Self::Binding, net: &Net);

    /// A rule, new or offered before.
    fn replace(
        &self,
        binding: &Self::Binding,
        net: &Net,
        cookie: Cookie,
        rule: &FlowRule,
    ) -> Result;

    /// The flow ends.
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

/// A device bound to a flowtable: `cb_priv` of a `struct flow_block_cb`.
struct Bound<T: BlockOps> {
    driver: Arc<T>,
    binding: T::Binding,
    table: NonNull<bindings::nf_flowtable>,
    dev: NonNull<bindings::net_device>,
    bounds: Arc<BoundList<T>>,
}

/// One element of the list of bound devices.
struct Entry<T: BlockOps> {
    block_cb: NonNull<bindings::flow_block_cb>,
    bound: NonNull<Bound<T>>,
}

// SAFETY: The pointers are only followed by the callbacks, as their comments say.
unsafe impl<T: BlockOps> Send for Entry<T> {}

/// The devices a registration has bound.
#[pin_data]
struct BoundList<T: BlockOps> {
    /// Taken with `flow_indr_block_lock` or `flow_block_lock` held, and nothing is taken inside.
    #[pin]
    list: Mutex<KVec<Entry<T>>>,
}

impl<T: BlockOps> BoundList<T> {
    /// Takes the entry for `table` and `dev` off the list.
    fn take(
        &self,
        table: NonNull<bindings::nf_flowtable>,
        dev: NonNull<bindings::net_device>,
    ) -> Option<Entry<T>> {
        let mut list = self.list.lock();
        let index = list.iter().position(|entry| {
            // SAFETY: What is on the list has not been freed: the callbacks take an entry off
            // the list before they free what it points to.
            let bound = unsafe { entry.bound.as_ref() };
            bound.table == table && bound.dev == dev
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
    bounds: Arc<BoundList<T>>,
    #[pin]
    registered: kernel::types::Opaque<()>,
}

// SAFETY: All callbacks may run on any thread; `T` is `Send + Sync`.
unsafe impl<T: BlockOps> Send for Registration<T> {}
// SAFETY: As above; there is nothing to be done with a shared reference.
unsafe impl<T: BlockOps> Sync for Registration<T> {}

impl<T: BlockOps> Registration<T> {
    /// Registers `driver`.
    ///
    /// Flowtables that exist already are not taken over: the core would offer only one device of
    /// each, and could not tell whether the flowtable still exists.
    pub fn new(driver: Arc<T>) -> impl PinInit<Self, Error> {
        try_pin_init!(&this in Self {
            driver,
            bounds: Arc::pin_init(
                pin_init!(BoundList {
                    list <- new_mutex!(KVec::new(), "nft_offload::BoundList"),
                }),
                GFP_KERNEL,
            )?,
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
            // The same callback is asked for classifier blocks, and without a device for actions.
            if type_ != bindings::TC_SETUP_FT {
                return Err(not_supported());
            }
            let dev = NonNull::new(dev).ok_or_else(not_supported)?;
            let bo = NonNull::new(type_data.cast::<bindings::flow_block_offload>())
                .ok_or_else(not_supported)?;
            let table =
                NonNull::new(data.cast::<bindings::nf_flowtable>()).ok_or_else(not_supported)?;
            // SAFETY: `cb_priv` is what `new()` registered; only fields that were initialised
            // before the registration are looked at.
            let (driver, bounds) = unsafe {
                let this = cb_priv.cast::<Self>();
                (
                    &*core::ptr::addr_of!((*this).driver),
                    &*core::ptr::addr_of!((*this).bounds),
                )
            };
            // SAFETY: The core passes its own request, which is ours for the call.
            let request = unsafe { bo.as_ref() };

            match request.command {
                bindings::FLOW_BLOCK_BIND => {
                    // What the core replays to a new driver has no block. Such a request may be
                    // for a flowtable that no longer exists, so `table` is not to be looked at.
                    if request.block.is_null() {
                        kernel::pr_info_once!(
                            "a flowtable was there first: reload the ruleset to offload it\n"
                        );
                        return Err(not_supported());
                    }
                    if request.binder_type != bindings::FLOW_BLOCK_BINDER_TYPE_CLSACT_INGRESS {
                        return Err(not_supported());
                    }
                    // SAFETY: A request with a block comes from the flowtable itself.
                    unsafe { Self::bind(driver, bounds, dev, sch, cb_priv, bo, table, cleanup)? };
                    Ok(0)
                }
                bindings::FLOW_BLOCK_UNBIND => {
                    let entry = bounds.take(table, dev).ok_or(ENOENT)?;
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
                    let net = unsafe { FlowTable::from_raw(table.as_ptr()) }.net();
                    bound.driver.unbind(&bound.binding, net);
                    Ok(0)
                }
                _ => Err(not_supported()),
            }
        })
    }

    /// # Safety
    ///
    /// The pointers must be those of a BIND request of an existing flowtable.
    #[allow(clippy::too_many_arguments)]
    unsafe fn bind(
        driver: &Arc<T>,
        bounds: &Arc<BoundList<T>>,
        dev: NonNull<bindings::net_device>,
        sch: *mut bindings::Qdisc,
        cb_priv: *mut c_void,
        bo: NonNull<bindings::flow_block_offload>,
        table: NonNull<bindings::nf_flowtable>,
        cleanup: Option<unsafe extern "C" fn(*mut bindings::flow_block_cb)>,
    ) -> Result {
        // SAFETY: By the requirement of this function.
        let (netdev, flowtable) = unsafe {
            (
                NetDevice::from_raw(dev.as_ptr()),
                FlowTable::from_raw(table.as_ptr()),
            )
        };
        // All that can fail for want of memory, save for the core's own part, comes before the
        // driver takes the device. Requests are serialised by `flow_indr_block_lock`, and all
        // others only take entries off the list, so that the room stays.
        let slot = KBox::<Bound<T>>::new_uninit(GFP_KERNEL)?;
        bounds.list.lock().reserve(1, GFP_KERNEL)?;

        let binding = driver.bind(netdev, flowtable)?;
        let bound = KBox::leak(KBox::write(
            slot,
            Bound {
                driver: driver.clone(),
                binding,
                table,
                dev,
                bounds: bounds.clone(),
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
                table.as_ptr().cast(),
                cb_priv,
                cleanup,
            )
        };
        let block_cb = from_err_ptr(block_cb).and_then(|p| NonNull::new(p).ok_or(ENOMEM));
        let block_cb = block_cb.inspect_err(|_| {
            // SAFETY: The core did not take the pointer, so it is still ours alone.
            let bound = unsafe { KBox::from_raw(bound.as_ptr()) };
            driver.unbind(&bound.binding, flowtable.net());
        })?;
        // SAFETY: Both are valid; the core takes the block_cb from the request under
        // `flow_block_lock` when this call has returned.
        unsafe { bindings::nft_offload_helper_block_cb_add(block_cb.as_ptr(), bo.as_ptr()) };
        bounds
            .list
            .lock()
            .push_within_capacity(Entry { block_cb, bound })
            .map_err(|_| ENOMEM)
    }

    /// # Safety
    ///
    /// Called by nf_flowtable's workers only, with `flow_block_lock` held for reading.
    unsafe extern "C" fn block_callback(
        type_: bindings::tc_setup_type,
        type_data: *mut c_void,
        cb_priv: *mut c_void,
    ) -> c_int {
        from_result(|| {
            if type_ != bindings::TC_SETUP_CLSFLOWER {
                return Err(not_supported());
            }
            // SAFETY: `cb_priv` is what `bind()` leaked. `flow_block_lock` is held, and it is
            // freed only after the block_cb was taken off the list with that lock held for
            // writing.
            let bound = unsafe { &*cb_priv.cast::<Bound<T>>() };
            // SAFETY: The type says what the data is, and it is ours for the call.
            let cls = unsafe { &mut *type_data.cast::<bindings::flow_cls_offload>() };
            // SAFETY: The lock that is held is part of the flowtable.
            let net = unsafe { FlowTable::from_raw(bound.table.as_ptr()) }.net();
            // CAST: `c_ulong` is at most 64 bits wide.
            let cookie = Cookie(cls.cookie as u64);

            match cls.command {
                bindings::FLOW_CLS_REPLACE => {
                    if cls.rule.is_null() {
                        return Err(EINVAL);
                    }
                    // SAFETY: A REPLACE carries the rule that the core built for this call.
                    let rule = unsafe { FlowRule::from_raw(cls.rule) };
                    bound.driver.replace(&bound.binding, net, cookie, rule)?;
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
    /// Called by the core only, when the driver is being unregistered, with `flow_block_lock`
    /// held for writing and the block_cb off the list. After an UNBIND it is not called.
    unsafe extern "C" fn release_callback(cb_priv: *mut c_void) {
        // SAFETY: `cb_priv` is what `bind()` leaked, and no callback can use it any more.
        let bound = unsafe { KBox::from_raw(cb_priv.cast::<Bound<T>>()) };
        let _ = bound.bounds.take(bound.table, bound.dev);
        // SAFETY: The lock that is held is part of the flowtable.
        let net = unsafe { FlowTable::from_raw(bound.table.as_ptr()) }.net();
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
    }
}
