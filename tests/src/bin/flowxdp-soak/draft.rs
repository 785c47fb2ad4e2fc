//! The part of the agent's configuration that reloads change, as a file.

use fastrand::Rng;

/// Values as TOML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Draft {
    /// Of UDP flows.
    timeouts: &'static str,
    collect: &'static str,
    options: &'static str,
    /// Lines of each collector: over UDP, and over TCP.
    parameters: [&'static str; 2],
    /// The collector over TCP comes first.
    swapped: bool,
}

/// No key but the collectors.
pub(crate) const PLAIN: Draft =
    Draft { timeouts: "{}", collect: "[]", options: OPTIONS[0], parameters: [""; 2], swapped: false };

const TIMEOUTS: [&str; 3] =
    ["{}", "{ udp = { idle = \"500ms\" } }", "{ udp = { idle = \"2s\", active = \"2s\" } }"];
const COLLECT: [&str; 4] = ["[]", "[\"mac\"]", "[\"vlan\", \"mac\"]", "[\"ipv6\", \"duration\"]"];
const OPTIONS: [&str; 3] =
    ["[\"sampler\", \"interfaces\", \"statistics\", \"reliability\"]", "[]", "[\"statistics\"]"];
const PARAMETERS: [&str; 3] =
    ["", "mtu = 1200\n", "fields = [\"default\", \"-minimumTTL\", \"-maximumTTL\"]\n"];

impl Draft {
    pub(crate) fn random(rng: &mut Rng) -> Self {
        let mut one_of = |values: &[&'static str]| rng.choice(values).copied().unwrap_or_default();
        Self {
            timeouts: one_of(&TIMEOUTS),
            collect: one_of(&COLLECT),
            options: one_of(&OPTIONS),
            parameters: [one_of(&PARAMETERS), one_of(&PARAMETERS)],
            swapped: rng.bool(),
        }
    }

    /// The file, with the collectors over UDP, in this protocol, and over TCP.
    pub(crate) fn text(&self, protocol: &str, [udp, tcp]: [u16; 2]) -> String {
        let [first, second] = self.parameters;
        let mut exporters = [
            format!(
                "[[exporter]]\ncollector = \"udp://127.0.0.1:{udp}\"\npreset = \"nfdump\"\nprotocol = \
                 \"{protocol}\"\n{first}"
            ),
            format!("[[exporter]]\ncollector = \"tcp://127.0.0.1:{tcp}\"\n{second}"),
        ];
        if self.swapped {
            exporters.reverse();
        }
        format!(
            "[monitor]\ntimeouts = {}\n[record]\ncollect = {}\n[exporting]\noptions = {}\n{}",
            self.timeouts,
            self.collect,
            self.options,
            exporters.concat()
        )
    }
}
