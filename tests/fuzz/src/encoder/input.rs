//! An input's octets as a session, records and options data.

use flowxdp_common::field::{Group, Groups};
use flowxdp_core::clock::{Now, SECOND};
use flowxdp_core::elements::Choice;
use flowxdp_core::exporting::options::{Interface, Reliability, Snapshot};
use flowxdp_core::exporting::protocol::Protocol;
use flowxdp_core::exporting::session::{Preset, Session, SessionConfig, SessionError};
use flowxdp_core::record::tail::{self, Text};
use flowxdp_core::record::{Addresses, EndReason, Flow, FlowKey, RecordTotal};

/// 2026-11-03 10:00:00.000 UTC.
const T0: u64 = 1_793_700_000_000;
/// Milliseconds in which an uptime of 32 bits wraps.
const WRAP: u64 = 1 << 32;
/// The last moment that an export time of 32 bits can tell, milliseconds since 1970; less a year.
const LAST_MS: u64 = ((1 << 32) - 366 * 86_400) * 1000;

/// The smallest messages of sessions whose records have names.
const WITH_NAMES: usize = 600;

/// The octets that were not used yet; behind their end are zeros.
pub(super) struct Octets<'a>(pub(super) &'a [u8]);

impl Octets<'_> {
    pub(super) fn array<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.octet())
    }

    pub(super) fn octet(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    pub(super) fn short(&mut self) -> u16 {
        u16::from_be_bytes(self.array())
    }

    pub(super) fn word(&mut self) -> u32 {
        u32::from_be_bytes(self.array())
    }

    /// One of the few numbers at which something may go wrong, or any other below 2^`bits`.
    fn counter(&mut self, bits: u32) -> u64 {
        let most = (1_u64 << bits) - 1;
        match self.octet() % 8 {
            0 => most,
            1 => u64::from(u32::MAX),
            2 => u64::from(u32::MAX) + u64::from(self.octet()),
            3 => u64::from_be_bytes(self.array()) & most,
            _ => 1 + u64::from(self.short()),
        }
    }
}

/// A session and its settings.
pub(super) fn session(octets: &mut Octets<'_>) -> (Session, SessionConfig) {
    let choice = octets.octet();
    let system_start_ms = T0 - 3_600_000 - u64::from(octets.octet()) * (WRAP / 64);
    let protocols =
        [Protocol::Ipfix, Protocol::V9, Protocol::Ipfix, Protocol::V5, Protocol::V7, Protocol::V1];
    let reliable = choice % 6 == 2;
    let base = if reliable {
        SessionConfig::reliable(system_start_ms)
    } else {
        SessionConfig::new(protocols[usize::from(choice) % 6], system_start_ms)
    };
    let mut config = SessionConfig {
        observation_domain: octets.word().max(1),
        template_interval: u64::from(octets.octet()) * SECOND,
        template_messages: octets.octet().into(),
        flow_keys: reliable || choice >= 128,
        preset: (choice % 4 == 3).then_some(Preset::Nfdump),
        choice: Choice::of(if choice & 0x40 == 0 { Groups::BASE } else { Groups::BASE.with(Group::Names) }),
        ..base
    };
    config.max_message = size(octets, &config);
    match Session::new(config.clone()) {
        Ok(session) => (session, config),
        Err(error) => unreachable!("{error} was told of too small ones"),
    }
}

/// Whether records have names.
pub(super) fn has_names(config: &SessionConfig) -> bool {
    config.choice.groups().has(Group::Names)
}

/// The name of a record, which follows from its fields, and its column.
pub(super) fn name(flow: &Flow) -> Option<(Text, String)> {
    let column = *Text::ALL.get(usize::from(flow.key.tos % 4))?;
    let letter = char::from(b'a' + (flow.key.source_port % 26) as u8);
    let text = letter.to_string().repeat(usize::from(flow.key.vlan % 300));
    (!text.is_empty()).then_some((column, text))
}

/// The extension row of a record: a tail with its name, and its interface for an application.
pub(super) fn row(flow: &Flow) -> Vec<u8> {
    let (mut row, name) = (Vec::new(), name(flow));
    tail::write(flow.key.ingress, name.as_ref().map(|(column, text)| (*column, text.as_str())), &mut row);
    row
}

