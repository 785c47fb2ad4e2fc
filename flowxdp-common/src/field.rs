//! The table of fields: each field's name, width, join, group and origin, and the layout of the cold slot.
//!
//! Hot fields stand in each slot of [`crate::slot`]. Cold fields belong to a group that the operator asks
//! for (`--collect GROUP`). They stand in a cold slot with the index of the hot one, as octets in network
//! byte order, in the order of [`COLD`]: the cold slot is the extension of the data record as it leaves.

/// How the values of one field join when two parts of a flow become one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// The sum.
    Sum,
    /// The smallest value.
    Min,
    /// The largest value.
    Max,
    /// The bits of both.
    Or,
    /// The value of the part whose first packet is earlier.
    First,
    /// The value of the part whose last packet is later.
    Last,
}

/// Where the value of a field comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The parser reads it from the packet.
    Parser,
    /// The clock at the packet's arrival.
    Clock,
    /// Computed from other fields when the record is encoded.
    Computed,
    /// Joined to the record by the agent, between merge and dispatch.
    Joined,
}

/// Groups of fields, each with its name for `--collect`.
macro_rules! groups {
    ($($(#[$doc:meta])* $group:ident = $name:literal,)+) => {
        /// A group of fields that the operator asks for as a whole.
        #[repr(u32)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Group {
            $($(#[$doc])* $group,)+
        }

        impl Group {
            /// All groups, in the order of the table.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$group),+];

            /// The name that `--collect` takes.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$group => $name,)+
                }
            }
        }
    };
}

groups! {
    /// The fields that every record has; always on.
    Base = "base",
    /// Smallest and largest TTL and IP length; they stand in the base record, so the group adds nothing.
    Minmax = "minmax",
    /// The duration, computed from start and end.
    Duration = "duration",
    /// MAC addresses.
    Mac = "mac",
    /// IPv6 flow label and extension headers.
    Ipv6 = "ipv6",
    /// 802.1Q and 802.1ad tags.
    Vlan = "vlan",
    /// The top three entries of the MPLS label stack.
    Mpls = "mpls",
    /// Applications and names; the agent joins them, so the group has no cold field.
    Names = "names",
    /// Segment of the innermost opened tunnel; on where tunnels are opened.
    Tunnel = "tunnel",
}

impl Group {
    /// The group of this name; [`Group::Base`] is none to ask for.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|group| *group != Self::Base && group.name() == name)
    }

    /// The group's bit in [`Groups`].
    pub const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// A set of groups. [`Group::Base`] is always part of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Groups(u32);

impl Groups {
    /// The base record alone.
    pub const BASE: Self = Self(0);

    /// This set and one group more.
    #[must_use]
    pub const fn with(self, group: Group) -> Self {
        match group {
            Group::Base => self,
            group => Self(self.0 | group.bit()),
        }
    }

    /// Whether the group is in the set.
    pub const fn has(self, group: Group) -> bool {
        matches!(group, Group::Base) || self.0 & group.bit() != 0
    }

    /// The set as a mask, a [`Group::bit`] each, without [`Group::Base`].
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The set of a mask; bits of no group are dropped.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits & ((1 << Group::ALL.len()) - 1) & !Group::Base.bit())
    }

    /// The groups of the set that have cold fields.
    #[must_use]
    pub const fn with_cold_fields(self) -> Self {
        let (mut bits, mut index) = (0, 0);
        while index < COLD.len() {
            bits |= COLD[index].group.bit();
            index += 1;
        }
        Self(self.0 & bits)
    }

    /// The groups of the set, in the order of the table, without [`Group::Base`].
    pub fn iter(self) -> impl Iterator<Item = Group> {
        Group::ALL.into_iter().filter(move |group| *group != Group::Base && self.has(*group))
    }
}

impl FromIterator<Group> for Groups {
    fn from_iter<T: IntoIterator<Item = Group>>(groups: T) -> Self {
        groups.into_iter().fold(Self::BASE, Self::with)
    }
}

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// IANA's name, or the name of the counter.
    pub name: &'static str,
    /// Octets of the value.
    pub octets: u16,
    /// How two values become one.
    pub join: Join,
    /// The group that the field belongs to.
    pub group: Group,
    /// Where the value comes from.
    pub origin: Origin,
}

