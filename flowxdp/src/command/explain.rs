//! `flowxdp explain`: what the parser saw of each packet, and at which octet it stopped for which reason.
//!
//! The packets are those of capture files, which need neither root nor a kernel. [`observed`] and [`cause`]
//! turn an observation into words, [`line`] into a line of text or JSON.

mod capture;
mod cause;
mod filter;
mod line;
mod names;
mod observed;
mod tally;

use std::path::PathBuf;

use self::filter::Filtering;

/// Options of `flowxdp explain`.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Capture file, pcap or pcapng, also packed with gzip or zstd; - is standard input
    #[arg(value_name = "FILE", required = true)]
    pub file: Vec<PathBuf>,
    #[command(flatten)]
    filtering: Filtering,
    /// Print one JSON object a line instead of text
    #[arg(long)]
    pub json: bool,
}

/// Runs the command.
///
/// # Errors
///
/// A file that cannot be read to its end, after its whole packets were explained; stdout cannot be written.
pub fn run(options: &Options) -> anyhow::Result<()> {
    capture::run(&options.file, &options.filtering, options.json)
}

#[cfg(test)]
mod tests;
