//! The programs of `explain`: their load, their hook on each interface, their log and their counters.
//!
//! Where an interface has no XDP program the hook is XDP; beside one it is a classifier at ingress, which runs behind
//! XDP. Neither replaces a program that is attached.

mod hook;

use std::{
    io,
    os::fd::{AsFd as _, OwnedFd},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context;
use aya::{
    Ebpf, EbpfLoader,
    maps::{MapData, PerCpuArray},
};
use aya_log::EbpfLogger;
use flowxdp_common::{
    names,
    observation::{FILTER_WORDS, Observation, TALLIES},
};
use log::{Log, Metadata, Record};
use tokio::io::unix::AsyncFd;

pub use self::hook::{Attached, Hook};
use super::{hook::qdisc::Qdisc, ring};

/// The object that the build script compiled, with its log calls.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/explain"));

/// The loaded programs. Their attachments end with this value, and with the process but for a netlink filter.
pub struct Explain {
    /// The first to go: a filter before the qdisc that it is in.
    ebpf: Ebpf,
    logger: EbpfLogger<Arc<Lines>>,
    lines: Arc<Lines>,
    tally: PerCpuArray<MapData, [u64; TALLIES]>,
    qdiscs: Vec<Qdisc>,
}

/// Observations that were logged and not taken yet.
#[derive(Default)]
struct Lines(Mutex<Vec<Observation>>);

impl Lines {
    fn take(&self) -> Vec<Observation> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Log for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    /// The program logs nothing but observations, each as hexadecimal digits.
    fn log(&self, record: &Record<'_>) {
        match observation(&record.args().to_string()) {
            Some(observation) => {
                self.0.lock().unwrap_or_else(PoisonError::into_inner).push(observation);
            }
            None => log::debug!("a log record of the program that is no observation: {}", record.args()),
        }
    }

    fn flush(&self) {}
}

/// The observation that hexadecimal digits stand for.
fn observation(digits: &str) -> Option<Observation> {
    let mut observation = Observation::default();
    let octets: &mut [u8] = bytemuck::bytes_of_mut(&mut observation);
    if digits.len() != octets.len() * 2 {
        return None;
    }
    for (place, octet) in octets.iter_mut().enumerate() {
        *octet = u8::from_str_radix(digits.get(place * 2..place * 2 + 2)?, 16).ok()?;
    }
    Some(observation)
}

impl Explain {
    /// Creates the maps, and prepares the programs for a filter.
    ///
    /// # Errors
    ///
    /// The kernel refused a map.
    pub fn load(filter: &[u32; FILTER_WORDS]) -> anyhow::Result<Self> {
        let mut ebpf = EbpfLoader::new()
            .override_global(names::FILTER, filter, true)
            .load(OBJECT)
            .context("cannot create the maps of explain")?;
        let tally = ebpf.take_map(names::TALLY).context("no counters in the object")?;
        let lines = Arc::new(Lines::default());
        let logger = EbpfLogger::init_with_logger(&mut ebpf, Arc::clone(&lines))
            .context("cannot read the programs' log")?;
        Ok(Self { tally: PerCpuArray::try_from(tally)?, ebpf, logger, lines, qdiscs: Vec::new() })
    }

    /// A descriptor that is readable when packets were logged.
    ///
    /// # Errors
    ///
    /// The process has too many descriptors open.
    pub fn readiness(&self) -> io::Result<AsyncFd<OwnedFd>> {
        ring::readiness(self.logger.as_fd())
    }

    /// The packets that were logged since the last call, in their order.
    pub fn observations(&mut self) -> Vec<Observation> {
        self.logger.flush();
        self.lines.take()
    }

    /// Packets by verdict since the start, and packets that passed the filter.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub fn tally(&self) -> anyhow::Result<[u64; TALLIES]> {
        let mut sums = [0_u64; TALLIES];
        let by_cpu = self.tally.get(&0, 0).context("cannot read the counters of explain")?;
        for counters in by_cpu.iter() {
            sums.iter_mut().zip(counters).for_each(|(sum, packets)| *sum += packets);
        }
        Ok(sums)
    }

    /// Detaches from every interface, and removes qdiscs that [`Explain::attach`] made and that nothing else uses.
    ///
    /// # Errors
    ///
    /// The kernel's; of the first interface where it refused.
    pub fn detach(&mut self) -> anyhow::Result<()> {
        hook::detach(&mut self.ebpf)?;
        self.qdiscs.drain(..).try_for_each(Qdisc::remove)
    }
}

impl Drop for Explain {
    fn drop(&mut self) {
        if let Err(error) = self.detach() {
            log::warn!("{error:#}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::load;

    fn has(object: &[u8], name: &str) -> bool {
        object.windows(name.len()).any(|octets| octets == name.as_bytes())
    }

    #[test]
    fn the_metering_object_has_no_log_and_the_other_one_has_it() {
        for name in ["AYA_LOGS", "AYA_LOG_LEVEL", "aya_log"] {
            assert!(!has(load::OBJECT, name), "{name} is in the metering object");
        }
        assert!(has(OBJECT, "AYA_LOGS"));
        assert!(!has(OBJECT, names::FLOWS_V4));
    }

    #[test]
    fn an_observation_comes_back_from_its_digits() {
        let seen = Observation { time: 7, vlan: 5, count: 3, ..Observation::default() };
        let digits: String = bytemuck::bytes_of(&seen).iter().map(|octet| format!("{octet:02x}")).collect();
        assert_eq!(observation(&digits), Some(seen));
        for fault in [&digits[2..], "", "hello", &format!("zz{}", &digits[2..])] {
            assert_eq!(observation(fault), None);
        }
    }
}
