//! The shipped programs' cost for the verifier: its effort, and the stack that they use.

use anyhow::{Context, Result, bail};
use aya::programs::{ProgramError, Xdp};
use aya::{EbpfLoader, VerifierLogLevel};
use flowxdp::kernel::load;
use flowxdp_common::names;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::load::{Family, Load, Order};
use crate::subject::size;

/// Size and effort of one program.
pub(crate) struct Cost {
    /// Its name.
    pub(crate) name: &'static str,
    /// Instructions that the verifier went through, every way counted.
    pub(crate) verified: u32,
    /// Octets of the translated program.
    pub(crate) translated: u32,
    /// Octets of machine code.
    pub(crate) jitted: u32,
    /// Octets of stack: of the program itself, then of each function in it, as the verifier tells.
    pub(crate) stack: Vec<u32>,
}

/// Both programs of the object that the agent embeds.
pub(crate) fn of_shipped() -> Result<Vec<Cost>> {
    let load = Load { flows: 1, table: 1_000, family: Family::V4, order: Order::Uniform, apart: false };
    let mut loaded = load::load(&size(load))?;
    [names::PROGRAM, names::PROGRAM_FRAGS]
        .into_iter()
        .map(|name| {
            let info = loaded.program(name)?.info()?;
            Ok(Cost {
                name,
                verified: info.verified_instruction_count().context("a kernel before 5.16")?,
                translated: info.size_translated().context("no translated program")?,
                jitted: info.size_jitted(),
                stack: stack(name)?,
            })
        })
        .collect()
}

/// "stack depth 208+0+312" in the verifier's log of a program.
fn stack(name: &str) -> Result<Vec<u32>> {
    let log = verifier_log(name)?;
    let depth = log.lines().find_map(|line| line.strip_prefix("stack depth "));
    let depths = depth.with_context(|| format!("the verifier tells no stack depth of {name}: {log}"))?;
    depths.trim().split('+').map(|octets| octets.parse().with_context(|| depths.to_owned())).collect()
}

/// The verifier's log of a program that it accepts.
///
/// The library that loads programs gives the verifier's log only where the kernel refuses one. The limit on
/// descriptors is therefore set so low that the kernel has none left for the verified program.
fn verifier_log(name: &str) -> Result<String> {
    let mut ebpf = EbpfLoader::new().verifier_log_level(VerifierLogLevel::STATS).load(load::OBJECT)?;
    let program: &mut Xdp = ebpf.program_mut(name).with_context(|| format!("no {name}"))?.try_into()?;
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(0), ..limit })?;
    let refusal = program.load();
    setrlimit(Resource::Nofile, limit)?;
    match refusal {
        Err(ProgramError::LoadError { verifier_log, .. }) => Ok(verifier_log.to_string()),
        Err(error) => Err(error).with_context(|| format!("the verifier's words on {name}")),
        Ok(()) => bail!("{name} was loaded without a descriptor"),
    }
}
