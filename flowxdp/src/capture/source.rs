//! The octets of a capture file: integers in the file's byte order, and where they were.

use std::io::{ErrorKind, Read};

use super::packed::{Position, Unpacked};
use super::{Fault, MAX_CAPTURED};

/// Byte order of a pcap file or of a pcapng section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

/// A file that is read once, from front to back.
pub(super) struct Source<R: Read> {
    inner: Unpacked<R>,
    offset: u64,
    mark: u64,
    /// The record or block that the reader is inside of, for the error at an early end.
    inside: &'static str,
    /// Byte order of the integers that follow.
    pub(super) order: Order,
}

impl<R: Read> Source<R> {
    /// Reads the first octets, which tell whether the file is packed.
    pub(super) fn new(inner: R) -> Result<Self, Fault> {
        let inner = Unpacked::new(inner)?;
        Ok(Self { inner, offset: 0, mark: 0, inside: "file header", order: Order::Little })
    }

    /// The name of the packing, if the file is packed.
    pub(super) const fn packing(&self) -> Option<&'static str> {
        self.inner.packing()
    }

    /// Octets of the file read so far, packed ones where it is packed.
    pub(super) fn position(&self) -> Position {
        self.inner.position()
    }

    /// Begins a packet record or block, to whose offset errors point.
    pub(super) fn begin(&mut self, inside: &'static str) {
        self.mark = self.offset;
        self.inside = inside;
    }

    /// Where the packet record or block began.
    pub(super) fn mark(&self) -> u64 {
        self.mark
    }

    /// Fills `into` as far as the file goes and returns the octets read.
    pub(super) fn fill(&mut self, into: &mut [u8]) -> Result<usize, Fault> {
        let mut got = 0;
        while let Some(rest) = into.get_mut(got..).filter(|rest| !rest.is_empty()) {
            match self.inner.read(rest) {
                Ok(0) => break,
                Ok(more) => got += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.inner.fault(error)),
            }
        }
        self.offset += got as u64;
        Ok(got)
    }

    /// The next octets; the file must not end before their last.
    pub(super) fn octets<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut octets = [0; N];
        match self.fill(&mut octets)? {
            got if got == N => Ok(octets),
            _ => Err(Fault::Cut(self.inside)),
        }
    }

    /// The next four octets, or `None` where the file ends in front of them: a clean end.
    pub(super) fn first(&mut self) -> Result<Option<[u8; 4]>, Fault> {
        let mut octets = [0; 4];
        match self.fill(&mut octets)? {
            4 => Ok(Some(octets)),
            0 => Ok(None),
            _ => Err(Fault::Cut(self.inside)),
        }
    }

    pub(super) fn u16(&mut self) -> Result<u16, Fault> {
        let octets = self.octets()?;
        Ok(match self.order {
            Order::Little => u16::from_le_bytes(octets),
            Order::Big => u16::from_be_bytes(octets),
        })
    }

    pub(super) fn u32(&mut self) -> Result<u32, Fault> {
        let octets = self.octets()?;
        Ok(self.order.u32(octets))
    }

    /// Reads a packet's octets into `into`, in place of its content.
    pub(super) fn packet(&mut self, length: u32, into: &mut Vec<u8>) -> Result<(), Fault> {
        if length > MAX_CAPTURED {
            return Err(Fault::TooLong { length });
        }
        let length = length as usize;
        into.clear();
        into.resize(length, 0);
        match self.fill(into)? {
            got if got == length => Ok(()),
            _ => Err(Fault::Cut(self.inside)),
        }
    }

    /// Passes over any number of octets without keeping them.
    pub(super) fn skip(&mut self, mut length: u32) -> Result<(), Fault> {
        let mut scratch = [0; 4096];
        while length > 0 {
            let part = length.min(4096);
            let into = scratch.get_mut(..part as usize).unwrap_or_default();
            if self.fill(into)? < part as usize {
                return Err(Fault::Cut(self.inside));
            }
            length -= part;
        }
        Ok(())
    }
}

impl Order {
    pub(super) fn u32(self, octets: [u8; 4]) -> u32 {
        match self {
            Self::Little => u32::from_le_bytes(octets),
            Self::Big => u32::from_be_bytes(octets),
        }
    }

    pub(super) fn i64(self, octets: [u8; 8]) -> i64 {
        match self {
            Self::Little => i64::from_le_bytes(octets),
            Self::Big => i64::from_be_bytes(octets),
        }
    }
}
