//! The privileged parts that a reload needs: a folder of pins, and the loader, forked before anything else is open.

use std::{
    path::{Path, PathBuf},
    rc::Rc,
};

use anyhow::anyhow;

use crate::{
    agent::loader::{self, Allowed, Configuration, Folder, Loader},
    config::{Config, flags::Source},
    kernel::pin::{self, Pins},
};

/// Both, as far as they can be had.
pub(super) struct Privileges {
    /// `--pin`, or a folder that ends with the agent.
    pub(super) pins: Option<Rc<Pins>>,
    /// The loader.
    pub(super) loader: Option<Loader>,
}

/// Opens the folder of pins and forks the loader.
///
/// # Errors
///
/// The folder of `--pin` cannot be used. Without a loader the agent runs all the same.
pub(super) fn start(config: &Config, source: &Source) -> anyhow::Result<Privileges> {
    let pinned = config.monitor.pin.as_deref().map(Pins::open).transpose()?;
    if config.monitor.no_loader {
        return Ok(Privileges { pins: pinned.map(Rc::new), loader: None });
    }
    let (pins, folder) = match (pinned, config.monitor.pin.clone()) {
        (Some(pins), Some(path)) => (Some(pins), Folder::Named(path)),
        _ => private(),
    };
    let loader = loader::start(configuration(config, source), &folder, !config.monitor.no_confine);
    let loader = loader.inspect_err(|error| {
        log::warn!("{error:#}: a change of the configuration that needs privileges is refused");
    });
    let loader = loader.ok().inspect(|loader| {
        let (pid, holds) = (loader.pid, loader.holds.join(", "));
        log::info!("the loader, process {pid}, holds {holds} for a reload: {}", loader.confined);
    });
    Ok(Privileges { pins: pins.map(Rc::new), loader })
}

/// A BPF file system of this agent's own, where that can be made.
fn private() -> (Option<Pins>, Folder) {
    let made =
        pin::mount().and_then(|mount| Ok((Pins::private(mount.try_clone()?)?, Folder::Private(mount))));
    match made {
        Ok((pins, folder)) => (Some(pins), folder),
        Err(error) => {
            log::debug!("{error:#}: a table of another size needs --pin");
            (None, Folder::None)
        }
    }
}

/// The settings that the loader checks requests against.
fn configuration(config: &Config, source: &Source) -> Configuration {
    let (start, source) = (allowed(config), source.clone());
    let file = source.file().map(Path::to_owned);
    let read = move |text: Option<&str>| match text {
        Some(text) => Ok(allowed(&read(&source, text)?)),
        None => Ok(start.clone()),
    };
    Configuration { file, read: Box::new(read) }
}

/// The configuration of a text of its file; its faults in one line.
///
/// # Errors
///
/// The faults.
pub(super) fn read(source: &Source, text: &str) -> anyhow::Result<Config> {
    source.config_of(text).map_err(|faults| anyhow!("{}", faults.in_one_line()))
}

fn allowed(config: &Config) -> Allowed {
    let files = config.exporter.iter().map(|url| config.tls_of(url));
    let files = files.flat_map(|tls| [tls.ca, tls.cert, tls.key, tls.peers_file]);
    let files: Vec<PathBuf> = files.flatten().collect();
    Allowed { table: config.table(), files }
}
