//! The size of the flow tables, and the load-time constants that go with it.

use anyhow::Context;
use flowxdp_common::{
    copy::CLASSES,
    field::{self, Group, Groups},
    slot::WINDOW,
    switch::{Dimensions, SEED_WORDS, Switches, WALK_CANDIDATES, WALK_OUTER, WALK_REPLAY},
};

/// Octets of the smallest ring buffer: a page of the largest that kernels have.
const LEAST_COPIES: u32 = 1 << 16;

/// The size of the flow tables, and the configuration's choices for the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableSize {
    /// IPv4 flows that the whole table holds.
    pub flows_v4: u64,
    /// IPv6 flows that the whole table holds.
    pub flows_v6: u64,
    /// Partitions: CPUs that receive.
    pub partitions: u32,
    /// Octets of the ring buffer, a power of two and a multiple of the page size.
    pub ring: u32,
    /// Groups of fields beyond the base record.
    pub groups: Groups,
    /// Load-time constants.
    pub switches: Switches,
}

impl TableSize {
    /// Whether a running agent needs a table and a program of their own for `other`.
    pub fn differs(&self, other: &Self) -> bool {
        let program =
            |size: &Self| (size.flows_v4, size.flows_v6, size.groups.with_cold_fields(), size.switches);
        program(self) != program(other)
    }

    /// Whether frames carry metadata in front of them.
    pub const fn is_replay(&self) -> bool {
        self.switches.replay != 0
    }

    /// Home slots of one partition that shares `flows` with the others.
    ///
    /// A quarter more than flows: in a full table, at a load of 0.8, one flow in twenty finds its window
    /// full and goes the slower way over the ring buffer; at half of it one in five hundred does.
    fn homes(&self, flows: u64) -> anyhow::Result<u32> {
        let partitions = u64::from(self.partitions.max(1));
        let fits = |homes: u32| (u64::from(homes) + u64::from(WINDOW)) * partitions < u64::from(u32::MAX);
        let homes = flows.checked_add(flows / 4).map(|slots| slots.div_ceil(partitions).max(1));
        homes.and_then(|homes| u32::try_from(homes).ok()).filter(|homes| fits(*homes)).with_context(|| {
            format!("a table of {flows} flows is more than the kernel can index: lower --flows or --flows6")
        })
    }

    fn slots(&self, flows: u64) -> anyhow::Result<u64> {
        Ok((u64::from(self.homes(flows)?) + u64::from(WINDOW) - 1) * u64::from(self.partitions.max(1)))
    }

    /// Slots of the IPv4 table.
    ///
    /// # Errors
    ///
    /// More than an array map can have.
    pub fn slots_v4(&self) -> anyhow::Result<u64> {
        self.slots(self.flows_v4)
    }

    /// Slots of the IPv6 table.
    ///
    /// # Errors
    ///
    /// More than an array map can have.
    pub fn slots_v6(&self) -> anyhow::Result<u64> {
        self.slots(self.flows_v6)
    }

    /// Words of a cold slot; 0 where no group has cold fields.
    fn cold_words(&self) -> u32 {
        u32::try_from(field::width(self.groups) / 8).unwrap_or(0)
    }

    /// Elements of a table's map of cold words: a stub has one.
    pub(super) fn cold_entries(&self, slots: u64) -> anyhow::Result<u32> {
        let words = u32::try_from(slots * u64::from(self.cold_words()));
        words.map(|words| words.max(1)).with_context(|| {
            format!(
                "cold slots for {slots} flows are more than the kernel can index: lower --flows or --flows6"
            )
        })
    }

    /// Octets of all cold slots of a table.
    pub(in crate::kernel) fn cold_octets(&self, slots: u64) -> u64 {
        slots.saturating_mul(u64::from(self.cold_words()) * 8)
    }

    /// Slots of the spill table, for packets that find no slot in the others: a sixteenth of them, at least
    /// some. In a replay as many as they have, so that it is exact whatever its seed.
    pub fn spill_slots(&self) -> u32 {
        let flows = self.flows_v4.max(self.flows_v6) / if self.is_replay() { 1 } else { 16 };
        u32::try_from(flows).unwrap_or(u32::MAX).clamp(4096, 1 << 20)
    }

    /// Octets of the ring buffer of first packets: room for the budget of all CPUs.
    pub(in crate::kernel) fn copies(&self) -> u32 {
        let Switches { first_packets, copy_budget, .. } = self.switches;
        if first_packets == 0 {
            return LEAST_COPIES;
        }
        let octets = u64::from(copy_budget) * u64::from(CLASSES[1]) * u64::from(self.partitions.max(1));
        let octets = octets.clamp(1 << 20, 1 << 26).next_power_of_two();
        u32::try_from(octets).unwrap_or(LEAST_COPIES)
    }

    /// The load-time constants of tables of this size.
    pub(super) fn dimensions(&self, seed: [u64; SEED_WORDS]) -> anyhow::Result<Dimensions> {
        let groups = self.groups.with_cold_fields();
        Ok(Dimensions {
            seed,
            partitions: self.partitions,
            homes_v4: self.homes(self.flows_v4)?,
            homes_v6: self.homes(self.flows_v6)?,
            cold_offsets: cold_offsets(groups),
            cold_words: self.cold_words(),
            groups: groups.bits(),
            walk: walk(&self.switches),
        })
    }
}

/// The way of the parser: one constant, so that the default program reads no other.
const fn walk(switches: &Switches) -> u32 {
    match switches {
        Switches { tunnels: 0, fragment_sets: 0, replay: 0, .. } => WALK_OUTER,
        Switches { tunnels: 0, fragment_sets: 0, .. } => WALK_REPLAY,
        _ => WALK_CANDIDATES,
    }
}

/// Where each group begins in a cold slot, as the program reads it.
fn cold_offsets(groups: Groups) -> [u32; Group::ALL.len()] {
    Group::ALL.map(|group| match group {
        Group::Base => u32::MAX,
        group => field::group_offset(groups, group).map_or(u32::MAX, u32::from),
    })
}

#[cfg(test)]
mod tests {
    use super::{TableSize, WINDOW};

    fn size(flows: u64, partitions: u32) -> TableSize {
        TableSize { flows_v4: flows, flows_v6: 1, partitions, ring: 1 << 24, ..TableSize::default() }
    }

    #[test]
    fn a_table_has_room_for_its_flows_or_is_refused() {
        for flows in [1, 7, 1_000_000, 3_000_000_000] {
            for partitions in [1, 2, 128] {
                let slots = size(flows, partitions).slots_v4().unwrap();
                assert!(slots >= flows + flows / 4 && slots <= u64::from(u32::MAX), "{flows}, {partitions}");
            }
        }
        // The second one wraps around to the four slots of five flows, the last one beyond 64 bits.
        let most = u64::from(u32::MAX - WINDOW);
        for flows in [most, 14_757_395_258_967_641_293, u64::MAX] {
            let error = size(flows, 2).slots_v4().unwrap_err().to_string();
            assert!(error.contains(&flows.to_string()) && error.contains("--flows"), "{error}");
        }
    }
}
