//! The part of the program that exists in the kernel alone: table, time and counters.
//!
//! [`program`] and [`classifier`] have the entry points, [`segments`] the packets that an offload joined, and
//! [`packet`] a packet's facts beside its headers. [`meter`] takes the parser's verdict; then [`partition`] finds the
//! CPU's part of the flow table, [`table`] the flow's slot there, [`tick`] the time, and [`overflow`] takes the packets
//! that find no slot. [`cold`] stores the facts of groups of fields. [`candidates`] meters packets inside tunnels, and
//! [`fragments`] finds the ports of later fragments, where a configuration asks for that. [`copy`] hands a flow's first
//! packets to the inspector of names. [`count`] keeps the CPU's counters, [`maps`] has the maps and the load-time
//! constants, [`kernel`] the helpers and [`atomic`] the words that the agent reads meanwhile.

mod atomic;
mod candidates;
mod classifier;
mod cold;
mod copy;
mod count;
mod fragments;
mod kernel;
mod maps;
mod meter;
mod overflow;
mod packet;
mod partition;
mod program;
mod segments;
mod table;
mod tick;
