//! Writes pcapng files, block by block.

use super::file::{self, CaptureFile};
use super::pcap::Order;
use super::{Frame, length16, length32};

/// A file in the making: the current section's byte order, and the frames so far.
#[derive(Debug)]
pub struct Writer {
    order: Order,
    octets: Vec<u8>,
    frames: Vec<Frame>,
    interfaces: u32,
}

/// The clock of an interface.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// if_tsresol: a power of 10, or of 2 with the highest bit set.
    pub resolution: u8,
    /// if_tsoffset: seconds to add.
    pub offset: i64,
}

impl Clock {
    /// Microseconds since 1970, the unit without an option.
    pub const MICRO: Self = Self { resolution: 6, offset: 0 };

    fn per_second(self) -> u128 {
        let base: u128 = if self.resolution & 0x80 == 0 { 10 } else { 2 };
        base.pow(u32::from(self.resolution & 0x7f))
    }

    /// The last tick that is not behind the time, and the time of that tick.
    fn tick(self, time_ns: u64) -> (u64, u64) {
        let shift = i128::from(self.offset) * 1_000_000_000;
        let since = u128::try_from(i128::from(time_ns) - shift).expect("a time behind the offset");
        let ticks = since * self.per_second() / 1_000_000_000;
        let time = i128::try_from(ticks * 1_000_000_000 / self.per_second()).expect("a time") + shift;
        (u64::try_from(ticks).expect("64 bits"), u64::try_from(time).expect("64 bits"))
    }
}

impl Writer {
    /// Begins a file with a section.
    #[must_use]
    pub fn new(order: Order) -> Self {
        let mut writer = Self { order, octets: Vec::new(), frames: Vec::new(), interfaces: 0 };
        writer.section(order);
        writer
    }

    /// Begins a section, which has its own byte order and no interface yet.
    pub fn section(&mut self, order: Order) {
        (self.order, self.interfaces) = (order, 0);
        let mut body = order.u32(0x1a2b_3c4d).to_vec();
        body.extend([order.u16(1), order.u16(0)].concat());
        body.extend([0xff; 8]);
        self.block(0x0a0d_0d0a, &body);
    }

    /// Describes an interface and returns its number.
    pub fn interface(&mut self, link: u32, snap: u32, clock: Clock) -> u32 {
        let order = self.order;
        let mut body = [order.u16(length16(link as usize)), [0; 2]].concat();
        body.extend(order.u32(snap));
        body.extend(option(order, 2, b"if0"));
        if clock.resolution != Clock::MICRO.resolution {
            body.extend(option(order, 9, &[clock.resolution]));
        }
        if clock.offset != 0 {
            let offset = clock.offset;
            let octets = if order == Order::Big { offset.to_be_bytes() } else { offset.to_le_bytes() };
            body.extend(option(order, 14, &octets));
        }
        body.extend([0; 4]);
        self.block(1, &body);
        self.interfaces += 1;
        self.interfaces - 1
    }

    /// Writes a block of any type; the body is padded.
    pub fn block(&mut self, kind: u32, body: &[u8]) {
        let length = 12 + body.len().next_multiple_of(4);
        let padding = length - 12 - body.len();
        let order = self.order;
        self.octets.extend(order.words(&[kind, length32(length)]));
        self.octets.extend(body);
        self.octets.extend(&[0; 3][..padding]);
        self.octets.extend(order.u32(length32(length)));
    }

    /// Enhanced Packet Block, with a comment behind the packet.
    pub fn enhanced(&mut self, interface: u32, clock: Clock, frame: Frame) {
        let front = self.order.u32(interface);
        self.packet(6, &front, clock, frame);
    }

    /// The obsolete Packet Block, which counts drops.
    pub fn obsolete(&mut self, interface: u32, clock: Clock, frame: Frame) {
        let interface = length16(interface as usize);
        let front = [self.order.u16(interface), self.order.u16(0xffff)].concat();
        self.packet(2, &front, clock, frame);
    }

    fn packet(&mut self, kind: u32, front: &[u8], clock: Clock, mut frame: Frame) {
        let (ticks, time) = clock.tick(frame.time());
        let mut body = front.to_vec();
        let lengths = [length32(frame.data.len()), frame.wire];
        body.extend(self.order.words(&[Order::low(ticks >> 32), Order::low(ticks & 0xffff_ffff)]));
        body.extend(self.order.words(&lengths));
        body.extend(&frame.data);
        body.resize(body.len().next_multiple_of(4), 0);
        body.extend(option(self.order, 1, b"a comment"));
        body.extend([0; 4]);
        self.block(kind, &body);
        frame.time_ns = Some(time);
        self.frames.push(frame);
    }

    /// Simple Packet Block: the first interface, no time.
    pub fn simple(&mut self, frame: Frame) {
        let body = [&self.order.u32(frame.wire)[..], &frame.data].concat();
        self.block(3, &body);
        self.frames.push(frame.at(0));
    }

    /// Blocks that carry no packet: statistics, names, and a type that is not registered.
    pub fn other_blocks(&mut self) {
        let statistics = self.order.words(&[0, 0x0006_0a24, 0x1815_6000]);
        self.block(5, &statistics);
        self.block(4, &[0; 4]);
        self.block(0x0bad_0bad, &[0xaa; 33]);
    }

    /// Ends the file.
    #[must_use]
    pub fn finish(self, name: &'static str) -> CaptureFile {
        CaptureFile { name, octets: self.octets, frames: self.frames }
    }
}

/// Gives a time to every frame that has none, before they are written.
#[must_use]
pub fn timed(frames: Vec<Frame>) -> Vec<Frame> {
    file::timed(frames)
}

fn option(order: Order, code: u16, value: &[u8]) -> Vec<u8> {
    let mut option = [order.u16(code), order.u16(length16(value.len()))].concat();
    option.extend(value);
    option.resize(option.len().next_multiple_of(4), 0);
    option
}
