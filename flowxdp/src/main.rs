//! The command line: arguments → command → exit code, and one line for an error.
//!
//! Exit codes: 0 done, 1 failed while running, 2 wrong usage.

use std::process::ExitCode;

use clap::{Parser, error::ErrorKind};
use flowxdp::{command::Command, config::fault::Faults, guard, limits, output, text};

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
    match guard::caught(|| arguments.command.execute()) {
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
