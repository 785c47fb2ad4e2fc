//! Constants that the loader sets before the verifier sees them.

/// A number, to be a `static` with a name that the loader knows.
#[repr(transparent)]
#[derive(Debug)]
pub struct Constant(u32);

impl Constant {
    /// A constant with its default, which holds unless the loader sets another value.
    pub const fn new(value: u32) -> Self {
        Self(value)
    }

    /// Volatile, or the compiler would use the default in the source.
    #[inline(always)]
    pub fn get(&'static self) -> u32 {
        // SAFETY: a static.
        unsafe { (&raw const self.0).read_volatile() }
    }
}
