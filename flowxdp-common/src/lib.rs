//! The contract between the XDP program and the agent: the layout of shared memory, and who writes it.
//!
//! Two programs that are compiled apart read these types, so every type is `#[repr(C)]`, made of integers
//! only (no `bool`, `Option` or enum), explicitly padded, and its size and offsets are asserted at compile
//! time.
//!
//! - [`field`]: the table of fields, and the groups that an operator asks for.
//! - [`key`]: the flow key; the words that both sides compare.
//! - [`slot`]: one entry of the flow table and its states.
//! - [`overflow`]: the event in the ring buffer for a packet whose window of the table is full.
//! - [`reason`]: every reason for which a packet is not in a flow record.
//! - [`copy`]: copies of first packets for the inspector of names.
//! - [`counter`]: the counters of each CPU and interface.
//! - [`journal`]: the agent's notes for its successor.
//! - [`observation`]: one packet as the parser saw it, for `explain` alone.
//! - [`meta`]: metadata in front of a replayed frame.
//! - [`switch`]: the table of constants that are set when the program is loaded.
//! - [`table`]: a pinned table's descriptor.
//! - [`fragment`]: the table of first fragments.
//! - [`tunnel`]: kinds and segments of tunnels.
//! - [`names`]: names of maps and programs.
//!
//! Byte order: addresses and ports stay as they were on the wire; other numbers have the machine's order,
//! since both sides run on the same one.
//!
//! Architecture invariant: only the CPU that owns a slot writes it while it is live, and the XDP
//! program is the only writer of counters. The agent writes a slot's state alone, and only
//! `LIVE → RETIRED`, the collectors that have it meanwhile, and `RETIRED → FREE`. Which CPU owns a partition
//! changes behind a grace period. The spill table is in shared memory for the next agent's sake.
#![no_std]
#![forbid(unsafe_code)]

pub mod copy;
pub mod counter;
pub mod field;
pub mod fragment;
pub mod journal;
pub mod key;
pub mod meta;
pub mod names;
pub mod observation;
pub mod overflow;
pub mod reason;
pub mod slot;
pub mod switch;
pub mod table;
pub mod tunnel;

/// Version of everything in this crate that two programs share. A change of any layout raises its lower half; the
/// upper half follows from the table of reasons.
pub const LAYOUT_VERSION: u64 = reason::LAYOUT << 32 | 9;
