// SPDX-License-Identifier: GPL-2.0-only

//! Devices bound to blocks of rules by way of indirect block callbacks.
//!
//! C header: [`include/net/flow_offload.h`](srctree/include/net/flow_offload.h)

mod source;

use self::source::Source;
use super::{
    bindings,
    flow_offload::{
        not_supported,
        BlockOps,
        Context,
        Filter,
        Stats, //
    },
    flow_rule::FlowRule,
    flowtable::{
        Cookie,
        Direction,
        FlowTable,
        LiveFlow, //
    },
    netdev::{
        NetDevice,
        NetDeviceRef, //
    }, //
};
use core::ptr::{
    self,
    NonNull, //
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
        atomic,
        Arc,
        Mutex,
        MutexGuard, //
    },
    types::Opaque, //
};

/// A device that is bound: `cb_priv` of a `struct flow_block_cb`.
struct Bound<T: BlockOps> {
    driver: Arc<T>,
    binding: T::Binding,
    source: Source,
    dev: NetDeviceRef,
    devices: Arc<Devices<T>>,
}

/// A device that is bound, in the list.
struct Entry<T: BlockOps> {
    source: Source,
    /// Only compared.
    dev: NonNull<bindings::net_device>,
    block_cb: NonNull<bindings::flow_block_cb>,
    bound: NonNull<Bound<T>>,
}

// SAFETY: The pointers are only followed by the callbacks, as their comments say.
unsafe impl<T: BlockOps> Send for Entry<T> {}

/// Whether a [`Registration`] uses a list.
#[derive(PartialEq, Eq)]
enum Use {
    /// None does, and the list is empty.
    Free,
    /// One does, and adds the devices that its driver takes.
    Open,
    /// One does, and is going.
    Closing,
}

/// # Invariants
///
/// A flowtable in `entries` exists: it is released after its last UNBIND, and the driver is
/// registered, so UNBIND takes the entry off the list.
struct List<T: BlockOps> {
    in_use: Use,
    entries: KVec<Entry<T>>,
}

impl<T: BlockOps> List<T> {
    fn position(&self, source: Source, dev: NonNull<bindings::net_device>) -> Option<usize> {
        let mut entries = self.entries.iter();
        entries.position(|entry| entry.source == source && entry.dev == dev)
    }

    fn take(&mut self, source: Source, dev: NonNull<bindings::net_device>) -> Option<Entry<T>> {
        let at = self.position(source, dev)?;
        self.entries.remove(at).ok()
    }
}

/// The devices that a driver has taken.
#[pin_data]
pub struct Devices<T: BlockOps> {
    /// Taken with `flow_indr_block_lock` or `cb_lock` held. Only
    /// [`Devices::for_each_flowtable`] has others taken inside.
    #[pin]
    list: Mutex<List<T>>,
    /// Callbacks that wait for `list`, with locks held for which the whole network waits.
    waiting: atomic::Atomic<i32>,
}

impl<T: BlockOps> Devices<T> {
    /// None.
    pub fn new() -> Result<Arc<Self>> {
        // INVARIANT: It has no flowtable.
        let list = List {
            in_use: Use::Free,
            entries: KVec::new(),
        };
        Arc::pin_init(
            pin_init!(Self {
                list <- new_mutex!(list, "nft_offload::Devices"),
                waiting: atomic::Atomic::new(0),
            }),
            GFP_KERNEL,
        )
    }

    /// Whether a flowtable is about to come or go, so that who walks over them has to return soon.
    pub fn is_wanted(&self) -> bool {
        self.waiting.load(atomic::Relaxed) != 0
    }

    /// Locks the list, for which a walk over the flowtables makes way.
    #[inline(never)]
    fn lock(&self) -> MutexGuard<'_, List<T>> {
        self.waiting.fetch_add(1, atomic::Relaxed);
        let list = self.list.lock();
        self.waiting.fetch_sub(1, atomic::Relaxed);
        list
    }

    /// Runs `f` for each flowtable that a device was taken in. Meanwhile no flowtable comes or
    /// goes. `f` may sleep, and take locks that the functions of [`BlockOps`] take.
    pub fn for_each_flowtable(&self, mut f: impl FnMut(&FlowTable)) {
        let list = self.list.lock();
        for (at, entry) in list.entries.iter().enumerate() {
            let Source::FlowTable(table) = entry.source else {
                continue;
            };
            let mut before = list.entries.iter().take(at);
            if !before.any(|other| other.source == entry.source) {
                // SAFETY: By the type invariant of `List`, which is locked.
                f(unsafe { FlowTable::from_raw(table.as_ptr()) });
            }
        }
    }
}

