//! For tests: a table and pages in memory of their own, which agents that end leave to others.

use std::os::fd::OwnedFd;

use flowxdp_common::{
    journal::{COLLECTORS, Page},
    slot::{SlotV4, retired},
};
use flowxdp_core::{
    metering::deliveries::{Place, SlotRef},
    metering::retire::Table,
    record::DeliveryId,
};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};

use super::{Ledger, Tables};
use crate::kernel::map::Mapped;

/// Memory that outlives an agent.
pub(crate) struct Memory {
    pages: OwnedFd,
    table: OwnedFd,
}

const SLOTS: usize = 512;

impl Memory {
    pub(crate) fn new() -> Self {
        let file = |octets: usize| {
            let file = memfd_create("test", MemfdFlags::CLOEXEC).unwrap();
            ftruncate(&file, octets as u64).unwrap();
            file
        };
        Self { pages: file(COLLECTORS * size_of::<Page>()), table: file(SLOTS * size_of::<SlotV4>()) }
    }

    pub(crate) fn table(&self) -> Mapped<SlotV4> {
        Mapped::new(&self.table, SLOTS).unwrap()
    }

    pub(crate) fn state(&self, index: usize) -> u32 {
        self.table().state(index)
    }

    pub(crate) fn pages(&self) -> Mapped<Page> {
        Mapped::new(&self.pages, COLLECTORS).unwrap()
    }

    /// The next agent's ledger.
    pub(crate) fn ledger(&self) -> Ledger {
        let mut ledger = Ledger::new(self.pages());
        let mut tables = Tables::default();
        tables.add(Place::v4(1), self.table());
        ledger.set_tables(tables);
        ledger
    }

    /// A slot that the agent took out of the table, and its delivery.
    pub(crate) fn retire(&self, ledger: &mut Ledger, index: usize, waiting: u32) -> DeliveryId {
        let slot = SlotV4 { packets: 3, octets: 300, state: retired(0), ..SlotV4::default() };
        self.table().write(index, &slot);
        let delivery = ledger.keep(&[SlotRef::new(Place::v4(1), index)], 0);
        ledger.expect(delivery, waiting);
        delivery
    }
}
