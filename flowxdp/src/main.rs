//! The command line: arguments → command → exit code, and one line for an error.
//!
//! Exit codes: 0 done, 1 failed while running, 2 wrong usage.

use std::process::ExitCode;

use clap::{Parser, Subcommand, error::ErrorKind};
use flowxdp::command::{collect, detach, replay, run, status};
use flowxdp::text;

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
    /// Meter interfaces and export flow records until told to stop
    Run(run::Options),
    /// Meter the packets of capture files, on the capture's clock
    Replay(replay::Options),
    /// Receive flow records and show them: a small collector
    Collect(collect::Options),
    /// Show the books of a running agent
    Status(status::Options),
    /// Take away what a killed agent left on interfaces
    Detach(detach::Options),
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage(&error),
    };
    let level = match arguments.verbose {
        // One line for each trouble: rustls would say its own words beside ours.
        0 => "info,rustls=error",
        1 => "debug",
        _ => "trace",
    };
    let logger = env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(level)).build();
    // Nothing else in this program installs one.
    drop(text::log::start(logger));
    match execute(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("flowxdp: {}", one_line(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}

fn execute(command: Command) -> anyhow::Result<()> {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build();
    match command {
        Command::Run(options) => runtime()?.block_on(run::run(options)),
        Command::Replay(options) => replay::run(&options),
        Command::Collect(options) => runtime()?.block_on(collect::run(options)),
        Command::Status(options) => status::run(&options),
        Command::Detach(options) => detach::run(&options),
    }
}

/// Help and version as they are; an error in one line.
fn usage(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A closed stdout has nobody who would miss it.
            drop(error.print());
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            drop(error.print());
            ExitCode::from(2)
        }
        _ => {
            let text = error.to_string();
            let message = text.split("\n\nUsage:").next().unwrap_or(&text);
            let message = message.split("\n\nFor more information").next().unwrap_or(message);
            eprintln!("flowxdp: {}", one_line(message.trim_start_matches("error: ")));
            ExitCode::from(2)
        }
    }
}

fn one_line(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    text::log::escaped(&words).into_owned()
}
