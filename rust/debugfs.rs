// SPDX-License-Identifier: GPL-2.0-only

//! Files in debugfs: a directory for the module, and in it one for each device.
//!
//! C header: [`include/linux/debugfs.h`](srctree/include/linux/debugfs.h)
//!
//! The `kernel` crate builds the whole text of a file at once, and again whenever the reader's
//! buffer has to grow. Its files do not keep the module while they are open. The files here are
//! read piece by piece, keep the module, and can be written.

use super::bindings;
use kernel::{
    error::from_result,
    prelude::*,
    seq_file::SeqFile,
    sync::{
        atomic::{
            Acquire,
            Atomic,
            Full,
            Release, //
        },
        Arc, //
    }, //
};

/// A directory, which is removed when this is dropped, with all that is in it.
///
/// # Invariants
///
/// `dentry` is what `debugfs_create_dir()` returned, and nobody else removes the directory. It may
/// be an error, which debugfs understands.
struct Directory {
    dentry: *mut bindings::dentry,
    // Not removed before this one, which would free its dentry.
    _parent: Option<Arc<Directory>>,
}

// SAFETY: debugfs does its own locking.
unsafe impl Send for Directory {}
// SAFETY: As above.
unsafe impl Sync for Directory {}

impl Directory {
    fn new(name: &CStr, parent: Option<Arc<Self>>) -> Self {
        let above = parent
            .as_ref()
            .map_or(core::ptr::null_mut(), |dir| dir.dentry);
        // INVARIANT: Nothing but the drop removes it.
        Self {
            // SAFETY: `name` is a string, and `above` is null or a directory by the type
            // invariant.
            dentry: unsafe { bindings::debugfs_create_dir(name.as_char_ptr(), above) },
            _parent: parent,
        }
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::debugfs_remove(self.dentry) };
    }
}

kernel::sync::global_lock! {
    // SAFETY: `Root::new()` initialises it, and nobody looks at it before that.
    unsafe(uninit) static ROOT: Mutex<Option<Arc<Directory>>> = None;
}

/// Whether `ROOT` is: not initialised (0), being initialised (1), usable (2).
static STATE: Atomic<u32> = Atomic::new(0);

/// Keeps the module's directory. Made once, when the module is loaded. The directory is removed
/// when this and all [`Dir`]s have been dropped.
pub struct Root(());

impl Root {
    /// Makes the directory, or fails with [`EBUSY`] if that was done before.
    pub fn new(name: &CStr) -> Result<Self> {
        if STATE.cmpxchg(0, 1, Full).is_err() {
            return Err(EBUSY);
        }
        // SAFETY: Only the first caller comes here, and nobody uses `ROOT` until `STATE` says so.
        unsafe { ROOT.init() };
        *ROOT.lock() = Some(Arc::new(Directory::new(name, None), GFP_KERNEL)?);
        STATE.store(2, Release);
        Ok(Self(()))
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        // Not dropped with the lock held.
        let _directory = ROOT.lock().take();
    }
}

/// What a file shows of a `T`, and what is done with what is written to it.
///
/// A file shows pieces of text at positions in ascending order. A piece that does not fit into the
/// reader's buffer is shown again. All functions are called in process context and may sleep.
pub struct File<T> {
    /// Name.
    pub name: &'static CStr,
    /// What is to be read; `None` if nothing can be.
    pub read: Option<Read<T>>,
    /// Takes what was written, without blanks around it; `None` if nothing can be.
    pub write: Option<fn(&T, &str) -> Result>,
}

/// What is to be read of a file.
pub struct Read<T> {
    /// The first position from this one on at which there is something.
    pub next: fn(&T, u64) -> Option<u64>,
    /// Writes what is there, if it still is.
    pub show: fn(&T, u64, &mut core::fmt::Formatter<'_>) -> core::fmt::Result,
}

impl<T> Read<T> {
    /// For [`Read::next`], of a file that is shown at once.
    pub fn once(_: &T, from: u64) -> Option<u64> {
        (from == 0).then_some(0)
    }
}

/// A file in a directory. C sees its first field.
///
/// # Invariants
///
/// `c` is the first field, so that a pointer to one is a pointer to the other.
#[repr(C)]
struct Open<T: 'static> {
    c: bindings::nft_offload_file,
    file: &'static File<T>,
    target: Arc<T>,
}

/// A directory with files about a `T`. Its drop waits for those who use the files.
pub struct Dir<T: Send + Sync + 'static> {
    // Dropped before what its files point to.
    _directory: Directory,
    _files: KVec<Pin<KBox<Open<T>>>>,
}

// SAFETY: What the C parts of the files point to is never changed; `T` is `Send + Sync`.
unsafe impl<T: Send + Sync + 'static> Send for Dir<T> {}
// SAFETY: As above.
unsafe impl<T: Send + Sync + 'static> Sync for Dir<T> {}

