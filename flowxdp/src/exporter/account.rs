//! One collector's part of the books, counted where its records are.

use std::collections::BTreeMap;

use flowxdp_common::reason::Reason;
use flowxdp_core::{
    books::Collector,
    record::{FlowRecord, RecordTotal},
};

/// What became of the records that were meant for a collector.
#[derive(Debug, Default)]
pub(super) struct Account {
    exported: RecordTotal,
    lost: BTreeMap<&'static str, RecordTotal>,
    perhaps_twice: RecordTotal,
    refused: u64,
    /// Of an earlier run, which no counter of this one has seen: apart from all others.
    inherited: RecordTotal,
    inherited_exported: RecordTotal,
    inherited_lost: RecordTotal,
}

impl Account {
    pub(super) fn exported(&mut self, total: RecordTotal, inherited: bool) {
        if inherited {
            self.inherited_exported += total;
        } else {
            self.exported += total;
        }
    }

    /// What was exported is to be exported again.
    pub(super) fn taken_back(&mut self, total: RecordTotal, inherited: bool) {
        if inherited {
            self.inherited_exported -= total;
        } else {
            self.exported -= total;
        }
    }

    pub(super) fn perhaps_twice(&mut self, total: RecordTotal) {
        self.perhaps_twice += total;
    }

    pub(super) fn lost(&mut self, reason: &Reason, total: RecordTotal, inherited: bool) {
        if total.records == 0 {
            return;
        }
        if inherited {
            self.inherited_lost += total;
        } else {
            *self.lost.entry(reason.name).or_default() += total;
        }
    }

    pub(super) fn lost_record(&mut self, reason: &Reason, record: &FlowRecord) {
        self.lost.entry(reason.name).or_default().count(record);
    }

    /// The other side's ICMP message came back.
    pub(super) const fn refused(&mut self) {
        self.refused += 1;
    }

    pub(super) fn inherit(&mut self, total: RecordTotal) {
        self.inherited += total;
    }

    pub(super) fn all_lost(&self) -> RecordTotal {
        let mut all = RecordTotal::default();
        for total in self.lost.values() {
            all += *total;
        }
        all
    }

    pub(super) fn exported_records(&self) -> u64 {
        self.exported.records + self.inherited_exported.records
    }

    pub(super) fn books(&self, queued: RecordTotal) -> Collector {
        let lost = self.lost.iter().map(|(reason, total)| ((*reason).to_owned(), *total));
        Collector {
            exported: self.exported,
            queued,
            lost: self.all_lost(),
            perhaps_twice: self.perhaps_twice,
            refused: self.refused,
            lost_by_reason: lost.collect(),
            inherited: self.inherited,
            inherited_exported: self.inherited_exported,
            inherited_lost: self.inherited_lost,
            ..Collector::default()
        }
    }
}
