//! The load of a measurement: packets of one kind, of so many flows, in an order.

use std::os::fd::AsFd;

use anyhow::{Context, Result};
use aya::maps::Map;
use aya::{Ebpf, EbpfLoader};
use flowxdp::kernel::map::Mapped;
use flowxdp_tests::traffic::{TCP, Traffic};

static VARY: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/lab_vary"));

/// IP octets of every packet.
pub(crate) const LENGTH: u16 = 64;
/// Packets after which a skewed order begins again, a power of two.
const PERIOD: u32 = 1 << 20;
/// The exponent of Zipf's law: the flow of rank r has a share that goes with r to the power of minus this.
pub(crate) const EXPONENT: f64 = 1.1;

/// The headers before the transport layer's.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
    /// IPv4 behind a VLAN tag.
    Tagged,
    /// IPv6 behind two tags and three labels: a packet with a value for every field of the groups.
    Stacked,
    /// The same with an extension header.
    Extended,
}

/// A header of hop-by-hop options in front of TCP: six octets of padding (RFC 8200 sections 4.2 and 4.3).
const HOP_BY_HOP: [u8; 8] = [6, 0, 1, 4, 0, 0, 0, 0];
/// Octets of the fixed IPv6 header.
const IPV6_HEADER: usize = 40;

impl Family {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
            Self::Tagged => "IPv4 in a VLAN",
            Self::Stacked => "IPv6, two tags, three labels",
            Self::Extended => "the same, an extension header",
        }
    }

    /// Whether it is in the tables for IPv6.
    pub(crate) const fn is_v6(self) -> bool {
        matches!(self, Self::V6 | Self::Stacked | Self::Extended)
    }

    /// The octets between the MAC addresses and the IP header.
    const fn link(self) -> &'static [u8] {
        match self {
            Self::V4 => &[8, 0],
            Self::V6 => &[0x86, 0xdd],
            Self::Tagged => &[0x81, 0, 0, 7, 8, 0],
            Self::Stacked | Self::Extended => {
                &[0x88, 0xa8, 0, 5, 0x81, 0, 0x60, 7, 0x88, 0x47, 0, 1, 0, 64, 0, 2, 0, 64, 0, 3, 1, 64]
            }
        }
    }
}

/// Which flow a packet is of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Uniform,
    /// By Zipf's law.
    Skewed,
    /// Each packet is the first of its flow.
    New,
}

impl Order {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Uniform => "uniform",
            Self::Skewed => "skewed",
            Self::New => "new",
        }
    }
}

/// The load.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) flows: u32,
    /// Flows that tables have room for.
    pub(crate) table: u32,
    pub(crate) family: Family,
    pub(crate) order: Order,
    /// No packet's work overlaps with the next one's.
    pub(crate) apart: bool,
}

impl Load {
    /// The first flow's packet.
    pub(crate) fn frame(&self) -> Vec<u8> {
        let ipv6 = self.family.is_v6();
        let mut frame = Traffic { flows: 1, packets: 1, ipv6, protocol: TCP, length: LENGTH }.frame(0);
        frame.splice(12..14, self.family.link().iter().copied());
        if self.family == Family::Extended {
            let header = self.header();
            // The length of the payload, below 256, and the next header.
            frame[header + 5] += 8;
            frame[header + 6] = 0;
            let end = header + IPV6_HEADER;
            frame.splice(end..end, HOP_BY_HOP);
        }
        frame
    }

    /// Octets in front of the IP header.
    fn header(&self) -> usize {
        12 + self.family.link().len()
    }

    /// IP octets of each packet.
    pub(crate) fn length(&self) -> u64 {
        let extension = if self.family == Family::Extended { HOP_BY_HOP.len() as u64 } else { 0 };
        u64::from(LENGTH) + extension
    }

    /// The program that makes the frame a packet of the next flow, as its map `NEXT` goes on.
    pub(crate) fn vary(&self) -> Result<Ebpf> {
        // IPv4: both addresses. IPv6: the source's last eight octets.
        let place = self.header() + if self.family.is_v6() { 16 } else { 12 };
        let skewed = self.order == Order::Skewed;
        let (place, apart) = (u32::try_from(place)?, u32::from(self.apart));
        let mask = if skewed { PERIOD - 1 } else { 0 };
        let mut loader = EbpfLoader::new();
        loader
            .override_global("FLOWS", &self.flows, true)
            .override_global("PLACE", &place, true)
            .override_global("APART", &apart, true)
            .override_global("MASK", &mask, true)
            .map_max_entries("SEQUENCE", mask + 1);
        let ebpf = loader.load(VARY)?;
        if skewed {
            let Some(Map::Array(map)) = ebpf.map("SEQUENCE") else { anyhow::bail!("no array SEQUENCE") };
            let mut places = Mapped::<u64>::new(map.fd().as_fd(), PERIOD as usize).context("SEQUENCE")?;
            for (place, flow) in zipf(self.flows).take(PERIOD as usize).enumerate() {
                places.write(place, &flow);
            }
        }
        Ok(ebpf)
    }
}

/// Flows by Zipf's law, the same ones each time.
fn zipf(flows: u32) -> impl Iterator<Item = u64> {
    let mut sum = 0.0;
    let shares = (1..=flows).map(|rank| f64::from(rank).powf(-EXPONENT));
    let sums: Vec<f64> = shares
        .map(|share| {
            sum += share;
            sum
        })
        .collect();
    let mut random = fastrand::Rng::with_seed(1);
    std::iter::repeat_with(move || {
        let point = random.f64() * sum;
        sums.partition_point(|sum| *sum <= point).min(sums.len() - 1) as u64
    })
}
