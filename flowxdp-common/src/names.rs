//! Names of the programs, maps and load-time constants in the eBPF object.

/// The XDP program.
pub const PROGRAM: &str = "flowxdp";
/// The same program for packets in more than one buffer (`xdp.frags`, Linux 5.18).
pub const PROGRAM_FRAGS: &str = "flowxdp_frags";
/// The XDP program of `explain`.
pub const EXPLAIN: &str = "explain_xdp";
/// The same for packets in more than one buffer.
pub const EXPLAIN_FRAGS: &str = "explain_frags";
/// The classifier of `explain`; a filter has the same name.
pub const EXPLAIN_CLASSIFIER: &str = "flowxdp_explain";
/// Load-time constant of `explain`: [`crate::observation::FILTER_WORDS`] u32.
pub const FILTER: &str = "FILTER";
/// PERCPU_ARRAY of `explain`, one element: packets by verdict, and then packets that passed the filter, u64 each.
pub const TALLY: &str = "TALLY";
/// IPv4 flow table: ARRAY of [`crate::slot::SlotV4`], mapped by the agent.
pub const FLOWS_V4: &str = "FLOWS_V4";
/// IPv6 flow table: ARRAY of [`crate::slot::SlotV6`], mapped by the agent.
pub const FLOWS_V6: &str = "FLOWS_V6";
/// Cold slots of the IPv4 table: ARRAY of u64, [`crate::field::width`] / 8 for each slot, mapped by the agent.
pub const COLD_V4: &str = "COLD_V4";
/// The same of the IPv6 table.
pub const COLD_V6: &str = "COLD_V6";
/// The same of [`SPILL`], which no program refers to.
pub const COLD_SPILL: &str = "COLD_OWN";
/// The cold slots of a flow table.
pub fn cold_of(table: &str) -> Option<&'static str> {
    [(FLOWS_V4, COLD_V4), (FLOWS_V6, COLD_V6), (SPILL, COLD_SPILL)]
        .into_iter()
        .find_map(|(hot, cold)| (hot == table).then_some(cold))
}

/// ARRAY of the memory in which each possible CPU collects the cold facts of one packet.
pub const DETAIL: &str = "DETAIL";
/// ARRAY of [`crate::counter::Counters`], mapped by the agent.
pub const COUNTERS: &str = "COUNTERS";
/// ARRAY of [`crate::counter::CpuState`], one for each possible CPU.
pub const CPUS: &str = "CPUS";
/// HASH from ifIndex to row of the counters.
pub const ROWS: &str = "ROWS";
/// ARRAY of one u64: partitions that were given out.
pub const TAKEN: &str = "TAKEN";
/// HASH from ifIndex to a place in the arrays of programs.
pub const BESIDE: &str = "BESIDE";
/// PROG_ARRAY: the other program on an interface, which runs after [`PROGRAM`].
pub const CHAIN: &str = "CHAIN";
/// The same after [`PROGRAM_FRAGS`].
pub const CHAIN_FRAGS: &str = "CHAIN_FRAGS";
/// Ring buffer of [`crate::overflow::Event`].
pub const OVERFLOW: &str = "OVERFLOW";
/// The spill table: ARRAY of [`crate::slot::SpillSlot`], which no program refers to.
pub const SPILL: &str = "OWN";
/// ARRAY of one [`crate::overflow::Intent`], which no program refers to.
pub const INTENT: &str = "INTENT";
/// ARRAY of [`crate::journal::Page`], which no program refers to.
pub const JOURNAL: &str = "JOURNAL";
/// ARRAY of one [`crate::table::Shape`], which no program refers to.
pub const SHAPE: &str = "SHAPE";
/// ARRAY of [`crate::table::Name`] by row of the counters, which no program refers to.
pub const NAMES: &str = "NAMES";
/// Load-time constant: the hash's seed, [`crate::switch::SEED_WORDS`] random u64.
pub const SEED: &str = "SEED";
/// Load-time constant: partitions of the tables, u32.
pub const PARTITIONS: &str = "PARTITIONS";
/// Load-time constant: home slots of one IPv4 partition, u32.
pub const HOMES_V4: &str = "HOMES_V4";
/// Load-time constant: home slots of one IPv6 partition, u32.
pub const HOMES_V6: &str = "HOMES_V6";
/// Load-time constant: octets before each [`crate::field::Group`]'s first field in the cold slot, u32 each;
/// `u32::MAX` where the group is off or has no cold field.
pub const COLD_OFFSETS: &str = "COLD_OFFSETS";
/// Load-time constant: words of a cold slot, u32; 0: there is none.
pub const COLD_WORDS: &str = "COLD_WORDS";
/// Load-time constant: [`crate::field::Groups`] with cold fields, u32.
pub const GROUPS: &str = "GROUPS";
/// Load-time constant: 1 when frames carry [`crate::meta::Meta`] in front of them, u32.
pub const REPLAY: &str = "REPLAY";
/// Load-time constant: the way of a packet behind the meter, one of `BEHIND_…` of [`crate::switch`], u32.
pub const BEHIND: &str = "BEHIND";
