//! Where a table's maps and programs come from: the object that this process loaded, or pins of another one.

use std::{
    collections::BTreeMap,
    os::fd::AsFd,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use aya::{
    Ebpf,
    maps::{Map, MapData},
    programs::{ProgramInfo, SchedClassifier, Xdp},
};
use aya_obj::programs::XdpAttachType;
use flowxdp_common::names;

use super::super::map::Mapped;

/// The XDP programs of an object.
pub const PROGRAMS: [&str; 2] = [names::PROGRAM, names::PROGRAM_FRAGS];

/// Its classifiers.
pub const CLASSIFIERS: [&str; 1] = [names::INGRESS_IP];

/// The maps and programs of one generation.
pub(super) struct Source {
    origin: Origin,
    /// Maps that were used. They stay open: a program that is loaded later refers to them by descriptor.
    maps: BTreeMap<String, Map>,
}

/// Who loads.
enum Origin {
    /// This process.
    Object(Box<Ebpf>),
    /// The loader did: maps are pinned in a folder, and the programs, by name, were.
    Pins(PathBuf, Programs),
}

/// Programs that were pinned, by name.
#[derive(Default)]
struct Programs {
    xdp: BTreeMap<&'static str, Xdp>,
    classifiers: BTreeMap<&'static str, SchedClassifier>,
}

impl Source {
    /// An object that this process loaded.
    pub(super) fn object(ebpf: Ebpf) -> Self {
        Self { origin: Origin::Object(Box::new(ebpf)), maps: BTreeMap::new() }
    }

    /// Opens the programs that are pinned in `directory`: at least one of them is there.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub(super) fn pins(directory: &Path) -> anyhow::Result<Self> {
        let mut programs = Programs::default();
        let there = |name: &str| Some(directory.join(name)).filter(|path| path.exists());
        for (name, path) in PROGRAMS.iter().filter_map(|name| Some((name, there(name)?))) {
            let program = Xdp::from_pin(&path, XdpAttachType::Interface);
            programs.xdp.insert(name, program.with_context(|| format!("cannot open {}", path.display()))?);
        }
        for (name, path) in CLASSIFIERS.iter().filter_map(|name| Some((name, there(name)?))) {
            let program = SchedClassifier::from_pin(&path);
            let program = program.with_context(|| format!("cannot open {}", path.display()))?;
            programs.classifiers.insert(name, program);
        }
        ensure!(!programs.xdp.is_empty(), "{} has no program", directory.display());
        Ok(Self { origin: Origin::Pins(directory.to_owned(), programs), maps: BTreeMap::new() })
    }

    /// A map, which stays here.
    ///
    /// # Errors
    ///
    /// There is none of that name.
    pub(super) fn map(&mut self, name: &str) -> anyhow::Result<&Map> {
        if !self.maps.contains_key(name) {
            let map = self.take(name)?;
            self.maps.insert(name.to_owned(), map);
        }
        self.maps.get(name).with_context(|| format!("no map {name}"))
    }

    /// A map, whose descriptor is the caller's from now on.
    ///
    /// # Errors
    ///
    /// There is none of that name.
    pub(super) fn take(&mut self, name: &str) -> anyhow::Result<Map> {
        match &mut self.origin {
            Origin::Object(ebpf) => {
                ebpf.take_map(name).with_context(|| format!("no map {name} in the object"))
            }
            Origin::Pins(directory, _) => {
                let path = directory.join(name);
                let map =
                    MapData::from_pin(&path).with_context(|| format!("cannot open {}", path.display()))?;
                Ok(Map::from_map_data(map)?)
            }
        }
    }

    /// One of the XDP programs, verified and loaded.
    ///
    /// # Errors
    ///
    /// The verifier's words.
    pub(super) fn program(&mut self, name: &str) -> anyhow::Result<&mut Xdp> {
        match &mut self.origin {
            Origin::Object(ebpf) => load(ebpf, name),
            Origin::Pins(_, programs) => programs.xdp.get_mut(name).with_context(|| refused(name)),
        }
    }

    /// One of the classifiers, verified and loaded.
    ///
    /// # Errors
    ///
    /// The verifier's words.
    pub(super) fn classifier(&mut self, name: &str) -> anyhow::Result<&mut SchedClassifier> {
        match &mut self.origin {
            Origin::Object(ebpf) => load_classifier(ebpf, name),
            Origin::Pins(_, programs) => programs.classifiers.get_mut(name).with_context(|| refused(name)),
        }
    }
}

fn refused(name: &str) -> String {
    format!("the kernel does not take the program {name}")
}

fn load<'a>(ebpf: &'a mut Ebpf, name: &str) -> anyhow::Result<&'a mut Xdp> {
    let program = ebpf.program_mut(name).with_context(|| format!("no program {name} in the object"))?;
    let program: &mut Xdp = program.try_into()?;
    if program.fd().is_err() {
        program.load().with_context(|| refused(name))?;
        verified(name, &program.info()?);
    }
    Ok(program)
}

fn load_classifier<'a>(ebpf: &'a mut Ebpf, name: &str) -> anyhow::Result<&'a mut SchedClassifier> {
    let program = ebpf.program_mut(name).with_context(|| format!("no program {name} in the object"))?;
    let program: &mut SchedClassifier = program.try_into()?;
    if program.fd().is_err() {
        program.load().with_context(|| refused(name))?;
        verified(name, &program.info()?);
    }
    Ok(program)
}

fn verified(name: &str, info: &ProgramInfo) {
    if let Some(count) = info.verified_instruction_count() {
        log::debug!("program {name}: {count} instructions verified");
    }
}

/// Maps an array into this process.
pub(super) fn mapped<T: bytemuck::Pod>(map: &Map) -> anyhow::Result<Mapped<T>> {
    let Map::Array(map) = map else { anyhow::bail!("{map:?} is no array") };
    let info = map.info()?;
    let (size, name) = (info.value_size(), info.name_as_str().unwrap_or_default().to_owned());
    ensure!(size as usize == size_of::<T>(), "{name} has elements of {size} octets: another layout");
    Mapped::new(map.fd().as_fd(), info.max_entries() as usize).with_context(|| format!("cannot map {name}"))
}
