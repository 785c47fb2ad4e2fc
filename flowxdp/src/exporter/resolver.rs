//! Names become addresses in a thread of its own: resolvers block.

use std::{
    io,
    net::SocketAddr,
    sync::mpsc::{Receiver, TryRecvError, channel},
};

use crate::{collector_url::Host, transport::resolve};

/// A question that is under way.
#[derive(Debug)]
pub(super) struct Resolving(Receiver<io::Result<Vec<SocketAddr>>>);

impl Resolving {
    pub(super) fn start(host: Host, port: u16) -> Self {
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            // The exporter may be gone by now, and then nobody wants to know.
            drop(sender.send(resolve(&host, port)));
        });
        Self(receiver)
    }

    /// The answer, if it is there.
    pub(super) fn answer(&self) -> Option<io::Result<Vec<SocketAddr>>> {
        match self.0.try_recv() {
            Ok(addresses) => Some(addresses),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => {
                Some(Err(io::Error::other("the resolver ended without an answer")))
            }
        }
    }
}
