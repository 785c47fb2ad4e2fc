//! Names of the programs and maps in the eBPF object; those of load-time constants are in [`crate::switch`].

/// The XDP program.
pub const PROGRAM: &str = "flowxdp";
/// The same program for packets in more than one buffer (`xdp.frags`, Linux 5.18).
pub const PROGRAM_FRAGS: &str = "flowxdp_frags";
/// The classifier at ingress of a device without Ethernet frames; a filter has the same name.
pub const INGRESS_IP: &str = "flowxdp_in_ip";
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
/// Ring buffer of [`crate::copy::Copied`], each with the octets that it says.
pub const COPIES: &str = "COPIES";
/// ARRAY of [`crate::copy::CopyState`], one for each possible CPU, mapped by the agent.
pub const COPIERS: &str = "COPIERS";
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
/// ARRAY of the packet that each possible CPU meters where tunnels are opened or fragments joined.
pub const CANDIDATES: &str = "CANDIDATES";
/// ARRAY of [`crate::fragment::FragmentSet`]: first fragments.
pub const FRAGMENTS: &str = "FRAGMENTS";
