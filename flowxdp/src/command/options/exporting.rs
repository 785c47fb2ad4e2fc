//! Options that say where flow records go, and how.

mod parsers;

use std::{num::NonZeroU32, ops::Deref, path::PathBuf, sync::Arc, time::Duration};

use clap::{ArgMatches, Args, Command, Error, FromArgMatches, error::ErrorKind};
use flowxdp_core::{clock::Now, protocol::Protocol};

use crate::{
    collector_url::{CollectorUrl, Scheme, TlsFlags},
    dispatch::{Dispatch, Strategy},
    exporter::{Exporter, Settings, SpoolPlace},
    keeper::Keeping,
    transport::readiness::Readiness,
    units,
};

/// Octets of a spool that one message of the longest kind needs with its file.
const LEAST_SPOOL: u64 = 64 << 10;

/// Where flow records go, and how: as typed, each flag by itself.
#[derive(Clone, Debug, clap::Args)]
pub struct ExportFlags {
    /// Collector, like udp://192.0.2.10:4739, 'udp://[2001:db8::10]?protocol=v9' or tls://collector.example;
    /// repeat for several
    #[arg(long, value_name = "URL", required = true, value_delimiter = ',')]
    pub collector: Vec<CollectorUrl>,
    /// Protocol for collectors whose URL does not say; NetFlow goes over UDP alone
    #[arg(long, value_name = "PROTOCOL", default_value = "ipfix", ignore_case = true, value_parser = parsers::protocols())]
    pub protocol: Protocol,
    /// Observation domain id of the flow records (0 is for process-wide options)
    #[arg(long, value_name = "NUMBER", default_value = "1", value_parser = parsers::observation_domain)]
    pub observation_domain: NonZeroU32,
    /// Messages a second to each collector at most, in bursts of 32; 0 for no limit
    #[arg(long, value_name = "COUNT", default_value = "16K", value_parser = parsers::pace)]
    pub pace: u32,
    /// Messages of one size that the kernel takes as one over UDP and cuts apart as they leave, 1 to 16
    #[arg(long, value_name = "COUNT", default_value = "1", value_parser = clap::value_parser!(u8).range(1..=16))]
    pub udp_segments: u8,
    /// What each of several collectors is sent
    #[arg(long, value_enum, default_value = "replicate")]
    pub strategy: Strategy,
    /// With failover: how long a better collector must be back before it gets records again
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = units::duration)]
    pub failover_hold: Duration,
    /// Directory for what a collector over TCP or TLS does not take at the moment
    #[arg(long, value_name = "DIR")]
    pub spool: Option<PathBuf>,
    /// Octets that the spool may take
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = units::positive_size)]
    pub spool_limit: u64,
    /// What has waited in the spool for longer is given up
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = units::positive_duration)]
    pub spool_age: Duration,
    /// Octets that are sent again after a connection broke, as nobody knows whether they arrived
    #[arg(long, value_name = "SIZE", default_value = "4MiB", value_parser = parsers::resend_window)]
    pub resend_window: u64,
    /// Send them again after a collector ended the connection in order too: for one behind a proxy, which may
    /// end it before the collector has read everything
    #[arg(long)]
    pub resend_after_end: bool,
    /// Say which fields are the flow key over UDP too, where some collectors count that wrongly
    #[arg(long)]
    pub flow_keys: bool,
    /// How often options data (interfaces, statistics) are sent again
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = parsers::interval)]
    pub options_interval: Duration,
    /// Over UDP, how often templates are sent again
    #[arg(long, value_name = "DURATION", default_value = "600s", value_parser = parsers::interval)]
    pub template_interval: Duration,
    /// Over UDP, messages after which templates are sent again, should the interval not be over
    #[arg(long, value_name = "COUNT", default_value = "20", value_parser = parsers::template_messages)]
    pub template_messages: NonZeroU32,
    /// How long connecting to a collector over TCP or TLS may take, with the handshake
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = units::positive_duration)]
    pub handshake_timeout: Duration,
    /// The longest wait between two tries at a collector that is away, from 200ms on
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parsers::retry_limit)]
    pub retry_limit: Duration,
    /// Over UDP, how often a collector's name is resolved again; over TCP and TLS that is at each connection
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = parsers::interval)]
    pub resolve_interval: Duration,
    /// TLS towards collectors whose URL does not say.
    #[command(flatten)]
    pub tls: TlsFlags,
}

impl ExportFlags {
    /// What is wrong with the flags together, if anything is.
    fn check(&self) -> Result<(), String> {
        for (place, url) in self.collector.iter().enumerate() {
            let is_same =
                |other: &&CollectorUrl| other.endpoint(self.protocol) == url.endpoint(self.protocol);
            if let Some(other) = self.collector.iter().take(place).find(is_same) {
                return Err(format!("--collector {url} is named twice, as {other} before: name it once"));
            }
            url.check(self.protocol, &self.tls).map_err(|error| format!("collector {url}: {error}"))?;
        }
        self.check_spool()
    }

