//! Time without reading the clock for each packet.
//!
//! A clock read costs more than the flow table. So one read serves the packets of its jiffy, up to
//! [`CREDIT`] of them: an end is early by less than a jiffy, and by microseconds at high rates. A start
//! is read exactly, and refreshes the time of the next packets, so that no end precedes its start.

use flowxdp_common::counter::{COPY_DUE, CpuState};

use crate::bpf::{atomic, kernel, maps};

/// Packets that one clock read may serve.
const CREDIT: u32 = 32;

/// TCP FIN and RST.
const FIN_OR_RST: u16 = 0x01 | 0x04;

/// The time of one packet.
pub struct Clock<'a> {
    state: &'a mut CpuState,
    /// The time of a replayed packet, nanoseconds.
    time: u64,
}

impl<'a> Clock<'a> {
    /// The clock of this CPU, or the time of a replayed packet.
    #[inline(always)]
    pub fn new(state: &'a mut CpuState, time: u64) -> Self {
        Self { state, time }
    }

    /// The CPU's memory.
    #[inline(always)]
    pub fn state(&mut self) -> &mut CpuState {
        self.state
    }

    /// Whether the packet brought its own time, which may go back.
    #[inline(always)]
    pub fn is_replayed(&self) -> bool {
        maps::is_replay()
    }

    /// Counts the end of a flow in the table, so that the agent sweeps only where a flow has ended.
    #[inline(always)]
    pub fn closing(&mut self, tcp_flags: u16) {
        if tcp_flags & FIN_OR_RST != 0 {
            // Behind the flow's flags.
            atomic::add(&mut self.state.closings, 1);
        }
    }

    /// Notes the packet's slot for the agent of a replay.
    #[inline(always)]
    pub fn placed(&mut self, version: u32, index: u32) {
        if self.is_replayed() {
            self.state.slot = [version, index];
        }
    }

    /// Notes that the packet is number `packets` of its slot, for the inspector of names.
    #[inline(always)]
    pub fn counted(&mut self, packets: u64) {
        let first = maps::FIRST_PACKETS.get();
        if first != 0 && packets <= u64::from(first) {
            self.state.slot = [COPY_DUE, 0];
        }
    }

    /// Notes the cold facts that the packet needs: one of [`flowxdp_common::counter`]'s, and the slot.
    #[inline(always)]
    pub fn owes(&mut self, what: u32, index: u32) {
        if maps::COLD_WORDS.get() != 0 {
            self.state.pending = [what, index];
        }
    }

    /// Time of a packet that belongs to a flow in the table.
    #[inline(always)]
    pub fn cheap(&mut self) -> u64 {
        if self.is_replayed() {
            return self.time;
        }
        let jiffy = kernel::jiffy();
        if jiffy == self.state.jiffy && self.state.credit != 0 {
            self.state.credit -= 1;
            return self.state.now;
        }
        self.state.jiffy = jiffy;
        self.exact()
    }

    /// Time of a packet that opens a flow, or that finds no slot.
    ///
    /// The jiffy stays: the first packet that a CPU without a partition adds to a slot that it was given reads
    /// the clock, so that its time is not before the slot's start on the CPU before.
    #[inline(always)]
    pub fn exact(&mut self) -> u64 {
        if self.is_replayed() {
            return self.time;
        }
        let now = kernel::now();
        self.state.now = now;
        self.state.credit = CREDIT;
        now
    }
}
