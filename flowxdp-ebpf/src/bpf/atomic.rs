//! Read-modify-write in one instruction (Linux 5.12): `core` has no methods for it on this target.

use core::intrinsics::{AtomicOrdering, atomic_xadd, atomic_xchg};

/// Replaces the word; a reader that sees the new value sees all earlier stores too.
///
/// # Safety
/// `word` is valid, aligned, and accessed by others as whole words only.
#[inline(always)]
pub unsafe fn exchange(word: *mut u64, value: u64) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { atomic_xchg::<u64, { AtomicOrdering::SeqCst }>(word, value) }
}

/// Adds to the word and gives its old value.
///
/// # Safety
/// As for [`exchange`].
#[inline(always)]
pub unsafe fn fetch_add(word: *mut u64, value: u64) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::SeqCst }>(word, value) }
}
