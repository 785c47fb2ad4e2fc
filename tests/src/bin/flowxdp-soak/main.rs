//! `cargo xtask soak`: events in an agent's life, at random and for as long as you like, while the books must
//! balance all the time.
//!
//! The kernel's generator sends packets of exactly known numbers, nfcapd and a receiver over TCP get all
//! records. Their records must account for the packets sent: sent ≤ received + lost ≤ sent + perhaps twice,
//! in packets and octets.
//!
//! - [`plan`]: the events, by the seed. [`draft`]: the file that reloads change. [`rounds`]: their execution and checks.
//! - [`field`]: namespace, pins, agent. [`collectors`]: who receives. [`watch`]: who asks for the books.
//! - [`last`]: the books at an agent's end. [`tally`]: whether the figures of all agree.
#![deny(unsafe_code)]

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use flowxdp_tests::netns::Netns;

mod clock;
mod collectors;
mod draft;
mod field;
mod last;
mod plan;
mod rounds;
mod stop;
mod tally;
mod watch;

use field::Field;
use plan::Plan;
use tally::Tally;
use watch::Watch;

/// Events in an agent's life, at random, while the books must balance all the time.
#[derive(Parser)]
#[command(name = "cargo xtask soak --", bin_name = "cargo xtask soak --")]
struct Options {
    /// Duration of the soak
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Seed of all events
    #[arg(long)]
    seed: Option<u64>,
    /// Neither kills nor collectors that go away: nothing may come twice
    #[arg(long)]
    calm: bool,
    /// Let the time of day step, by up to two hours: that of this machine, for a second each time
    #[arg(long)]
    step_clock: bool,
    /// Where the agent's logs go if it fails
    #[arg(long, value_name = "DIR", default_value = "target/soak")]
    logs: PathBuf,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let seed = options.seed.unwrap_or_else(|| fastrand::u64(1..1_000_000_000));
    match soak(&options, seed) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("soak: seed {seed}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn soak(options: &Options, seed: u64) -> Result<()> {
    ensure!(rustix::process::geteuid().is_root(), "this needs root");
    stop::listen()?;
    let clock = options.step_clock && clock::may_be_set();
    println!("seed {seed}: {} s{}", options.seconds, if options.calm { ", calm" } else { "" });
    match (options.step_clock, clock) {
        (true, false) => println!("clock steps are left out: the time of day cannot be set here"),
        (false, _) => println!("clock steps are left out: --step-clock lets this machine's time of day step"),
        _ => {}
    }
    let logs = options.logs.join(seed.to_string());
    // Of an earlier run with this seed.
    drop(fs::remove_dir_all(&logs));
    fs::create_dir_all(&logs).with_context(|| logs.display().to_string())?;
    let mut plan = Plan::new(seed, options.calm, clock);
    let mut tally = Tally::default();
    let result = with_field(options, &logs, &mut plan, &mut tally);
    println!("{}", tally.table());
    if result.is_ok() {
        println!("Everything that was sent is accounted for: received, ignored or lost by name.");
        drop(fs::remove_dir_all(&logs));
        // The folder of all runs stays if another one is in it.
        drop(fs::remove_dir(&options.logs));
    } else {
        give_away(&options.logs, &logs)?;
        eprintln!("soak: the agent's logs are in {}", logs.display());
    }
    result
}

fn with_field(options: &Options, logs: &Path, plan: &mut Plan, tally: &mut Tally) -> Result<()> {
    let (netns, watch) = (Netns::new("soak")?, Watch::default());
    std::thread::scope(|scope| {
        scope.spawn(|| watch.run());
        let time = Duration::from_secs(options.seconds);
        let result = Field::new(&netns, &watch, logs, !options.calm).and_then(|mut field| {
            let result = rounds::run(&mut field, plan, time, options.calm, tally);
            field.keep_log();
            result
        });
        watch.end();
        // ^C reaches everything that was started, and then whatever fails is no news.
        stop::check()?;
        result
    })
}

/// The logs belong to whom the folder around them does, not to root.
fn give_away(folder: &Path, logs: &Path) -> Result<()> {
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let owner = fs::metadata(parent)?;
    let (user, group) = (Some(owner.uid()), Some(owner.gid()));
    chown(folder, user, group)?;
    chown(logs, user, group)?;
    for entry in fs::read_dir(logs)? {
        chown(entry?.path(), user, group)?;
    }
    Ok(())
}
