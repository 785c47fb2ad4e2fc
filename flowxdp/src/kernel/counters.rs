//! The XDP program's counters, summed over the CPUs.

use flowxdp_common::counter::{Count, Counters, CpuState, ROWS};
use flowxdp_core::record::Total;

use super::map::Mapped;

pub(super) const fn total(count: Count) -> Total {
    Total { packets: count.packets, octets: count.octets }
}

/// All counters of one interface.
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
    /// Metered by the header inside a tunnel; octets of the headers outside.
    pub unwrapped: Total,
    /// First fragments that fell out of the table of fragments.
    pub forgotten: Total,
}

impl Row {
    fn totals(&mut self) -> impl Iterator<Item = &mut Total> {
        let others = [&mut self.seen, &mut self.overflow, &mut self.unwrapped, &mut self.forgotten];
        others.into_iter().chain(&mut self.ignored).chain(&mut self.lost)
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

    /// Counts since an earlier reading.
    fn sub(mut self, mut before: Self) -> Self {
        for (total, less) in self.totals().zip(before.totals()) {
            // Pinned memory may say anything.
            total.packets = total.packets.saturating_sub(less.packets);
            total.octets = total.octets.saturating_sub(less.octets);
        }
        self
    }
}

impl From<Counters> for Row {
    fn from(counters: Counters) -> Self {
        let Counters { seen, ignored, lost, overflow, unwrapped, forgotten, .. } = counters;
        let (seen, overflow) = (total(seen), total(overflow));
        let (unwrapped, forgotten) = (total(unwrapped), total(forgotten));
        Self { seen, ignored: ignored.map(total), lost: lost.map(total), overflow, unwrapped, forgotten }
    }
}

impl From<Row> for Counters {
    fn from(row: Row) -> Self {
        let count = |total: Total| Count { packets: total.packets, octets: total.octets };
        let (seen, overflow) = (count(row.seen), count(row.overflow));
        let (unwrapped, forgotten) = (count(row.unwrapped), count(row.forgotten));
        let (ignored, lost) = (row.ignored.map(count), row.lost.map(count));
        Self { seen, ignored, lost, overflow, unwrapped, forgotten, ..Self::default() }
    }
}

/// The sum of a row over all CPUs, read once.
pub fn row(counters: &Mapped<Counters>, row: u32) -> Row {
    let mut sum = Row::default();
    for element in (row as usize..counters.len()).step_by(ROWS as usize) {
        sum += Row::from(counters.read(element));
    }
    sum
}

/// TCP FIN and RST that were metered so far.
pub fn closings(cpus: &Mapped<CpuState>) -> u64 {
    (0..cpus.len()).map(|cpu| cpus.read(cpu).closings).fold(0, u64::wrapping_add)
}

#[cfg(test)]
mod tests {
    use flowxdp_common::reason::{IGNORED, LOST};
    use rustix::fs::{MemfdFlags, ftruncate, memfd_create};

    use super::*;

    /// Two CPUs and two rows; every counter has a value of its own.
    #[test]
    fn a_row_is_the_sum_of_every_counter_over_all_cpus() {
        let elements = 2 * ROWS as usize;
        let memory = memfd_create("test", MemfdFlags::CLOEXEC).unwrap();
        ftruncate(&memory, (elements * size_of::<Counters>()) as u64).unwrap();
        let mut counters = Mapped::<Counters>::new(&memory, elements).unwrap();
        for (element, scale) in [(1, 1), (2, 1000), (ROWS as usize + 1, 1 << 32)] {
            let count = |number: u64| Count { packets: scale * number, octets: 2 * scale * number };
            let (unwrapped, forgotten) = (count(50), count(51));
            let mut written = Counters {
                seen: count(1),
                overflow: count(2),
                unwrapped,
                forgotten,
                ..counters.read(element)
            };
            written.ignored.iter_mut().zip(3..).for_each(|(ignored, number)| *ignored = count(number));
            written.lost.iter_mut().zip(30..).for_each(|(lost, number)| *lost = count(number));
            counters.write(element, &written);
        }
        let sum = |number: u64| {
            let packets = number + (number << 32);
            Total { packets, octets: 2 * packets }
        };
        let row = row(&counters, 1);
        assert_eq!((row.seen, row.overflow), (sum(1), sum(2)));
        assert_eq!((row.unwrapped, row.forgotten), (sum(50), sum(51)));
        assert!(row.ignored.iter().zip(3..).take(IGNORED.len()).all(|(total, number)| *total == sum(number)));
        assert!(row.lost.iter().zip(30..).take(LOST.len()).all(|(total, number)| *total == sum(number)));
    }
}
