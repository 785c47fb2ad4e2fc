//! Which packets are explained: by verdict, and by fields of their headers.

use std::net::IpAddr;

use flowxdp_common::{
    observation::{ANY, FILTER_WORDS, METERED, Observation, VERDICTS, passes, word},
    reason::{IGNORED, NOT_REPLAYED, NotReplayed},
};

use super::names;

/// The part of the command line that chooses packets.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Filtering {
    /// Packets that are ignored for these reasons alone; repeats, takes commas
    #[arg(long, value_name = "REASON", value_delimiter = ',', value_parser = reason)]
    reason: Vec<u8>,
    /// All packets, not only those that are ignored
    #[arg(long, conflicts_with = "reason")]
    all: bool,
    /// All packets with this address at either end
    #[arg(long, value_name = "ADDR")]
    host: Option<IpAddr>,
    /// All packets with this port at either end, which metered packets alone have
    #[arg(long, value_name = "N")]
    port: Option<u16>,
    /// All packets of this protocol: a number, or a name such as tcp, udp or icmp
    #[arg(long, value_name = "N", value_parser = protocol)]
    protocol: Option<u8>,
    /// All packets with this outer VLAN identifier; 0 is for packets without one
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(0..4096))]
    vlan: Option<u16>,
}

/// Verdicts of packets of a capture that the parser is not given, behind the parser's own.
pub(super) fn not_replayed(reason: NotReplayed) -> u8 {
    u8::try_from(VERDICTS + reason as usize).unwrap_or(u8::MAX)
}

/// Names of the reasons in the order of their verdicts, which begin at 1.
pub(super) fn reasons() -> impl Iterator<Item = &'static str> {
    IGNORED.iter().chain(&NOT_REPLAYED).map(|reason| reason.name)
}

/// The verdict of a reason by its name.
fn reason(text: &str) -> Result<u8, String> {
    let verdict = (1..).zip(reasons()).find(|(_, name)| *name == text).map(|(verdict, _)| verdict);
    verdict.ok_or_else(|| {
        let known = reasons().collect::<Vec<_>>().join(", ");
        format!("no packet is ignored for \"{text}\": write one of {known}")
    })
}

fn protocol(text: &str) -> Result<u8, String> {
    text.parse().ok().or_else(|| names::protocol_number(text)).ok_or_else(|| {
        format!("\"{text}\" is no protocol: write a number from 0 to 255, or a name such as tcp, udp or icmp")
    })
}

impl Filtering {
    /// Whether a field of a header is asked for.
    fn has_fields(&self) -> bool {
        self.host.is_some() || self.port.is_some() || self.protocol.is_some() || self.vlan.is_some()
    }

    /// Whether any option chooses packets.
    pub(super) fn chooses(&self) -> bool {
        self.all || !self.reason.is_empty() || self.has_fields()
    }

    /// Whether a reason is asked for that only packets of captures have.
    pub(super) fn has_reason_of_captures(&self) -> bool {
        self.reason.iter().any(|verdict| usize::from(*verdict) >= VERDICTS)
    }

    /// The verdicts that pass, a bit each.
    fn verdicts(&self) -> u32 {
        if !self.reason.is_empty() {
            self.reason.iter().fold(0, |bits, verdict| bits | 1 << verdict)
        } else if self.all || self.has_fields() {
            u32::MAX
        } else {
            !(1 << METERED)
        }
    }

    /// The words of the filter, for the host's parser and the kernel's program alike.
    pub(super) fn words(&self) -> [u32; FILTER_WORDS] {
        let mut words = [ANY; FILTER_WORDS];
        let host = self.host.map(|host| match host {
            IpAddr::V4(address) => (4, [u32::from_ne_bytes(address.octets()), 0, 0, 0]),
            IpAddr::V6(address) => (6, bytemuck::cast(address.octets())),
        });
        let (version, [a, b, c, d]) = host.unwrap_or((ANY, [0; 4]));
        for (place, value) in [
            (word::VERDICTS, self.verdicts()),
            (word::VERSION, version),
            (word::HOST, a),
            (word::HOST + 1, b),
            (word::HOST + 2, c),
            (word::HOST + 3, d),
            (word::PORT, self.port.map_or(ANY, u32::from)),
            (word::PROTOCOL, self.protocol.map_or(ANY, u32::from)),
            (word::VLAN, self.vlan.map_or(ANY, u32::from)),
        ] {
            if let Some(word) = words.get_mut(place) {
                *word = value;
            }
        }
        words
    }
}

