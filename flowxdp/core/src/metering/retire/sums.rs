//! The packets that a table holds, summed up over its slots.

use flowxdp_common::slot::{FREE, LIVE};

use super::Table;
use crate::{metering::slots::Slot, record::Total};

/// Packets and octets in the live slots of a table, where the retired ones are counted as queued.
pub fn in_live<T: Table>(table: &T) -> Total {
    let mut total = Total::default();
    for index in (0..table.len()).filter(|&index| table.state(index) == LIVE) {
        let (packets, octets) = table.copy(index).sums();
        total += Total { packets, octets };
    }
    total
}

/// Packets and octets in the live and retired slots of a table: the sum that the books show.
pub fn in_table<T: Table>(table: &T) -> Total {
    let mut total = Total::default();
    for index in 0..table.len() {
        if table.state(index) != FREE {
            let (packets, octets) = table.copy(index).sums();
            total += Total { packets, octets };
        }
    }
    total
}
