//! Times: out of order, and further apart than the timeouts.

use super::super::file::START;
use super::super::ipv4::ipv4;
use super::super::ipv6::ipv6;
use super::super::transport::{icmp, tcp, udp};
use super::super::{CaptureFile, Frame, pcap};

const MS: u64 = 1_000_000;
const S: u64 = 1_000 * MS;

pub(super) fn file() -> CaptureFile {
    let mut frames: Vec<Frame> = Vec::new();
    let mut add = |after: u64, frame: Frame| frames.push(frame.at(START + after));
    let four = |host| ipv4(host).carry(&udp(1000, 53)).ethernet();
    let six = |host| ipv6(host).carry(&udp(1000, 53)).ethernet();

    for (after, story) in
        [(0, "the first"), (70 * MS, "later"), (20 * MS, "out of order"), (69_999_000, "again")]
    {
        add(after, four(1).story(story));
        add(after + 999_000, six(1).story(story));
    }
    add(5 * S, four(2).story("in front of what follows"));
    add(4 * S - MS, four(2).story("more than a second back: it gives the start"));
    add(4 * S - MS, four(3).story("the only one of its flow, out of order"));
    // A packet every 4 s: never idle, and twice past the active timeout.
    for step in 2..=35 {
        add(step * 4 * S, ipv4(4).carry(&tcp(1000, 80, 0x10)).ethernet().story("active"));
        if step % 5 == 0 {
            add(step * 4 * S + MS, six(5).story("idle between any two"));
        }
    }
    add(141 * S, ipv4(6).carry(&tcp(1000, 80, 0x02)).ethernet().story("opens"));
    add(141 * S + MS, ipv4(6).carry(&tcp(1000, 80, 0x11)).ethernet().story("closes"));
    add(141 * S + 2 * MS, ipv4(6).carry(&tcp(1000, 80, 0x10)).ethernet().story("the last acknowledgement"));
    add(160 * S, ipv4(6).carry(&tcp(1000, 80, 0x02)).ethernet().story("opens with the same ports again"));
    add(161 * S, ipv4(6).carry(&tcp(1000, 80, 0x04)).ethernet().story("reset"));
    add(1000 * S, four(1).story("a quarter of an hour later"));
    add(1000 * S, six(1).story("at the same time"));
    add(90_000 * S, ipv4(7).carry(&icmp(8, 0)).ethernet().story("a day later"));
    add(90_000 * S - 10 * MS, four(1).story("just before it"));
    pcap::ethernet("crafted-times.pcap", frames)
}