/// A filter that is applied on the host.
pub(super) struct Filter {
    words: [u32; FILTER_WORDS],
    has_fields: bool,
}

impl Filter {
    pub(super) fn new(filtering: &Filtering) -> Self {
        Self { words: filtering.words(), has_fields: filtering.has_fields() }
    }

    fn word(&self, place: usize) -> u32 {
        self.words.get(place).copied().unwrap_or(ANY)
    }

    /// Whether a packet that the parser was given is to be explained.
    pub(super) fn passes(&self, observation: &Observation) -> bool {
        passes(observation, |place| self.word(place))
    }

    /// Whether a packet that the parser was not given is to be explained: no field of it is known.
    pub(super) fn passes_unparsed(&self, verdict: u8) -> bool {
        !self.has_fields && self.word(word::VERDICTS) & 1 << verdict != 0
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        filtering: Filtering,
    }

    fn filter(arguments: &[&str]) -> Result<Filter, clap::Error> {
        let line = Line::try_parse_from([&["explain"], arguments].concat())?;
        Ok(Filter::new(&line.filtering))
    }

    fn observation() -> Observation {
        Observation {
            addresses: [
                u32::from_ne_bytes([192, 0, 2, 1]),
                0,
                0,
                0,
                u32::from_ne_bytes([192, 0, 2, 2]),
                0,
                0,
                0,
            ],
            ports: [0, 53, 0x30, 0x39],
            version: 4,
            protocol: 17,
            vlan: 5,
            ..Observation::default()
        }
    }

    #[test]
    fn ignored_packets_pass_by_default_and_all_packets_of_a_filter() {
        let ignored = Observation { verdict: 2, ..observation() };
        for (arguments, metered, truncated) in [
            (&[][..], false, true),
            (&["--all"], true, true),
            (&["--reason", "truncated,not_ip"], false, true),
            (&["--reason", "malformed"], false, false),
            (&["--host", "192.0.2.2"], true, true),
            (&["--host", "192.0.2.3"], false, false),
            (&["--host", "::1"], false, false),
            (&["--port", "53"], true, false),
            (&["--port", "12345", "--protocol", "udp", "--vlan", "5", "--host", "192.0.2.1"], true, false),
            (&["--port", "54"], false, false),
            (&["--protocol", "6"], false, false),
            (&["--vlan", "0"], false, false),
            (&["--vlan", "5", "--reason", "truncated"], false, true),
        ] {
            let filter = filter(arguments).unwrap();
            assert_eq!(filter.passes(&observation()), metered, "{arguments:?}");
            assert_eq!(filter.passes(&ignored), truncated, "{arguments:?}");
        }
    }

    #[test]
    fn an_icmp_type_is_no_port() {
        let ping = Observation { protocol: 1, ports: [0, 0, 8, 0], ..observation() };
        assert!(!filter(&["--port", "2048"]).unwrap().passes(&ping));
        assert!(!filter(&["--port", "0"]).unwrap().passes(&ping));
    }

    #[test]
    fn a_packet_without_an_ip_header_has_no_protocol() {
        let arp = Observation { verdict: 1, ..Observation::default() };
        assert!(!filter(&["--protocol", "0"]).unwrap().passes(&arp));
        assert!(filter(&["--vlan", "0"]).unwrap().passes(&arp));
    }

    #[test]
    fn packets_of_no_link_type_pass_by_their_reason() {
        let unsupported = not_replayed(NotReplayed::UnsupportedLink);
        assert!(filter(&[]).unwrap().passes_unparsed(unsupported));
        assert!(filter(&["--reason", "unsupported_link"]).unwrap().passes_unparsed(unsupported));
        assert!(!filter(&["--reason", "not_ip"]).unwrap().passes_unparsed(unsupported));
        assert!(!filter(&["--vlan", "0"]).unwrap().passes_unparsed(unsupported));
    }

    #[test]
    fn faults_name_what_can_be_written() {
        for (arguments, words) in [
            (&["--reason", "cut"][..], "write one of not_ip, truncated, malformed"),
            (&["--protocol", "quic"], "write a number from 0 to 255"),
            (&["--vlan", "4096"], "4096"),
            (&["--host", "example"], "example"),
            (&["--all", "--reason", "not_ip"], "cannot be used with"),
        ] {
            let error = filter(arguments).err().unwrap().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
