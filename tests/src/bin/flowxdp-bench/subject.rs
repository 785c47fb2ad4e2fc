//! The programs that are measured, each behind a program of its own that varies the flow.

use std::os::fd::{AsFd, BorrowedFd};

use anyhow::{Context, Result, bail, ensure};
use aya::maps::{HashMap, Map, MapData, PerCpuHashMap, ProgramArray};
use aya::programs::{ProgramFd, TestRun, TestRunOptions, Xdp};
use aya::{Ebpf, EbpfLoader};
use flowxdp::kernel::{counters, cpus, load};
use flowxdp_common::field::Groups;
use flowxdp_common::names;
use flowxdp_core::{metering::retire, record::Total};

use crate::load::Load;

pub(crate) static PARSE: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/lab_parse"));
static FLOOR: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/lab_floor"));
pub(crate) static PEERS: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/lab_peers"));

const XDP_PASS: u32 = 2;

/// A kernel's hash map in the peers' object.
#[derive(Clone, Copy)]
pub(crate) struct Peer {
    pub(crate) program: &'static str,
    pub(crate) maps: [&'static str; 2],
    per_cpu: bool,
}

impl Peer {
    pub(crate) const LRU_PERCPU: Self =
        Self { program: "lab_lru_percpu_hash", maps: ["LRU_PERCPU_V4", "LRU_PERCPU_V6"], per_cpu: true };
    pub(crate) const PERCPU: Self =
        Self { program: "lab_percpu_hash", maps: ["PERCPU_V4", "PERCPU_V6"], per_cpu: true };
    pub(crate) const LRU: Self = Self { program: "lab_lru_hash", maps: ["LRU_V4", "LRU_V6"], per_cpu: false };
    pub(crate) const HASH: Self = Self { program: "lab_hash", maps: ["HASH_V4", "HASH_V6"], per_cpu: false };

    /// Whether each CPU has a value of its own.
    pub(crate) const fn is_per_cpu(self) -> bool {
        self.per_cpu
    }
}

/// The programs, in the order of the table.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Empty,
    Parse,
    Floor,
    Shipped,
    /// The same, with a ring buffer that holds all events of a turn.
    ShippedWithRing(u32),
    /// The same, with a partition for each of two CPUs.
    ShippedForTwo,
    /// The same, with the fields of these groups.
    Collecting(Groups),
    /// The same, with copies of the first packets of each flow, at most a budget in a moment.
    Copying {
        first: u32,
        budget: u32,
    },
    Peer(Peer),
}

impl Kind {
    /// The reference of every comparison.
    pub(crate) const REFERENCE: &'static str = "LRU_PERCPU_HASH";

    pub(crate) fn list(all: bool) -> Vec<(&'static str, Self)> {
        let mut list = vec![
            ("pass only", Self::Empty),
            ("parse and pass", Self::Parse),
            ("one line of memory", Self::Floor),
            ("flowxdp", Self::Shipped),
            (Self::REFERENCE, Self::Peer(Peer::LRU_PERCPU)),
        ];
        if all {
            list.extend(
                [("PERCPU_HASH", Peer::PERCPU), ("LRU_HASH", Peer::LRU), ("HASH", Peer::HASH)]
                    .map(|(name, peer)| (name, Self::Peer(peer))),
            );
        }
        list
    }
}

enum Program {
    Lab(Ebpf),
    Shipped(Box<load::Loaded>),
}

/// A loaded program, behind one that varies the flow.
pub(crate) struct Subject {
    kind: Kind,
    program: Program,
    vary: Ebpf,
    load: Load,
    frame: Vec<u8>,
    packets: u64,
}

/// The shape that the agent would give its tables, for the one CPU that runs here.
pub(crate) fn size(load: Load) -> load::TableSize {
    let flows = u64::from(load.table);
    load::TableSize {
        flows_v4: flows,
        flows_v6: flows,
        partitions: 1,
        ring: 1 << 24,
        ..load::TableSize::default()
    }
}

impl Subject {
    /// Loads a program, its tables empty.
    pub(crate) fn new(kind: Kind, load: Load) -> Result<Self> {
        let (program, fd) = program(kind, load)?;
        Ok(Self { kind, program, vary: vary(load, &fd)?, load, frame: load.frame(), packets: 0 })
    }

    /// Runs it on this many packets.
    pub(crate) fn run(&mut self, packets: u32) -> Result<()> {
        let program: &mut Xdp = self.vary.program_mut("lab_vary").context("no lab_vary")?.try_into()?;
        let options = TestRunOptions { data_in: Some(&self.frame), repeat: packets, ..TestRunOptions::new() };
        let result = program.test_run(options).context("the kernel refuses a test run")?;
        ensure!(result.return_value == XDP_PASS, "the program returned {}", result.return_value);
        self.packets += u64::from(packets);
        Ok(())
    }

    /// The shipped program's tables.
    pub(crate) fn loaded(&mut self) -> Result<&mut load::Loaded> {
        match &mut self.program {
            Program::Shipped(loaded) => Ok(loaded),
            Program::Lab(_) => bail!("this program has no flow table"),
        }
    }

    /// The same, for good.
    pub(crate) fn into_loaded(self) -> Result<load::Loaded> {
        match self.program {
            Program::Shipped(loaded) => Ok(*loaded),
            Program::Lab(_) => bail!("this program has no flow table"),
        }
    }

