//! Slots of another layout, read by the table's own descriptor. Such a table drains and takes no new flows.

use flowxdp_common::{
    key::{KeyTail, SpillKey},
    slot::SpillSlot,
    table::{Fields, NONE},
};

/// A field of `N` octets; zeros where there is none.
fn field<const N: usize>(octets: &[u8], at: u16) -> [u8; N] {
    let start = usize::from(at);
    octets.get(start..start.saturating_add(N)).and_then(|octets| octets.try_into().ok()).unwrap_or([0; N])
}

fn number(octets: &[u8], at: u16) -> u64 {
    u64::from_ne_bytes(field(octets, at))
}

/// A slot or ring event, converted into the spill table's layout.
pub fn slot(fields: &Fields, octets: &[u8]) -> SpillSlot {
    let version = match fields.version {
        0 => field::<1>(octets, fields.version_at)[0],
        version => u8::try_from(version).unwrap_or(0),
    };
    let mut addresses = [0; 32];
    match version {
        4 => addresses[..8].copy_from_slice(&field::<8>(octets, fields.addresses)),
        _ => addresses = field(octets, fields.addresses),
    }
    let one = fields.packets == NONE;
    let sum = if one {
        u64::from(u32::from_ne_bytes(field(octets, fields.octets)))
    } else {
        number(octets, fields.octets)
    };
    let length = |at| match at {
        NONE => u16::try_from(sum).unwrap_or(u16::MAX),
        at => u16::from_ne_bytes(field(octets, at)),
    };
    SpillSlot {
        key: SpillKey {
            addresses,
            rest: KeyTail {
                ports: field(octets, fields.ports),
                protocol: field::<1>(octets, fields.protocol)[0],
                tos: field::<1>(octets, fields.tos)[0],
                vlan: u16::from_ne_bytes(field(octets, fields.vlan)),
                ingress: u32::from_ne_bytes(field(octets, fields.ingress)),
            },
            version,
            level: field::<1>(octets, fields.level)[0],
            pad: [0; 2],
        },
        packets: if one { 1 } else { number(octets, fields.packets) },
        octets: sum,
        first: number(octets, fields.first),
        last: number(octets, fields.last),
        length_min: length(fields.length_min),
        length_max: length(fields.length_max),
        state: u32::from_ne_bytes(field(octets, fields.state)),
        tcp_flags: u16::from_ne_bytes(field(octets, fields.tcp_flags)),
        ttl_min: field::<1>(octets, fields.ttl_min)[0],
        ttl_max: field::<1>(octets, fields.ttl_max)[0],
        ..SpillSlot::default()
    }
}

#[cfg(test)]
mod tests {
    use flowxdp_common::{
        overflow::Event,
        slot::{LIVE, SlotV4, SlotV6},
        table::FIELDS,
    };

    use super::*;
    use crate::metering::slots::{self, Slot};

    /// Every octet of every field different from the others.
    fn octets<const N: usize>() -> [u8; N] {
        std::array::from_fn(|at| u8::try_from(at + 1).unwrap())
    }

    #[test]
    fn our_own_layout_reads_as_it_is() {
        let v4: SlotV4 = bytemuck::cast(octets::<64>());
        assert_eq!(slot(&FIELDS[0], bytemuck::bytes_of(&v4)).counters(), v4.counters());
        let v6 = SlotV6 { pad: [0], ..bytemuck::cast(octets::<96>()) };
        assert_eq!(slot(&FIELDS[1], bytemuck::bytes_of(&v6)).counters(), v6.counters());
        let mut spilled: SpillSlot = bytemuck::cast(octets::<128>());
        spilled.key.version = 6;
        assert_eq!(slot(&FIELDS[2], bytemuck::bytes_of(&spilled)).counters(), spilled.counters());
        let event = Event { version: 6, octets: 1234, further: 0, ..bytemuck::cast(octets::<64>()) };
        let read = SpillSlot { state: LIVE, ..slot(&FIELDS[3], bytemuck::bytes_of(&event)) };
        assert_eq!(Some(read.counters()), slots::event(&event).map(|event| event.counters()));
    }

    #[test]
    fn what_lies_beyond_the_slot_is_zero() {
        let fields = Fields { packets: 60, ..FIELDS[0] };
        assert_eq!(slot(&fields, &octets::<64>()).packets, 0);
        assert_eq!(slot(&FIELDS[0], &[]).octets, 0);
    }
}
