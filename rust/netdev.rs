// SPDX-License-Identifier: GPL-2.0-only

//! Network devices, namespaces, and notifications about devices.
//!
//! C header: [`include/linux/netdevice.h`](srctree/include/linux/netdevice.h)

use super::bindings;
use core::{
    mem::MaybeUninit,
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    error::to_result,
    prelude::*,
    str::CStr,
    sync::Arc,
    types::Opaque, //
};

/// A network namespace.
#[repr(transparent)]
pub struct Net(Opaque<bindings::net>);

impl Net {
    /// # Safety
    ///
    /// `ptr` must point to a namespace that lives for `'a`.
    pub(super) unsafe fn from_raw<'a>(ptr: *mut bindings::net) -> &'a Self {
        // SAFETY: By the requirement of this function; `Self` is transparent over the C type.
        unsafe { &*ptr.cast::<Self>() }
    }

    pub(super) fn as_raw(&self) -> *mut bindings::net {
        self.0.get()
    }

    /// The name that the device with this interface index has now, if there is one.
    pub fn device_name(&self, ifindex: i32) -> Option<Name> {
        let mut bytes = [0u8; Name::LEN + 1];
        // SAFETY: The namespace lives for the call, and `bytes` has room for `IFNAMSIZ`.
        let found = unsafe {
            bindings::nft_offload_helper_dev_name_of(
                self.as_raw(),
                ifindex,
                bytes.as_mut_ptr().cast(),
            )
        };
        found.then(|| Name::from_bytes(&bytes))
    }

    /// The namespace's id, which no other namespace has while this one exists.
    pub fn id(&self) -> NetId {
        NetId(self.as_raw() as usize)
    }
}

/// Tells namespaces apart. Not a reference: it keeps nothing alive.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct NetId(usize);

impl NetId {
    /// The id of the namespace at `net`. The address is only compared.
    pub(super) fn of(net: *const c_void) -> Self {
        Self(net as usize)
    }

    /// The id as a number, to be stored where this type is not known.
    pub fn to_usize(self) -> usize {
        self.0
    }

    /// The id with this number.
    pub fn from_usize(id: usize) -> Self {
        Self(id)
    }

    /// The namespace, unless it is gone.
    pub fn get(self) -> Option<NetRef> {
        // SAFETY: The address is only compared with those of namespaces.
        let net = unsafe { bindings::nft_offload_helper_net_get(self.0 as *const c_void) };
        // INVARIANT: The call has taken a reference.
        NonNull::new(net).map(NetRef)
    }
}

/// A reference to a namespace.
///
/// # Invariants
///
/// The namespace lives: a reference of its count belongs to this.
pub struct NetRef(NonNull<bindings::net>);

impl Deref for NetRef {
    type Target = Net;

    fn deref(&self) -> &Net {
        // SAFETY: By the type invariant.
        unsafe { Net::from_raw(self.0.as_ptr()) }
    }
}

impl Drop for NetRef {
    fn drop(&mut self) {
        // SAFETY: By the type invariant there is a reference, which is given back.
        unsafe { bindings::nft_offload_helper_net_put(self.0.as_ptr()) };
    }
}

/// A network device (`struct net_device`).
///
/// # Invariants
///
/// The device lives as long as the reference. What is read from it can change at any time unless
/// the caller holds `RTNL`.
#[repr(transparent)]
pub struct NetDevice(Opaque<bindings::net_device>);

impl NetDevice {
    /// # Safety
    ///
    /// `ptr` must point to a registered or unregistering device that lives for `'a`.
    pub(super) unsafe fn from_raw<'a>(ptr: *const bindings::net_device) -> &'a Self {
        // SAFETY: By the requirement of this function; `Self` is transparent over the C type.
        unsafe { &*ptr.cast::<Self>() }
    }

    pub(super) fn as_raw(&self) -> *mut bindings::net_device {
        self.0.get()
    }

    /// The interface index: unique within the namespace while the device is registered.
    pub fn ifindex(&self) -> i32 {
        // SAFETY: By the type invariant.
        unsafe { bindings::nft_offload_helper_dev_ifindex(self.as_raw()) }
    }

    /// A copy of the name. Without `RTNL` the device may be renamed meanwhile, and the copy is a
    /// mixture of both names then.
    pub fn copy_name(&self) -> Name {
        let mut name = [0u8; Name::LEN + 1];
        // SAFETY: By the type invariant; `name` has room for the `IFNAMSIZ` bytes written.
        unsafe {
            bindings::nft_offload_helper_dev_copy_name(self.as_raw(), name.as_mut_ptr().cast())
        };
        Name::from_bytes(&name)
    }

    /// The largest layer-3 packet, in bytes.
    pub fn mtu(&self) -> u32 {
        // SAFETY: By the type invariant.
        unsafe { bindings::nft_offload_helper_dev_mtu(self.as_raw()) }
    }

