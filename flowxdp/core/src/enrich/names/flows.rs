//! Names by flow: each record of a conversation, in both directions, has the names that its packets said, or the
//! name that its client had resolved.

use std::{net::IpAddr, sync::Arc};

use super::{
    cache::NameCache,
    generations::Generations,
    inspector::Direction,
    verdict::{Hello, Names, Verdict},
};
use crate::elements::application::Application;
use crate::record::tail::Text;
use crate::record::{Addresses, EndReason, FlowRecord};

/// Conversations with names, at most: about 50 MB.
const FLOWS: usize = 1 << 18;

/// Names of the cache: those of some thousand clients, in about 20 MB.
const CACHED: usize = 1 << 16;

const TCP: u8 = 6;
const SYN: u16 = 0x02;

/// Milliseconds without a record after which other flows than TCP's have ended: the next with the same key is another
/// flow. Bindings of NAT live as long (RFC 4787 section 4.3).
const ENDED: u64 = 300_000;

/// The names of a flow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlowName {
    /// The application, by the messages that were read.
    pub application: Application,
    /// The name, with the protocol that it is of.
    pub name: Option<Name>,
}

impl FlowName {
    /// Its name, with the column of the tail that has it.
    #[must_use]
    pub fn text(&self) -> Option<(Text, &str)> {
        Some(match self.name.as_ref()? {
            Name::Server(name) => (Text::Server, name),
            Name::Host(name) => (Text::Host, name),
            Name::Dns(name) => (Text::Dns, name),
        })
    }
}

/// A name of a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// The server name of a TLS or QUIC ClientHello.
    Server(Arc<str>),
    /// The host of an HTTP/1 request.
    Host(Arc<str>),
    /// The name that a DNS message asks for; of any other flow the name that its client had resolved.
    Dns(Arc<str>),
}

/// Both directions of a flow: the lower end is the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Conversation {
    ends: [(IpAddr, u16); 2],
    protocol: u8,
}

impl Conversation {
    fn of(flow: &Direction) -> Self {
        let [from, to] = flow.ports;
        let mut ends = [(flow.source, from), (flow.destination, to)];
        ends.sort_unstable();
        Self { ends, protocol: flow.protocol }
    }
}

#[derive(Debug)]
struct Known {
    names: FlowName,
    /// The last message that said a name, milliseconds since 1970.
    learned_ms: u64,
    /// The last packet, milliseconds since 1970.
    seen_ms: u64,
}

impl Known {
    /// Whether a record is of a later flow with the same key. A connection of TCP says its names behind its SYN.
    fn is_before(&self, record: &FlowRecord) -> bool {
        if record.protocol() == TCP {
            record.tcp_flags() & SYN != 0 && record.start_ms() > self.learned_ms
        } else {
            record.start_ms() > self.seen_ms.saturating_add(ENDED)
        }
    }
}

/// Names of flows, of bounded number; those that were needed last are kept.
#[derive(Debug)]
pub struct FlowNames {
    flows: Generations<Conversation, Known>,
    cache: NameCache,
}

impl Default for FlowNames {
    fn default() -> Self {
        Self::new(FLOWS, CACHED)
    }
}

impl FlowNames {
    /// No names; room for so many conversations, and for so many names in the cache.
    #[must_use]
    pub fn new(flows: usize, cached: usize) -> Self {
        Self { flows: Generations::new(flows), cache: NameCache::new(cached) }
    }

    /// Notes the inspector's verdict on a packet of a flow. `now_ms` is the packet's time in milliseconds since 1970,
    /// by the clock of the records.
    pub fn learn(&mut self, flow: &Direction, verdict: &Verdict, now_ms: u64) {
        let said = match verdict {
            Verdict::Named(names) => self.said(flow, names, now_ms),
            Verdict::Unnamed(_) => FlowName::default(),
        };
        let conversation = Conversation::of(flow);
        let is_news = said != FlowName::default();
        if let Some(known) = self.flows.recent(&conversation) {
            known.seen_ms = known.seen_ms.max(now_ms);
            if is_news {
                known.learned_ms = now_ms;
                known.names.application = said.application;
            }
            if said.name.is_some() {
                known.names.name = said.name;
            }
        } else {
            let name = said.name.or_else(|| self.client_resolved(flow, now_ms));
            if is_news || name.is_some() {
                let names = FlowName { application: said.application, name };
                self.flows.insert(conversation, Known { names, learned_ms: now_ms, seen_ms: now_ms });
            }
        }
    }

