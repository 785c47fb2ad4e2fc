//! Which CPU has which partition of the flow table: handed over, said and shown.

use std::collections::BTreeMap;

use flowxdp_core::{
    books::CpuPartitions,
    clock::MILLISECOND,
    metering::partitions::{Given, Partitions},
    record::Total,
};

use super::Meter;
use crate::kernel::{claims, counters};

/// Time between two looks at the CPUs while packets come through the ring buffer, nanoseconds.
const CHECK_EVERY: u64 = 20 * MILLISECOND;

/// The partitions of a live agent's table.
pub(super) struct Owners {
    partitions: Partitions,
    /// Packets came through the ring buffer since the last look: perhaps of a CPU without a partition.
    pub(super) spilled: bool,
    check_at: u64,
    handed_over: u64,
    said: BTreeMap<usize, u32>,
    said_scarce: bool,
}

impl Owners {
    pub(super) fn new(total: u32) -> Self {
        Self {
            partitions: Partitions::new(total),
            spilled: false,
            check_at: 0,
            handed_over: 0,
            said: BTreeMap::new(),
            said_scarce: false,
        }
    }
}

impl Owners {
    /// As the owners of a table that is filled in place of another.
    pub(super) const fn after(mut self, before: &Self) -> Self {
        self.handed_over = before.handed_over;
        self.said_scarce = before.said_scarce;
        self
    }
}

impl Meter {
    /// Hands partitions of idle CPUs to CPUs whose packets come through the ring buffer.
    ///
    /// # Errors
    ///
    /// The grace period cannot be waited for: nothing changed hands then.
    pub fn hand_over(&mut self, now: u64) -> anyhow::Result<()> {
        if !self.owners.spilled || now < self.owners.check_at {
            return Ok(());
        }
        (self.owners.spilled, self.owners.check_at) = (false, now.saturating_add(CHECK_EVERY));
        let mut claims = claims::Shared { cpus: &mut self.loaded.cpus, counters: &self.loaded.counters };
        let given = self.owners.partitions.hand_over(&mut claims, |_| self.grace.wait())?;
        for Given { partition, cpu, from } in given {
            self.owners.handed_over += 1;
            if let Some(from) = from {
                self.owners.said.remove(&from);
                log::info!(
                    "CPU {cpu} has partition {partition} of the flow table now, and CPU {from} has not"
                );
            } else {
                log::info!("CPU {cpu} has partition {partition} of the flow table now, which no CPU had");
            }
            self.owners.said.insert(cpu, partition);
        }
        Ok(())
    }

    /// Says which CPUs have taken a partition, and once that there are too few.
    pub fn say_partitions(&mut self) {
        let (by_cpu, total) = (claims::by_cpu(&self.loaded.cpus), self.loaded.size.partitions);
        let new = by_cpu.iter().filter(|(cpu, partition)| self.owners.said.get(cpu) != Some(*partition));
        let new: Vec<String> = new.map(|(cpu, partition)| format!("CPU {cpu} has {partition}")).collect();
        if !new.is_empty() {
            log::info!("partitions of the flow table, {total} in all: {}", new.join(", "));
        }
        let scarce = self.owners.partitions.scarce();
        if scarce > 0 && !self.owners.said_scarce {
            self.owners.said_scarce = true;
            log::warn!(
                "{scarce} CPUs receive packets beyond the {total} that the flow table has partitions for: the \
                 packets of those that receive least go the slower way over the ring buffer; a start while all of \
                 them are online, or interfaces with more queues, makes more partitions"
            );
        }
        self.owners.said = by_cpu;
    }

    /// For the books.
    pub(super) fn told_partitions(&self) -> CpuPartitions {
        let cpus = &self.loaded.cpus;
        let mut ring_buffer = Total::default();
        self.rows.numbers().for_each(|row| ring_buffer += counters::row(&self.loaded.counters, row).overflow);
        CpuPartitions {
            total: self.loaded.size.partitions,
            by_cpu: claims::by_cpu(cpus),
            without: claims::without(cpus),
            handed_over: self.owners.handed_over,
            ring_buffer,
        }
    }
}
