//! The one table of reasons for which a packet is not in a flow record.
//!
//! A reason is one row: counters, their mask, names in the books, sentences in the manual and the layout of pinned
//! maps follow from the rows. New rows go to the end of their table, since the rows number the counters.

/// A row: its name in the books and its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason {
    /// Name in `status`, in JSON and in logs.
    pub name: &'static str,
    /// One sentence for the manual.
    pub sentence: &'static str,
}

/// Declares tables: a type with a value for each row, and the rows in the same order.
macro_rules! reasons {
    ($($(#[$of_type:meta])* $kind:ident, $(#[$of_table:meta])* $table:ident {
        $($(#[$of_value:meta])* $value:ident $name:literal $sentence:literal;)+
    })+) => {$(
        $(#[$of_type])*
        #[repr(u32)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $kind {
            $($(#[$of_value])* $value,)+
        }

        $(#[$of_table])*
        pub const $table: [Reason; [$($kind::$value),+].len()] =
            [$(Reason { name: $name, sentence: $sentence }),+];

        impl $kind {
            /// The row.
            pub const fn row(self) -> &'static Reason {
                const ROWS: &[Reason] = &$table;
                &ROWS[self as usize]
            }
        }
    )+};
}

reasons! {
    /// A packet that the metering process does not meter, by index into [`IGNORED`].
    Ignored,
    /// Reasons for ignoring, counted by the XDP program per interface.
    IGNORED {
        /// No IPv4 or IPv6 packet where the parser looks for one.
        NotIp "not_ip"
            "The frame carries no IPv4 or IPv6 packet behind at most two VLAN tags, a PPPoE session or eight MPLS labels.";
        /// A header is not wholly in the captured octets or inside the IP packet.
        Truncated "truncated"
            "A header up to the ports or the ICMP type is not wholly in the captured octets, or not wholly inside the IP packet.";
        /// A header contradicts itself or the frame.
        Malformed "malformed"
            "A header contradicts itself or the frame: version, header length, total length, or more than eight IPv6 extension headers.";
    }

    /// A packet of a capture that the XDP program is not given, by index into [`NOT_REPLAYED`].
    NotReplayed,
    /// Further reasons for ignoring, counted by the agent in a replay alone.
    NOT_REPLAYED {
        /// No Ethernet header stands for the packet's link header.
        UnsupportedLink "unsupported_link"
            "The packet's link type is none that `replay` knows; `replay` alone has this reason.";
        /// No export time can say the packet's time.
        TimeOutOfRange "time_out_of_range"
            "The packet's time is before 1970, or at 2^32 seconds or later; `replay` alone has this reason.";
    }

    /// A metered packet that no flow record will show, counted by the XDP program, by index into [`LOST`].
    Lost,
    /// Reasons for losing a packet in the kernel, counted per interface.
    LOST {
        /// Neither a slot nor room in the ring buffer.
        RingBufferFull "ring_buffer_full"
            "The flow's window of the table was full, or its CPU had no partition, and the ring buffer to the agent was full.";
    }

    /// A packet that the inspector of names does not get, by index into [`SKIPPED`].
    Skipped,
    /// Reasons for not inspecting a packet, which is metered all the same.
    SKIPPED {
        /// The CPU had copied its budget in this moment.
        Budget "budget"
            "The CPU had copied as many packets in this moment, 67 ms, as `--names-budget` gives.";
        /// No room in the ring buffer of copies.
        RingFull "ring_full"
            "The ring buffer of copies was full: the agent inspected the packets before it later than they came.";
    }

    /// A record that does not reach a collector, by index into [`UNDELIVERED`].
    Undelivered,
    /// Reasons for losing a record on its way to a collector, counted per collector. [`crate::journal`] has
    /// their order.
    UNDELIVERED {
        /// The flush at the end of a run or a replay gave a collector up.
        CollectorUnreachable "collector_unreachable"
            "At the end of a run or a replay the collector was waited for, and took no message.";
        /// The protocol of a collector has no way to say the record.
        NotRepresentable "not_representable"
            "The collector's protocol cannot say the record: IPv6 in NetFlow v5, v7 and v1, or times that its 32 bits of sysUptime do not reach.";
        /// A collector does not keep up while others do.
        QueueFull "queue_full"
            "The collector did not keep up, its queue in memory was full, and others were not to wait for it.";
        /// The oldest part of a spool made room.
        SpoolFull "spool_full"
            "The collector's spool on disk had reached its limit, and this was its oldest part.";
        /// A part of a spool was too old.
        SpoolExpired "spool_expired"
            "The record was in the collector's spool on disk for longer than `--spool-age`.";
        /// A part of a spool could not be read back.
        SpoolUnreadable "spool_unreadable"
            "The record was in a part of the collector's spool on disk that could not be read back.";
        /// An agent that ended at once had it in its memory alone.
        AgentKilled "agent_killed"
            "The record was to be sent again to a collector that was away, and the agent that had it in memory was killed.";
    }
}

/// A mask that keeps each number of a table's rows, for the BPF verifier: the array behind it has as many places.
pub const fn mask(rows: usize) -> usize {
    rows.next_power_of_two() - 1
}

/// Rows of the tables that size memory outliving the agent, an octet each: a further row is another layout.
pub(crate) const LAYOUT: u64 =
    (IGNORED.len() as u64) << 16 | (LOST.len() as u64) << 8 | UNDELIVERED.len() as u64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_the_number_of_its_row() {
        assert_eq!(Ignored::Malformed.row(), &IGNORED[Ignored::Malformed as usize]);
        assert_eq!(Undelivered::AgentKilled.row().name, "agent_killed");
    }

    #[test]
    fn a_mask_keeps_every_row() {
        for rows in 1..20 {
            assert!((0..rows).all(|row| row & mask(rows) == row) && mask(rows) < 2 * rows, "{rows}");
        }
    }

    #[test]
    fn names_are_those_of_json_keys_and_none_stands_twice() {
        let tables = [IGNORED.as_slice(), &NOT_REPLAYED, &LOST, &SKIPPED, &UNDELIVERED];
        let names = || tables.iter().flat_map(|table| table.iter()).map(|reason| reason.name);
        assert!(names().all(|name| name.chars().all(|next| next.is_ascii_lowercase() || next == '_')));
        for name in names() {
            assert_eq!(names().filter(|other| *other == name).count(), 1, "{name}");
        }
    }
}
