//! Loading the program with its tables: their size, the seed and the load-time constants are set here.

mod classifiers;
mod links;
mod replace;
mod size;
mod source;

use std::{
    path::{Path, PathBuf},
    rc::Rc,
};

use anyhow::{Context, ensure};
use aya::{
    EbpfLoader,
    maps::{HashMap, MapData, RingBuf},
    programs::{
        ProgramError, Xdp, XdpMode,
        links::{FdLink, PinnedLink},
        xdp::{XdpLink, XdpLinkId},
    },
};
use flowxdp_common::{
    counter::{Counters, CpuState, ROWS},
    field::Groups,
    journal::Page,
    names,
    overflow::Intent,
    slot::{SlotV4, SlotV6, SpillSlot},
    switch::SEED_WORDS,
    table::{self, Name},
};

use super::{
    chain::{self, Chain},
    cold::ColdSlots,
    copies::Copies,
    cpus,
    hook::Classifier,
    map::Mapped,
    pin::{self, Generation, Pins, Place},
    preflight,
    ring::Ring,
    scan::Flows,
    spill::SpillSlots,
};

use self::source::{Source, mapped};
pub use self::{
    replace::make,
    size::TableSize,
    source::{CLASSIFIERS, PROGRAMS},
};

/// The object that the build script compiled.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/meter"));

