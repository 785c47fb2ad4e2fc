//! The settings of exporters, from the configuration.

use std::sync::Arc;

use flowxdp_core::{clock::Now, session::SessionConfig};

use super::{Exporter, Settings, SpoolPlace};
use crate::{
    collector_url::{CollectorUrl, Scheme},
    config::{Config, nanoseconds},
    dispatch::Dispatch,
    keeper::Keeping,
    transport::readiness::Readiness,
};

impl Settings {
    /// What all exporters of a configuration have in common. `system_start_ms` is in milliseconds since 1970.
    pub fn new(
        config: &Config,
        system_start_ms: u64,
        readiness: &Arc<Readiness>,
        keeper: Option<Keeping>,
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
            pace: exporting.pace,
            udp_segments: usize::from(exporting.udp_segments),
            system_start_ms,
            flow_keys: exporting.flow_keys,
            options_interval: nanoseconds(exporting.options_interval),
            template_interval: nanoseconds(exporting.template_interval),
            template_messages: exporting.template_messages,
            handshake_timeout: nanoseconds(exporting.handshake_timeout),
            retry_limit: nanoseconds(exporting.retry_limit),
            resolve_interval: nanoseconds(exporting.resolve_interval),
            resend_window: usize::try_from(exporting.resend_window).unwrap_or(usize::MAX),
            resend_after_end: exporting.resend_after_end,
            spool,
            readiness: Arc::clone(readiness),
            keeper,
        }
    }
}

impl Settings {
    /// The session of a collector, with the size of messages that its URL asks for, or the transport's.
    pub fn session(&self, url: &CollectorUrl) -> SessionConfig {
        let mut config = if url.scheme() == Scheme::Udp {
            let config = SessionConfig::new(url.protocol(self.protocol), self.system_start_ms);
            SessionConfig {
                flow_keys: self.flow_keys,
                template_interval: self.template_interval,
                template_messages: self.template_messages,
                ..config
            }
        } else {
            SessionConfig::reliable(self.system_start_ms)
        };
        config.observation_domain = self.observation_domain;
        config.options_interval = self.options_interval;
        config.preset = url.preset();
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
    now: Now,
    keeper: Option<Keeping>,
) -> anyhow::Result<Dispatch> {
    let settings = Settings::new(config, system_start_ms, readiness, keeper.clone());
    let exporter =
        |url| Exporter::new(Clone::clone(url), config.tls_of(url), &settings, now.monotonic, now.wall_ms);
    let exporters = config.exporter.iter().map(exporter).collect::<anyhow::Result<Vec<_>>>()?;
    let pages: Vec<usize> = exporters.iter().filter_map(Exporter::page).collect();
    if let Some(keeper) = &keeper {
        keeper.borrow_mut().forget_all_but(&pages);
    }
    let hold = nanoseconds(config.exporting.failover_hold);
    Ok(Dispatch::new(exporters, config.exporting.strategy, hold, keeper))
}
