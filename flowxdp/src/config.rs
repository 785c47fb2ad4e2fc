//! The configuration as a value: flags make it, a file makes it, tests make it.
//!
//! flags, file → texts with their places → [`Config`] → confinement, meter, exporters
//!
//! - [`keys`]: THE table, a row a key: table, name, flag, form, default, sentence, commands.
//! - [`value`]: typed values from text and back; [`choices`]: the values that have names; [`timeouts`]: those of a class
//!   of protocols; [`parsers`]: the rest.
//! - [`flags`]: clap's arguments follow from the table, and the texts of a command line.
//! - `file`, `document`, `form`, `exporter`: the same texts from TOML; `nearest`: the hint for a slip.
//! - [`print`]: the file that makes a configuration again.
//! - `warnings`: settings without effect.
//! - [`diff`](mod@diff): the changes from one configuration to another, for an agent that runs.
//! - [`pages`]: the example file and the manual's page.
//! - [`fault`]: a fault and its place; [`contradictions`]: values that do not agree with each other.
//!
//! Architecture invariant: no other module of the agent reads clap's matches, and this one opens nothing
//! but the file of the configuration.

pub mod choices;
pub mod contradictions;
pub mod diff;
mod document;
mod exporter;
pub mod fault;
mod file;
pub mod flags;
mod form;
pub mod key;
pub mod keys;
mod nearest;
pub mod pages;
mod parsers;
pub mod print;
#[cfg(test)]
mod tests;
pub mod timeouts;
pub mod value;
mod warnings;

pub(crate) use self::parsers::{interface, vxlan_port};
use self::timeouts::{ClassTimeout, Kind};

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use flowxdp_common::{
    copy::MOMENT,
    field::{Group, Groups},
    fragment::SETS,
    switch::{BEHIND_CHAIN, BEHIND_DROP, BEHIND_STACK, Switches},
    tunnel::MORE_PORTS,
};
use flowxdp_core::{
    elements::ELEMENTS, elements::options::Subject, exporting::protocol::Protocol, metering::retire::Timeouts,
};

use crate::{
    collector_url::CollectorUrl,
    exporting::dispatch::Strategy,
    kernel::{attach::Mode, chain::PINS, load::TableSize},
    transport::tls::TlsSettings,
};

/// All settings of `run` and `replay`.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// `[monitor]`: the packets that are metered.
    pub monitor: Monitor,
    /// `[record]`: the fields of flow records.
    pub record: Record,
    /// `[names]`: the packets that are inspected for names.
    pub names: Names,
    /// `[exporting]`: common to all exporters.
    pub exporting: Exporting,
    /// `[[exporter]]`: one for each collector.
    pub exporter: Vec<CollectorUrl>,
    /// `[spool]`: where records wait on disk.
    pub spool: Spool,
    /// `[tls]`: TLS towards collectors whose URL says nothing of it.
    pub tls: TlsSettings,
}

/// Which packets are metered, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Monitor {
    /// Names and patterns of interfaces.
    pub interface: Vec<String>,
    /// Where the program runs.
    pub mode: Mode,
    /// Slots of the table for IPv4.
    pub flows: u64,
    /// Slots of the table for IPv6; as many as for IPv4 where there is no number.
    pub flows6: Option<u64>,
    /// Idle timeout.
    pub idle_timeout: Duration,
    /// Active timeout.
    pub active_timeout: Duration,
    /// Timeouts of classes of protocols that have their own.
    pub class_timeouts: Vec<ClassTimeout>,
    /// Folder of pins.
    pub pin: Option<PathBuf>,
    /// Table and attachments outlive a stop.
    pub keep: bool,
    /// Beside another XDP program.
    pub chain: bool,
    /// The interfaces receive copies, which are dropped behind the meter.
    pub tap: bool,
    /// The control socket.
    pub socket: PathBuf,
    /// All privileges stay.
    pub no_confine: bool,
    /// No second process keeps the privileges to load programs.
    pub no_loader: bool,
    /// ifIndex of the packets of a capture.
    pub interface_index: u32,
}

