//! Files for the tests, octet by octet.

use super::super::source::Order;

/// Integers in one byte order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Writer(pub(super) Order);

impl Writer {
    pub(super) fn u16(self, value: u16) -> [u8; 2] {
        match self.0 {
            Order::Little => value.to_le_bytes(),
            Order::Big => value.to_be_bytes(),
        }
    }

    pub(super) fn u32(self, value: u32) -> [u8; 4] {
        match self.0 {
            Order::Little => value.to_le_bytes(),
            Order::Big => value.to_be_bytes(),
        }
    }

    pub(super) fn words(self, values: &[u32]) -> Vec<u8> {
        values.iter().flat_map(|value| self.u32(*value)).collect()
    }

    /// The header of a pcap file of version 2.`minor`.
    pub(super) fn pcap(self, magic: u32, minor: u16, link: u32) -> Vec<u8> {
        let mut file = self.u32(magic).to_vec();
        file.extend([self.u16(2), self.u16(minor)].concat());
        file.extend(self.words(&[0, 0, 65_535, link]));
        file
    }

    /// A packet record.
    pub(super) fn record(self, seconds: u32, fraction: u32, wire: u32, data: &[u8]) -> Vec<u8> {
        let captured = u32::try_from(data.len()).unwrap();
        [self.words(&[seconds, fraction, captured, wire]), data.to_vec()].concat()
    }

    /// A pcapng block; the body is padded.
    pub(super) fn block(self, kind: u32, body: &[u8]) -> Vec<u8> {
        let mut body = body.to_vec();
        body.resize(body.len().next_multiple_of(4), 0);
        let length = u32::try_from(body.len() + 12).unwrap();
        [self.words(&[kind, length]), body, self.words(&[length])].concat()
    }

    /// A Section Header Block without options.
    pub(super) fn section(self) -> Vec<u8> {
        let mut body = self.u32(0x1a2b_3c4d).to_vec();
        body.extend([self.u16(1), self.u16(0)].concat());
        body.extend([0xff; 8]);
        self.block(0x0a0d_0d0a, &body)
    }

    /// An Interface Description Block.
    pub(super) fn interface(self, link: u16, snap: u32, options: &[u8]) -> Vec<u8> {
        let body = [&self.u16(link)[..], &[0; 2], &self.u32(snap), options].concat();
        self.block(1, &body)
    }

    /// An option, padded.
    pub(super) fn option(self, code: u16, value: &[u8]) -> Vec<u8> {
        let length = u16::try_from(value.len()).unwrap();
        let mut option = [&self.u16(code)[..], &self.u16(length), value].concat();
        option.resize(option.len().next_multiple_of(4), 0);
        option
    }

    /// An Enhanced Packet Block.
    pub(super) fn enhanced(self, interface: u32, ticks: u64, wire: u32, data: &[u8]) -> Vec<u8> {
        let (high, low) = (u32::try_from(ticks >> 32).unwrap(), u32::try_from(ticks & 0xffff_ffff).unwrap());
        let captured = u32::try_from(data.len()).unwrap();
        let mut body = self.words(&[interface, high, low, captured, wire]);
        body.extend(data);
        self.block(6, &body)
    }
}

pub(super) const LITTLE: Writer = Writer(Order::Little);
pub(super) const BIG: Writer = Writer(Order::Big);