/// The use of a list by a registration.
struct Claim<T: BlockOps>(Arc<Devices<T>>);

impl<T: BlockOps> Claim<T> {
    /// Fails with [`EBUSY`] if another registration uses the list.
    fn new(devices: Arc<Devices<T>>) -> Result<Self> {
        let mut list = devices.lock();
        if list.in_use != Use::Free {
            return Err(EBUSY);
        }
        list.in_use = Use::Open;
        drop(list);
        Ok(Self(devices))
    }
}

impl<T: BlockOps> Drop for Claim<T> {
    fn drop(&mut self) {
        self.0.lock().in_use = Use::Free;
    }
}

/// The registration of a driver for indirect blocks. Dropping it takes the driver out of all
/// blocks, and returns when no callback runs any more.
///
/// # Invariants
///
/// The registration's address is the `cb_priv` under which the driver is registered from the end
/// of initialisation to the drop.
#[pin_data(PinnedDrop)]
pub struct Registration<T: BlockOps> {
    driver: Arc<T>,
    claim: Claim<T>,
    #[pin]
    registered: Opaque<()>,
}

// SAFETY: All callbacks may run on any thread; `T` is `Send + Sync`.
unsafe impl<T: BlockOps> Send for Registration<T> {}
// SAFETY: As above; there is nothing to be done with a shared reference.
unsafe impl<T: BlockOps> Sync for Registration<T> {}

