//! The CPUs' claims as the agent's own code sees them: each access is a step of the model.
//!
//! Which CPU is idle is a matter of policy, and the protocol has to hold whatever it says: here a CPU with a
//! partition always is, and one without has always just received.

use std::cell::{Cell as Flag, RefCell};

use flowxdp_common::counter::NO_PARTITION;
use flowxdp_core::{clock::SECOND, metering::partitions::Claims};

use crate::{
    cell::{CPUS, Cell, Op},
    process::{Access, Go, Stop},
};

/// As [`crate::table::Shared`]: after the run's step, the rest of the run sees CPUs without a claim.
pub(crate) struct Shared<'a, 'b> {
    access: RefCell<&'a mut Access<'b>>,
    /// The last reading of each.
    claims: [Flag<u32>; CPUS],
    stopped: Flag<bool>,
}

impl<'a, 'b> Shared<'a, 'b> {
    pub(crate) fn new(access: &'a mut Access<'b>) -> Self {
        Self { access: RefCell::new(access), claims: Default::default(), stopped: Flag::new(false) }
    }

    /// A step, unless the run was stopped.
    pub(crate) fn step(&self, op: Op) -> Option<u64> {
        if self.stopped.get() {
            return None;
        }
        let value = self.access.borrow_mut().step(op).ok();
        self.stopped.set(value.is_none());
        value
    }

    /// Whether the run was stopped.
    pub(crate) fn end(self) -> Go<()> {
        if self.stopped.get() { Err(Stop) } else { Ok(()) }
    }
}

impl Claims for Shared<'_, '_> {
    fn cpus(&self) -> usize {
        CPUS
    }

    fn claim(&self, cpu: usize) -> u32 {
        let claim = self.step(Op::Load(Cell::Claim(cpu))).unwrap_or_default();
        self.claims[cpu].set(u32::try_from(claim).expect("a claim"));
        self.claims[cpu].get()
    }

    fn set_claim(&mut self, cpu: usize, claim: u32) {
        self.step(Op::Store(Cell::Claim(cpu), claim.into()));
    }

    fn last(&self, cpu: usize) -> u64 {
        if self.claims[cpu].get() == NO_PARTITION { 10 * SECOND } else { 0 }
    }

    fn packets(&self, _: usize) -> u64 {
        0
    }
}
