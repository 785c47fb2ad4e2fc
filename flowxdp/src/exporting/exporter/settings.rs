//! The settings of exporters, from the configuration.

use std::{path::PathBuf, sync::Arc, time::Duration};

use flowxdp_core::{
    clock::AgentTime, elements::options::Subjects, exporting::protocol::Protocol,
    exporting::session::SessionConfig,
};

use super::{Exporter, newcomers};
use crate::{
    collector_url::CollectorUrl,
    config::{Config, Record, nanoseconds},
    exporting::deliveries::SharedLedger,
    exporting::dispatch::{Dispatch, Strategy},
    transport::readiness::Readiness,
};

/// Settings that all collectors of one agent have in common.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Protocol of collectors that do not say.
    pub protocol: Protocol,
    /// Observation domain id.
    pub observation_domain: u32,
    /// The fields that the meter collects.
    pub record: Record,
    /// Messages a second, 0 for no limit: over UDP all, over TCP and TLS messages that come from disk.
    pub pace: u32,
    /// Messages of one size that the kernel takes as one, over UDP; 1 for none.
    pub udp_segments: usize,
    /// Milliseconds since 1970 of system start.
    pub system_start_ms: u64,
    /// Flow keys over UDP too.
    pub flow_keys: bool,
    /// Nanoseconds between two times that options data are sent.
    pub options_interval: u64,
    /// The subjects of options data.
    pub options: Subjects,
    /// Over UDP, nanoseconds between two times that templates are sent.
    pub template_interval: u64,
    /// Over UDP, messages from one with templates to the next.
    pub template_messages: u32,
    /// Nanoseconds that a connection and its handshake may take.
    pub handshake_timeout: u64,
    /// Nanoseconds between two tries at most.
    pub retry_limit: u64,
    /// Over UDP, nanoseconds after which a collector's name is resolved again; 0 for never.
    pub resolve_interval: u64,
    /// Octets that go out again when a TCP or TLS connection breaks.
    pub resend_window: usize,
    /// They go out again after an end in order too, for collectors whose URL does not say.
    pub resend_after_end: bool,
    /// Where records wait on disk for collectors over TCP and TLS.
    pub spool: Option<SpoolPlace>,
    /// The descriptor that wakes the agent's loop.
    pub readiness: Arc<Readiness>,
    /// The ledger that outlives the agent, with pins.
    pub ledger: Option<SharedLedger>,
}

/// Where records wait on disk, for each collector.
#[derive(Clone, Debug)]
pub struct SpoolPlace {
    /// The folder of all.
    pub directory: PathBuf,
    /// Octets for one collector.
    pub limit: u64,
    /// How long a record may wait.
    pub age: Duration,
}

impl Settings {
    /// The common settings of a configuration's exporters. `system_start_ms` is in milliseconds since 1970.
    pub fn new(
        config: &Config,
        system_start_ms: u64,
        readiness: &Arc<Readiness>,
        ledger: Option<SharedLedger>,
    ) -> Self {
        let spool = config.spool.directory.as_ref().map(|directory| SpoolPlace {
            directory: directory.clone(),
            limit: config.spool.limit / config.streams().max(1),
            age: config.spool.age,
        });
        let exporting = &config.exporting;
        Self {
            protocol: exporting.protocol,
            observation_domain: exporting.observation_domain,
            record: config.record.clone(),
            pace: exporting.pace,
            udp_segments: usize::from(exporting.udp_segments),
            system_start_ms,
            flow_keys: exporting.flow_keys,
            options_interval: nanoseconds(exporting.options_interval),
            options: exporting.options.iter().copied().collect(),
            template_interval: nanoseconds(exporting.template_interval),
            template_messages: exporting.template_messages,
            handshake_timeout: nanoseconds(exporting.handshake_timeout),
            retry_limit: nanoseconds(exporting.retry_limit),
            resolve_interval: nanoseconds(exporting.resolve_interval),
            resend_window: usize::try_from(exporting.resend_window).unwrap_or(usize::MAX),
            resend_after_end: exporting.resend_after_end,
            spool,
            readiness: Arc::clone(readiness),
            ledger,
        }
    }
}

impl Settings {
    /// The session of a collector, with the size of messages that its URL asks for, or the transport's.
    pub fn session(&self, url: &CollectorUrl) -> SessionConfig {
        let mut config = if url.scheme().is_reliable() {
            SessionConfig::reliable(self.system_start_ms)
        } else {
            SessionConfig {
                flow_keys: self.flow_keys,
                template_interval: self.template_interval,
                template_messages: self.template_messages,
                ..SessionConfig::new(url.protocol(self.protocol), self.system_start_ms)
            }
        };
        config.observation_domain = self.observation_domain;
        config.options_interval = self.options_interval;
        config.options = self.options;
        config.preset = url.preset();
        let interval = url.preset().and_then(|preset| preset.row().template_interval);
        config.template_interval = config.template_interval.min(interval.unwrap_or(u64::MAX));
        // A list with a fault is refused with the configuration.
        (config.choice, _) = url.choice(&self.record).unwrap_or_default();
        if let Some(mtu) = url.mtu() {
            config.max_message = usize::from(mtu);
        }
        config
    }
}

/// An exporter for each collector, and which records each gets. `system_start_ms` is in milliseconds since 1970.
///
/// # Errors
///
/// The message size of a collector is too small or too large; a file for TLS or a folder for the spool cannot be
/// used.
pub fn dispatch(
    config: &Config,
    system_start_ms: u64,
    readiness: &Arc<Readiness>,
    real: AgentTime,
    wall_ms: u64,
    ledger: Option<SharedLedger>,
) -> anyhow::Result<Dispatch> {
    let settings = Settings::new(config, system_start_ms, readiness, ledger.clone());
    let exporter = |url| Exporter::new(Clone::clone(url), config.tls_of(url), &settings, real, wall_ms);
    let earlier = ledger.as_ref().map(|ledger| ledger.borrow().named_pages()).unwrap_or_default();
    let mut exporters = config.exporter.iter().map(exporter).collect::<anyhow::Result<Vec<_>>>()?;
    if let Some(ledger) = &ledger {
        match config.exporting.strategy {
            Strategy::Replicate => newcomers::begin(&mut exporters, ledger, &earlier),
            Strategy::Balance | Strategy::Failover => newcomers::take_over(&mut exporters, ledger, &earlier),
        }
    }
    let pages: Vec<usize> = exporters.iter().filter_map(Exporter::page).collect();
    if let Some(ledger) = &ledger {
        ledger.borrow_mut().forget_all_but(&pages);
    }
    let hold = nanoseconds(config.exporting.failover_hold);
    Ok(Dispatch::new(exporters, config.exporting.strategy, hold, ledger))
}