impl<T: BlockOps> Registration<T> {
    /// Registers `driver`, and lists in `devices` what it takes. Fails with [`EBUSY`] while
    /// another registration uses that list.
    ///
    /// Flowtables that exist already are not taken over: the core would offer only one device of
    /// each, and could not tell whether the flowtable still exists.
    pub fn new(driver: Arc<T>, devices: Arc<Devices<T>>) -> impl PinInit<Self, Error> {
        try_pin_init!(&this in Self {
            driver,
            claim: Claim::new(devices)?,
            registered <- Opaque::try_ffi_init(move |_| {
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
            // SAFETY: `cb_priv` is what `new()` registered; only fields that were initialised
            // before the registration are looked at.
            let (driver, devices) = unsafe {
                let this = cb_priv.cast::<Self>();
                (
                    &*ptr::addr_of!((*this).driver),
                    &(*ptr::addr_of!((*this).claim)).0,
                )
            };
            let Some(dev) = NonNull::new(dev) else {
                if type_ == bindings::TC_SETUP_FT && data == cb_priv {
                    // SAFETY: By the requirement of this function.
                    unsafe { Self::close(devices) };
                }
                return Err(not_supported());
            };
            let bo = NonNull::new(type_data.cast::<bindings::flow_block_offload>())
                .ok_or_else(not_supported)?;
            let source = Source::new(type_, data, sch)?;
            // SAFETY: The core passes its own request, which is ours for the call.
            let request = unsafe { bo.as_ref() };
            // An egress side and RED's events can have the same block and device.
            if request.binder_type != bindings::FLOW_BLOCK_BINDER_TYPE_CLSACT_INGRESS {
                return Err(not_supported());
            }

            match request.command {
                bindings::FLOW_BLOCK_BIND => {
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
                }
                bindings::FLOW_BLOCK_UNBIND => {
                    // SAFETY: By the requirement of this function, and it is the core's request.
                    unsafe { Self::unbind(devices, dev, bo, source)? };
                }
                _ => return Err(not_supported()),
            }
            Ok(0)
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
        let netdev = unsafe { NetDevice::from_raw(dev.as_ptr()) };
        // All that can fail for want of memory, save for the core's own part, comes before the
        // driver takes the device. Requests are serialised by `flow_indr_block_lock`, and all
        // others only take entries off the list, so that the room stays.
        let slot = KBox::<Bound<T>>::new_uninit(GFP_KERNEL)?;
        {
            let mut list = devices.lock();
            if list.in_use != Use::Open {
                return Err(not_supported());
            }
            list.entries.reserve(1, GFP_KERNEL)?;
        }

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
                dev: NetDeviceRef::new(netdev),
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
            // SAFETY: By the requirement of this function.
            let context = unsafe { source.context(&bound.dev) };
            driver.unbind(&bound.binding, context);
        })?;
        // SAFETY: Both are valid; the core takes the block_cb from the request under
        // `flow_block_lock` or `cb_lock` when this call has returned.
        unsafe { bindings::nft_offload_helper_block_cb_add(block_cb.as_ptr(), bo.as_ptr()) };
        let entry = Entry {
            source,
            dev,
            block_cb,
            bound,
        };
        // INVARIANT: The flowtable exists by the requirement of this function.
        let pushed = devices.lock().entries.push_within_capacity(entry);
        pushed.map_err(|_| ENOMEM)
    }

    /// # Safety
    ///
    /// Called with `flow_indr_block_lock` held, and the pointers must be those of an UNBIND request.
    unsafe fn unbind(
        devices: &Devices<T>,
        dev: NonNull<bindings::net_device>,
        bo: NonNull<bindings::flow_block_offload>,
        source: Source,
    ) -> Result {
        let mut list = devices.lock();
        match source {
            Source::FlowTable(table) => {
                let entry = list.take(source, dev).ok_or(ENOENT)?;
                drop(list);
                // SAFETY: By the requirement of this function. The entry was on the list, and the
                // flowtable exists at least until the request is answered.
                unsafe { Self::detach(entry, table, bo.as_ptr()) };
            }
            Source::Ingress(_) => {
                let at = list.position(source, dev).ok_or(ENOENT)?;
                let entry = list.entries.get(at).ok_or(ENOENT)?;
                // SAFETY: The entry is on the list, so `block_cb` has not been freed. The core
                // sends a DESTROY for each rule when this has returned, and then calls
                // `release_callback()`, which takes the entry off the list, all under `RTNL`.
                unsafe {
                    bindings::nft_offload_helper_tc_block_cb_detach(
                        entry.block_cb.as_ptr(),
                        bo.as_ptr(),
                    )
                };
            }
        }
        Ok(())
    }

    /// Takes a device out of its flowtable, and returns its interface index. The core frees the
    /// block_cb after its request `bo`; if that is null, it is freed here.
    ///
    /// # Safety
    ///
    /// `flow_indr_block_lock` must be held, `entry` have been taken off the list, and `table` be
    /// its flowtable, which lives for the call. `bo` must be null or a request to unbind it.
    unsafe fn detach(
        entry: Entry<T>,
        table: NonNull<bindings::nf_flowtable>,
        bo: *mut bindings::flow_block_offload,
    ) -> i32 {
        // SAFETY: By the requirements of this function: what is on the list has not been freed.
        unsafe {
            bindings::nft_offload_helper_block_cb_detach(
                entry.block_cb.as_ptr(),
                bo,
                table.as_ptr(),
            )
        };
        // SAFETY: No worker can see the block_cb any more, and its release callback is gone, so
        // the value that `bind()` leaked has this one owner left.
        let bound = unsafe { KBox::from_raw(entry.bound.as_ptr()) };
        // SAFETY: By the requirements of this function.
        let context = Context::flowtable(unsafe { FlowTable::from_raw(table.as_ptr()) });
        bound.driver.unbind(&bound.binding, context);
        bound.dev.ifindex()
    }

    /// Takes no device from now on, and takes those that there are out of their flowtables.
    ///
    /// # Safety
    ///
    /// `flow_indr_block_lock` must be held.
    unsafe fn close(devices: &Devices<T>) {
        loop {
            let mut list = devices.lock();
            list.in_use = Use::Closing;
            let found = list.entries.iter().find_map(|entry| match entry.source {
                Source::FlowTable(table) => Some((table, entry.dev)),
                Source::Ingress(_) => None,
            });
            let Some((table, dev)) = found else { return };
            let source = Source::FlowTable(table);
            let Some(entry) = list.take(source, dev) else {
                return;
            };
            drop(list);
            // SAFETY: By the requirement of this function, and the entry was on the list. An
            // UNBIND, which comes before the flowtable goes, waits for `flow_indr_block_lock`.
            let ifindex = unsafe { Self::detach(entry, table, ptr::null_mut()) };
            // SAFETY: As above.
            let table = unsafe { FlowTable::from_raw(table.as_ptr()) };
            // As the core does. Flows between other devices may be those of another driver.
            let is_at = |it: &Direction| it.ingress_ifindex() == ifindex;
            table.end_flows(u32::MAX, &mut |one: &_, other: &_| {
                is_at(one) || is_at(other)
            });
        }
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
            // SAFETY: The lock that is held is part of the flowtable.
            let context = unsafe { bound.source.context(&bound.dev) };
            // CAST: `c_ulong` is at most 64 bits wide.
            let cookie = Cookie(cls.cookie as u64);
            let flow = match bound.source {
                // SAFETY: The command is one of nf_flowtable's, and runs until this returns.
                Source::FlowTable(_) => Some(unsafe { LiveFlow::from_cookie(cls.cookie) }),
                Source::Ingress(_) => None,
            };

            match cls.command {
                bindings::FLOW_CLS_REPLACE => {
                    if cls.rule.is_null() {
                        return Err(EINVAL);
                    }
                    // SAFETY: A REPLACE carries the rule that the core built for this call.
                    let rule = unsafe { FlowRule::from_raw(cls.rule) };
                    if let Some(flow) = flow {
                        bound.driver.replace(&bound.binding, context, flow, rule)?;
                        return Ok(0);
                    }
                    let filter = Filter {
                        cookie,
                        rule,
                        prio: cls.common.prio,
                        chain: cls.common.chain_index,
                    };
                    let taken = bound.driver.classify(&bound.binding, &bound.dev, filter);
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
                    bound.driver.destroy(&bound.binding, context, cookie)?;
                }
                bindings::FLOW_CLS_STATS if T::HAS_STATS => {
                    let mut stats = Stats::new(&mut cls.stats);
                    bound
                        .driver
                        .stats(&bound.binding, context, cookie, flow, &mut stats)?;
                }
                _ => return Err(not_supported()),
            }
            Ok(0)
        })
    }

