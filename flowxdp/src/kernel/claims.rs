//! The CPUs' claims to partitions of the flow table, in shared memory.

use std::{collections::BTreeMap, sync::atomic::Ordering};

use flowxdp_common::counter::{Counters, CpuState, NO_PARTITION, ROWS};
use flowxdp_core::metering::partitions::Claims;

use super::map::Mapped;

/// The XDP program's memory, as the policy of [`flowxdp_core::metering::partitions`] needs it.
pub struct Shared<'a> {
    /// State of each CPU.
    pub cpus: &'a mut Mapped<CpuState>,
    /// Counters of each CPU and interface.
    pub counters: &'a Mapped<Counters>,
}

impl Claims for Shared<'_> {
    fn cpus(&self) -> usize {
        self.cpus.len()
    }

    fn claim(&self, cpu: usize) -> u32 {
        self.cpus.claim(cpu).load(Ordering::Acquire)
    }

    fn set_claim(&mut self, cpu: usize, claim: u32) {
        self.cpus.claim(cpu).store(claim, Ordering::Release);
    }

    fn last(&self, cpu: usize) -> u64 {
        self.cpus.read(cpu).now
    }

    fn packets(&self, cpu: usize) -> u64 {
        let rows = ROWS as usize;
        let rows = (cpu * rows..(cpu + 1) * rows).take_while(|row| *row < self.counters.len());
        rows.map(|row| self.counters.read(row).seen.packets).fold(0, u64::wrapping_add)
    }
}

/// Partitions by CPU, numbered from 1.
pub fn by_cpu(cpus: &Mapped<CpuState>) -> BTreeMap<usize, u32> {
    let claims = (0..cpus.len()).map(|cpu| (cpu, cpus.read(cpu).partition));
    claims.filter(|(_, claim)| !matches!(*claim, 0 | NO_PARTITION)).collect()
}

/// CPUs that found no partition left, or gave theirs up.
pub fn without(cpus: &Mapped<CpuState>) -> Vec<usize> {
    (0..cpus.len()).filter(|&cpu| cpus.read(cpu).partition == NO_PARTITION).collect()
}

/// Partitions that may hold flows, of `total`: of CPUs that have asked for one.
pub fn used(cpus: &Mapped<CpuState>, total: usize) -> usize {
    (0..cpus.len()).filter(|&cpu| cpus.read(cpu).partition != 0).count().min(total)
}
