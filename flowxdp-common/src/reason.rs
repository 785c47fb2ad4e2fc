//! The one table of reasons for which a packet is not in a flow record.
//!
//! The counter's place, the name in the books and the sentence in the manual all come from here.

/// A row: its name in the books and what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason {
    /// Name in `status`, in JSON and in logs.
    pub name: &'static str,
    /// One sentence for the manual.
    pub sentence: &'static str,
}

/// A packet that the metering process does not meter, by index into [`IGNORED`].
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ignored {
    /// No IPv4 or IPv6 packet where the parser looks for one.
    NotIp = 0,
    /// A header is not wholly in the captured octets or inside the IP packet.
    Truncated = 1,
    /// A header contradicts itself or the frame.
    Malformed = 2,
}

/// Reasons for ignoring, counted by the XDP program per interface.
pub const IGNORED: [Reason; 3] = [
    Reason {
        name: "not_ip",
        sentence: "The frame carries no IPv4 or IPv6 packet behind at most two VLAN tags, a PPPoE session or eight MPLS labels.",
    },
    Reason {
        name: "truncated",
        sentence: "A header up to the ports or the ICMP type is not wholly in the captured octets, or not wholly inside the IP packet.",
    },
    Reason {
        name: "malformed",
        sentence: "A header contradicts itself or the frame: version, header length, total length, or more than eight IPv6 extension headers.",
    },
];

/// A packet of a capture that the XDP program is not given, by index into [`NOT_REPLAYED`].
#[repr(usize)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotReplayed {
    /// No Ethernet header stands for the packet's link header.
    UnsupportedLink = 0,
    /// No export time can say the packet's time.
    TimeOutOfRange = 1,
}

/// Further reasons for ignoring, counted by the agent in a replay alone.
pub const NOT_REPLAYED: [Reason; 2] = [
    Reason {
        name: "unsupported_link",
        sentence: "The packet's link type is none that `replay` knows; `replay` alone has this reason.",
    },
    Reason {
        name: "time_out_of_range",
        sentence: "The packet's time is before 1970, or at 2^32 seconds or later; `replay` alone has this reason.",
    },
];

/// A metered packet that no flow record will show, counted by the XDP program, by index into [`LOST`].
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lost {
    /// Neither a slot nor room in the ring buffer.
    RingBufferFull = 0,
}

/// Reasons for losing a packet in the kernel, counted per interface.
pub const LOST: [Reason; 1] = [Reason {
    name: "ring_buffer_full",
    sentence: "The flow's window of the table was full, or its CPU had no partition, and the ring buffer to the agent was full.",
}];

/// The flush at the end of a run or a replay gave a collector up; counted by the agent per collector.
pub const COLLECTOR_UNREACHABLE: Reason = Reason {
    name: "collector_unreachable",
    sentence: "At the end of a run or a replay the collector was waited for, and took no message.",
};

/// The protocol of a collector has no way to say the record.
pub const NOT_REPRESENTABLE: Reason = Reason {
    name: "not_representable",
    sentence: "The collector's protocol cannot say the record: IPv6 in NetFlow v5, v7 and v1, or times that its 32 bits of sysUptime do not reach.",
};

/// A collector does not keep up while others do.
pub const QUEUE_FULL: Reason = Reason {
    name: "queue_full",
    sentence: "The collector did not keep up, its queue in memory was full, and others were not to wait for it.",
};

/// The oldest part of a spool made room.
pub const SPOOL_FULL: Reason = Reason {
    name: "spool_full",
    sentence: "The collector's spool on disk had reached its limit, and this was its oldest part.",
};

/// A part of a spool was too old.
pub const SPOOL_EXPIRED: Reason = Reason {
    name: "spool_expired",
    sentence: "The record was in the collector's spool on disk for longer than `--spool-age`.",
};

/// A part of a spool could not be read back.
pub const SPOOL_UNREADABLE: Reason = Reason {
    name: "spool_unreadable",
    sentence: "The record was in a part of the collector's spool on disk that could not be read back.",
};

/// An agent that ended at once had it in its memory alone.
pub const AGENT_KILLED: Reason = Reason {
    name: "agent_killed",
    sentence: "The record was to be sent again to a collector that was away, and the agent that had it in memory was killed.",
};

/// Reasons for losing a record on its way to a collector, counted per collector. [`crate::journal`] has
/// their order.
pub const UNDELIVERED: [Reason; 7] = [
    COLLECTOR_UNREACHABLE,
    NOT_REPRESENTABLE,
    QUEUE_FULL,
    SPOOL_FULL,
    SPOOL_EXPIRED,
    SPOOL_UNREADABLE,
    AGENT_KILLED,
];
