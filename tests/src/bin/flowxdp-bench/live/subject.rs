//! The programs on the interface, and the counts that they must have in the end.
//!
//! A dropping program is the passing one with another verdict, instruction by instruction the same, for ours
//! and the others.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use aya::maps::{MapData, PerCpuHashMap};
use aya::programs::{Xdp, XdpMode};
use aya::{Ebpf, EbpfLoader};
use flowxdp::kernel::{counters, cpus, load};
use flowxdp_common::names;
use flowxdp_core::{metering::retire, record::Total};
use flowxdp_tests::traffic::Traffic;

use super::path::{Path, Verdict};
use crate::load::{Family, Load, Order};
use crate::subject::{PARSE, PEERS, Peer, size};

/// The program on the interface.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Nothing,
    Empty,
    Parse,
    Shipped,
    /// LRU_PERCPU_HASH.
    Peer,
}

enum Program {
    Nothing,
    Lab(Ebpf, &'static str),
    Shipped(Box<load::Loaded>),
}

/// A program that is ready to be attached.
pub(super) struct Subject {
    pub(super) verdict: Verdict,
    program: Program,
    /// Of the interface.
    index: u32,
    flows: u32,
    given: Total,
}

/// The interface's row of the counters.
const ROW: u32 = 1;

impl Subject {
    /// Loads a program, its tables empty, with room for `table` flows.
    pub(super) fn new(what: What, verdict: Verdict, index: u32, flows: u32, table: u32) -> Result<Self> {
        let program = match what {
            What::Nothing => Program::Nothing,
            What::Empty => lab(PARSE, "lab_empty", verdict, None)?,
            What::Parse => lab(PARSE, "lab_parse", verdict, None)?,
            What::Peer => lab(PEERS, Peer::LRU_PERCPU.program, verdict, Some(table))?,
            What::Shipped => {
                let load = Load { flows, table, family: Family::V4, order: Order::Uniform, apart: false };
                let mut loaded = load::load_object(&size(load), &with(load::OBJECT, verdict)?)?;
                loaded.rows.insert(index, ROW, 0)?;
                loaded.program(names::PROGRAM)?;
                Program::Shipped(Box::new(loaded))
            }
        };
        Ok(Self { verdict, program, index, flows, given: Total::default() })
    }

    /// Has it on the interface while packets are sent; gives the time that they took. This thread is in the
    /// interface's namespace.
    pub(super) fn turn(&mut self, path: &Path, traffic: &Traffic, order: u32) -> Result<Duration> {
        let (index, mode, verdict) = (self.index, XdpMode::Driver, self.verdict);
        let send = || path.send(traffic, order, verdict);
        self.given += Total { packets: traffic.packets, octets: traffic.octets() };
        match &mut self.program {
            Program::Nothing => send(),
            Program::Lab(ebpf, name) => {
                let program = xdp(ebpf, name)?;
                let link = program.attach_to_if_index(index, mode)?;
                let time = send()?;
                program.detach(link)?;
                Ok(time)
            }
            Program::Shipped(loaded) => {
                loaded.attach(names::PROGRAM, index, mode)??;
                let time = send()?;
                loaded.detach()?;
                // Room for the next turn.
                loaded.overflow.drain(usize::MAX, |_, _, _| true);
                balanced(loaded, self.given)?;
                Ok(time)
            }
        }
    }

    /// Its count must equal the packets sent; gives the packets that found no slot.
    pub(super) fn check(&self) -> Result<u64> {
        match &self.program {
            Program::Shipped(loaded) => balanced(loaded, self.given),
            Program::Lab(ebpf, name) if *name == Peer::LRU_PERCPU.program => {
                let (flows, total) = counted(ebpf)?;
                ensure!(flows == self.flows, "{name} holds {flows} of {} flows", self.flows);
                ensure!(total == self.given, "{name} counted {total:?} of {:?}", self.given);
                Ok(0)
            }
            Program::Nothing | Program::Lab(..) => Ok(0),
        }
    }
}

/// seen = in table + ring buffer + lost, and seen equals the packets sent.
fn balanced(loaded: &load::Loaded, given: Total) -> Result<u64> {
    let row = counters::row(&loaded.counters, ROW);
    ensure!(row.seen == given, "the meter has seen {:?} of {given:?}", row.seen);
    let mut booked = retire::in_table(&loaded.flows_v4);
    booked += row.overflow;
    row.lost.into_iter().chain(row.ignored).for_each(|total| booked += total);
    ensure!(booked == given, "the meter's books say {booked:?} of {given:?}");
    Ok(row.overflow.packets + row.lost.iter().map(|total| total.packets).sum::<u64>())
}

/// Flows in the kernel's map, and all that it counted.
fn counted(ebpf: &Ebpf) -> Result<(u32, Total)> {
    let [name, _] = Peer::LRU_PERCPU.maps;
    let map = ebpf.map(name).with_context(|| format!("no map {name}"))?;
    let map = PerCpuHashMap::<&MapData, [u32; 5], [u64; 5]>::try_from(map)?;
    let (mut flows, mut total) = (0, Total::default());
    for entry in map.iter() {
        flows += 1;
        for [packets, octets, ..] in entry?.1.iter() {
            total += Total { packets: *packets, octets: *octets };
        }
    }
    Ok((flows, total))
}

fn lab(object: &[u8], name: &'static str, verdict: Verdict, table: Option<u32>) -> Result<Program> {
    let mut loader = EbpfLoader::new();
    loader.map_max_entries(names::CPUS, cpus::possible()?);
    if let Some(table) = table {
        loader.map_max_entries(Peer::LRU_PERCPU.maps[0], table);
    }
    let mut ebpf = loader.load(&with(object, verdict)?).with_context(|| format!("cannot load {name}"))?;
    xdp(&mut ebpf, name)?.load()?;
    Ok(Program::Lab(ebpf, name))
}

fn xdp<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp> {
    Ok(ebpf.program_mut(name).with_context(|| format!("no {name}"))?.try_into()?)
}

/// `w0 = 2; exit` as BPF has it, instructions of 8 octets: XDP_PASS is returned.
const PASS: [u8; 16] = [0xb4, 0, 0, 0, 2, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0];

/// An object whose programs all end with this verdict. They have one end each.
fn with(object: &[u8], verdict: Verdict) -> Result<Vec<u8>> {
    let mut object = object.to_vec();
    if verdict == Verdict::Drop {
        let ends: Vec<_> = object.windows(PASS.len()).enumerate().filter(|(_, code)| *code == PASS).collect();
        let places: Vec<usize> = ends.into_iter().map(|(place, _)| place).collect();
        ensure!(!places.is_empty(), "the object has no program that ends with XDP_PASS as was expected");
        // The low octet of the number that is returned.
        places.into_iter().for_each(|place| object[place + 4] = XDP_DROP);
    }
    Ok(object)
}

const XDP_DROP: u8 = 1;
