//! `cargo xtask demo`: real traffic through a gateway in namespaces, its flows, and books that can be checked.
//!
//! The build runs as the calling user; the rest needs root and is one process, this program again with
//! `--inside`. Its namespaces and processes end with it: see [`netns`](crate::netns).

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use crate::{build, setup, stop, sudo};

mod books;
mod gateway;
mod network;
mod report;
mod traffic;

pub(crate) fn run() -> Result<()> {
    setup::toolchain()?;
    setup::packages(setup::DEMO)?;
    let agent = build::agent()?;
    let xtask = std::env::current_exe().context("cannot tell where xtask itself is")?;
    let mut command =
        sudo::command(xtask, "the demo makes network namespaces and loads an XDP program", &[])?;
    let error = command.args(["demo", "--inside"]).arg(agent).exec();
    Err(error).context("cannot start the demo as root")
}

/// The part that needs root.
pub(crate) fn inside(agent: &Path) -> Result<()> {
    stop::listen()?;
    let start = Instant::now();
    println!("\nThree namespaces on this machine: client — gateway — server, joined by veth pairs");
    let network = network::Network::new()?;
    let mut gateway = gateway::Gateway::start(&network, agent)?;
    println!("The agent meters {} on the gateway", network::INTERFACES.join(" and "));
    network.connect()?;

    println!("Traffic of the kernel's own stacks, about {} s:", traffic::TIME.as_secs());
    let during = ask_during_traffic(&network, &mut gateway)?;
    // With the far ends down nothing more can arrive, so both sides count the same packets.
    network.disconnect()?;
    stop::sleep(Duration::from_millis(300))?;
    let text = gateway.status_text()?;
    let books = gateway.books()?;
    let received = network.received()?;
    let ended = gateway.stop()?;

    let agree = report::show(&report::Findings { during, books, received, text, ended })?;
    println!("Took {:.0} s. Namespaces, interfaces and programs are gone.", start.elapsed().as_secs_f32());
    if !agree {
        bail!("the books and the counters beside them differ; the lines marked DIFFER say where");
    }
    Ok(())
}

/// Sends the traffic, and asks for the books again and again meanwhile.
fn ask_during_traffic(
    network: &network::Network,
    gateway: &mut gateway::Gateway<'_>,
) -> Result<Vec<books::Books>> {
    std::thread::scope(|scope| {
        let traffic = scope.spawn(|| traffic::run(network));
        let mut asked = Vec::new();
        while !traffic.is_finished() {
            asked.push(gateway.books()?);
            stop::sleep(Duration::from_millis(100))?;
        }
        traffic.join().map_err(|_| anyhow!("the thread that sends traffic broke"))??;
        Ok(asked)
    })
}
