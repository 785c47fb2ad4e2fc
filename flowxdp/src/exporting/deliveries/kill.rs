//! For tests: an agent that is killed in front of any store to memory that outlives it.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
};

thread_local! {
    /// Stores that this thread still makes; `None`: all.
    static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
}

struct Killed;

/// Called in front of each store.
pub(super) fn store() {
    match LEFT.get() {
        // Not `panic!`, which would call the hook and print a message for each kill.
        Some(0) => resume_unwind(Box::new(Killed)),
        left => LEFT.set(left.map(|left| left - 1)),
    }
}

/// Runs `steps` of an agent that is killed after so many stores; whether it came to its end before.
pub(super) fn after(stores: usize, steps: impl FnOnce()) -> bool {
    LEFT.set(Some(stores));
    let ended = catch_unwind(AssertUnwindSafe(steps));
    LEFT.set(None);
    match ended {
        Ok(()) => true,
        Err(cause) if cause.is::<Killed>() => false,
        Err(cause) => resume_unwind(cause),
    }
}
