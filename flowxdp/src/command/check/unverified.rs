//! Parts of a configuration that only the start of the agent shows to be right or wrong.

use std::{io, path::Path};

use crate::{collector_url::Host, config::Config, transport::tls::TlsClient};

/// Where the kernel lists interfaces.
const INTERFACES: &str = "/sys/class/net";

/// A line for each of them.
pub(super) fn all(config: &Config) -> Vec<String> {
    let mut lines: Vec<String> = config.monitor.interface.iter().filter_map(|name| interface(name)).collect();
    for url in &config.exporter {
        if let Host::Name(name) = url.host() {
            lines.push(format!("collector {url}: the name {name} was not resolved"));
        }
        if !url.scheme().is_reliable() && url.mtu().is_none() {
            lines.push(format!("collector {url}: the path MTU may ask for smaller messages"));
        }
        if url.scheme().is_encrypted()
            && let Err(error) = TlsClient::new(config.tls_of(url), url.host())
        {
            lines.push(format!("collector {url}: {}", files(&error)));
        }
    }
    let folders = [(&config.spool.directory, "spool"), (&config.monitor.pin, "pin")];
    for (folder, name) in folders.into_iter().filter_map(|(folder, name)| Some((folder.as_ref()?, name))) {
        lines.push(format!("{name} {}: permissions and room were not tried", folder.display()));
    }
    lines.push("kernel: its version, the privileges, and the memory for the table".to_owned());
    lines
}

/// Why an interface cannot be judged now.
fn interface(name: &str) -> Option<String> {
    if name.contains(['*', '?']) {
        return Some(format!("interface {name}: the pattern was not matched"));
    }
    let is_there = !name.contains('/') && Path::new(INTERFACES).join(name).exists();
    (!is_there).then(|| format!("interface {name}: there is none of this name now"))
}

/// Files of TLS: a file that this user may not read can be right all the same.
fn files(error: &anyhow::Error) -> String {
    let denied = error.chain().any(|cause| {
        let cause = cause.downcast_ref::<io::Error>();
        cause.is_some_and(|cause| cause.kind() == io::ErrorKind::PermissionDenied)
    });
    let remedy =
        if denied { "check it as the user of the service" } else { "the agent does not start with it" };
    format!("{error:#}: {remedy}")
}