/// The loaded program with everything that it shares.
pub struct Loaded {
    /// Other programs that ours runs beside: the first to go.
    pub chain: Option<Chain>,
    source: Source,
    /// The size that the table was loaded with.
    pub size: TableSize,
    links: Vec<(&'static str, u32, XdpLinkId)>,
    classifiers: Vec<Classifier>,
    /// IPv4 flow table.
    pub flows_v4: Flows<SlotV4>,
    /// IPv6 flow table.
    pub flows_v6: Flows<SlotV6>,
    /// Counters of each CPU and interface.
    pub counters: Mapped<Counters>,
    /// Each CPU's memory.
    pub cpus: Mapped<CpuState>,
    /// ifIndex → row of the counters.
    pub rows: HashMap<MapData, u32, u32>,
    /// Packets that found no slot, on their way to the agent.
    pub overflow: Ring,
    /// The spill table, where they go.
    pub spill: SpillSlots,
    /// First packets of flows, where they are copied.
    pub copies: Option<Copies>,
    /// Names of interfaces by their row of the counters.
    pub names: Mapped<Name>,
    /// The table's descriptor.
    pub says: Mapped<table::TableDescriptor>,
    /// The folder of its generation, and of attachments that outlive the agent.
    pub pins: Option<Rc<Pins>>,
}

/// The maps of a generation, where a table is pinned.
#[derive(Clone, Debug)]
pub struct Pinned {
    /// The folder that attachments go to, where this process attaches.
    pub pins: Option<Rc<Pins>>,
    /// The folder of the maps. Maps found there are used, others are made.
    pub directory: PathBuf,
    /// The seed that the table was filled with.
    pub seed: Option<[u64; SEED_WORDS]>,
    /// The descriptor of a table of another size, whose counters continue.
    pub before: table::TableDescriptor,
    /// The generation of that table, while this one is made.
    pub last: Option<Generation>,
    /// The maps by which other programs are called are there too: they are a running agent's.
    pub shares_chain: bool,
}

/// [`load_at`] without pins.
///
/// # Errors
///
/// The kernel refused a map.
pub fn load(size: &TableSize) -> anyhow::Result<Loaded> {
    load_at(size, None)
}

/// [`load`] of another object than the one that is embedded, with the same maps and programs.
///
/// # Errors
///
/// The kernel refused a map.
pub fn load_object(size: &TableSize, object: &[u8]) -> anyhow::Result<Loaded> {
    loaded(object, size, None).map_err(|error| preflight::refused(error, size))
}

/// Creates the maps, or takes those that are pinned, and prepares the program; the kernel verifies it when [`Loaded::program`] is called.
///
/// # Errors
///
/// The kernel refused a map.
pub fn load_at(size: &TableSize, pinned: Option<&Pinned>) -> anyhow::Result<Loaded> {
    loaded(OBJECT, size, pinned).map_err(|error| preflight::refused(error, size))
}

fn loaded(object: &[u8], size: &TableSize, pinned: Option<&Pinned>) -> anyhow::Result<Loaded> {
    let source = made(object, size, pinned)?;
    Loaded::new(size, source, pinned.and_then(|pinned| pinned.pins.clone()))
}

/// Maps and programs of a generation, whose descriptor is written: from now on it is one.
fn made(object: &[u8], size: &TableSize, pinned: Option<&Pinned>) -> anyhow::Result<Source> {
    let possible = cpus::possible()?;
    let (slots_v4, slots_v6) = (size.slots_v4()?, size.slots_v6()?);
    let seed = pinned.and_then(|pinned| pinned.seed).map_or_else(seed, Ok)?;
    let groups = size.groups.with_cold_fields();
    let spill_slots = pinned.and_then(shared_spill_slots).unwrap_or_else(|| size.spill_slots());
    let mut loader = EbpfLoader::new();
    loader
        .map_max_entries(names::COLD_V4, size.cold_entries(slots_v4)?)
        .map_max_entries(names::COLD_V6, size.cold_entries(slots_v6)?)
        .map_max_entries(names::COLD_SPILL, size.cold_entries(spill_slots.into())?)
        .map_max_entries(names::DETAIL, possible)
        .map_max_entries(names::CANDIDATES, possible)
        .map_max_entries(names::FRAGMENTS, size.switches.fragment_sets.max(1))
        .map_max_entries(names::FLOWS_V4, u32::try_from(slots_v4)?)
        .map_max_entries(names::FLOWS_V6, u32::try_from(slots_v6)?)
        .map_max_entries(names::COUNTERS, possible * ROWS)
        .map_max_entries(names::CPUS, possible)
        .map_max_entries(names::OVERFLOW, size.ring)
        .map_max_entries(names::SPILL, size.spill_slots())
        .map_max_entries(names::COPIES, size.copies())
        .map_max_entries(names::COPIERS, possible);
    let dimensions = size.dimensions(seed)?;
    for (symbol, octets) in dimensions.symbols().into_iter().chain(size.switches.symbols()) {
        loader.override_global(symbol, octets, true);
    }
    for name in pinned.iter().flat_map(|_| pin::all()) {
        if let Some(pinned) = pinned {
            loader.map_pin_path(name, pinned.directory.join(name));
        }
    }
    for pinned in pinned.iter().filter(|pinned| pinned.shares_chain) {
        for name in chain::MAPS {
            loader.map_pin_path(name, pinned.directory.join(name));
        }
    }
    for pinned in pinned.iter().filter(|pinned| pinned.pins.is_none()) {
        for name in pin::HANDED {
            loader.map_pin_path(name, pinned.directory.join(name));
        }
    }
    let ebpf = loader.load(object).context("cannot create the flow tables")?;
    let mut source = Source::object(ebpf);
    let mut says = mapped::<table::TableDescriptor>(source.map(names::SHAPE)?)?;
    if says.read(0).layout == 0 {
        let (flows_v4, flows_v6) = (size.flows_v4, size.flows_v6);
        let partitions = u64::from(size.partitions);
        let before = pinned.map_or_else(table::TableDescriptor::default, |pinned| pinned.before);
        if let Some(last) = pinned.and_then(|pinned| pinned.last.as_ref()) {
            spill_table(&mut source, groups)?.take_cold(last)?;
        }
        let (cold, groups) = (table::cold(groups), groups.bits().into());
        let said = table::TableDescriptor { flows_v4, flows_v6, partitions, seed, groups, cold, ..before };
        pin::finish(&mut says, said);
    }
    Ok(source)
}

/// Slots of the spill table that a new generation shares with the one before.
fn shared_spill_slots(pinned: &Pinned) -> Option<u32> {
    let map = MapData::from_pin(pinned.directory.join(names::SPILL)).ok()?;
    Some(map.info().ok()?.max_entries())
}

impl Loaded {
    fn new(size: &TableSize, mut source: Source, pins: Option<Rc<Pins>>) -> anyhow::Result<Self> {
        let groups = size.groups.with_cold_fields();
        Ok(Self {
            flows_v4: flows(&mut source, names::FLOWS_V4, names::COLD_V4, groups)?,
            flows_v6: flows(&mut source, names::FLOWS_V6, names::COLD_V6, groups)?,
            counters: mapped(source.map(names::COUNTERS)?)?,
            cpus: mapped(source.map(names::CPUS)?)?,
            rows: HashMap::try_from(source.take(names::ROWS)?)?,
            overflow: Ring::new(RingBuf::try_from(source.take(names::OVERFLOW)?)?, groups)?,
            spill: spill_table(&mut source, groups)?,
            names: mapped(source.map(names::NAMES)?)?,
            copies: copies(size, &mut source)?,
            says: mapped(source.map(names::SHAPE)?)?,
            pins,
            links: Vec::new(),
            classifiers: Vec::new(),
            chain: None,
            size: *size,
            source,
        })
    }

    /// One of the programs, verified and loaded.
    ///
    /// # Errors
    ///
    /// The verifier's words.
    pub fn program(&mut self, name: &str) -> anyhow::Result<&mut Xdp> {
        self.source.program(name)
    }

    /// The folder of pins that end with the agent, if that is where its tables are.
    pub fn private_pins(&self) -> Option<&Path> {
        self.pins.as_deref().filter(|pins| !pins.outlive_the_agent()).map(Pins::directory)
    }

