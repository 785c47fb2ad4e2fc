//! The XDP program's counters, summed over the CPUs.

use flowxdp_common::counter::{Count, Counters, CpuState, ROWS};
use flowxdp_core::record::Total;

use super::map::Mapped;

const fn total(count: Count) -> Total {
    Total { packets: count.packets, octets: count.octets }
}

/// Everything that was counted for one interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Packets that reached the program.
    pub seen: Total,
    /// By [`flowxdp_common::reason::IGNORED`].
    pub ignored: [Total; flowxdp_common::reason::IGNORED.len()],
    /// By [`flowxdp_common::reason::LOST`].
    pub lost: [Total; flowxdp_common::reason::LOST.len()],
    /// Went through the ring buffer.
    pub overflow: Total,
}

impl Row {
    fn totals(&mut self) -> impl Iterator<Item = &mut Total> {
        [&mut self.seen, &mut self.overflow].into_iter().chain(&mut self.ignored).chain(&mut self.lost)
    }
}

impl std::ops::AddAssign for Row {
    fn add_assign(&mut self, mut other: Self) {
        for (total, more) in self.totals().zip(other.totals()) {
            *total += *more;
        }
    }
}

impl std::ops::Sub for Row {
    type Output = Self;

    /// What was counted since an earlier reading.
    fn sub(mut self, mut before: Self) -> Self {
        for (total, less) in self.totals().zip(before.totals()) {
            total.packets -= less.packets;
            total.octets -= less.octets;
        }
        self
    }
}

/// The sum of a row over all CPUs, read once.
pub fn row(counters: &Mapped<Counters>, row: u32) -> Row {
    let mut sum = Row::default();
    for element in (row as usize..counters.len()).step_by(ROWS as usize) {
        let read = counters.read(element);
        sum.seen += total(read.seen);
        sum.overflow += total(read.overflow);
        for (sum, count) in sum.ignored.iter_mut().zip(read.ignored) {
            *sum += total(count);
        }
        for (sum, count) in sum.lost.iter_mut().zip(read.lost) {
            *sum += total(count);
        }
    }
    sum
}

/// TCP FIN and RST that were metered so far.
pub fn closings(cpus: &Mapped<CpuState>) -> u64 {
    (0..cpus.len()).map(|cpu| cpus.read(cpu).closings).fold(0, u64::wrapping_add)
}

/// CPUs that have a partition, and those that found none left.
pub fn partitions(cpus: &Mapped<CpuState>) -> (usize, usize) {
    let all = || (0..cpus.len()).map(|cpu| cpus.read(cpu).partition);
    let without = all().filter(|&partition| partition == flowxdp_common::counter::NO_PARTITION).count();
    (all().filter(|&partition| partition != 0).count() - without, without)
}
