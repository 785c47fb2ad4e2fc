//! The header of a message.

use anyhow::{Result, bail};

use super::Protocol;
use super::octets::Octets;

/// The header in front of the sets.
pub(super) struct Header {
    pub(super) protocol: Protocol,
    pub(super) length: usize,
    pub(super) length_or_count: u16,
    pub(super) export_time: u32,
    pub(super) sequence: u32,
    pub(super) domain: u32,
}

impl Header {
    pub(super) fn read(message: &[u8]) -> Result<Self> {
        let mut octets = Octets::new(message);
        let version = octets.short();
        let protocol = match version {
            Some(9) => Protocol::V9,
            Some(10) => Protocol::Ipfix,
            _ => bail!("neither v9 nor IPFIX: {:02x?}", message.get(..4).unwrap_or(message)),
        };
        let length_or_count = octets.short();
        if protocol == Protocol::V9 {
            octets.word();
        }
        let words = (octets.word(), octets.word(), octets.word());
        let (Some(length_or_count), (Some(export_time), Some(sequence), Some(domain))) =
            (length_or_count, words)
        else {
            bail!("{} octets are no header", message.len());
        };
        let length = if protocol == Protocol::V9 { 20 } else { 16 };
        Ok(Self { protocol, length, length_or_count, export_time, sequence, domain })
    }
}