impl<T: Send + Sync + 'static> Dir<T> {
    const SEQ: bindings::seq_operations = bindings::seq_operations {
        start: Some(Self::start_callback),
        stop: Some(Self::stop_callback),
        next: Some(Self::next_callback),
        show: Some(Self::show_callback),
    };

    /// Makes `files` about `target`, in a directory of that name in the module's.
    pub fn new(name: &CStr, target: &Arc<T>, files: &'static [File<T>]) -> Result<Self> {
        if STATE.load(Acquire) != 2 {
            return Err(ENODEV);
        }
        let mut open = KVec::with_capacity(files.len(), GFP_KERNEL)?;
        let directory = Directory::new(name, ROOT.lock().clone());
        let write: unsafe extern "C" fn(_, _) -> _ = Self::write_callback;
        for file in files {
            // INVARIANT: The type is laid out like that.
            let data = Open {
                c: bindings::nft_offload_file {
                    seq: &Self::SEQ,
                    write: file.write.map(|_| write),
                },
                file,
                target: target.clone(),
            };
            let data = KBox::pin(data, GFP_KERNEL)?;
            // SAFETY: `name` is a string, the directory is one by its type invariant, and the file
            // is removed with it before `data` is freed. By the type invariant of `Open` the
            // callbacks can take the pointer for one to that.
            unsafe {
                bindings::nft_offload_helper_file_create(
                    file.name.as_char_ptr(),
                    file.read.is_some(),
                    directory.dentry,
                    core::ptr::from_ref(&*data).cast_mut().cast(),
                )
            };
            open.push_within_capacity(data).map_err(|_| ENOMEM)?;
        }
        Ok(Self {
            _directory: directory,
            _files: open,
        })
    }

    /// # Safety
    ///
    /// `seq` must be that of a file of a `Self`, whose directory exists for `'a`.
    unsafe fn open<'a>(seq: *mut bindings::seq_file) -> &'a Open<T> {
        // SAFETY: `new()` made that the data of the file, and it is freed after the directory.
        unsafe { &*bindings::nft_offload_helper_seq_file(seq).cast::<Open<T>>() }
    }

    /// Moves `pos` on to where there is something, and returns it, or null if there is nothing.
    ///
    /// # Safety
    ///
    /// As for [`Self::open`]; `pos` must be valid for reading and writing.
    unsafe fn seek(seq: *mut bindings::seq_file, pos: *mut bindings::loff_t) -> *mut c_void {
        // SAFETY: By the requirement of this function.
        let (open, from) = unsafe { (Self::open(seq), *pos) };
        let read = open.file.read.as_ref();
        let found = read
            .zip(u64::try_from(from).ok())
            .and_then(|(read, from)| (read.next)(&open.target, from))
            .and_then(|at| bindings::loff_t::try_from(at).ok());
        let Some(at) = found else {
            return core::ptr::null_mut();
        };
        // SAFETY: By the requirement of this function.
        unsafe { *pos = at };
        pos.cast()
    }

    /// # Safety
    ///
    /// Called by seq_file only, for a file of a `Self`; debugfs does not let the directory go
    /// meanwhile. So are the others.
    unsafe extern "C" fn start_callback(
        seq: *mut bindings::seq_file,
        pos: *mut bindings::loff_t,
    ) -> *mut c_void {
        // SAFETY: By the requirement of this function; `pos` is the seq_file's.
        unsafe { Self::seek(seq, pos) }
    }

    /// # Safety
    ///
    /// As for [`Self::start_callback`].
    unsafe extern "C" fn next_callback(
        seq: *mut bindings::seq_file,
        _: *mut c_void,
        pos: *mut bindings::loff_t,
    ) -> *mut c_void {
        // SAFETY: `pos` is the seq_file's.
        unsafe { *pos = (*pos).saturating_add(1) };
        // SAFETY: By the requirement of this function.
        unsafe { Self::seek(seq, pos) }
    }

    /// # Safety
    ///
    /// As for [`Self::start_callback`].
    unsafe extern "C" fn stop_callback(_: *mut bindings::seq_file, _: *mut c_void) {}

    /// # Safety
    ///
    /// As for [`Self::start_callback`].
    unsafe extern "C" fn show_callback(seq: *mut bindings::seq_file, at: *mut c_void) -> c_int {
        // SAFETY: By the requirement of this function; `at` is what `seek()` returned.
        let (open, at) = unsafe { (Self::open(seq), *at.cast::<bindings::loff_t>()) };
        if let (Some(read), Ok(at)) = (&open.file.read, u64::try_from(at)) {
            let piece = Piece {
                target: &*open.target,
                at,
                show: read.show,
            };
            // SAFETY: The seq_file is ours for the call.
            unsafe { SeqFile::from_raw(seq.cast()) }.call_printf(format_args!("{piece}"));
        }
        0
    }

    /// # Safety
    ///
    /// Called for a file of a `Self` only, with a string; debugfs does not let the directory go
    /// meanwhile.
    unsafe extern "C" fn write_callback(
        file: *const bindings::nft_offload_file,
        text: *const c_char,
    ) -> c_int {
        from_result(|| {
            // SAFETY: By the requirement of this function, and the type invariant of `Open`.
            let (open, text) = unsafe { (&*file.cast::<Open<T>>(), CStr::from_char_ptr(text)) };
            let write = open.file.write.ok_or(EPERM)?;
            write(&open.target, text.to_str().map_err(|_| EINVAL)?)?;
            Ok(0)
        })
    }
}

/// What there is at a position.
struct Piece<'a, T> {
    target: &'a T,
    at: u64,
    show: fn(&T, u64, &mut core::fmt::Formatter<'_>) -> core::fmt::Result,
}

impl<T> core::fmt::Display for Piece<'_, T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        (self.show)(self.target, self.at, f)
    }
}
