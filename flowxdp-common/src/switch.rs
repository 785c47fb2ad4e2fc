//! THE table of load-time constants, which the loader sets before the verifier sees the program, so that the verifier
//! removes code that is switched off.
//!
//! A constant is one row: its symbol in the program's object, its field here, type and default. The program's statics
//! follow from the rows, and the values that the loader sets.

use bytemuck::bytes_of;

/// Words of the random seed: one for each pair of 32-bit words of an IPv6 key with its interface, and a multiplier.
pub const SEED_WORDS: usize = 7;

/// The parser walks to the outermost IP header, and nothing else is asked of a packet.
pub const WALK_OUTER: u32 = 0;
/// The same for frames that carry metadata in front of them.
pub const WALK_REPLAY: u32 = 1;
/// Tunnels are opened or fragments joined, as further constants say.
pub const WALK_CANDIDATES: u32 = 2;

/// A packet passes to the kernel's stack behind the meter: XDP_PASS of the kernel's `uapi/linux/bpf.h`.
pub const BEHIND_STACK: u32 = 2;
/// A packet is dropped behind the meter, as its interface is a tap: XDP_DROP.
pub const BEHIND_DROP: u32 = 1;
/// The other program on the interface has a packet next, and the last word on it.
pub const BEHIND_CHAIN: u32 = 0;

/// Calls a macro with `$given` and the rows of the table.
#[macro_export]
macro_rules! switches {
    ($rows:ident! $given:tt) => {
        $rows! {
            $given
            /// Constants that follow from the size of the tables.
            Dimensions {
                /// The hash's seed: random numbers.
                SEED seed: [u64; $crate::switch::SEED_WORDS] = [0; $crate::switch::SEED_WORDS];
                /// Partitions of the tables.
                PARTITIONS partitions: u32 = 1;
                /// Home slots of one IPv4 partition.
                HOMES_V4 homes_v4: u32 = 1;
                /// Home slots of one IPv6 partition.
                HOMES_V6 homes_v6: u32 = 1;
                /// Octets before each [`crate::field::Group`]'s first field in the cold slot; `u32::MAX` where the
                /// group is off or has no cold field.
                COLD_OFFSETS cold_offsets: [u32; $crate::field::Group::ALL.len()] =
                    [u32::MAX; $crate::field::Group::ALL.len()];
                /// Words of a cold slot; 0: no group has cold fields.
                COLD_WORDS cold_words: u32 = 0;
                /// The groups that have cold fields, as [`crate::field::Groups::bits`].
                GROUPS groups: u32 = 0;
                /// The way of the parser, one of `WALK_…`, which follows from the switches.
                WALK walk: u32 = $crate::switch::WALK_OUTER;
            }
            /// Constants that the configuration chooses.
            Switches {
                /// 1 when frames carry [`crate::meta::Meta`] in front of them.
                REPLAY replay: u32 = 0;
                /// The way of a packet behind the meter, one of `BEHIND_…`.
                BEHIND behind: u32 = $crate::switch::BEHIND_STACK;
                /// Packets of a slot that are offered to the inspector of names; 0: none.
                FIRST_PACKETS first_packets: u32 = 0;
                /// Packets that each CPU copies in a moment ([`crate::copy::MOMENT`]), at most.
                COPY_BUDGET copy_budget: u32 = 0;
                /// 1 where tunnels are opened.
                TUNNELS tunnels: u32 = 0;
                /// UDP ports of VXLAN beside its own; 0 behind the last.
                VXLAN_PORTS vxlan_ports: [u32; $crate::tunnel::MORE_PORTS] = [0; $crate::tunnel::MORE_PORTS];
                /// Sets of the table of first fragments; 0: fragments are not joined.
                FRAGMENT_SETS fragment_sets: u32 = 0;
            }
        }
    };
}

/// Declares each part of the table as a type of values.
macro_rules! values {
    ({} $($(#[$of_kind:meta])* $kind:ident {
        $($(#[$about:meta])* $symbol:ident $field:ident: $type:ty = $default:expr;)+
    })+) => {$(
        $(#[$of_kind])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $kind {
            $($(#[$about])* pub $field: $type,)+
        }

        impl $kind {
            /// The values that hold where the loader sets no others.
            pub const DEFAULT: Self = Self { $($field: $default),+ };

            /// Each constant's symbol in the object, and the octets of its value in the machine's order.
            pub fn symbols(&self) -> [(&'static str, &[u8]); [$(stringify!($symbol)),+].len()] {
                [$((stringify!($symbol), bytes_of(&self.$field))),+]
            }
        }

        impl Default for $kind {
            fn default() -> Self {
                Self::DEFAULT
            }
        }
    )+};
}

switches!(values! {});