/// A size of messages that is allowed, often the smallest of all.
pub(super) fn size(octets: &mut Octets<'_>, config: &SessionConfig) -> usize {
    let least = match Session::new(SessionConfig { max_message: 0, ..config.clone() }) {
        Err(SessionError::MessageTooSmall { needed, .. }) => needed,
        other => unreachable!("no message is empty: {other:?}"),
    };
    // Templates of records with a name are larger.
    let least = if has_names(config) { least.max(WITH_NAMES) } else { least };
    match octets.octet() {
        0..64 => least,
        64 => 65_535,
        more => least + usize::from(more - 65) * 8,
    }
}

/// A record that a session of this protocol can be given now.
pub(super) fn record(octets: &mut Octets<'_>, config: &SessionConfig, now: Now) -> Flow {
    let kind = octets.octet();
    let key = FlowKey {
        addresses: if kind & 1 == 0 {
            Addresses::V4 { source: octets.array(), destination: octets.array() }
        } else {
            Addresses::V6 { source: octets.array(), destination: octets.array() }
        },
        source_port: octets.short(),
        destination_port: octets.short(),
        protocol: [1, 58, 6, octets.octet()][usize::from(kind >> 1) % 4],
        tos: octets.octet(),
        vlan: octets.short() & 0xfff,
        ingress: octets.word(),
    };
    // A record of a fixed layout becomes many if its counters are large.
    let bits = if matches!(config.protocol, Protocol::Ipfix | Protocol::V9) { 54 } else { 36 };
    let (start_ms, end_ms) = times(octets, config, now);
    let reasons = [
        EndReason::IdleTimeout,
        EndReason::ActiveTimeout,
        EndReason::EndOfFlow,
        EndReason::Forced,
        EndReason::LackOfResources,
    ];
    Flow {
        key,
        packets: octets.counter(bits),
        octets: octets.counter(bits),
        start_ms,
        end_ms,
        tcp_flags: octets.short() & 0xfff,
        ttl_min: octets.octet(),
        ttl_max: octets.octet(),
        length_min: octets.short(),
        length_max: octets.short(),
        end_reason: reasons[usize::from(octets.octet()) % 5],
    }
}

/// First and last time.
fn times(octets: &mut Octets<'_>, config: &SessionConfig, now: Now) -> (u64, u64) {
    let (choice, some) = (octets.octet(), u64::from(octets.short()));
    let (start, end) = match choice % 8 {
        0 => (0, now.wall_ms),
        1 => (config.system_start_ms.saturating_sub(some % 3), now.wall_ms),
        2 => (now.wall_ms.saturating_sub(WRAP + some), now.wall_ms.saturating_sub(some)),
        3 => (now.wall_ms.saturating_sub(some * (1 << 20)), now.wall_ms.saturating_sub(some)),
        4 => (now.wall_ms, now.wall_ms + some * (1 << 20)),
        5 => (u64::from(octets.word()) * 1000, LAST_MS - some),
        _ => (now.wall_ms.saturating_sub(some), now.wall_ms),
    };
    (start.min(end), end.min(LAST_MS))
}

/// The exporter's options data.
pub(super) fn snapshot(octets: &mut Octets<'_>, config: &SessionConfig) -> Snapshot {
    let reliability = |octets: &mut Octets<'_>| Reliability {
        total: RecordTotal {
            records: octets.counter(54),
            packets: octets.counter(54),
            octets: octets.counter(54),
        },
        first_ms: octets.counter(54),
        last_ms: octets.counter(54),
    };
    let count = match octets.octet() {
        255 => 250,
        some => some % 4,
    };
    Snapshot {
        process: config.observation_domain,
        ignored: reliability(octets),
        not_sent: reliability(octets),
        interfaces: (0..count)
            .map(|_| Interface { index: octets.word(), name: text(octets), description: text(octets) })
            .collect(),
        name: text(octets),
        system_start_ms: config.system_start_ms,
        transport: octets.octet(),
        port: octets.short(),
    }
}

/// Never empty.
fn text(octets: &mut Octets<'_>) -> String {
    const CHARACTERS: [char; 8] = ['e', '\0', '\u{1b}', 'é', '\u{202e}', '網', '\u{feff}', '🦀'];
    let (choice, length) = (octets.octet(), usize::from(octets.octet()));
    let front = "x".repeat(usize::from(choice) / 64);
    let character = CHARACTERS[usize::from(choice) % 8];
    front + &character.to_string().repeat(1 + if choice & 8 == 0 { length } else { length % 20 })
}