    /// The address the device was made with, or `None` if it has no permanent Ethernet address.
    ///
    /// Devices stacked on others (VLAN, bridge, macvlan) have none, even where they use the address
    /// of the device below. While such a device is registered for the first time it is not linked
    /// to the device below yet, and may still seem to have that address.
    pub fn permanent_address(&self, _rtnl: &Rtnl) -> Option<[u8; 6]> {
        let mut addr = [0u8; 6];
        // SAFETY: By the type invariant; `addr` has room for the `ETH_ALEN` bytes written. RTNL is
        // held, so the list of lower devices stays as it is.
        let valid =
            unsafe { bindings::nft_offload_helper_dev_perm_addr(self.as_raw(), addr.as_mut_ptr()) };
        valid.then_some(addr)
    }

    /// Whether the device is up and has a carrier.
    pub fn forwards(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { bindings::nft_offload_helper_dev_forwards(self.as_raw()) }
    }

    /// Whether the device is one end of a PPP link (`ARPHRD_PPP`).
    pub fn is_ppp(&self) -> bool {
        // SAFETY: By the type invariant.
        unsafe { bindings::nft_offload_helper_dev_is_ppp(self.as_raw()) }
    }

    /// The namespace the device is in. A device that moves between namespaces is unregistered in
    /// between, so a registered device's namespace outlives the reference.
    pub fn net(&self) -> &Net {
        // SAFETY: By the type invariant the device is registered or unregistering; its namespace
        // lives at least as long.
        unsafe { Net::from_raw(bindings::nft_offload_helper_dev_net(self.as_raw())) }
    }
}

/// A reference to a network device that keeps it.
///
/// The kernel waits for it when the device is unregistered, so it has to be dropped by then.
///
/// # Invariants
///
/// `dev` points to a device, of whose count a reference belongs to this; `tracker` is the
/// reference's.
pub(super) struct NetDeviceRef {
    dev: NonNull<bindings::net_device>,
    tracker: bindings::netdevice_tracker,
}

// SAFETY: The reference count is atomic, and the tracker is used by the drop alone.
unsafe impl Send for NetDeviceRef {}
// SAFETY: A shared reference gives access to the device alone, as any `&NetDevice` does.
unsafe impl Sync for NetDeviceRef {}

impl NetDeviceRef {
    /// Takes a reference to `dev`. Sleeps.
    pub(super) fn new(dev: &NetDevice) -> Self {
        // A structure without fields, or a pointer in kernels that look for lost references.
        let mut tracker = MaybeUninit::zeroed();
        // SAFETY: `dev` lives by its type invariant, and `tracker` can be written to.
        unsafe { bindings::nft_offload_helper_dev_hold(dev.as_raw(), tracker.as_mut_ptr()) };
        // INVARIANT: That was the reference.
        Self {
            dev: NonNull::from(dev).cast(),
            // SAFETY: All zeroes are valid for both.
            tracker: unsafe { tracker.assume_init() },
        }
    }
}

impl Deref for NetDeviceRef {
    type Target = NetDevice;

    fn deref(&self) -> &NetDevice {
        // SAFETY: By the type invariant. The kernel ends the unregistration of a device only when
        // no reference is left.
        unsafe { NetDevice::from_raw(self.dev.as_ptr()) }
    }
}

impl Drop for NetDeviceRef {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the reference is ours to give back.
        unsafe { bindings::nft_offload_helper_dev_put(self.dev.as_ptr(), &mut self.tracker) };
    }
}

/// The name of a device at some moment.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Name([u8; Name::LEN]);

impl Name {
    /// Longest name, without the terminating zero (`IFNAMSIZ - 1`).
    pub const LEN: usize = 15;

    /// What an array of `IFNAMSIZ` bytes has before its last one, which is zero.
    fn from_bytes(bytes: &[u8; Self::LEN + 1]) -> Self {
        let [name @ .., _] = *bytes;
        Self(name)
    }

    /// The first bytes of `name`.
    pub(super) fn new(name: &CStr) -> Self {
        let mut bytes = [0u8; Self::LEN];
        for (to, from) in bytes.iter_mut().zip(name.to_bytes()) {
            *to = *from;
        }
        Self(bytes)
    }

    /// Its bytes, filled up with zeros.
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        self.0
    }
}

/// What happened to a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// It was registered (`NETDEV_REGISTER`), or was there when the notifier was.
    Register,
    /// It is going away (`NETDEV_UNREGISTER`), or the notifier is.
    Unregister,
    /// It was brought up (`NETDEV_UP`).
    Up,
    /// It is about to go down or is down (`NETDEV_GOING_DOWN`, `NETDEV_DOWN`).
    Down,
    /// Flags or carrier changed (`NETDEV_CHANGE`).
    Change,
    /// The MTU changed (`NETDEV_CHANGEMTU`).
    ChangeMtu,
    /// The name changed (`NETDEV_CHANGENAME`).
    ChangeName,
    /// It was linked to a lower device, or the link was removed (`NETDEV_CHANGEUPPER`, which the
    /// kernel reports for the lower device).
    ChangeLower,
}

