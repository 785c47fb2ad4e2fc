//! Privileges that the agent still needs after its files and sockets are open.

use std::path::{Path, PathBuf};

use rustix::thread::CapabilitySet;

use crate::{collector_url::Host, config::Config};

/// Files that are opened, and capabilities that are used, later than at the start.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    /// Files that are read again, also when another file of that name takes their place.
    pub files: Vec<PathBuf>,
    /// Folders in which files are made, written and removed, and files that are written.
    pub written: Vec<PathBuf>,
    /// Folders of a BPF file system in whose folders pins are made, and nothing else.
    pub pinned: Vec<PathBuf>,
    /// Files and folders that are removed at the end.
    pub removed: Vec<PathBuf>,
    /// Capabilities that stay, each with its purpose.
    pub kept: Vec<(CapabilitySet, &'static str)>,
    /// Whether names are resolved.
    pub names: bool,
    /// Whether the system's certificate authorities are read.
    pub authorities: bool,
    /// Whether the configuration may be read again.
    pub reloads: bool,
}

impl Needs {
    /// The needs of a configuration: control socket, pins, spool and collectors.
    pub fn new(config: &Config) -> Self {
        let mut needs = Self { removed: vec![config.monitor.socket.clone()], ..Self::default() };
        // Pins are made and removed in the folder, and the folder itself is removed at the end.
        needs.written.extend(config.monitor.pin.clone());
        needs.removed.extend(config.monitor.pin.clone());
        needs.written.extend(config.spool.directory.clone());
        for url in &config.exporter {
            needs.names |= matches!(url.host(), Host::Name(_));
            if !url.scheme().is_encrypted() {
                continue;
            }
            let tls = config.tls_of(url);
            needs.authorities |= tls.ca.is_none();
            needs.files.extend([tls.ca, tls.cert, tls.key, tls.peers_file].into_iter().flatten());
            needs.written.extend(std::env::var_os("SSLKEYLOGFILE").map(PathBuf::from));
        }
        needs
    }

    /// And those of a reload from this file: collectors that come may have names, and authorities of the system; their
    /// files may be beside it.
    #[must_use]
    pub fn with_reload(mut self, file: Option<&Path>) -> Self {
        if let Some(file) = file {
            self.files.push(file.to_owned());
            (self.names, self.authorities) = (true, true);
            self.reloads = true;
        }
        self
    }

    /// Whether a reload may bring interfaces that the start did not name.
    pub const fn has_reload(&self) -> bool {
        self.reloads
    }

    /// And the capability for classifiers in netlink filters, which a kernel without tcx asks for at each change.
    #[must_use]
    pub fn with_filters(mut self) -> Self {
        self.kept
            .push((CapabilitySet::NET_ADMIN, "classifiers in netlink filters, as this kernel has no tcx"));
        self
    }

    /// And a folder for tables of another size, which ends with the agent.
    #[must_use]
    pub fn with_private_pins(mut self, folder: Option<&Path>) -> Self {
        self.written.extend(folder.map(Path::to_owned));
        self
    }

    /// And those of running beside other programs, with pins in a folder.
    #[must_use]
    pub fn chained(mut self, pins: &Path) -> Self {
        self.written.push(pins.to_owned());
        self.kept.extend([
            (CapabilitySet::NET_ADMIN, "letting another XDP program run alone again (--chain)"),
            (CapabilitySet::SYS_ADMIN, "finding it by its number (--chain)"),
        ]);
        self
    }
}