/// The fields that flow records have beyond the base ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Names of groups, and IANA's names of single elements.
    pub collect: Vec<String>,
    /// Which header of a packet in a tunnel is metered.
    pub tunnels: Tunnels,
    /// UDP ports of VXLAN beside 4789.
    pub vxlan_ports: Vec<u16>,
    /// The ports of later fragments.
    pub fragments: Fragments,
}

/// Which header of a packet in a tunnel is metered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tunnels {
    /// The outermost one.
    #[default]
    Outer,
    /// The innermost one of two tunnels at most.
    Inner,
}

/// The ports of later fragments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fragments {
    /// None.
    #[default]
    Separate,
    /// Those of the datagram's first fragment.
    Join,
}

/// Which packets are inspected for names, where their group is collected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Packets of a record.
    pub packets: u32,
    /// Packets a second and CPU; never 0.
    pub budget: u32,
}

/// How flow records leave, for all collectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exporting {
    /// Protocol of exporters without one of their own.
    pub protocol: Protocol,
    /// Which collector a record goes to.
    pub strategy: Strategy,
    /// How long a better collector must be back before failover returns to it.
    pub failover_hold: Duration,
    /// Observation domain id of flow records; never 0.
    pub observation_domain: u32,
    /// Messages a second to each collector; 0 for no limit.
    pub pace: u32,
    /// Messages of one size that the kernel takes as one.
    pub udp_segments: u8,
    /// The subjects of options data.
    pub options: Vec<Subject>,
    /// Between two reports of options data.
    pub options_interval: Duration,
    /// Between two announcements of templates over UDP.
    pub template_interval: Duration,
    /// Messages between two announcements of templates over UDP; never 0.
    pub template_messages: u32,
    /// Flow keys over UDP too.
    pub flow_keys: bool,
    /// How long a connection and its handshake may take.
    pub handshake_timeout: Duration,
    /// The longest wait between two attempts.
    pub retry_limit: Duration,
    /// Between two lookups of a name over UDP.
    pub resolve_interval: Duration,
    /// Octets that are sent again after a break.
    pub resend_window: u64,
    /// The same after an end in order.
    pub resend_after_end: bool,
}

/// Where records wait for collectors over TCP and TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spool {
    /// The folder of all.
    pub directory: Option<PathBuf>,
    /// Octets of all.
    pub limit: u64,
    /// How long a record may wait.
    pub age: Duration,
}

impl Default for Config {
    /// The defaults of the table of keys.
    fn default() -> Self {
        let mut config = Self::blank();
        for key in keys::KEYS.iter().filter(|key| !key.default.is_empty()) {
            // A test holds that each default is taken.
            drop(key.set(&mut config, &key.defaults()));
        }
        config
    }
}

impl Config {
    /// Nothing is set.
    fn blank() -> Self {
        let exporting = Exporting {
            protocol: Protocol::Ipfix,
            strategy: Strategy::Replicate,
            failover_hold: Duration::ZERO,
            observation_domain: 1,
            pace: 0,
            udp_segments: 1,
            options: Vec::new(),
            options_interval: Duration::ZERO,
            template_interval: Duration::ZERO,
            template_messages: 1,
            flow_keys: false,
            handshake_timeout: Duration::ZERO,
            retry_limit: Duration::ZERO,
            resolve_interval: Duration::ZERO,
            resend_window: 0,
            resend_after_end: false,
        };
        Self {
            monitor: Monitor::default(),
            record: Record::default(),
            names: Names::default(),
            exporting,
            exporter: Vec::new(),
            spool: Spool::default(),
            tls: TlsSettings::default(),
        }
    }

    /// Flows, groups and switches of the table; its partitions and ring follow from the machine.
    pub fn table(&self) -> TableSize {
        TableSize {
            flows_v4: self.monitor.flows,
            flows_v6: self.monitor.flows_v6(),
            groups: self.record.groups(),
            switches: self.switches(),
            ..TableSize::default()
        }
    }

