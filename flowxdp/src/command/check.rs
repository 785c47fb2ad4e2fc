//! `flowxdp check`: judges a configuration, without root and without touching anything.
//!
//! Standard output is the file that makes the configuration again; comments beside it say the rest.

mod templates;
mod unverified;

use crate::{
    config::{flags::Flags, key::CHECK, print},
    output,
};

/// Options of `flowxdp check`.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Settings.
    #[command(flatten)]
    pub flags: Flags<CHECK>,
    /// Print the effective configuration alone, as a file
    #[arg(long)]
    pub print: bool,
}

/// Runs the command.
///
/// # Errors
///
/// All faults, each with its place.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let mut reading = options.flags.read();
    reading.faults.add(templates::faults(&reading.config, &reading.places)?);
    if !reading.faults.faults.is_empty() {
        return Err(reading.faults.into());
    }
    let config = reading.config;
    output::written(write(&print::toml(&config)))?;
    if options.print {
        return Ok(());
    }
    let mut comments = templates::lines(&config)?;
    section(&mut comments, "Not verified", unverified::all(&config));
    section(&mut comments, "Warnings", config.warnings());
    let lines: Vec<String> = comments.iter().map(|line| format!("# {line}").trim_end().to_owned()).collect();
    output::product(format_args!("\n{}", lines.join("\n")))
}

/// The text, which ends in a line feed, on standard output.
fn write(text: &str) -> std::io::Result<()> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// A heading and its lines, if there are any.
fn section(comments: &mut Vec<String>, heading: &str, lines: Vec<String>) {
    if lines.is_empty() {
        return;
    }
    comments.push(String::new());
    comments.push(format!("{heading}:"));
    comments.extend(lines.iter().map(|line| format!("- {line}")));
}
