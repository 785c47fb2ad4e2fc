//! One collector's part of the books, counted where its records are.
//!
//! With a [`ledger`](crate::exporting::deliveries), every step is written down as it is taken, and lets go of the slots of
//! the records that it settles.

mod before;

use std::collections::BTreeMap;

use flowxdp_common::{
    journal::{self, Sum},
    reason::{UNDELIVERED, Undelivered},
};
use flowxdp_core::{
    books::Collector,
    exporting::session::Message,
    record::{DeliveryId, FlowRecord, RecordTotal},
};

use crate::exporting::deliveries::{SharedLedger, page::Left};

pub(crate) use self::before::Outcome;

/// The books of the records meant for a collector.
#[derive(Default)]
pub(super) struct CollectorBooks {
    now: journal::Terms,
    page: Option<(SharedLedger, usize)>,
    /// Settled by the step that is being taken.
    released: Vec<DeliveryId>,
    /// Handed over by it, and perhaps refused later.
    unconfirmed: Vec<DeliveryId>,
}

/// Where a message comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Origin {
    /// An earlier table, which no counter of this one has seen: apart from all others.
    pub(super) inherited: bool,
    /// The message is on disk, and stays there until it is delivered.
    pub(super) stored: bool,
}

fn add(sum: &mut Sum, total: RecordTotal) {
    sum.records += total.records;
    sum.packets += total.packets;
    sum.octets += total.octets;
}

fn subtract(sum: &mut Sum, total: RecordTotal) {
    sum.records = sum.records.saturating_sub(total.records);
    sum.packets = sum.packets.saturating_sub(total.packets);
    sum.octets = sum.octets.saturating_sub(total.octets);
}

/// A sum of the journal, as the books have it.
pub(super) const fn total(sum: Sum) -> RecordTotal {
    RecordTotal { records: sum.records, packets: sum.packets, octets: sum.octets }
}

/// `one` without `other`.
pub(super) const fn less(one: RecordTotal, other: RecordTotal) -> RecordTotal {
    RecordTotal {
        records: one.records.saturating_sub(other.records),
        packets: one.packets.saturating_sub(other.packets),
        octets: one.octets.saturating_sub(other.octets),
    }
}

impl CollectorBooks {
    /// Recovers an earlier agent's books. Records that were in its memory alone are lost, and named.
    ///
    /// The caller commits once it has resolved all that the earlier agent left in doubt: until then a further
    /// successor would find the same.
    pub(super) fn recover(ledger: &SharedLedger, at: usize, left: &Left) -> Self {
        let mut books = Self { now: left.terms, page: Some((ledger.clone(), at)), ..Self::default() };
        if let Some(perhaps) = left.perhaps {
            // The numbers of messages that may have left are not given again.
            books.now.sequences = perhaps.sequences;
            if perhaps.spooled == left.terms.spooled {
                let named = ledger.borrow_mut().total(at, &left.slots);
                books.perhaps_twice(named);
            }
        }
        let held = total(std::mem::take(&mut books.now.held));
        books.lost(Undelivered::AgentKilled, held, false);
        books
    }

    /// The spool was opened, with these totals in it. Gives the part that no counter of this table has seen,
    /// which comes first.
    ///
    /// Records that were handed over and not delivered wait again.
    pub(super) fn recover_spool(&mut self, found: RecordTotal, left: &Left) -> RecordTotal {
        let known = less(found, total(self.now.foreign));
        if let Some(perhaps) = left.perhaps
            && known.records >= perhaps.spooled.records
            && perhaps.spooled.records > self.now.spooled.records
        {
            // The last message is there: its slots need not tell it again, and memory lost less.
            self.now.spooled = perhaps.spooled;
            let saved = less(total(left.terms.held), total(perhaps.held));
            self.found(Undelivered::AgentKilled, saved);
            self.release(left);
        }
        let before = total(std::mem::take(&mut self.now.spooled));
        let ours = if known.records > before.records { before } else { known };
        let foreign = less(found, ours);
        add(&mut self.now.inherited, less(foreign, total(self.now.foreign)));
        let delivered = less(total(self.now.foreign), foreign);
        let again = less(total(std::mem::take(&mut self.now.foreign_exported)), delivered);
        subtract(&mut self.now.inherited_exported, again);
        self.now.foreign = Sum::default();
        add(&mut self.now.foreign, foreign);
        // Records that are gone were delivered; further ones were lost without a report.
        let gone = less(before, ours);
        let exported = total(std::mem::take(&mut self.now.spooled_exported));
        subtract(&mut self.now.exported, less(exported, gone));
        self.lost(Undelivered::AgentKilled, less(gone, exported), false);
        add(&mut self.now.spooled, ours);
        self.commit();
        foreign
    }

