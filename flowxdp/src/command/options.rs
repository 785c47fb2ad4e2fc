//! Options that `run` and `replay` share.

use std::{num::NonZeroU32, time::Duration};

use flowxdp_core::{protocol, retire::Timeouts};

use crate::{
    collector_url::CollectorUrl,
    exporter::{Exporter, Settings},
    units,
};

/// How flows are metered.
#[derive(Clone, Debug, clap::Args)]
pub struct Metering {
    /// A flow without a packet for so long is over
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = units::positive_duration)]
    pub idle_timeout: Duration,
    /// A flow that goes on is exported after so long, and goes on in a new record
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = units::positive_duration)]
    pub active_timeout: Duration,
    /// IPv4 flows that the table holds
    #[arg(long, value_name = "COUNT", default_value = "1M", value_parser = units::positive_count)]
    pub flows: u64,
    /// IPv6 flows that the table holds, as many as IPv4 ones unless given
    #[arg(long, value_name = "COUNT", value_parser = units::positive_count)]
    pub flows6: Option<u64>,
}

impl Metering {
    /// The timeouts in nanoseconds.
    pub fn timeouts(&self) -> Timeouts {
        let nanoseconds = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Timeouts { idle: nanoseconds(self.idle_timeout), active: nanoseconds(self.active_timeout) }
    }
}

/// An export protocol, as it is named on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Protocol {
    /// IPFIX, RFC 7011
    Ipfix,
    /// NetFlow version 9, RFC 3954
    V9,
}

impl From<Protocol> for protocol::Protocol {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Ipfix => Self::Ipfix,
            Protocol::V9 => Self::V9,
        }
    }
}

/// Where flow records go, and how.
#[derive(Clone, Debug, clap::Args)]
pub struct Exporting {
    /// Collector, like udp://192.0.2.10:4739 or 'udp://[2001:db8::10]?protocol=v9'; repeat for several
    #[arg(long, value_name = "URL", required = true, value_delimiter = ',')]
    pub collector: Vec<CollectorUrl>,
    /// Protocol for collectors whose URL does not say
    #[arg(long, value_enum, default_value = "ipfix")]
    pub protocol: Protocol,
    /// Observation domain id of the flow records (0 is for process-wide options)
    #[arg(long, value_name = "NUMBER", default_value = "1", value_parser = observation_domain)]
    pub observation_domain: NonZeroU32,
    /// Messages a second to each collector at most, in bursts of 32; 0 for no limit
    #[arg(long, value_name = "COUNT", default_value = "16K", value_parser = pace)]
    pub pace: u32,
}

fn observation_domain(text: &str) -> Result<NonZeroU32, String> {
    let number =
        text.parse::<u32>().map_err(|_| format!("\"{text}\" is not a number from 1 to {}", u32::MAX))?;
    NonZeroU32::new(number).ok_or_else(|| "0 is for process-wide options: take a number from 1 on".to_owned())
}

fn pace(text: &str) -> Result<u32, String> {
    let count = units::count(text).map_err(|error| error.to_string())?;
    u32::try_from(count).map_err(|_| format!("\"{text}\" is too large: at most {}", u32::MAX))
}

impl Exporting {
    /// An exporter for each collector.
    ///
    /// # Errors
    ///
    /// A message size that a URL asks for cannot be; one collector is named twice.
    pub fn exporters(&self, system_start_ms: u64, real: u64) -> anyhow::Result<Vec<Exporter>> {
        let settings = Settings {
            protocol: self.protocol.into(),
            observation_domain: self.observation_domain.get(),
            pace: self.pace,
            system_start_ms,
        };
        let mut names = std::collections::BTreeSet::new();
        for url in &self.collector {
            anyhow::ensure!(names.insert(url.to_string()), "collector {url} is named twice: name it once");
        }
        self.collector.iter().map(|url| Exporter::new(url.clone(), settings, real)).collect()
    }
}