/// The rows of the cold fields: name in the code, IANA's name, octets, join.
macro_rules! cold {
    ($($(#[$doc:meta])* $group:ident $field:ident = $name:literal, $octets:literal, $join:ident;)+) => {
        /// A field of the cold slot: an index into [`COLD`].
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Cold {
            $($(#[$doc])* $field,)+
        }

        impl Cold {
            /// All cold fields, in the order of the table.
            pub const ALL: [Self; [$($octets),+].len()] = [$(Self::$field),+];
        }

        /// The cold fields, in the order of the table. Fields of a group are neighbours.
        pub const COLD: [Field; Cold::ALL.len()] = [$(Field {
            name: $name,
            octets: $octets,
            join: Join::$join,
            group: Group::$group,
            origin: Origin::Parser,
        }),+];
    };
}

// A field's index stands in the descriptor of a pinned table: new rows are added at the end. Fields lie in this
// order, but for the tunnel's, which are first. The order keeps each field at a multiple of its alignment, whichever
// groups are on; the MAC addresses stand as in the frame.
cold! {
    /// Destination address of the Ethernet header.
    Mac DestinationMac = "destinationMacAddress", 6, First;
    /// Source address of the Ethernet header.
    Mac SourceMac = "sourceMacAddress", 6, First;
    /// Flow label of the IPv6 header, 20 bits (RFC 8200 section 3).
    Ipv6 FlowLabel = "flowLabelIPv6", 4, First;
    /// Extension headers by the bits of IANA's registry (RFC 9740), reduced to four octets.
    Ipv6 ExtensionHeaders = "ipv6ExtensionHeadersFull", 4, Or;
    /// VLAN identifier of the outer tag, 12 bits.
    Vlan VlanId = "dot1qVlanId", 2, First;
    /// VLAN identifier of the inner tag, 12 bits.
    Vlan CustomerVlanId = "dot1qCustomerVlanId", 2, First;
    /// Priority of the outer tag, 3 bits.
    Vlan Priority = "dot1qPriority", 1, First;
    /// Priority of the inner tag, 3 bits.
    Vlan CustomerPriority = "dot1qCustomerPriority", 1, First;
    /// Top entry of the label stack: label 20 bits, EXP 3, bottom of stack 1 (RFC 3032).
    Mpls Label1 = "mplsTopLabelStackSection", 3, First;
    /// Second entry.
    Mpls Label2 = "mplsLabelStackSection2", 3, First;
    /// Third entry.
    Mpls Label3 = "mplsLabelStackSection3", 3, First;
    /// Segment of the innermost opened tunnel, by its kind in [`crate::tunnel`]: part of the flow key.
    Tunnel Segment = "segment", 4, First;
    /// The segment of GTP-U.
    Tunnel GtpuTeid = "gtpuTEid", 4, First;
    /// The segment of VXLAN and NVGRE.
    Tunnel Layer2SegmentId = "layer2SegmentId", 8, First;
    /// The key of GRE.
    Tunnel GreKey = "greKey", 4, First;
}

impl Cold {
    /// The field's row.
    pub const fn field(self) -> &'static Field {
        &COLD[self as usize]
    }
}

/// Whether a field lies in front of another one, or of the end. The tunnel's fields are first: the program compares
/// the segment at the start of the cold slot.
const fn is_before(index: usize, other: usize) -> bool {
    if other >= COLD.len() {
        return true;
    }
    let is_first = matches!(COLD[index].group, Group::Tunnel);
    if is_first == matches!(COLD[other].group, Group::Tunnel) { index < other } else { is_first }
}

/// Octets of the cold fields of `groups` in front of the field of this index.
const fn before(groups: Groups, end: usize) -> u16 {
    let (mut octets, mut index) = (0, 0);
    while index < COLD.len() {
        if is_before(index, end) && groups.has(COLD[index].group) {
            octets += COLD[index].octets;
        }
        index += 1;
    }
    octets
}

/// Where a field lies in the cold slot of `groups`, octets from its start; `None` where its group is off.
pub const fn offset(groups: Groups, field: Cold) -> Option<u16> {
    if groups.has(field.field().group) { Some(before(groups, field as usize)) } else { None }
}

/// Where the first cold field of a group lies, octets; `None` where it is off or has no cold field.
pub const fn group_offset(groups: Groups, group: Group) -> Option<u16> {
    let mut index = 0;
    while index < COLD.len() {
        if COLD[index].group as u32 == group as u32 {
            return offset(groups, Cold::ALL[index]);
        }
        index += 1;
    }
    None
}

/// Octets of the cold slot of `groups`, a multiple of 8; 0 where no group has a cold field.
pub const fn width(groups: Groups) -> usize {
    (before(groups, COLD.len()) as usize).next_multiple_of(8)
}

/// The part of the flow key that is in a cold slot laid out for `groups`: the tunnel's segment, 0 where no tunnel is
/// opened.
pub fn segment(groups: Groups, row: &[u8]) -> u32 {
    match row.first_chunk() {
        Some(segment) if groups.has(Group::Tunnel) => u32::from_be_bytes(*segment),
        _ => 0,
    }
}

/// The largest cold slot, octets.
pub const WIDEST: usize = width(Groups::from_bits(u32::MAX));

/// A cold slot's octets with room for the widest.
pub type ColdRow = [u8; WIDEST];

/// Joins the cold fields of two parts of a flow, both laid out for `groups`, into `row`. `is_earlier`: the
/// other part's first packet came before this one's.
pub fn join(groups: Groups, row: &mut [u8], other: &[u8], is_earlier: bool) {
    for cold in Cold::ALL {
        let (field, Some(at)) = (cold.field(), offset(groups, cold)) else { continue };
        let range = usize::from(at)..usize::from(at + field.octets);
        let (Some(mine), Some(theirs)) = (row.get_mut(range.clone()), other.get(range)) else { continue };
        match field.join {
            Join::Or => mine.iter_mut().zip(theirs).for_each(|(mine, theirs)| *mine |= theirs),
            // No cold field sums up or compares; the one that does needs its arm here.
            Join::Sum | Join::Min | Join::Max | Join::Last => {}
            Join::First if is_earlier => mine.copy_from_slice(theirs),
            Join::First => {}
        }
    }
}

/// The cold fields of a slot with another layout, in the layout of `groups`; zeros for fields that are not
/// there. `places` says where each of [`COLD`] lies in `octets`.
pub fn convert(places: &[u16], octets: &[u8], groups: Groups) -> ColdRow {
    let mut row = [0; WIDEST];
    for (cold, from) in Cold::ALL.into_iter().zip(places) {
        let (from, octets_of) = (usize::from(*from), usize::from(cold.field().octets));
        let Some(to) = offset(groups, cold).map(usize::from) else { continue };
        if let (Some(place), Some(value)) =
            (row.get_mut(to..to + octets_of), octets.get(from..from + octets_of))
        {
            place.copy_from_slice(value);
        }
    }
    row
}

const _: () = assert!(WIDEST.is_multiple_of(8));

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::*;

    #[test]
    fn each_set_of_groups_packs_its_fields_in_order() {
        for bits in 0..1 << Group::ALL.len() {
            let groups = Groups::from_bits(bits);
            let fields = Cold::ALL.into_iter().filter_map(|cold| Some((offset(groups, cold)?, cold)));
            let mut fields: Vec<_> = fields.collect();
            fields.sort_by_key(|(at, _)| *at);
            assert!(fields.is_sorted_by_key(|(_, cold)| cold.field().group != Group::Tunnel));
            let mut end = 0;
            for (at, cold) in fields {
                assert_eq!(at, end, "{cold:?} of {groups:?}");
                end += cold.field().octets;
            }
            assert_eq!(width(groups), usize::from(end.next_multiple_of(8)));
        }
        assert_eq!(width(Groups::BASE.with(Group::Minmax).with(Group::Duration)), 0);
        assert_eq!((width(Groups::BASE.with(Group::Mac)), WIDEST), (16, 56));
    }

    #[test]
    fn a_group_is_found_by_its_name_and_base_is_none() {
        let groups: Groups = ["mac", "mpls"].into_iter().filter_map(Group::from_name).collect();
        assert_eq!(groups.iter().map(Group::name).collect::<Vec<_>>(), ["mac", "mpls"]);
        assert_eq!(Group::from_name("base"), None);
        assert!(groups.has(Group::Base) && !groups.has(Group::Vlan));
        assert_eq!(Groups::from_bits(groups.bits()), groups);
        assert_eq!(group_offset(groups, Group::Mpls), Some(12));
        assert_eq!(group_offset(groups, Group::Vlan), None);
    }
}
