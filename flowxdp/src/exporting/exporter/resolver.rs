//! Addresses of a collector. Names become addresses in a thread of its own, because resolvers block; an
//! address in the URL needs no thread.

use std::{
    io,
    net::SocketAddr,
    sync::mpsc::{Receiver, TryRecvError, channel},
    thread,
};

use crate::{collector_url::Host, transport::resolve};

/// A question that is under way.
#[derive(Debug)]
pub(super) enum Resolving {
    /// The answer, which is taken once.
    Done(Option<io::Result<Vec<SocketAddr>>>),
    /// A thread asks the resolver.
    Asking(Receiver<io::Result<Vec<SocketAddr>>>),
}

impl Resolving {
    /// Begins. A system that has no thread to give is one more reason why the collector cannot be reached.
    pub(super) fn start(host: Host, port: u16) -> Self {
        if !matches!(host, Host::Name(_)) {
            return Self::Done(Some(resolve(&host, port)));
        }
        let (sender, receiver) = channel();
        let thread = thread::Builder::new().name("resolver".to_owned());
        let spawned = thread.spawn(move || {
            // The exporter may be gone by now.
            drop(sender.send(resolve(&host, port)));
        });
        match spawned {
            Ok(_) => Self::Asking(receiver),
            Err(error) => Self::Done(Some(Err(refused(&error)))),
        }
    }

    /// The answer, if it is there.
    pub(super) fn answer(&mut self) -> Option<io::Result<Vec<SocketAddr>>> {
        match self {
            Self::Done(answer) => answer.take(),
            Self::Asking(receiver) => match receiver.try_recv() {
                Ok(addresses) => Some(addresses),
                Err(TryRecvError::Empty) => None,
                Err(TryRecvError::Disconnected) => {
                    Some(Err(io::Error::other("the resolver ended without an answer")))
                }
            },
        }
    }
}

fn refused(error: &io::Error) -> io::Error {
    io::Error::new(
        error.kind(),
        format!(
            "its name needs a thread to be resolved, and the system has none ({error}): raise the limit of \
             processes (TasksMax=, pids.max, `ulimit -u`), or give the collector's address"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::Resolving;
    use crate::collector_url::Host;
    use std::net::{Ipv4Addr, Ipv6Addr};

    #[test]
    fn an_address_is_its_own_answer_at_once() {
        let zone = Some("lo".to_owned());
        for host in [
            Host::V4(Ipv4Addr::LOCALHOST),
            Host::V6 { address: Ipv6Addr::LOCALHOST, zone: None },
            Host::V6 { address: "fe80::1".parse().unwrap(), zone },
        ] {
            let mut resolving = Resolving::start(host.clone(), 4739);
            let addresses = resolving.answer().unwrap().unwrap();
            assert!(matches!(resolving, Resolving::Done(None)), "a thread for {host:?}");
            assert_eq!((addresses.len(), addresses[0].port()), (1, 4739), "{host:?}");
        }
    }
}