    /// Whether the spool has room for one message of each collector over TCP and TLS.
    fn check_spool(&self) -> Result<(), String> {
        let streams = self.streams().max(1);
        if self.spool.is_some() && self.spool_limit / streams < LEAST_SPOOL {
            return Err(format!(
                "--spool-limit {} is too small: each collector over TCP or TLS needs {LEAST_SPOOL} octets, and there \
                 are {streams}",
                self.spool_limit
            ));
        }
        Ok(())
    }

    /// Collectors over TCP and TLS.
    fn streams(&self) -> u64 {
        self.collector.iter().filter(|url| url.scheme() != Scheme::Udp).count() as u64
    }
}

/// Where flow records go, and how: flags that agree with each other.
#[derive(Clone, Debug)]
pub struct Exporting(ExportFlags);

impl Deref for Exporting {
    type Target = ExportFlags;

    fn deref(&self) -> &ExportFlags {
        &self.0
    }
}

impl Args for Exporting {
    fn augment_args(command: Command) -> Command {
        ExportFlags::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        ExportFlags::augment_args_for_update(command)
    }
}

impl FromArgMatches for Exporting {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let flags = ExportFlags::from_arg_matches(matches)?;
        // Here, so that it is a usage error like that of any single flag.
        flags.check().map_err(|text| Error::raw(ErrorKind::ValueValidation, text))?;
        Ok(Self(flags))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Exporting {
    /// Says which flags have no effect. A spool is none too many for a unit that has one whatever the collectors.
    pub fn warn(&self) {
        if self.has_idle_spool() {
            log::warn!(
                "--spool is for collectors over TCP and TLS, and there is none: no record will wait on disk; name one \
                 by tcp:// or tls://, or take --spool away"
            );
        }
    }

    fn has_idle_spool(&self) -> bool {
        self.spool.is_some() && self.streams() == 0
    }

    /// An exporter for each collector, and what goes to which.
    ///
    /// # Errors
    ///
    /// A message size that a URL asks for cannot be; a file for TLS or a folder for the spool cannot be used.
    pub fn dispatch(
        &self,
        system_start_ms: u64,
        readiness: &Arc<Readiness>,
        now: Now,
        keeper: Option<Keeping>,
    ) -> anyhow::Result<Dispatch> {
        let settings = self.settings(system_start_ms, readiness, keeper.clone());
        let exporter = |url: &CollectorUrl| {
            Exporter::new(url.clone(), url.tls(&self.tls), &settings, now.monotonic, now.wall_ms)
        };
        let exporters = self.collector.iter().map(exporter).collect::<anyhow::Result<Vec<_>>>()?;
        let pages: Vec<usize> = exporters.iter().filter_map(Exporter::page).collect();
        if let Some(keeper) = &keeper {
            keeper.borrow_mut().forget_all_but(&pages);
        }
        Ok(Dispatch::new(exporters, self.strategy, nanoseconds(self.failover_hold), keeper))
    }

    /// The protocols among the collectors' that do not hold every ifIndex, in words, if there are any.
    pub fn narrow(&self) -> Option<String> {
        let protocols: Vec<Protocol> = self.collector.iter().map(|url| url.protocol(self.protocol)).collect();
        let is_narrow = |protocol: &Protocol| protocol.largest_interface() < u32::MAX;
        let all = Protocol::ALL.into_iter().filter(|it| is_narrow(it) && protocols.contains(it));
        let names: Vec<String> = all.map(|protocol| protocol.to_string()).collect();
        (!names.is_empty()).then(|| names.join(" and "))
    }

    /// What all of them have in common.
    fn settings(
        &self,
        system_start_ms: u64,
        readiness: &Arc<Readiness>,
        keeper: Option<Keeping>,
    ) -> Settings {
        let spool = self.spool.as_ref().map(|directory| SpoolPlace {
            directory: directory.clone(),
            limit: self.spool_limit / self.streams().max(1),
            age: self.spool_age,
        });
        Settings {
            protocol: self.protocol,
            observation_domain: self.observation_domain.get(),
            pace: self.pace,
            udp_segments: usize::from(self.udp_segments),
            system_start_ms,
            flow_keys: self.flow_keys,
            options_interval: nanoseconds(self.options_interval),
            template_interval: nanoseconds(self.template_interval),
            template_messages: self.template_messages.get(),
            handshake_timeout: nanoseconds(self.handshake_timeout),
            retry_limit: nanoseconds(self.retry_limit),
            resolve_interval: nanoseconds(self.resolve_interval),
            resend_window: usize::try_from(self.resend_window).unwrap_or(usize::MAX),
            resend_after_end: self.resend_after_end,
            spool,
            readiness: Arc::clone(readiness),
            keeper,
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