    /// The load-time constants that the settings choose.
    fn switches(&self) -> Switches {
        let behind = match (self.monitor.tap, self.monitor.chain) {
            (true, _) => BEHIND_DROP,
            (false, true) => BEHIND_CHAIN,
            (false, false) => BEHIND_STACK,
        };
        let record = &self.record;
        let mut vxlan_ports = [0; MORE_PORTS];
        vxlan_ports.iter_mut().zip(&record.vxlan_ports).for_each(|(place, port)| *place = (*port).into());
        let tunnels = (record.tunnels == Tunnels::Inner).into();
        let fragment_sets = if record.fragments == Fragments::Join { SETS } else { 0 };
        let (first_packets, copy_budget) = self.first_packets();
        Switches {
            behind,
            tunnels,
            vxlan_ports,
            fragment_sets,
            first_packets,
            copy_budget,
            ..Switches::DEFAULT
        }
    }

    /// Packets of a record for the inspector, and a CPU's budget of them in a moment.
    fn first_packets(&self) -> (u32, u32) {
        if !self.record.groups().has(Group::Names) {
            return (0, 0);
        }
        let budget = u64::from(self.names.budget) << MOMENT;
        (self.names.packets, u32::try_from(budget.div_ceil(1_000_000_000)).unwrap_or(u32::MAX))
    }

    /// Collectors over TCP and TLS.
    pub fn streams(&self) -> u64 {
        self.exporter.iter().filter(|url| url.scheme().is_reliable()).count() as u64
    }

    /// TLS towards a collector: its own settings, and the common ones for the rest.
    pub fn tls_of(&self, url: &CollectorUrl) -> TlsSettings {
        url.tls(&self.tls)
    }

    /// The protocols in use that do not hold every ifIndex, in words, if there are any.
    pub fn narrow(&self) -> Option<String> {
        let used = |protocol: &Protocol| {
            self.exporter.iter().any(|url| url.protocol(self.exporting.protocol) == *protocol)
        };
        let is_narrow = |protocol: &Protocol| protocol.largest_interface() < u32::MAX;
        let narrow = Protocol::ALL.into_iter().filter(|protocol| is_narrow(protocol) && used(protocol));
        let names: Vec<String> = narrow.map(|protocol| protocol.to_string()).collect();
        (!names.is_empty()).then(|| names.join(" and "))
    }
}

impl Monitor {
    /// The timeouts in nanoseconds.
    pub fn timeouts(&self) -> Timeouts {
        let common = Timeouts::new(nanoseconds(self.idle_timeout), nanoseconds(self.active_timeout));
        self.class_timeouts.iter().fold(common, |timeouts, own| own.applied(timeouts))
    }

    /// The longest active timeout.
    pub fn longest_active(&self) -> Duration {
        let own = self.class_timeouts.iter().filter(|own| own.kind == Kind::Active).map(|own| own.timeout);
        own.fold(self.active_timeout, Duration::max)
    }

    /// The folder of the arrays by which other programs are called.
    pub fn chain_pins(&self) -> &Path {
        self.pin.as_deref().unwrap_or(Path::new(PINS))
    }

    /// Slots of the table for IPv6.
    pub fn flows_v6(&self) -> u64 {
        self.flows6.unwrap_or(self.flows)
    }
}

impl Record {
    /// The groups that the meter collects: named groups, the groups of single elements, and that of tunnels where they
    /// are opened.
    pub fn groups(&self) -> Groups {
        let groups: Groups = self.collect.iter().filter_map(|name| parsers::group(name)).collect();
        if self.tunnels == Tunnels::Inner { groups.with(Group::Tunnel) } else { groups }
    }

    /// The elements that come along with a single element of their group.
    pub fn others(&self) -> Vec<&'static str> {
        let is_named = |name: &str| self.collect.iter().any(|other| other == name);
        let mut others: Vec<&'static str> = ELEMENTS
            .iter()
            .filter(|element| {
                !matches!(element.group, Group::Base | Group::Tunnel) && self.groups().has(element.group)
            })
            .filter(|element| !is_named(element.group.name()) && !is_named(element.name))
            .map(|element| element.name)
            .collect();
        others.dedup();
        others
    }
}

/// A duration in nanoseconds; the longest one fits.
pub fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
