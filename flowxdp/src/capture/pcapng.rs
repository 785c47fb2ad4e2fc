//! pcapng: sections of blocks; three kinds of block carry packets, all others are skipped.

use std::io::Read;

use super::interface::Interface;
use super::source::{Order, Source};
use super::{Fault, Packet};

/// Block type of a Section Header Block, the same in either byte order.
pub(super) const MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

/// Block type, length and the length again at the end.
const FRAMING: u32 = 12;

/// The most interfaces of one section, so that a hostile file cannot fill the memory.
const MAX_INTERFACES: usize = 1 << 16;

const INTERFACE_DESCRIPTION: u32 = 1;
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const ENHANCED_PACKET: u32 = 6;

/// The state of the current section.
pub(super) struct Section {
    interfaces: Vec<Interface>,
}

impl Section {
    /// Reads the first Section Header Block, behind its block type.
    pub(super) fn open<R: Read>(source: &mut Source<R>) -> Result<Self, Fault> {
        header(source)?;
        Ok(Self { interfaces: Vec::new() })
    }

    /// Reads blocks up to the next packet, and that one's octets into `data`.
    pub(super) fn next<R: Read>(
        &mut self,
        source: &mut Source<R>,
        data: &mut Vec<u8>,
    ) -> Result<Option<Packet>, Fault> {
        loop {
            source.begin("block");
            let Some(kind) = source.first()? else { return Ok(None) };
            if kind == MAGIC {
                header(source)?;
                self.interfaces.clear();
                continue;
            }
            let kind = source.order.u32(kind);
            let length = source.u32()?;
            let body = body_of(length)?;
            let packet = match kind {
                INTERFACE_DESCRIPTION => self.describe(source, body).map(|()| None),
                PACKET | ENHANCED_PACKET => self.packet(kind, source, body, data).map(Some),
                SIMPLE_PACKET => self.simple(source, body, data).map(Some),
                _ => source.skip(body).map(|()| None),
            }?;
            close(source, length)?;
            if packet.is_some() {
                return Ok(packet);
            }
        }
    }

    fn describe<R: Read>(&mut self, source: &mut Source<R>, body: u32) -> Result<(), Fault> {
        if self.interfaces.len() == MAX_INTERFACES {
            return Err(Fault::Block("more than 65536 interfaces in one section"));
        }
        self.interfaces.push(Interface::read(source, body)?);
        Ok(())
    }

    /// Enhanced Packet Block, and the obsolete Packet Block, which counts drops beside a short
    /// interface number.
    fn packet<R: Read>(
        &self,
        kind: u32,
        source: &mut Source<R>,
        body: u32,
        data: &mut Vec<u8>,
    ) -> Result<Packet, Fault> {
        let room = body.checked_sub(20).ok_or(Fault::Block("a packet block too short for its fields"))?;
        let number = if kind == PACKET {
            let number = u32::from(source.u16()?);
            source.skip(2)?;
            number
        } else {
            source.u32()?
        };
        let interface = self.interface(number)?;
        let ticks = u64::from(source.u32()?) << 32 | u64::from(source.u32()?);
        let (captured, wire) = (source.u32()?, source.u32()?);
        take(source, captured, room, data)?;
        Ok(Packet { time_ns: interface.nanoseconds(ticks), wire, link: interface.link })
    }

    /// Simple Packet Block: the first interface, no time, the snap length of the interface.
    fn simple<R: Read>(
        &self,
        source: &mut Source<R>,
        body: u32,
        data: &mut Vec<u8>,
    ) -> Result<Packet, Fault> {
        let room = body.checked_sub(4).ok_or(Fault::Block("a packet block too short for its fields"))?;
        let interface = self.interface(0)?;
        let wire = source.u32()?;
        let captured = if interface.snap == 0 { wire } else { wire.min(interface.snap) };
        take(source, captured, room, data)?;
        Ok(Packet { time_ns: Some(0), wire, link: interface.link })
    }

    fn interface(&self, number: u32) -> Result<&Interface, Fault> {
        usize::try_from(number)
            .ok()
            .and_then(|number| self.interfaces.get(number))
            .ok_or(Fault::Block("a packet of an interface that no block described"))
    }
}

/// Reads a packet's octets and passes over the padding and options that fill up its block.
fn take<R: Read>(source: &mut Source<R>, captured: u32, room: u32, data: &mut Vec<u8>) -> Result<(), Fault> {
    let behind = room.checked_sub(captured).ok_or(Fault::Block("a packet longer than its block"))?;
    source.packet(captured, data)?;
    source.skip(behind)
}

/// Reads a Section Header Block behind its block type. The block sets the byte order.
fn header<R: Read>(source: &mut Source<R>) -> Result<(), Fault> {
    let length = source.octets()?;
    source.order = match source.octets()? {
        [0x4d, 0x3c, 0x2b, 0x1a] => Order::Little,
        [0x1a, 0x2b, 0x3c, 0x4d] => Order::Big,
        _ => return Err(Fault::Block("a section header without the byte-order magic")),
    };
    let length = source.order.u32(length);
    let rest =
        body_of(length)?.checked_sub(16).ok_or(Fault::Block("a section header too short for its fields"))?;
    let (major, minor) = (source.u16()?, source.u16()?);
    // 1.2 was written by some and is read like 1.0, as the format's text asks.
    if major != 1 || !(minor == 0 || minor == 2) {
        return Err(Fault::Version { format: "pcapng", major, minor });
    }
    // The section's length is a help to jump over it; the blocks themselves tell where it ends.
    source.skip(8 + rest)?;
    close(source, length)
}

/// Octets between the two lengths of a block.
fn body_of(length: u32) -> Result<u32, Fault> {
    if !length.is_multiple_of(4) {
        return Err(Fault::Block("a block length that is not a multiple of 4"));
    }
    length.checked_sub(FRAMING).ok_or(Fault::Block("a block length below 12"))
}

/// Reads the second length of a block, which must be like the first.
fn close<R: Read>(source: &mut Source<R>, length: u32) -> Result<(), Fault> {
    if source.u32()? == length { Ok(()) } else { Err(Fault::Block("the two lengths of a block differ")) }
}
