//! Messages of a session, and the sizes that no session can have.

use crate::exporting::protocol::Protocol;
use crate::exporting::wire;
use crate::record::{DeliveryId, RecordTotal};

/// Why a session cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// All templates, or the largest record, do not fit into one message.
    #[error("messages of {max} octets are too small: {protocol} needs at least {needed}")]
    MessageTooSmall {
        /// The configured size.
        max: usize,
        /// The smallest size that does.
        needed: usize,
        /// The protocol.
        protocol: Protocol,
    },
    /// The length of a message is a field of 16 bits.
    #[error("messages of {max} octets are too large: at most 65535")]
    MessageTooLarge {
        /// The configured size.
        max: usize,
    },
}

/// One message, to be sent as one datagram.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The octets.
    pub bytes: Vec<u8>,
    /// Octets of the sets of templates that stand in front of its flow records.
    pub templates: usize,
    /// The data records in it.
    pub total: RecordTotal,
    /// The message holds templates and no data.
    pub templates_only: bool,
    /// The observation domain, source id or engine that it speaks of.
    pub domain: u32,
    /// Its increment of that domain's sequence.
    pub counted: u32,
    /// The sequence of that domain behind it.
    pub next: u32,
    /// Of its records, in their order: [`DeliveryId::NONE`] for one without, also for all parts of a divided
    /// record but the last. The list ends with the last record that has a delivery.
    pub deliveries: Vec<DeliveryId>,
}

impl Message {
    /// Takes the templates out that it has for the session that it was made in: for another session, and for
    /// a file, which have them elsewhere. IPFIX alone has those.
    pub fn without_templates(&mut self) {
        if self.templates > 0 {
            wire::remove(&mut self.bytes, std::mem::take(&mut self.templates));
        }
    }
}
