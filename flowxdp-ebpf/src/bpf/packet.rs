//! The packet that the program handles, apart from its headers, and the CPU that handles it.

use aya_ebpf::programs::TcContext;
use flowxdp_common::counter::CpuState;
use flowxdp_ebpf::frame::Skb;

use crate::bpf::{
    kernel,
    maps::{self, Own},
};

/// The packet's lengths, interface and time, which no header has.
#[derive(Clone, Copy)]
pub struct Packet {
    /// Octets on the wire, of all frames that segmentation offload makes of the packet.
    pub wire: u32,
    /// Octets in the buffers.
    pub captured: u32,
    /// ifIndex of the interface of observation, with [`flowxdp_common::key::EGRESS`] for packets that leave by it.
    pub ingress: u32,
    /// Time of a replayed packet, nanoseconds; else 0.
    pub time: u64,
}

/// The CPU that runs the program.
#[derive(Clone, Copy)]
pub struct Cpu {
    /// Its number.
    pub number: u32,
    /// The CPU's memory, shared with the agent.
    pub state: Own<CpuState>,
}

impl Cpu {
    /// This CPU.
    #[inline(always)]
    pub fn current() -> Option<Self> {
        let number = kernel::cpu();
        Some(Self { number, state: maps::cpu(number)? })
    }
}

/// The frame at ingress of a device whose frames have no Ethernet header.
#[inline(always)]
pub fn without_ethernet(ctx: &TcContext, cpu: Cpu) -> Skb<'_> {
    Skb::without_ethernet(ctx, link_layer(ctx), cpu.state.pointer())
}

/// Octets in front of the IP header at ingress, an outer header of sit or GRE: the kernel has `wire_len` from before it
/// put these back (`sch_handle_ingress`).
#[inline(always)]
fn link_layer(ctx: &TcContext) -> u32 {
    kernel::skb_length(ctx).saturating_sub(kernel::skb_wire_length(ctx))
}
