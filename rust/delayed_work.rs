// SPDX-License-Identifier: GPL-2.0-only

//! Delayed work, which can be cancelled.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)
//!
//! The `kernel` crate's `Work` cannot be cancelled, so a module that uses it could not be unloaded.

use super::bindings;
use kernel::{
    prelude::*,
    sync::{
        Arc,
        LockClassKey, //
    },
    types::Opaque, //
};

/// What there is to be done.
pub trait Task: Send + Sync + 'static {
    /// Does it. May sleep, and never runs twice at once. Returns in how many milliseconds it runs
    /// again, unless somebody asks for it before.
    fn run(&self) -> Option<u64>;
}

/// Work of any kind.
pub trait Later: Send + Sync {
    /// Asks for the task as soon as may be. From any context.
    fn request(&self);

    /// The task does not run when this returns, and never again. Sleeps; not to be called by the
    /// task, or with a lock held that it takes.
    fn stop(&self);
}

/// A task that can be asked for.
///
/// # Invariants
///
/// `work` is initialised and does not move. Once [`Self::stop()`] has returned it is not queued.
#[pin_data(PinnedDrop)]
pub struct Work<T: Task> {
    #[pin]
    work: Opaque<bindings::delayed_work>,
    #[pin]
    task: T,
}

// SAFETY: The C side synchronises all access to the work; `T` is `Send + Sync`.
unsafe impl<T: Task> Send for Work<T> {}
// SAFETY: As above.
unsafe impl<T: Task> Sync for Work<T> {}

impl<T: Task> Work<T> {
    /// Work that nobody has asked for yet. [`new_work!`] gives name and key.
    pub fn new(
        task: impl PinInit<T, Error>,
        name: &'static CStr,
        key: Pin<&'static LockClassKey>,
    ) -> Result<Arc<Self>> {
        let work = try_pin_init!(Self {
            task <- task,
            work <- Opaque::ffi_init(move |work| {
                // SAFETY: `work` is valid for writing, and pinned; name and key are static.
                unsafe {
                    bindings::nft_offload_helper_work_init(
                        work,
                        Some(Self::run_callback),
                        name.as_char_ptr(),
                        key.as_ptr().cast(),
                    )
                }
            }),
        });
        Arc::pin_init(work, GFP_KERNEL)
    }

    /// The task.
    pub fn task(&self) -> &T {
        &self.task
    }

    /// Asks for the task after so many milliseconds, or when it was asked for already. From any
    /// context.
    pub fn request_in(&self, ms: u64) {
        // SAFETY: `work` is initialised by the type invariant.
        unsafe { bindings::nft_offload_helper_work_queue(self.work.get(), ms) };
    }

    /// # Safety
    ///
    /// Called by the workqueue only, for the `work` of a `Self`.
    unsafe extern "C" fn run_callback(work: *mut bindings::work_struct) {
        // SAFETY: The work is the first part of the delayed one that was initialised.
        let work = unsafe { bindings::nft_offload_helper_work_delayed(work) };
        // SAFETY: `work` is the field of a `Self` by the requirement of this function.
        let this = unsafe { kernel::container_of!(Opaque::cast_from(work), Self, work) };
        // SAFETY: It is not freed before the drop, which waits for this call.
        let this = unsafe { &*this };
        if let Some(ms) = this.task.run() {
            // SAFETY: `work` is initialised by the type invariant.
            unsafe { bindings::nft_offload_helper_work_queue(this.work.get(), ms) };
        }
    }
}

impl<T: Task> Later for Work<T> {
    fn request(&self) {
        // SAFETY: `work` is initialised by the type invariant.
        unsafe { bindings::nft_offload_helper_work_queue_now(self.work.get()) };
    }

    fn stop(&self) {
        // SAFETY: `work` is initialised by the type invariant.
        unsafe { bindings::disable_delayed_work_sync(self.work.get()) };
    }
}

#[pinned_drop]
impl<T: Task> PinnedDrop for Work<T> {
    fn drop(self: Pin<&mut Self>) {
        self.as_ref().get_ref().stop();
    }
}

/// A work of any kind, which is stopped when this is dropped.
pub struct Handle(Arc<dyn Later>);

impl Handle {
    /// Stops `work` when it is dropped.
    pub fn new<T: Task>(work: Arc<Work<T>>) -> Self {
        Self(work)
    }

    /// The work, for those who ask for it. They may keep it: it does nothing once it is stopped.
    pub fn work(&self) -> &Arc<dyn Later> {
        &self.0
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// [`Work`] with a lock class of its own.
macro_rules! new_work {
    ($task:expr, $name:expr) => {
        $crate::rust::delayed_work::Work::new($task, $name, kernel::static_lock_class!())
    };
}

pub(crate) use new_work;