impl Event {
    fn from_raw(action: usize) -> Option<Self> {
        // CAST: A `u32` fits into the `usize` of every architecture with Rust support.
        const fn cmd(value: bindings::netdev_cmd) -> usize {
            value as usize
        }

        const REGISTER: usize = cmd(bindings::NETDEV_REGISTER);
        const UNREGISTER: usize = cmd(bindings::NETDEV_UNREGISTER);
        const UP: usize = cmd(bindings::NETDEV_UP);
        const DOWN: usize = cmd(bindings::NETDEV_DOWN);
        const GOING_DOWN: usize = cmd(bindings::NETDEV_GOING_DOWN);
        const CHANGE: usize = cmd(bindings::NETDEV_CHANGE);
        const CHANGEMTU: usize = cmd(bindings::NETDEV_CHANGEMTU);
        const CHANGENAME: usize = cmd(bindings::NETDEV_CHANGENAME);
        const CHANGEUPPER: usize = cmd(bindings::NETDEV_CHANGEUPPER);

        match action {
            REGISTER => Some(Self::Register),
            UNREGISTER => Some(Self::Unregister),
            UP => Some(Self::Up),
            DOWN | GOING_DOWN => Some(Self::Down),
            CHANGE => Some(Self::Change),
            CHANGEMTU => Some(Self::ChangeMtu),
            CHANGENAME => Some(Self::ChangeName),
            CHANGEUPPER => Some(Self::ChangeLower),
            _ => None,
        }
    }
}

/// Shows that `RTNL` is held.
///
/// # Invariants
///
/// `RTNL` is held as long as a reference to this lives.
pub struct Rtnl(());

/// What is told of the events of devices.
pub trait Notify: Send + Sync + 'static {
    /// Called for each event of each device of every namespace. May sleep.
    fn netdev_event(&self, event: Event, dev: &NetDevice, rtnl: &Rtnl);
}

/// A registered notifier. Registering reports every existing device as registered and, if it is
/// up, up; dropping it reports every device as unregistered.
///
/// # Invariants
///
/// `nb` is registered from the end of initialisation to the drop, and does not move.
#[pin_data(PinnedDrop)]
pub struct NotifierRegistration<T: Notify> {
    #[pin]
    nb: Opaque<bindings::notifier_block>,
    target: Arc<T>,
}

// SAFETY: The C side synchronises registration and calls by `RTNL`; `T` is `Send + Sync`.
unsafe impl<T: Notify> Send for NotifierRegistration<T> {}
// SAFETY: As above; there is nothing to be done with a shared reference.
unsafe impl<T: Notify> Sync for NotifierRegistration<T> {}

impl<T: Notify> NotifierRegistration<T> {
    /// Registers `target`. Takes `RTNL`.
    pub fn new(target: Arc<T>) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            target,
            nb <- Opaque::try_ffi_init(move |nb: *mut bindings::notifier_block| {
                let value = bindings::notifier_block {
                    notifier_call: Some(Self::notifier_call),
                    next: core::ptr::null_mut(),
                    // Before nf_tables. As soon as nf_tables hears of a device that a flowtable
                    // names, it offers the device, and ends the chain if the offer is refused.
                    priority: 1,
                };
                // SAFETY: `nb` is valid for writing, and pinned, so the chain may link it.
                // `target` was initialised before, so the calls made from within find it.
                unsafe {
                    nb.write(value);
                    to_result(bindings::register_netdevice_notifier(nb))
                }
            }),
        })
    }

    /// # Safety
    ///
    /// Called by the netdevice notifier chain only, with `RTNL` held.
    unsafe extern "C" fn notifier_call(
        nb: *mut bindings::notifier_block,
        action: usize,
        info: *mut c_void,
    ) -> c_int {
        if let Some(event) = Event::from_raw(action) {
            // SAFETY: `nb` is the field of a `NotifierRegistration<T>` by the type invariant.
            let this = unsafe { kernel::container_of!(Opaque::cast_from(nb), Self, nb) };
            // SAFETY: `this` is registered, hence alive; only `target` is looked at, which was
            // initialised before `nb`.
            let target = unsafe { &*core::ptr::addr_of!((*this).target) };
            // SAFETY: `info` is a `struct netdev_notifier_info`, and for `NETDEV_CHANGEUPPER` a
            // `struct netdev_notifier_changeupper_info`. `RTNL` keeps the devices.
            let dev = unsafe {
                NetDevice::from_raw(match event {
                    Event::ChangeLower => bindings::nft_offload_helper_notifier_upper(info),
                    _ => bindings::nft_offload_helper_notifier_dev(info),
                })
            };
            // INVARIANT: By the requirement of this function `RTNL` is held until it returns.
            target.netdev_event(event, dev, &Rtnl(()));
        }
        // NOTIFY_DONE.
        0
    }
}

#[pinned_drop]
impl<T: Notify> PinnedDrop for NotifierRegistration<T> {
    fn drop(self: Pin<&mut Self>) {
        // SAFETY: `nb` is registered by the type invariant. The call waits for `RTNL`, so no
        // notifier runs after it. It fails only for a block that is not registered.
        unsafe { bindings::unregister_netdevice_notifier(self.nb.get()) };
    }
}
