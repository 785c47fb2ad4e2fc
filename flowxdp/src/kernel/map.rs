//! A BPF_F_MMAPABLE array in the agent's own memory.

use std::{io, marker::PhantomData, mem::offset_of, os::fd::AsFd, ptr::NonNull, sync::atomic::AtomicU32};

use bytemuck::Pod;
use flowxdp_common::counter::CpuState;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// The elements of an array map, shared with the XDP program.
///
/// Nothing here hands out references: the other side writes at any time.
#[derive(Debug)]
pub struct Mapped<T> {
    start: NonNull<T>,
    elements: usize,
    _elements: PhantomData<T>,
}

// SAFETY: the mapping belongs to this value alone and is only read and written by volatile accesses.
unsafe impl<T: Pod> Send for Mapped<T> {}

impl<T: Pod> Mapped<T> {
    /// Maps `elements` elements of the array behind `fd`.
    ///
    /// # Errors
    ///
    /// The error of mmap(2).
    pub fn new(fd: impl AsFd, elements: usize) -> io::Result<Self> {
        const { assert!(size_of::<T>().is_multiple_of(8)) };
        let octets = Self::octets(elements);
        // SAFETY: a fresh shared mapping at an address of the kernel's choice.
        let start = unsafe {
            mmap(std::ptr::null_mut(), octets, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, fd, 0)
        }?;
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, elements, _elements: PhantomData })
    }

    const fn octets(elements: usize) -> usize {
        elements * size_of::<T>()
    }

    /// Number of elements.
    #[inline]
    pub const fn len(&self) -> usize {
        self.elements
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.elements == 0
    }

    /// The address of an element, to be used for volatile accesses.
    ///
    /// # Panics
    ///
    /// If `index` is out of bounds: the address would not be the map's.
    #[inline(always)]
    pub fn element(&self, index: usize) -> *mut T {
        if index >= self.elements {
            outside(index, self.elements);
        }
        // SAFETY: in bounds, as just compared.
        unsafe { self.start.as_ptr().add(index) }
    }

    /// Prefetches an element; one behind the last is harmless.
    #[inline]
    pub fn prefetch(&self, index: usize) {
        let place = self.start.as_ptr().wrapping_add(index);
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a hint, for which no address is wrong.
        unsafe {
            std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(place.cast())
        };
        #[cfg(target_arch = "aarch64")]
        // SAFETY: a hint, for which no address is wrong.
        unsafe {
            std::arch::asm!("prfm pldl1keep, [{}]", in(reg) place, options(nostack, readonly, preserves_flags))
        };
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let _ = place;
    }

    /// A field of an element, by its offset. A sweep reads some of every slot: with a constant offset, the bounds of
    /// the element are all that is left to compare.
    #[inline(always)]
    fn field<F: Pod>(&self, index: usize, offset: usize) -> *mut F {
        const { assert!(align_of::<F>() <= 8) };
        if !offset.is_multiple_of(align_of::<F>()) || offset + size_of::<F>() > size_of::<T>() {
            outside(offset, size_of::<F>());
        }
        self.element(index).cast::<u8>().wrapping_add(offset).cast()
    }

    /// Loads a field of an element, `offset` octets from its start, by one volatile access; a word does not tear.
    ///
    /// # Panics
    ///
    /// The field is not inside the element, or not aligned.
    #[inline(always)]
    pub fn load<F: Pod>(&self, index: usize, offset: usize) -> F {
        // SAFETY: `field` asserts that the place is inside the mapping and aligned; plain old data.
        unsafe { self.field::<F>(index, offset).read_volatile() }
    }

    /// Stores a field of an element, as [`Mapped::load`] reads it.
    ///
    /// # Panics
    ///
    /// The field is not inside the element, or not aligned.
    #[inline(always)]
    pub fn store<F: Pod>(&mut self, index: usize, offset: usize, value: F) {
        // SAFETY: as in `load`.
        unsafe { self.field::<F>(index, offset).write_volatile(value) };
    }

    /// A word of an element that both sides access as a whole.
    ///
    /// # Panics
    ///
    /// The word is not inside the element, or not aligned.
    #[inline(always)]
    pub fn word(&self, index: usize, offset: usize) -> &AtomicU32 {
        // SAFETY: as in `load`; mapped as long as `self` lives.
        unsafe { AtomicU32::from_ptr(self.field(index, offset)) }
    }

    /// The `N` words of eight octets that an element is made of; a word does not tear.
    #[inline(always)]
    pub fn words<const N: usize>(&self, index: usize) -> [u64; N] {
        const { assert!(N * 8 == size_of::<T>()) };
        let (mut words, place) = ([0; N], self.element(index).cast::<u64>());
        for (offset, word) in words.iter_mut().enumerate() {
            // SAFETY: an element has `N` words.
            let place = unsafe { place.add(offset) };
            // SAFETY: inside the element; the mapping is aligned to its page.
            *word = unsafe { place.read_volatile() };
        }
        words
    }

    /// A copy of an element; torn where the other side writes it meanwhile.
    pub fn read(&self, index: usize) -> T {
        // SAFETY: a valid, aligned element of plain old data.
        unsafe { self.element(index).read_volatile() }
    }

    /// Writes an element, word by word.
    pub fn write(&mut self, index: usize, value: &T) {
        let place = self.element(index).cast::<u64>();
        for (word, octets) in bytemuck::bytes_of(value).chunks_exact(8).enumerate() {
            // SAFETY: `new` asserted that an element is made of whole words.
            let place = unsafe { place.add(word) };
            // SAFETY: inside the element, aligned as the mapping and the element's size are.
            unsafe { place.write_volatile(bytemuck::pod_read_unaligned(octets)) };
        }
    }
}

/// A place is not in the map, or not in the element: an error of the caller.
#[cold]
#[inline(never)]
#[expect(clippy::panic, reason = "an assertion whose message costs a sweep nothing")]
fn outside(place: usize, size: usize) -> ! {
    panic!("place {place} is outside of the map: {size}");
}

impl Mapped<CpuState> {
    /// The partition that a CPU claims, which its program reads at each packet.
    pub fn claim(&self, cpu: usize) -> &AtomicU32 {
        self.word(cpu, offset_of!(CpuState, partition))
    }

    /// Makes every CPU look the interface's row up at its next packet. The rows of before must not be looked
    /// up any more: a grace period has passed since they were changed.
    pub fn look_up_rows(&mut self) {
        for cpu in 0..self.len() {
            // No interface has this ifIndex.
            self.store(cpu, offset_of!(CpuState, ingress), 0_u32);
        }
    }
}

impl<T> Drop for Mapped<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping that `new` made, and nothing refers to it any more.
        let unmapped = unsafe { munmap(self.start.as_ptr().cast(), self.elements * size_of::<T>()) };
        if let Err(error) = unmapped {
            log::error!("cannot unmap {} elements of a map: {error}", self.elements);
        }
    }
}
