//! `flowxdp detach`: removes the programs and pins that a killed agent left on interfaces and in its folder.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};

use crate::{
    guard,
    kernel::{
        chain::{self, PINS, Released},
        hook,
        link::{self, Link},
        pin::{Pins, Place},
        preflight,
    },
    output,
};

/// Why an attachment stays.
const HELD: &str = "flowxdp is attached by an agent that runs, or by its pins: stop that agent, or name its folder \
                    with --pin";

/// Options of `flowxdp detach`.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Interface to take our program from; repeat for several, or separate them by commas. With --pin it may
    /// be left out: then it is every one
    #[arg(long, value_name = "IF", required_unless_present = "pin", value_delimiter = ',', value_parser = crate::config::interface)]
    pub interface: Vec<String>,
    /// Folder in a BPF file system where the agent had its pins
    #[arg(long, value_name = "DIR")]
    pub pin: Option<PathBuf>,
}

/// Goes through all interfaces, also when there is nothing to do on one.
///
/// # Errors
///
/// The obstacle, or that there is nothing of ours, for every interface where it is so.
pub fn run(options: &Options) -> anyhow::Result<()> {
    preflight::kernel_and_privileges()?;
    preflight::finding_others()?;
    // No agent has the folder as long as this one has.
    let pins = options.pin.as_deref().filter(|pin| pin.exists()).map(Pins::open).transpose()?;
    let pin = options.pin.as_deref().unwrap_or(Path::new(PINS));
    // A stdout that takes nothing keeps no interface from being let go of.
    let (mut done, mut refused, mut written) = (0, Vec::new(), Ok(()));
    for name in &options.interface {
        match find(name).and_then(|link| detach(&link, pin, pins.as_ref())) {
            Ok(words) => {
                done += 1;
                written = guard::first(written, output::product(format_args!("{name}: {words}")));
            }
            Err(error) => refused.push(format!("{error:#}")),
        }
    }
    if options.interface.is_empty() {
        let pinned = pins.as_ref().map(Pins::links).transpose()?.unwrap_or_default();
        let is_pinned = |link: &Link| pinned.iter().any(|(_, index)| *index == link.index);
        let ours = |link: &Link| link.xdp.is_some_and(chain::is_ours) || is_pinned(link);
        for link in link::all()?.iter().filter(|link| ours(link)) {
            let words = detach(link, pin, pins.as_ref())?;
            written = guard::first(written, output::product(format_args!("{}: {words}", link.name)));
            done += 1;
        }
    }
    chain::sweep(pin);
    let cleared = pins.map(|pins| clear(&pins)).transpose()?.unwrap_or(false);
    ensure!(refused.is_empty(), "{}", refused.join("; "));
    ensure!(
        done > 0 || cleared,
        "{}: nothing is pinned there, and nothing of flowxdp is attached",
        pin.display()
    );
    written
}

fn find(name: &str) -> anyhow::Result<Link> {
    link::all()?
        .into_iter()
        .find(|link| link.names().any(|other| other == name))
        .with_context(|| format!("there is no interface {name}"))
}

/// The result on one interface, in words.
fn detach(link: &Link, pin: &Path, pins: Option<&Pins>) -> anyhow::Result<String> {
    let name = &link.name;
    let mut was_pinned = false;
    for (pins, place) in pins.iter().flat_map(|pins| Place::ALL.map(|place| (pins, place))) {
        was_pinned |= pins.has_link(place, link.index)?;
        pins.remove_link(place, link.index)?;
    }
    match hook::release(link)? {
        hook::Released::Nothing if was_pinned => return Ok("flowxdp is taken away".to_owned()),
        hook::Released::Nothing => {}
        hook::Released::Removed => return Ok("flowxdp is taken away".to_owned()),
        hook::Released::Held => bail!("{name}: {HELD}"),
    }
    match chain::release(link, pin)? {
        Released::PutBack(other) => Ok(format!("flowxdp is taken away, and {other} runs alone again")),
        Released::Alone => Ok("flowxdp is taken away".to_owned()),
        Released::Nothing => bail!("{name}: no XDP program is attached"),
        Released::NotOurs(other) => bail!("{name}: the XDP program {other} is not flowxdp's, and stays"),
        Released::InLink => bail!("{name}: {HELD}"),
    }
}

/// Removes the table when it has no interface any more.
fn clear(pins: &Pins) -> anyhow::Result<bool> {
    let beside = pins.names()?.iter().any(|name| name.to_string_lossy().starts_with("chain-"));
    if beside || !pins.links()?.is_empty() || pins.generations()?.is_empty() {
        return Ok(false);
    }
    pins.clear()?;
    output::product(format_args!(
        "{}: the flow table is removed, with what it held",
        pins.directory().display()
    ))?;
    Ok(true)
}
