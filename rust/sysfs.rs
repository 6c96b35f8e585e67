// SPDX-License-Identifier: GPL-2.0-only

//! Files in sysfs: a directory of attributes in the directory of a device.
//!
//! C header: [`include/linux/sysfs.h`](srctree/include/linux/sysfs.h)
//!
//! A locked-down kernel lets root write these files, unlike those of debugfs.

use super::bindings;
use core::fmt::{
    self,
    Formatter,
    Write, //
};
use kernel::{
    device::{
        Bound,
        Device, //
    },
    devres::Devres,
    error::{
        from_err_ptr,
        from_result, //
    },
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    }, //
};

/// A file with one value of a `T`. Both functions are called in process context and may sleep.
pub struct Attr<T> {
    /// Name.
    pub name: &'static CStr,
    /// Writes the value and a newline. Text beyond a page is lost. `None` for a file that nobody can read.
    pub show: Option<fn(&T, &mut Formatter<'_>) -> fmt::Result>,
    /// Takes what was written, without blanks around it. `None` for a file that nobody can write.
    pub store: Option<fn(&T, &str) -> Result>,
}

/// A file that exists. C has a pointer to its first field.
///
/// # Invariants
///
/// `c` is the first field, so that a pointer to one is a pointer to the other.
#[repr(C)]
struct Open<T: 'static> {
    c: bindings::nft_offload_attr,
    attr: &'static Attr<T>,
    target: Arc<T>,
}

/// A directory of attributes of a `T`, for a device that is bound. Nobody uses the files any more
/// when this has been dropped, or the driver has left the device.
pub struct Group<T: Send + Sync + 'static> {
    _files: Devres<Files<T>>,
}

impl<T: Send + Sync + 'static> Group<T> {
    /// Makes the directory `name` with `attrs` of `target` in the directory of `dev`.
    pub fn new(
        dev: &Device<Bound>,
        name: &'static CStr,
        target: &Arc<T>,
        attrs: &'static [Attr<T>],
    ) -> Result<Self> {
        let files = Devres::new(dev, Files::new(dev, name, target, attrs)?)?;
        Ok(Self { _files: files })
    }
}

/// The directory of a [`Group`]. It must be dropped before the device leaves sysfs.
///
/// # Invariants
///
/// `group` is what `nft_offload_helper_attrs_add()` returned for `dev` and `_open`.
struct Files<T: Send + Sync + 'static> {
    dev: ARef<Device>,
    group: *mut bindings::nft_offload_attrs,
    _open: KVec<KBox<Open<T>>>,
}

// SAFETY: Nothing changes `group` or what it points to until the drop; `T` is `Send + Sync`.
unsafe impl<T: Send + Sync + 'static> Send for Files<T> {}
// SAFETY: As above.
unsafe impl<T: Send + Sync + 'static> Sync for Files<T> {}

impl<T: Send + Sync + 'static> Files<T> {
    fn new(
        dev: &Device<Bound>,
        name: &'static CStr,
        target: &Arc<T>,
        attrs: &'static [Attr<T>],
    ) -> Result<Self> {
        let show: unsafe extern "C" fn(_, _, _) -> _ = Self::show_callback;
        let store: unsafe extern "C" fn(_, _) -> _ = Self::store_callback;
        let mut open = KVec::with_capacity(attrs.len(), GFP_KERNEL)?;
        let mut list = KVec::with_capacity(attrs.len(), GFP_KERNEL)?;
        for attr in attrs {
            // INVARIANT: The type is laid out like that.
            let file = Open {
                c: bindings::nft_offload_attr {
                    name: attr.name.as_char_ptr(),
                    show: attr.show.map(|_| show),
                    store: attr.store.map(|_| store),
                },
                attr,
                target: target.clone(),
            };
            let file = KBox::new(file, GFP_KERNEL)?;
            list.push_within_capacity(
                core::ptr::from_ref(&*file).cast::<bindings::nft_offload_attr>(),
            )
            .map_err(|_| ENOMEM)?;
            open.push_within_capacity(file).map_err(|_| ENOMEM)?;
        }
        let dev: &Device = dev;
        // SAFETY: `dev` is a device and `name` a string. `list` has `list.len()` pointers to files,
        // which stay in their boxes until the drop has removed the directory. The callbacks take
        // the pointers for those to `Open<T>`, by its type invariant.
        let group = from_err_ptr(unsafe {
            bindings::nft_offload_helper_attrs_add(
                raw(dev),
                name.as_char_ptr(),
                list.as_ptr(),
                list.len(),
            )
        })?;
        // INVARIANT: `group` was just returned for `dev` and `open`.
        Ok(Self {
            dev: dev.into(),
            group,
            _open: open,
        })
    }

    /// # Safety
    ///
    /// Only C calls this, for a file of a `Self`, with a buffer of `size` bytes. sysfs does not let
    /// the directory go meanwhile.
    unsafe extern "C" fn show_callback(
        attr: *const bindings::nft_offload_attr,
        buf: *mut c_char,
        size: usize,
    ) -> isize {
        // SAFETY: By the requirement of this function, and the type invariant of `Open`.
        let open = unsafe { &*attr.cast::<Open<T>>() };
        // SAFETY: By the requirement of this function; nobody else has the buffer.
        let buf = unsafe { core::slice::from_raw_parts_mut(buf.cast::<u8>(), size) };
        let mut text = Text { buf, len: 0 };
        if let Some(show) = open.attr.show {
            let value = Value {
                target: &*open.target,
                show,
            };
            // What does not fit is lost.
            let _ = write!(text, "{value}");
        }
        // CAST: A slice has at most `isize::MAX` bytes.
        text.len as isize
    }

    /// # Safety
    ///
    /// Only C calls this, for a file of a `Self`, with a string. sysfs does not let the directory
    /// go meanwhile.
    unsafe extern "C" fn store_callback(
        attr: *const bindings::nft_offload_attr,
        text: *const c_char,
    ) -> c_int {
        from_result(|| {
            // SAFETY: By the requirement of this function, and the type invariant of `Open`.
            let (open, text) = unsafe { (&*attr.cast::<Open<T>>(), CStr::from_char_ptr(text)) };
            let store = open.attr.store.ok_or(EPERM)?;
            store(&open.target, text.to_str().map_err(|_| EINVAL)?)?;
            Ok(0)
        })
    }
}

impl<T: Send + Sync + 'static> Drop for Files<T> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant; `group` is not used again. `Devres` drops this before the
        // driver core takes the device out of sysfs.
        unsafe { bindings::nft_offload_helper_attrs_remove(raw(&self.dev), self.group) };
    }
}

fn raw(dev: &Device) -> *mut bindings::device {
    // CAST: A `Device` is transparent over the C type.
    core::ptr::from_ref(dev).cast_mut().cast()
}

/// Text in a buffer.
struct Text<'a> {
    buf: &'a mut [u8],
    len: usize,
}

impl Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let free = self.buf.get_mut(self.len..).unwrap_or_default();
        let free = free.get_mut(..text.len()).ok_or(fmt::Error)?;
        free.copy_from_slice(text.as_bytes());
        self.len += text.len();
        Ok(())
    }
}

/// The value of an attribute.
struct Value<'a, T> {
    target: &'a T,
    show: fn(&T, &mut Formatter<'_>) -> fmt::Result,
}

impl<T> fmt::Display for Value<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        (self.show)(self.target, f)
    }
}
