//! Words that the agent reads meanwhile: whole loads and stores, in the order in which they are written here, and
//! read-modify-write in one instruction (Linux 5.12), for which `core` has no methods on this target.

use core::{
    intrinsics::{AtomicOrdering, atomic_xadd, atomic_xchg},
    mem::MaybeUninit,
    ptr,
};

/// Loads a word that the agent may change.
#[inline(always)]
pub fn load<T: Copy>(word: &T) -> T {
    // SAFETY: a reference is valid and aligned.
    unsafe { ptr::from_ref(word).read_volatile() }
}

/// Stores a word that the agent reads.
#[inline(always)]
pub fn store<T: Copy>(word: &mut T, value: T) {
    // SAFETY: a reference is valid and aligned.
    unsafe { ptr::from_mut(word).write_volatile(value) };
}

/// Adds to a word that this CPU alone writes.
#[inline(always)]
pub fn add(word: &mut u64, more: u64) {
    store(word, load(word).wrapping_add(more));
}

/// Stores one word after the other: all at once would become a call of `memcpy` or `memset`.
#[inline(always)]
pub fn store_words<const N: usize>(place: &mut MaybeUninit<[u64; N]>, words: [u64; N]) {
    let start = place.as_mut_ptr().cast::<u64>();
    for (index, word) in words.into_iter().enumerate() {
        // SAFETY: one of the `N` words at `start`.
        unsafe { start.add(index).write_volatile(word) };
    }
}

/// The number, of which the mask drops no bit: the compiler knows that and would leave the mask out, but the verifier
/// needs it, on the very register that becomes an index.
#[inline(always)]
pub fn masked<const MASK: usize>(mut number: usize) -> usize {
    // SAFETY: one instruction on one register.
    unsafe { core::arch::asm!("{0} &= {1}", inout(reg) number, const MASK, options(pure, nomem, nostack)) };
    number
}

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

/// As [`exchange`], for a word that programs alone share.
#[inline(always)]
pub fn swap(word: &mut u64, value: u64) -> u64 {
    // SAFETY: a reference is valid and aligned.
    unsafe { exchange(word, value) }
}
