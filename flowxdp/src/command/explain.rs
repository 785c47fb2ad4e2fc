//! `flowxdp explain`: the headers that the parser read of each packet, and at which octet and why it stopped.
//!
//! [`capture`] explains the packets of files, which needs neither root nor a kernel; [`live`] packets of interfaces, by
//! a program with log calls. [`observed`] and [`cause`] turn an observation into words, [`naming`] the names of
//! its payload, [`line`] both into a line of text or JSON.

mod capture;
mod cause;
mod filter;
mod line;
mod live;
mod names;
mod naming;
mod observed;
mod tally;
#[cfg(test)]
mod tests;

use std::{path::PathBuf, time::Duration};

use self::filter::Filtering;
use crate::{
    config::{Tunnels, choices::named, vxlan_port},
    kernel::{attach::Mode, explain::Hook},
    units,
};

/// Options of `flowxdp explain`.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Capture file, pcap or pcapng, also packed with gzip or zstd; - is standard input
    #[arg(value_name = "FILE", required_unless_present = "interface", conflicts_with = "interface")]
    file: Vec<PathBuf>,
    /// Interface whose packets are explained as they come in; repeats, takes commas
    #[arg(long, value_name = "IF", value_delimiter = ',', value_parser = interface)]
    interface: Vec<String>,
    /// Seconds after which the command ends
    #[arg(long, value_name = "N", default_value = "10", conflicts_with = "file", value_parser = seconds)]
    seconds: Duration,
    #[command(flatten)]
    filtering: Filtering,
    /// Names that the packets of files say (TLS, QUIC, HTTP, DNS); without a filter, the packets that say one
    #[arg(long, conflicts_with = "interface")]
    names: bool,
    /// Header of a packet of files in a tunnel that is metered: outer, or inner as with the same flag of `replay`
    #[arg(long, value_name = "TUNNELS", default_value = "outer", conflicts_with = "interface", value_parser = named::<Tunnels>)]
    tunnels: Tunnels,
    /// With inner tunnels, UDP port of VXLAN beside 4789; repeats, takes commas
    #[arg(long, value_name = "PORT", value_delimiter = ',', conflicts_with = "interface", value_parser = vxlan_port)]
    vxlan_ports: Vec<u16>,
    /// Hook on the interface; auto is XDP where no program is attached, else a classifier behind it
    #[arg(long, value_name = "HOOK", value_enum, default_value = "auto", conflicts_with = "file")]
    hook: Hook,
    /// How an XDP program is attached: auto, native or generic
    #[arg(long, value_name = "MODE", default_value = "auto", conflicts_with = "file", value_parser = named::<Mode>)]
    mode: Mode,
    /// Print one JSON object a line instead of text
    #[arg(long)]
    json: bool,
}

fn interface(text: &str) -> Result<String, &'static str> {
    if text.is_empty() { Err("an interface has a name: write it like eth0") } else { Ok(text.to_owned()) }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = units::number(text).filter(|seconds| *seconds > 0);
    seconds
        .map(|seconds| Duration::from_secs(seconds.into()))
        .ok_or_else(|| format!("\"{text}\" is no number of seconds: write a whole number from 1, like 10"))
}

/// Runs the command.
///
/// # Errors
///
/// A file that cannot be read to its end, after its whole packets were explained; an interface to which no program
/// can be attached; stdout cannot be written.
pub async fn run(options: &Options) -> anyhow::Result<()> {
    if options.interface.is_empty() { capture::run(options) } else { live::run(options).await }
}