    /// The names of a message, and the one that the client had resolved where it has none.
    fn said(&mut self, flow: &Direction, names: &Names, now_ms: u64) -> FlowName {
        let name = match names {
            Names::Tls(hello) | Names::Quic(hello) => {
                hello.server_name.as_deref().map(Arc::from).map(Name::Server)
            }
            Names::Http(request) => request.host.as_deref().map(Arc::from).map(Name::Host),
            Names::Dns(message) => {
                self.cache.learn(flow.destination, message, now_ms);
                let question = message.question.as_deref().map(Arc::from).map(Name::Dns);
                return FlowName { application: Application::DOMAIN, name: question };
            }
        };
        let [_, port] = flow.ports;
        FlowName {
            application: application(names, port),
            name: name.or_else(|| self.client_resolved(flow, now_ms)),
        }
    }

    /// The name that one end had resolved to the other's address, in lower case. `now_ms` is in milliseconds since
    /// 1970.
    #[must_use]
    pub fn resolved(&self, one: IpAddr, other: IpAddr, now_ms: u64) -> Option<&str> {
        self.cache.name(one, other, now_ms).or_else(|| self.cache.name(other, one, now_ms))
    }

    fn client_resolved(&self, flow: &Direction, now_ms: u64) -> Option<Name> {
        self.resolved(flow.source, flow.destination, now_ms).map(|name| Name::Dns(name.into()))
    }

    /// The names of the flow that a record is of; none of an aggregate, which has many flows.
    pub fn names(&mut self, record: &FlowRecord) -> Option<&FlowName> {
        if record.end_reason() == EndReason::Aggregated {
            return None;
        }
        let flow = direction(record);
        let conversation = Conversation::of(&flow);
        if self.flows.get(&conversation).is_some_and(|known| known.is_before(record)) {
            self.flows.take(&conversation);
        }
        if self.flows.get(&conversation).is_none() {
            let start_ms = record.start_ms();
            let names = FlowName {
                application: Application::UNKNOWN,
                name: Some(self.client_resolved(&flow, start_ms)?),
            };
            // Behind the SYN of the other direction, whose record is asked for next.
            let learned_ms = record.end_ms();
            self.flows.insert(conversation, Known { names, learned_ms, seen_ms: learned_ms });
        }
        let known = self.flows.recent(&conversation)?;
        known.seen_ms = known.seen_ms.max(record.end_ms());
        Some(&known.names)
    }
}

/// The direction of a record.
fn direction(record: &FlowRecord) -> Direction {
    let key = record.key();
    let (source, destination): (IpAddr, IpAddr) = match key.addresses {
        Addresses::V4 { source, destination } => (source.into(), destination.into()),
        Addresses::V6 { source, destination } => (source.into(), destination.into()),
    };
    Direction { source, destination, protocol: key.protocol, ports: [key.source_port, key.destination_port] }
}

/// The application of a message to the port of a server: by the protocol that the client offers inside (ALPN), else by
/// the well-known port, else TLS or QUIC by itself.
fn application(names: &Names, port: u16) -> Application {
    let (hello, otherwise): (&Hello, _) = match names {
        Names::Tls(hello) => (hello, Application::TLS),
        Names::Quic(hello) => (hello, Application::QUIC),
        Names::Http(_) => return Application::HTTP,
        Names::Dns(_) => return Application::DOMAIN,
    };
    let offers = |names: &[&str]| hello.alpn.iter().any(|offered| names.contains(&&**offered));
    if offers(&["h2", "h3", "http/1.1", "http/1.0"]) {
        Application::HTTPS
    } else if offers(&["dot", "doq"]) {
        Application::DOMAIN_TLS
    } else {
        let by_port = Application::over_tls(port);
        // Another protocol than HTTP was offered at its port.
        by_port.filter(|it| *it != Application::HTTPS || hello.alpn.is_empty()).unwrap_or(otherwise)
    }
}

#[cfg(test)]
mod tests;