    /// Of a block of tc. That of a flowtable's block_cb is gone when the core frees it.
    ///
    /// # Safety
    ///
    /// Called by the core only, with the block_cb off the list, and `RTNL` and `cb_lock` held.
    unsafe extern "C" fn release_callback(cb_priv: *mut c_void) {
        // SAFETY: `cb_priv` is what `bind()` leaked, and no callback can use it any more.
        let bound = unsafe { KBox::from_raw(cb_priv.cast::<Bound<T>>()) };
        let dev = NonNull::from(&*bound.dev).cast();
        let _ = bound.devices.lock().take(bound.source, dev);
        let context = Context::ingress(&bound.dev);
        bound.driver.unbind(&bound.binding, context);
    }
}

#[pinned_drop]
impl<T: BlockOps> PinnedDrop for Registration<T> {
    fn drop(self: Pin<&mut Self>) {
        let cb_priv = ptr::from_ref(self.as_ref().get_ref()).cast_mut().cast();
        // `flow_indr_dev_unregister()` lets go of `flow_indr_block_lock` before it cleans up. An
        // UNBIND in between would reach nobody, and the flowtable would be freed while the core
        // still knows our block_cb. So the devices are taken out of their flowtables before, while
        // UNBINDs still come: `setup_callback()` does that when it gets its own `cb_priv`.
        //
        // Blocks of tc are left to the core, which alone can end the offload of their rules; what
        // they have of ours is freed by its release.
        //
        // SAFETY: Without a device the core calls the drivers with what it was given, and those
        // that do not know the data leave it alone.
        unsafe {
            bindings::flow_indr_dev_setup_offload(
                ptr::null_mut(),
                ptr::null_mut(),
                bindings::TC_SETUP_FT,
                cb_priv,
                ptr::null_mut(),
                None,
            )
        };
        // SAFETY: Registered with these very values by the type invariant. The call returns when
        // the core has released all block_cbs of this registration.
        unsafe {
            bindings::flow_indr_dev_unregister(
                Some(Self::setup_callback),
                cb_priv,
                Some(Self::release_callback),
            )
        };
        // Those that tc had unbound before, under `RTNL`, it may not have released yet.
        // SAFETY: No requirements but that `RTNL` is not held, which the above would take.
        unsafe { bindings::nft_offload_helper_rtnl_barrier() };
    }
}