    /// Attaches a program; the kernel's refusal is the inner result.
    ///
    /// # Errors
    ///
    /// The program cannot be loaded.
    pub fn attach(
        &mut self,
        name: &'static str,
        index: u32,
        mode: XdpMode,
    ) -> anyhow::Result<Result<(), ProgramError>> {
        // Nothing waits for a grace period there.
        ensure!(!self.size.is_replay(), "a program for captures is attached nowhere");
        let link = match self.program(name)?.attach_to_if_index(index, mode) {
            Ok(link) => link,
            Err(error) => return Ok(Err(error)),
        };
        if let Some(pins) = self.pins.clone().filter(|pins| pins.outlive_the_agent()) {
            let program = self.program(name)?;
            let fd_link = FdLink::try_from(program.take_link(link)?).context("this kernel pins no links")?;
            let pinned = fd_link.pin(pins.link(Place::Xdp, index)).context("cannot pin the attachment")?;
            let link = XdpLink::try_from(FdLink::from(pinned))?;
            // The link's own program again, in its former place.
            let link = program.attach_to_link(link)?;
            self.links.push((name, index, link));
        } else {
            self.links.push((name, index, link));
        }
        Ok(Ok(()))
    }

    /// Puts this program where an earlier one of ours is attached, without a packet between them that is
    /// not metered: the first program of `order` that the kernel takes there. `false` where there is no
    /// pinned attachment.
    ///
    /// # Errors
    ///
    /// The pin is there and cannot be used.
    pub fn take_over(&mut self, index: u32, order: [&'static str; 2]) -> anyhow::Result<bool> {
        let Some(pins) = &self.pins else { return Ok(false) };
        if !pins.has_link(Place::Xdp, index)? {
            return Ok(false);
        }
        let path = pins.link(Place::Xdp, index);
        let open = || -> anyhow::Result<XdpLink> {
            let pinned = PinnedLink::from_pin(&path).with_context(|| path.display().to_string())?;
            Ok(XdpLink::try_from(FdLink::from(pinned))?)
        };
        let mut refusal = None;
        for name in order {
            match self.program(name)?.attach_to_link(open()?) {
                Ok(link) => {
                    self.links.push((name, index, link));
                    return Ok(true);
                }
                // Of an interface that is gone; another one has its ifIndex now.
                Err(error) if links::is_without_interface(&error) => {
                    self.unpin(Place::Xdp, index)?;
                    return Ok(false);
                }
                Err(error) => refusal = Some(error),
            }
        }
        Err(refusal.map_or_else(|| anyhow::anyhow!("no reason given"), Into::into))
    }

    /// The journal, mapped.
    ///
    /// # Errors
    ///
    /// mmap(2)'s.
    pub fn journal(&mut self) -> anyhow::Result<Mapped<Page>> {
        mapped(self.source.map(names::JOURNAL)?)
    }

    /// The flow tables, mapped once more: IPv4, IPv6, and the spill table.
    ///
    /// # Errors
    ///
    /// mmap(2)'s.
    pub fn tables(&mut self) -> anyhow::Result<(Mapped<SlotV4>, Mapped<SlotV6>, Mapped<SpillSlot>)> {
        let (source, size) = (&mut self.source, &self.size);
        let mut tables = || {
            let v4 = mapped(source.map(names::FLOWS_V4)?)?;
            let v6 = mapped(source.map(names::FLOWS_V6)?)?;
            Ok((v4, v6, mapped(source.map(names::SPILL)?)?))
        };
        tables().map_err(|error| preflight::refused(error, size))
    }

    /// Runs beside other programs from now on; the maps of the chain are pinned below `pins`.
    ///
    /// # Errors
    ///
    /// The kernel offers no grace period.
    pub fn chain(&mut self, pins: &Path) -> anyhow::Result<()> {
        self.chain = Some(Chain::new(pins.to_owned(), |name| self.source.take(name))?);
        Ok(())
    }
}

/// A flow table with its cold slots.
fn flows<S: bytemuck::Pod>(
    source: &mut Source,
    hot: &str,
    cold: &str,
    groups: Groups,
) -> anyhow::Result<Flows<S>> {
    let hot = mapped(source.map(hot)?)?;
    Ok(Flows::new(hot, ColdSlots::new(mapped(source.map(cold)?)?, groups)))
}

/// First packets of flows, where the program copies them.
fn copies(size: &TableSize, source: &mut Source) -> anyhow::Result<Option<Copies>> {
    if size.switches.first_packets == 0 {
        return Ok(None);
    }
    let copiers = mapped(source.map(names::COPIERS)?)?;
    Ok(Some(Copies::new(RingBuf::try_from(source.take(names::COPIES)?)?, copiers)))
}

/// The spill table.
fn spill_table(source: &mut Source, groups: Groups) -> anyhow::Result<SpillSlots> {
    let slots = mapped::<SpillSlot>(source.map(names::SPILL)?)?;
    let cold = mapped::<u64>(source.map(names::COLD_SPILL)?)?;
    Ok(SpillSlots::new(slots, cold, groups, mapped::<Intent>(source.map(names::INTENT)?)?))
}

/// Random words for the hash, from the kernel.
fn seed() -> anyhow::Result<[u64; SEED_WORDS]> {
    let mut seed = [0_u64; SEED_WORDS];
    let octets: &mut [u8] = bytemuck::cast_slice_mut(&mut seed);
    let read =
        rustix::rand::getrandom(&mut *octets, rustix::rand::GetRandomFlags::empty()).context("getrandom")?;
    ensure!(read == octets.len(), "getrandom gave {read} octets");
    Ok(seed)
}
