//! Numbers that are loaded and stored where the program says so: constants that the loader sets before the verifier
//! sees them, and cells in memory.

/// A value, to be a `static` with a symbol that the loader knows.
#[repr(transparent)]
#[derive(Debug)]
pub struct Constant<T = u32>(T);

impl<T: Copy> Constant<T> {
    /// A constant with its default, which holds unless the loader sets another value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// Volatile, or the compiler would use the default in the source.
    #[inline(always)]
    pub fn get(&'static self) -> T {
        // SAFETY: a static.
        unsafe { (&raw const self.0).read_volatile() }
    }
}

impl<T: Copy, const N: usize> Constant<[T; N]> {
    /// The element of this index, read alone; behind the last one the first.
    #[inline(always)]
    pub fn element(&'static self, index: usize) -> T {
        let index = if index < N { index } else { 0 };
        // SAFETY: an element of a static, as just compared.
        let element = unsafe { (&raw const self.0).cast::<T>().add(index) };
        // SAFETY: as above.
        unsafe { element.read_volatile() }
    }
}

/// A number in memory that is kept in no register between. In shared memory the verifier knows nothing of a loaded
/// number, so that paths which stored different ones merge.
#[repr(transparent)]
#[derive(Debug, Default)]
pub struct Cell<T>(T);

impl<T: Copy> Cell<T> {
    /// The number.
    #[inline(always)]
    pub fn get(&self) -> T {
        // SAFETY: a reference is valid and aligned.
        unsafe { (&raw const self.0).read_volatile() }
    }

    /// Stores a number.
    #[inline(always)]
    pub fn set(&mut self, value: T) {
        // SAFETY: as in `get`.
        unsafe { (&raw mut self.0).write_volatile(value) };
    }
}