    /// There is no spool to check: records on their way there may be there, and their slots export them
    /// again.
    pub(super) fn without_spool(&mut self, left: &Left) {
        if let (Some(perhaps), Some((ledger, at))) = (left.perhaps, &self.page)
            && perhaps.spooled != left.terms.spooled
        {
            let named = ledger.borrow_mut().total(*at, &left.slots);
            self.perhaps_twice(named);
        }
    }

    /// Lets go of the slots of messages that are known to be safe.
    fn release(&self, left: &Left) {
        if let Some((ledger, at)) = &self.page {
            ledger.borrow_mut().release(*at, &left.slots);
        }
    }

    /// Whether somebody may go on after this agent.
    pub(super) const fn is_kept(&self) -> bool {
        self.page.is_some()
    }

    /// The bit of this collector in slots and deliveries; without a ledger 0.
    pub(super) fn bit(&self) -> u32 {
        self.page.as_ref().map_or(0, |(_, at)| 1 << at)
    }

    /// Sequence numbers of earlier messages, by domain.
    pub(super) fn sequences(&self) -> impl Iterator<Item = (u32, u32)> {
        self.now.sequences.iter().filter(|it| it.known != 0).map(|it| (it.domain, it.next))
    }

    /// The local port, for the next agent.
    pub(super) fn set_port(&self, port: u16) {
        if let Some((ledger, at)) = &self.page {
            ledger.borrow_mut().set_port(*at, port);
        }
    }

