//! The sockets' edge: where messages leave.
//!
//! Architecture invariant: only this room and the small collector know sockets that carry flow records.

pub mod broken;
pub mod readiness;
pub mod stream;
pub mod tls;
pub mod udp;

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
};

pub use broken::Broken;

use crate::collector_url::Host;

/// Addresses of a host; blocks while a name is resolved.
///
/// # Errors
///
/// The resolver's, or an interface that an IPv6 zone names and that is not there.
pub fn resolve(host: &Host, port: u16) -> io::Result<Vec<SocketAddr>> {
    let text = match host {
        Host::Name(name) => name.clone(),
        Host::V4(address) => return Ok(vec![SocketAddr::from((*address, port))]),
        Host::V6 { address, zone: None } => return Ok(vec![SocketAddr::from((*address, port))]),
        Host::V6 { address, zone: Some(zone) } => format!("{address}%{zone}"),
    };
    Ok((text.as_str(), port).to_socket_addrs()?.collect())
}
