//! Notes to a service manager: the agent is ready, and it ends (sd_notify(3)).
//!
//! The socket is opened before the confinement, after which no Unix socket can be made.

use std::{
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::{ffi::OsStrExt, net::SocketAddr, net::UnixDatagram},
    },
};

/// The service manager that started the agent, if one did and asked for notes.
#[derive(Debug)]
pub struct Manager(Option<UnixDatagram>);

impl Manager {
    /// Connects to the socket that `NOTIFY_SOCKET` names, where the environment has it.
    pub fn connect() -> Self {
        let address = std::env::var_os("NOTIFY_SOCKET");
        Self(address.and_then(|address| {
            let socket = connected(address.as_bytes());
            socket.inspect_err(|error| log::warn!("cannot reach the service manager: {error}")).ok()
        }))
    }

    /// All programs are attached, and packets are metered.
    pub fn ready(&self) {
        self.send("READY=1\n");
    }

    /// The remaining records are exported, and then the agent ends.
    pub fn stopping(&self) {
        self.send("STOPPING=1\n");
    }

    fn send(&self, note: &str) {
        if let Some(Err(error)) = self.0.as_ref().map(|socket| socket.send(note.as_bytes())) {
            log::warn!("cannot tell the service manager: {error}");
        }
    }
}

/// A path, or behind an @ the name of an abstract socket.
fn connected(address: &[u8]) -> io::Result<UnixDatagram> {
    let address = match address {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        path => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(path))?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    // A manager that reads no note must not hold up the agent.
    socket.set_nonblocking(true)?;
    Ok(socket)
}
