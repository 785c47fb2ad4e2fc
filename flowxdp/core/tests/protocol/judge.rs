//! Rules that must hold in every state, and at the end.

use flowxdp_common::slot::{FREE, LIVE};

use crate::{
    cell::{CPUS, Cell},
    journal,
    memory::Memory,
    scenario::Scenario,
};

/// No flow has two live slots in one partition, nor in the spill table.
pub(crate) fn always(scenario: &Scenario, memory: &Memory) -> Result<(), String> {
    let table = |cpu| match cpu {
        CPUS => scenario.spill_base()..scenario.slots(),
        _ => scenario.base(cpu)..scenario.base(cpu + 1).min(scenario.spill_base()),
    };
    for table in (0..=CPUS).map(table) {
        let live = |slot: &usize| memory.word(Cell::State(*slot)) == u64::from(LIVE);
        for one in table.clone().filter(live) {
            let key = memory.word(Cell::Key(one));
            if let Some(other) =
                (table.start..one).filter(live).find(|&slot| memory.word(Cell::Key(slot)) == key)
            {
                return Err(format!("slots {other} and {one} are both of flow {key}"));
            }
        }
    }
    Ok(())
}

/// Each packet is in the table's records once and with each collector at least once; duplicates are named.
pub(crate) fn end(scenario: &Scenario, memory: &Memory) -> Result<(), String> {
    let total = |cell: fn(usize) -> Cell| (0..CPUS).map(|cpu| memory.word(cell(cpu))).sum::<u64>();
    let seen = [total(Cell::SeenPackets), total(Cell::SeenOctets)];
    let packets: usize = scenario.packets.iter().map(Vec::len).sum();
    let once = (0..packets).map(crate::xdp::octets).sum::<u64>();
    if seen != [packets as u64, once] {
        return Err(format!("seen {seen:x?} of {packets} packets"));
    }
    if let Some(slot) = (0..scenario.slots()).find(|&slot| memory.word(Cell::State(slot)) != u64::from(FREE))
    {
        return Err(format!("slot {slot} is not free in the end"));
    }
    for collector in 0..scenario.collectors {
        let [exported_packets, exported_octets, twice_packets, twice_octets] =
            journal::terms(memory, collector);
        let received =
            [Cell::ReceivedPackets(collector), Cell::ReceivedOctets(collector)].map(|cell| memory.word(cell));
        if [exported_packets, exported_octets] != seen {
            return Err(format!(
                "collector {collector}: exported {:x?} of {seen:x?}",
                [exported_packets, exported_octets]
            ));
        }
        let digit = |octets: u64, packet: usize| octets >> (4 * packet) & 15;
        let is_good = |packet| {
            let times = digit(received[1], packet);
            1 <= times && times <= 1 + digit(twice_octets, packet)
        };
        let times: u64 = (0..packets).map(|packet| digit(received[1], packet)).sum();
        if !(0..packets).all(is_good) || times != received[0] || received[0] > seen[0] + twice_packets {
            return Err(format!(
                "collector {collector}: received {received:x?} of {seen:x?}, perhaps twice {:x?}",
                [twice_packets, twice_octets]
            ));
        }
    }
    Ok(())
}