    /// These messages are about to be handed over.
    pub(super) fn sending<'a>(&self, messages: impl Iterator<Item = &'a Message> + Clone) {
        let Some((ledger, at)) = self.page.as_ref().filter(|_| messages.clone().next().is_some()) else {
            return;
        };
        let mut after = self.now;
        for message in messages.clone() {
            advance(&mut after, message);
        }
        let deliveries = messages.flat_map(|message| message.deliveries.iter().copied());
        ledger.borrow_mut().sending(*at, deliveries, &after);
    }

    /// A message is with the kernel; the slots of an `unconfirmed` one are kept until [`CollectorBooks::sure`].
    pub(super) fn handed(&mut self, message: &mut Message, origin: Origin, again: bool, unconfirmed: bool) {
        self.add_exported(message.total, origin);
        advance(&mut self.now, message);
        if again {
            add(&mut self.now.perhaps_twice, message.total);
        }
        if self.is_in_memory_alone(message) && !origin.stored {
            subtract(&mut self.now.held, message.total);
        }
        if unconfirmed {
            self.unconfirmed.extend_from_slice(&message.deliveries);
        } else {
            self.released.append(&mut message.deliveries);
        }
    }

    /// A message cannot be refused any more.
    pub(super) fn confirm(&self, message: &mut Message) {
        if let Some((ledger, at)) = &self.page {
            ledger.borrow_mut().confirm(*at, &message.deliveries);
        }
        message.deliveries.clear();
    }

    /// Whether a message that waits would be lost with the agent.
    pub(super) fn is_in_memory_alone(&self, message: &Message) -> bool {
        self.is_kept() && message.deliveries.is_empty()
    }

    fn add_exported(&mut self, total: RecordTotal, origin: Origin) {
        if origin.inherited {
            add(&mut self.now.inherited_exported, total);
            add(&mut self.now.foreign_exported, total);
            return;
        }
        add(&mut self.now.exported, total);
        if origin.stored {
            add(&mut self.now.spooled_exported, total);
        }
    }

    /// A delivered message was refused and waits again; its records may come twice.
    pub(super) fn revoke(&mut self, message: &Message) {
        subtract(&mut self.now.exported, message.total);
        add(&mut self.now.perhaps_twice, message.total);
        if self.is_in_memory_alone(message) {
            add(&mut self.now.held, message.total);
        }
        if let Some((ledger, at)) = &self.page {
            ledger.borrow_mut().revoke(*at, &message.deliveries, &self.now);
        }
    }

    /// Exported records are to be exported again.
    pub(super) fn taken_back(&mut self, total: RecordTotal, origin: Origin) {
        if origin.inherited {
            subtract(&mut self.now.inherited_exported, total);
            subtract(&mut self.now.foreign_exported, total);
            return;
        }
        subtract(&mut self.now.exported, total);
        match origin.stored {
            true => subtract(&mut self.now.spooled_exported, total),
            false if self.is_kept() => add(&mut self.now.held, total),
            false => {}
        }
    }

    /// A message is about to be put on disk; `again` if it may have left before.
    pub(super) fn storing(&self, message: &Message, again: bool) {
        let Some((ledger, at)) = &self.page else { return };
        let after = self.with_stored(message, again);
        ledger.borrow_mut().sending(*at, message.deliveries.iter().copied(), &after);
    }

    /// A message is on disk: its records are safe there.
    pub(super) fn stored(&mut self, message: &mut Message, again: bool) {
        self.now = self.with_stored(message, again);
        self.released.append(&mut message.deliveries);
        self.commit();
    }

    fn with_stored(&self, message: &Message, again: bool) -> journal::Terms {
        let mut after = self.now;
        add(&mut after.spooled, message.total);
        if self.is_in_memory_alone(message) {
            subtract(&mut after.held, message.total);
        }
        if again {
            add(&mut after.perhaps_twice, message.total);
        }
        after
    }

    /// A message on disk is delivered, and is no longer needed there.
    pub(super) fn delivered(&mut self, total: RecordTotal, origin: Origin) {
        let (waiting, exported) = match origin {
            Origin { stored: false, .. } => return,
            Origin { inherited: true, .. } => (&mut self.now.foreign, &mut self.now.foreign_exported),
            Origin { inherited: false, .. } => (&mut self.now.spooled, &mut self.now.spooled_exported),
        };
        subtract(waiting, total);
        subtract(exported, total);
    }

    pub(super) fn perhaps_twice(&mut self, total: RecordTotal) {
        add(&mut self.now.perhaps_twice, total);
    }

    pub(super) fn lost(&mut self, reason: Undelivered, total: RecordTotal, inherited: bool) {
        if total.records == 0 {
            return;
        }
        if inherited {
            add(&mut self.now.inherited_lost, total);
        } else {
            add(&mut self.now.lost[reason as usize], total);
        }
    }

    /// Less was lost than it seemed.
    fn found(&mut self, reason: Undelivered, total: RecordTotal) {
        subtract(&mut self.now.lost[reason as usize], total);
    }

    /// Records on disk are lost.
    pub(super) fn lost_stored(&mut self, reason: Undelivered, total: RecordTotal, inherited: bool) {
        self.lost(reason, total, inherited);
        subtract(if inherited { &mut self.now.foreign } else { &mut self.now.spooled }, total);
        self.commit();
    }

    /// A message that was not handed over is lost.
    pub(super) fn lost_message(&mut self, reason: Undelivered, mut message: Message) {
        self.lost(reason, message.total, false);
        if self.is_in_memory_alone(&message) {
            subtract(&mut self.now.held, message.total);
        }
        self.released.append(&mut message.deliveries);
        self.commit();
    }

    pub(super) fn lost_record(&mut self, reason: Undelivered, record: &FlowRecord) {
        let mut total = RecordTotal::default();
        total.count(record);
        self.lost(reason, total, false);
        self.released.push(record.delivery);
        self.commit();
    }

    /// Ends the step: all changes since the last one are valid, and the slots are released.
    pub(super) fn commit(&mut self) {
        if let Some((ledger, at)) = &self.page {
            ledger.borrow_mut().deliver(*at, &self.released, &self.unconfirmed, &self.now);
        }
        self.released.clear();
        self.unconfirmed.clear();
    }

    /// The other side's ICMP message came back.
    pub(super) const fn refused(&mut self) {
        self.now.refused += 1;
    }

    pub(super) fn all_lost(&self) -> RecordTotal {
        let mut all = RecordTotal::default();
        for sum in self.now.lost {
            all += total(sum);
        }
        all
    }

    pub(super) const fn exported_records(&self) -> u64 {
        self.now.exported.records + self.now.inherited_exported.records
    }

    pub(super) fn snapshot(&self, queued: RecordTotal) -> Collector {
        let by_reason = |sums: [Sum; UNDELIVERED.len()]| -> BTreeMap<String, RecordTotal> {
            let some = UNDELIVERED.iter().zip(sums).filter(|(_, sum)| sum.records > 0);
            some.map(|(reason, sum)| (reason.name.to_owned(), total(sum))).collect()
        };
        Collector {
            exported: total(self.now.exported),
            queued,
            lost: self.all_lost(),
            perhaps_twice: total(self.now.perhaps_twice),
            refused: self.now.refused,
            lost_by_reason: by_reason(self.now.lost),
            before: self.before(),
            before_lost: by_reason(self.now.before_lost),
            inherited: total(self.now.inherited),
            inherited_exported: total(self.now.inherited_exported),
            inherited_lost: total(self.now.inherited_lost),
            ..Collector::default()
        }
    }
}

/// The sequence behind a message.
fn advance(books: &mut journal::Terms, message: &Message) {
    let known = books.sequences.iter().position(|it| it.known != 0 && it.domain == message.domain);
    let place = known.or_else(|| books.sequences.iter().position(|it| it.known == 0));
    if let Some(sequence) = place.and_then(|place| books.sequences.get_mut(place)) {
        *sequence = journal::Sequence { known: 1, domain: message.domain, next: message.next, pad: 0 };
    }
}
