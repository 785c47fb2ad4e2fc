//! A message that is too large for the path becomes several.

use super::Legacy;
use crate::exporting::message::Message;
use crate::exporting::wire::low_16;
use crate::record::{DeliveryId, RecordTotal};

impl Legacy {
    /// The records of a message that is above the largest size, in messages that are not, with the times of its
    /// header and without a place in the sequence yet; any other message as it is.
    pub(super) fn divide(&self, message: Message) -> Vec<Message> {
        let version = self.config.version;
        let Some((header, records)) = message.bytes.split_at_checked(version.header()) else {
            return vec![message];
        };
        if message.bytes.len() <= self.config.max_message {
            return vec![message];
        }
        let chunks = records.chunks(self.per_message * version.record()).zip(0..);
        let parts = chunks.map(|(records, nth)| {
            let mut bytes = [header, records].concat();
            let (mut total, mut deliveries) = (RecordTotal::default(), Vec::new());
            for (record, within) in records.chunks_exact(version.record()).zip(0..) {
                let delivery =
                    message.deliveries.get(nth * self.per_message + within).copied().unwrap_or_default();
                DeliveryId::keep(&mut deliveries, total.records, delivery);
                let (packets, octets) = self.layout.counters(record);
                total += RecordTotal { records: 1, packets, octets };
            }
            let count = low_16(records.len() / version.record());
            bytes[2..4].copy_from_slice(&count.to_be_bytes());
            let counted = version.counted(count);
            Message { bytes, total, domain: message.domain, counted, deliveries, ..Message::default() }
        });
        parts.collect()
    }
}
