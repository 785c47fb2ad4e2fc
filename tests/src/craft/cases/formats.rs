//! File formats: a few frames in each form that a capture can have.

use super::super::file::START;
use super::super::ipv4::ipv4;
use super::super::ipv6::ipv6;
use super::super::pcap::{self, Order, Unit};
use super::super::pcapng::{Clock, Writer, timed};
use super::super::transport::{icmpv6, tcp, udp};
use super::super::vlan::C_TAG;
use super::super::{CaptureFile, Frame};

pub(super) fn files() -> Vec<CaptureFile> {
    vec![
        pcap::write("crafted-micro-big-endian.pcap", Order::Big, Unit::Micro, frames()),
        pcap::write("crafted-nano.pcap", Order::Little, Unit::Nano, frames()),
        pcap::write("crafted-nano-big-endian.pcap", Order::Big, Unit::Nano, frames()),
        pcap::write("crafted-raw-ip.pcap", Order::Big, Unit::Nano, raw()),
        sections(),
        simple(),
    ]
}

/// Frames of odd lengths, with times that end in nanoseconds.
fn frames() -> Vec<Frame> {
    let frames = vec![
        ipv4(1).carry(&udp(1000, 53)).ethernet().story("a first"),
        ipv4(1).carry(&udp(1000, 53).payload(1)).ethernet().story("and a second of the flow"),
        ipv6(1).carry(&tcp(1000, 80, 0x18).payload(3)).tag(C_TAG, 5).ethernet().padded(99).story("a tag"),
        ipv6(2).carry(&icmpv6(135, 0).payload(17)).ethernet().cut(56).story("cut"),
        ipv6(2).carry(&icmpv6(135, 0).payload(17)).ethernet().cut(55).story("cut too early"),
        ipv4(2).carry(&tcp(1000, 80, 0x01)).ethernet().wire(10).story("a wire length that is too small"),
    ];
    let time = |(number, frame): (u64, Frame)| frame.at(START + 999_999_999 * number);
    (0..).zip(frames).map(time).collect()
}

fn raw() -> Vec<Frame> {
    vec![
        ipv4(3).carry(&tcp(1000, 80, 0x02)).frame(101, &[]).story("raw IPv4"),
        ipv6(3).carry(&udp(1000, 53)).frame(101, &[]).story("raw IPv6"),
    ]
}

/// Sections of either byte order, interfaces with all kinds of clock, both packet blocks with a
/// time, and blocks to be passed over.
fn sections() -> CaptureFile {
    let clocks = [
        Clock::MICRO,
        Clock { resolution: 9, offset: 0 },
        Clock { resolution: 3, offset: 1_600_000_000 },
        Clock { resolution: 0x80 | 20, offset: 0 },
        Clock { resolution: 0x80, offset: -1000 },
        Clock { resolution: 12, offset: 1_699_999_999 },
    ];
    let mut writer = Writer::new(Order::Big);
    for (number, order) in (0..).zip([Order::Big, Order::Little, Order::Little]) {
        if number > 0 {
            writer.section(order);
        }
        let interfaces: Vec<(u32, Clock)> =
            clocks.iter().map(|clock| (writer.interface(1, 65_535, *clock), *clock)).collect();
        let cooked = writer.interface(101, 0, Clock::MICRO);
        writer.other_blocks();
        for (interface, clock) in interfaces {
            for frame in frames() {
                let time = frame.time() + 60_000_000_000 * number;
                match number {
                    1 => writer.obsolete(interface, clock, frame.at(time)),
                    _ => writer.enhanced(interface, clock, frame.at(time)),
                }
            }
        }
        for frame in timed(raw()) {
            writer.enhanced(cooked, Clock::MICRO, frame);
        }
        writer.other_blocks();
    }
    writer.finish("crafted-sections.pcapng")
}

/// Packets without a time: they are all of 1970.
fn simple() -> CaptureFile {
    let mut writer = Writer::new(Order::Little);
    writer.interface(1, 60, Clock::MICRO);
    for frame in frames().into_iter().take(3) {
        // The snap length is the interface's.
        writer.simple(frame.cut(60));
    }
    writer.finish("crafted-simple.pcapng")
}