    /// The descriptor of a kernel's hash map.
    pub(crate) fn map(&self, peer: Peer) -> Result<BorrowedFd<'_>> {
        let name = peer.maps[usize::from(self.load.family.is_v6())];
        let Program::Lab(ebpf) = &self.program else { bail!("this program has no {name}") };
        match ebpf.map(name).with_context(|| format!("no map {name}"))? {
            Map::HashMap(data)
            | Map::PerCpuHashMap(data)
            | Map::LruHashMap(data)
            | Map::PerCpuLruHashMap(data) => Ok(data.fd().as_fd()),
            _ => bail!("{name} is no hash map"),
        }
    }

    /// Empties the ring buffer, so that there is room for the next turn.
    pub(crate) fn settle(&mut self) {
        if let Ok(loaded) = self.loaded() {
            loaded.overflow.drain(usize::MAX, |_, _, _| true);
            if let Some(copies) = &mut loaded.copies {
                copies.take(usize::MAX, |_, _| {});
            }
        }
    }

    /// Its count must equal the packets given. Gives the packets that found no slot.
    pub(crate) fn check(&self) -> Result<u64> {
        match (&self.program, self.kind) {
            (Program::Shipped(loaded), _) => self.check_shipped(loaded),
            (Program::Lab(ebpf), Kind::Peer(peer)) => {
                let name = peer.maps[usize::from(self.load.family.is_v6())];
                let flows = if self.load.family.is_v6() {
                    entries::<[u32; 11]>(ebpf, name, peer.per_cpu)?
                } else {
                    entries::<[u32; 5]>(ebpf, name, peer.per_cpu)?
                };
                let wanted = self.load.flows as usize;
                ensure!(
                    flows == wanted,
                    "{name} holds {flows} of {wanted} flows: its cost is not comparable"
                );
                Ok(0)
            }
            _ => Ok(0),
        }
    }

    /// seen = in table + ring buffer + lost, and seen equals the packets run.
    fn check_shipped(&self, loaded: &load::Loaded) -> Result<u64> {
        let octets = self.packets * self.load.length();
        let given = Total { packets: self.packets, octets };
        let row = counters::row(&loaded.counters, 0);
        let mut booked = retire::in_table(&loaded.flows_v4);
        booked += retire::in_table(&loaded.flows_v6);
        booked += row.overflow;
        for total in row.lost.into_iter().chain(row.ignored) {
            booked += total;
        }
        ensure!(row.seen == given, "the meter has seen {:?} of {given:?}", row.seen);
        ensure!(booked == given, "the meter's books say {booked:?} of {given:?}");
        Ok(row.overflow.packets + row.lost.iter().map(|total| total.packets).sum::<u64>())
    }
}

fn program(kind: Kind, load: Load) -> Result<(Program, ProgramFd)> {
    let cpus = cpus::possible()?;
    let mut loader = EbpfLoader::new();
    loader.map_max_entries(names::CPUS, cpus);
    let lines = u32::try_from(size(load).slots_v4()?)?;
    let (object, name) = match kind {
        Kind::Empty => (PARSE, "lab_empty"),
        Kind::Parse => (PARSE, "lab_parse"),
        Kind::Floor => {
            loader.map_max_entries("LINES", lines).override_global("COUNT", &lines, true);
            (FLOOR, "lab_floor")
        }
        Kind::Peer(peer) => {
            loader.map_max_entries(peer.maps[usize::from(load.family.is_v6())], load.table);
            (PEERS, peer.program)
        }
        Kind::Shipped
        | Kind::ShippedWithRing(_)
        | Kind::ShippedForTwo
        | Kind::Collecting(_)
        | Kind::Copying { .. } => {
            let mut size = size(load);
            match kind {
                Kind::ShippedWithRing(octets) => size.ring = octets,
                Kind::ShippedForTwo => size.partitions = 2,
                Kind::Collecting(groups) => size.groups = groups,
                Kind::Copying { first, budget } => {
                    (size.switches.first_packets, size.switches.copy_budget) = (first, budget);
                }
                _ => {}
            }
            let mut loaded = load::load(&size)?;
            let fd = loaded.program(names::PROGRAM)?.fd()?.try_clone()?;
            return Ok((Program::Shipped(Box::new(loaded)), fd));
        }
    };
    let mut ebpf = loader.load(object).with_context(|| format!("cannot create the maps of {name}"))?;
    let program: &mut Xdp = ebpf.program_mut(name).with_context(|| format!("no {name}"))?.try_into()?;
    program.load()?;
    let fd = program.fd()?.try_clone()?;
    Ok((Program::Lab(ebpf), fd))
}

/// The program that comes first, on its way to `next`.
fn vary(load: Load, next: &ProgramFd) -> Result<Ebpf> {
    let mut ebpf = load.vary()?;
    let program: &mut Xdp = ebpf.program_mut("lab_vary").context("no lab_vary")?.try_into()?;
    program.load()?;
    let mut slot = ProgramArray::try_from(ebpf.map_mut("NEXT").context("no NEXT")?)?;
    slot.set(0, next, 0).context("the kernel refuses the tail call")?;
    Ok(ebpf)
}

/// Entries of a hash map.
fn entries<K: aya::Pod>(ebpf: &Ebpf, name: &str, per_cpu: bool) -> Result<usize> {
    let map = ebpf.map(name).with_context(|| format!("no map {name}"))?;
    let count = if per_cpu {
        PerCpuHashMap::<&MapData, K, [u64; 5]>::try_from(map)?.keys().filter_map(Result::ok).count()
    } else {
        HashMap::<&MapData, K, [u64; 5]>::try_from(map)?.keys().filter_map(Result::ok).count()
    };
    Ok(count)
}
