//! The command line: arguments → command → exit code, and one line for an error.
//!
//! Exit codes: 0 done, 1 failed while running, 2 wrong usage.

use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand, error::ErrorKind};
use flowxdp::{
    command::{check, collect, detach, explain, flush, reload, replay, run, status},
    config::{
        fault::Faults,
        flags::{Flags, Source},
        key::RUN,
    },
    guard, limits, output, text,
};

/// Files that the event loop opens, and then a small collector.
const DESCRIPTORS: usize = 12;

/// Flow exporter for Linux gateways: meters in XDP, exports IPFIX and NetFlow
#[derive(Parser)]
#[command(version, about, arg_required_else_help = true)]
struct Arguments {
    /// Say more on stderr (-v debug, -vv trace); RUST_LOG overrules it
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Meter interfaces and export flow records until a signal ends it
    Run(Flags<RUN>),
    /// Meter the packets of capture files, on the capture's clock
    Replay(replay::Options),
    /// Judge a configuration: print its effective values and templates, or all faults
    Check(check::Options),
    /// Receive flow records and show them: a small collector
    Collect(collect::Options),
    /// Show the books of a running agent
    Status(status::Options),
    /// Have a running agent retire and export every flow now
    Flush(flush::Options),
    /// Have a running agent read its configuration again, and apply all of its changes or none
    Reload(reload::Options),
    /// Take away the programs and pins that a killed agent left
    Detach(detach::Options),
    /// Say of each packet which headers were read, and where and why it is ignored
    Explain(explain::Options),
}

fn main() -> ExitCode {
    match limits::prepare() {
        Ok(()) => agent(),
        Err(error) => failed(&error),
    }
}

/// Has a frame of its own, which is entered once the stack is known to be large enough.
#[inline(never)]
fn agent() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error),
    };
    start_log(arguments.verbose);
    guard::log_panics();
    match guard::caught(|| execute(arguments.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => match error.downcast_ref::<Faults>() {
            Some(faults) => {
                output::diagnostic_lines(faults.shown());
                ExitCode::from(2)
            }
            None => failed(&error),
        },
    }
}

/// The log on stderr; a line that cannot be written there is dropped.
fn start_log(verbose: u8) {
    let default = match verbose {
        // One line for each trouble: rustls would say its own words beside ours.
        0 => "info,rustls=error",
        1 => "debug",
        _ => "trace",
    };
    let wanted = std::env::var("RUST_LOG").ok();
    // Checked here, because env_logger panics where it cannot write its warning.
    let fault = wanted.as_ref().and_then(|wanted| env_filter::Builder::new().try_parse(wanted).err());
    let filters = wanted.as_deref().filter(|_| fault.is_none()).unwrap_or(default);
    let mut builder = env_logger::Builder::new();
    builder.parse_filters(filters);
    builder.parse_write_style(&std::env::var("RUST_LOG_STYLE").unwrap_or_default());
    // Nothing else in this program installs one.
    drop(text::log::start(builder.build()));
    if let Some(fault) = fault {
        log::warn!("RUST_LOG is not used: {fault}");
    }
}

fn execute(command: Command) -> anyhow::Result<()> {
    let runtime = || {
        limits::descriptors(DESCRIPTORS)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.context("cannot start the event loop")
    };
    match command {
        Command::Run(flags) => {
            let config = flags.config()?;
            runtime()?.block_on(run::run(config, Source::clone(&flags)))
        }
        Command::Replay(options) => replay::run(&options),
        Command::Check(options) => check::run(&options),
        Command::Collect(options) => runtime()?.block_on(collect::run(options)),
        Command::Status(options) => status::run(&options),
        Command::Flush(options) => flush::run(&options),
        Command::Reload(options) => reload::run(&options),
        Command::Detach(options) => detach::run(&options),
        Command::Explain(options) => runtime()?.block_on(explain::run(&options)),
    }
}

/// One line, with the remedy where a limit of the process is in the way.
fn failed(error: &anyhow::Error) -> ExitCode {
    match limits::remedy(error) {
        Some(remedy) => output::diagnostic(format_args!("{error:#}: {remedy}")),
        None => output::diagnostic(format_args!("{error:#}")),
    }
    ExitCode::FAILURE
}

/// Help and version as they are; an error in one line.
fn usage(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => match output::written(error.print()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => failed(&error),
        },
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            drop(error.print());
            ExitCode::from(2)
        }
        _ => {
            let text = error.to_string();
            let message = text.split("\n\nUsage:").next().unwrap_or(&text);
            let message = message.split("\n\nFor more information").next().unwrap_or(message);
            output::diagnostic(message.trim_start_matches("error: "));
            ExitCode::from(2)
        }
    }
}
