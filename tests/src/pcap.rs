//! Classic pcap files: reading the export that tcpdump recorded, writing hand-made frames.
//!
//! Not the agent's reader: a fault in that one must not hide itself from the judges.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

/// LINKTYPE_ETHERNET.
pub const ETHERNET: u32 = 1;

/// A UDP datagram as it was on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Its sender.
    pub from: SocketAddr,
    /// Its receiver.
    pub to: SocketAddr,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// The datagrams of a recording for one port.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// The datagrams in their order.
    pub datagrams: Vec<Datagram>,
    /// Frames that were fragments of an IP packet. An exporter that keeps to the MTU has none.
    pub fragments: usize,
}

/// Reads all datagrams to a port out of an Ethernet capture in this machine's byte order.
pub fn read(path: &Path, port: u16) -> Result<Recording> {
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    let (header, mut rest) = bytes.split_at_checked(24).context("no pcap header")?;
    let magic = word(header, 0)?;
    ensure!(matches!(magic, 0xa1b2_c3d4 | 0xa1b2_3c4d), "not a classic pcap of this byte order");
    ensure!(word(header, 20)? & 0xffff == ETHERNET, "not an Ethernet capture");
    let mut recording = Recording::default();
    while !rest.is_empty() {
        let length = word(rest, 8)? as usize;
        let frame = rest.get(16..16 + length).context("the last frame is cut")?;
        rest = rest.get(16 + length..).unwrap_or_default();
        match udp(frame)? {
            Frame::Udp(datagram) if datagram.to.port() == port => recording.datagrams.push(datagram),
            Frame::Fragment => recording.fragments += 1,
            Frame::Udp(_) | Frame::Other => {}
        }
    }
    Ok(recording)
}

enum Frame {
    Udp(Datagram),
    Fragment,
    Other,
}

fn udp(frame: &[u8]) -> Result<Frame> {
    let packet = frame.get(14..).context("a frame shorter than its Ethernet header")?;
    let (from, to, transport): (IpAddr, IpAddr, &[u8]) = match (short(frame, 12)?, packet) {
        (0x0800, [first, ..]) => {
            if short(packet, 6)? & 0x3fff != 0 {
                return Ok(Frame::Fragment);
            }
            if packet.get(9) != Some(&17) {
                return Ok(Frame::Other);
            }
            let header = usize::from(first & 15) * 4;
            let transport = packet.get(header..).context("options cut")?;
            (array::<4>(packet, 12)?.into(), array::<4>(packet, 16)?.into(), transport)
        }
        (0x86dd, _) => match packet.get(6) {
            Some(17) => {
                let transport = packet.get(40..).context("IPv6 header cut")?;
                (array::<16>(packet, 8)?.into(), array::<16>(packet, 24)?.into(), transport)
            }
            Some(44) => return Ok(Frame::Fragment),
            _ => return Ok(Frame::Other),
        },
        _ => return Ok(Frame::Other),
    };
    let length = usize::from(short(transport, 4)?);
    let payload = transport.get(8..length).context("a UDP datagram is cut")?.to_vec();
    let (from, to) = ((from, short(transport, 0)?).into(), (to, short(transport, 2)?).into());
    Ok(Frame::Udp(Datagram { from, to, payload }))
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Result<[u8; N]> {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).copied().context("a header is cut")
}

fn short(bytes: &[u8], at: usize) -> Result<u16> {
    Ok(u16::from_be_bytes(array(bytes, at)?))
}

fn word(bytes: &[u8], at: usize) -> Result<u32> {
    Ok(u32::from_ne_bytes(array(bytes, at)?))
}

/// Writes a classic pcap with microsecond times.
pub struct Writer {
    file: BufWriter<File>,
}

impl Writer {
    /// Begins an Ethernet capture.
    pub fn create(path: &Path) -> Result<Self> {
        let mut file = BufWriter::new(File::create(path).with_context(|| path.display().to_string())?);
        for word in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 262_144, ETHERNET] {
            file.write_all(&u32::to_ne_bytes(word))?;
        }
        Ok(Self { file })
    }

    /// Adds a whole frame.
    pub fn frame(&mut self, time_us: u64, frame: &[u8]) -> Result<()> {
        let length = u32::try_from(frame.len())?;
        let (seconds, micros) = (u32::try_from(time_us / 1_000_000)?, u32::try_from(time_us % 1_000_000)?);
        for word in [seconds, micros, length, length] {
            self.file.write_all(&word.to_ne_bytes())?;
        }
        Ok(self.file.write_all(frame)?)
    }

    /// Writes the octets that are still buffered.
    pub fn finish(mut self) -> Result<()> {
        Ok(self.file.flush()?)
    }
}

/// An Ethernet frame with a datagram in it.
pub fn frame(datagram: &Datagram) -> Result<Vec<u8>> {
    let length = u16::try_from(8 + datagram.payload.len())?;
    let mut udp = Vec::with_capacity(usize::from(length));
    for field in [datagram.from.port(), datagram.to.port(), length, 0] {
        udp.extend(field.to_be_bytes());
    }
    udp.extend(&datagram.payload);
    let mut pseudo = Vec::new();
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    match (datagram.from.ip(), datagram.to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let addresses = [from.octets(), to.octets()].concat();
            let [high, low] = (20 + length).to_be_bytes();
            let mut ip = vec![0x45, 0, high, low, 0, 0, 0x40, 0, 64, 17, 0, 0];
            ip.extend(&addresses);
            let sum = checksum(&ip).to_be_bytes();
            ip.splice(10..12, sum);
            frame.extend([0x08, 0x00]);
            frame.extend(ip);
            pseudo.extend(addresses);
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let addresses = [from.octets(), to.octets()].concat();
            let [high, low] = length.to_be_bytes();
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, high, low, 17, 64]);
            frame.extend(&addresses);
            pseudo.extend(addresses);
        }
        _ => bail!("addresses of two families"),
    }
    pseudo.extend([0, 17]);
    pseudo.extend(length.to_be_bytes());
    pseudo.extend(&udp);
    let sum = match checksum(&pseudo) {
        0 => 0xffff,
        sum => sum,
    };
    udp.splice(6..8, sum.to_be_bytes());
    frame.extend(udp);
    Ok(frame)
}

fn checksum(bytes: &[u8]) -> u16 {
    let sum: u64 = bytes
        .chunks(2)
        .map(|pair| {
            u64::from(pair.first().copied().unwrap_or(0)) << 8 | u64::from(pair.get(1).copied().unwrap_or(0))
        })
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    !u16::try_from(folded & 0xffff).unwrap_or(0)
}
