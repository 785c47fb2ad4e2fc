//! THE table of keys: each is a flag and a line of the file. A new setting is a row here, and its use.

use super::{
    Fragments, Tunnels,
    choices::{self, Choice},
    key::{Access, BOTH, Commands, Form, Key, REPLAY, RUN, Table},
    parsers, timeouts,
    value::{self, Text, parsed},
};
use crate::{
    collector_url::{peer, server_name},
    exporting::dispatch::Strategy,
    kernel::attach::Mode,
    units,
};
use flowxdp_common::field::Group;
use flowxdp_core::{elements::options::Subject, exporting::protocol::Protocol, exporting::session::Preset};

/// A value's name in the help, its form, whether the key is a list, and an example as TOML.
type Value = (&'static str, Form, bool, &'static str);

const INTERFACES: Value = ("IF", Form::Text, true, "\"eth0\"");
const MODE: Value = ("MODE", Form::Choice(choice::<Mode>), false, "\"auto\"");
const DURATION: Value = ("DURATION", Form::Duration, false, "\"15s\"");
const TIMEOUTS: Value = (
    "CLASS.idle|active=DURATION",
    Form::Tree,
    true,
    "{ tcp = { idle = \"30s\" }, udp = { active = \"20s\" } }",
);
const COUNT: Value = ("COUNT", Form::Count, false, "\"1M\"");
const NUMBER: Value = ("NUMBER", Form::Number, false, "1");
const SIZE: Value = ("SIZE", Form::Size, false, "\"1GiB\"");
const SWITCH: Value = ("BOOL", Form::Switch, false, "true");
const OCTETS: Value = ("OCTETS", Form::Number, false, "1400");
const DIR: Value = ("DIR", Form::Path, false, "\"/var/lib/flowxdp/directory\"");
const FILE: Value = ("FILE", Form::Path, false, "\"/etc/flowxdp/file.pem\"");
const SOCKET: Value = ("PATH", Form::Path, false, "\"/run/flowxdp/flowxdp.sock\"");
const NAME: Value = ("NAME", Form::Text, false, "\"collector.example\"");
const ADDRESS: Value = ("ADDRESS", Form::Text, false, "\"192.0.2.1\"");
const FIELDS: Value = ("FIELD", Form::Text, true, "\"default\", \"-minimumTTL\"");
const PEERS: Value = (
    "FINGERPRINT",
    Form::Text,
    true,
    "\"sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"",
);
const PROTOCOL: Value = ("PROTOCOL", Form::Choice(choice::<Protocol>), false, "\"ipfix\"");
const PRESET: Value = ("PRESET", Form::Choice(choice::<Preset>), false, "\"nfdump\"");
const STRATEGY: Value = ("STRATEGY", Form::Choice(choice::<Strategy>), false, "\"replicate\"");
const OPTIONS: Value = ("OPTIONS", Form::Choice(choice::<Subject>), true, "\"interfaces\"");
const GROUPS: Value = ("GROUP", Form::Choice(groups), true, "\"mac\"");
const TUNNELS: Value = ("TUNNELS", Form::Choice(choice::<Tunnels>), false, "\"inner\"");
const PORTS: Value = ("PORT", Form::Number, true, "8472");
const FRAGMENTS: Value = ("FRAGMENTS", Form::Choice(choice::<Fragments>), false, "\"join\"");
/// A list as a flag, and one in each table of the file.
const URL: Value = ("URL", Form::Text, false, "\"udp://192.0.2.10:4739\"");

/// The rows: table, name, commands, how many values, value and default; the field and its parser; the sentence.
macro_rules! keys {
    ($($table:ident $name:literal $commands:ident $how:ident $value:ident $default:literal
        $(in $($field:ident).+ by $parse:expr)?, $sentence:literal;)+) => {
        /// Every key, in the order of the file.
        pub static KEYS: &[Key] = &[$(Key {
            table: Table::$table,
            name: $name,
            value: $value.0,
            form: $value.1,
            list: $value.2,
            example: $value.3,
            default: $default,
            commands: $commands as Commands,
            sentence: $sentence,
            access: access!($how $($($field).+ by $parse)?),
        }),+];
    };
}

/// Access to a field that holds `one` value, `maybe` one, or a `list`; or to a path; or to a URL's parameter.
macro_rules! access {
    (parameter) => { Access::Parameter };
    (one $($field:ident).+ by $parse:expr) => { Access::Field {
        set: |config, texts| value::last(&mut config.$($field).+, texts, |text| parsed(text, $parse)),
        get: |config| vec![config.$($field).+.text()],
    } };
    (maybe $($field:ident).+ by $parse:expr) => { Access::Field {
        set: |config, texts| value::last(&mut config.$($field).+, texts, |text| parsed(text, $parse).map(Some)),
        get: |config| config.$($field).+.iter().map(Text::text).collect(),
    } };
    (list $($field:ident).+ by $parse:expr) => { Access::Field {
        set: |config, texts| value::list(&mut config.$($field).+, texts, |text| parsed(text, $parse)),
        get: |config| config.$($field).+.iter().map(Text::text).collect(),
    } };
    (path $($field:ident).+ by $parse:expr) => { Access::Field {
        set: |config, texts| value::last(&mut config.$($field).+, texts, $parse),
        get: |config| vec![config.$($field).+.text()],
    } };
    (maybe_path $($field:ident).+ by $parse:expr) => { Access::Field {
        set: |config, texts| value::last(&mut config.$($field).+, texts, |text| $parse(text).map(Some)),
        get: |config| config.$($field).+.iter().map(Text::text).collect(),
    } };
}

/// The names of a choice, with their sentences.
fn choice<T: Choice>() -> Vec<(&'static str, &'static str)> {
    T::all().into_iter().map(|(_, name, sentence)| (name, sentence)).collect()
}

/// The groups of fields.
fn groups() -> Vec<(&'static str, &'static str)> {
    Group::ALL.into_iter().filter(|group| *group != Group::Base).map(|group| (group.name(), "")).collect()
}

keys! {
    Monitor "interface" RUN list INTERFACES "" in monitor.interface by parsers::interface,
        "Interface to meter, or a pattern with `*` and `?` for all that are there or come later; repeat for several, \
         or separate them by commas";
    Monitor "mode" RUN one MODE "auto" in monitor.mode by choices::named,
        "Where the program runs: in the driver (native) or in the kernel's stack (generic)";
    Monitor "idle-timeout" BOTH one DURATION "15s" in monitor.idle_timeout by units::positive_duration,
        "A flow without a packet for so long has ended";
    Monitor "active-timeout" BOTH one DURATION "60s" in monitor.active_timeout by units::positive_duration,
        "A flow that lasts is exported after so long, and continues in a new record";
    Monitor "timeouts" BOTH list TIMEOUTS "" in monitor.class_timeouts by timeouts::class_timeout,
        "Timeouts of a class of protocols instead of the common ones: of tcp, udp, icmp (with ICMPv6) or other; repeat \
         for several, or separate them by commas";
    Monitor "flows" BOTH one COUNT "1M" in monitor.flows by units::flows,
        "IPv4 flows that the table holds";
    Monitor "flows6" BOTH maybe COUNT "" in monitor.flows6 by units::flows,
        "IPv6 flows that the table holds, as many as IPv4 ones unless given";
    Monitor "pin" RUN maybe_path DIR "" in monitor.pin by value::path,
        "Folder in a BPF file system where table, counters and attachments outlive the agent; the next agent \
         continues with them";
    Monitor "keep" RUN one SWITCH "false" in monitor.keep by parsers::switch,
        "With --pin: at SIGTERM and SIGINT leave the table and the attachments to the next agent";
    Monitor "chain" RUN one SWITCH "false" in monitor.chain by parsers::switch,
        "Run beside an XDP program that is on an interface already: that program has the last word on each packet";
    Monitor "tap" RUN one SWITCH "false" in monitor.tap by parsers::switch,
        "The interfaces receive copies, as from a mirror port: they are made promiscuous, and their packets are dropped \
         behind the meter";
    Monitor "socket" RUN path SOCKET "/run/flowxdp/flowxdp.sock" in monitor.socket by value::path,
        "Control socket, which `flowxdp status` asks";
    Monitor "no-confine" RUN one SWITCH "false" in monitor.no_confine by parsers::switch,
        "Keep all privileges, and access to all files and system calls: to find out whether the confinement is in \
         the way of something";
    Monitor "no-loader" RUN one SWITCH "false" in monitor.no_loader by parsers::switch,
        "Start no second process that keeps the privileges to load programs: a reload that needs them is refused";
    Monitor "interface-index" REPLAY one NUMBER "1" in monitor.interface_index by parsers::interface_index,
        "ifIndex to meter the packets of a capture with";

    Record "collect" BOTH list GROUPS "" in record.collect by parsers::collected,
        "Group of fields, or element by IANA's name, that records have beyond the base ones; repeat for several, or \
         separate them by commas";
    Record "tunnels" BOTH one TUNNELS "outer" in record.tunnels by choices::named,
        "Header of a packet in a tunnel that is metered";
    Record "vxlan-ports" BOTH list PORTS "" in record.vxlan_ports by parsers::vxlan_port,
        "With inner tunnels: UDP ports of VXLAN beside 4789, at most 8; repeat for several, or separate them by commas";
    Record "fragments" BOTH one FRAGMENTS "separate" in record.fragments by choices::named,
        "Ports of the fragments behind a datagram's first one";

    Names "packets" RUN one NUMBER "8" in names.packets by parsers::first_packets,
        "Packets of a record that may be inspected for names, from its first one on, 1 to 255";
    Names "budget" RUN one COUNT "10K" in names.budget by parsers::names_budget,
        "Packets a second and CPU that are copied to the inspector of names, at most: more are metered alone";

    Exporting "protocol" BOTH one PROTOCOL "ipfix" in exporting.protocol by choices::named,
        "Protocol for collectors whose URL has none; NetFlow is sent over UDP alone";
    Exporting "strategy" BOTH one STRATEGY "replicate" in exporting.strategy by choices::named,
        "Records that each of several collectors is sent";
    Exporting "failover-hold" BOTH one DURATION "30s" in exporting.failover_hold by units::duration,
        "With failover: how long a better collector must be back before it gets records again";
    Exporting "observation-domain" BOTH one NUMBER "1" in exporting.observation_domain by parsers::observation_domain,
        "Observation domain id of the flow records (0 is for process-wide options)";
    Exporting "pace" BOTH one COUNT "16K" in exporting.pace by parsers::pace,
        "Messages a second to each collector at most, in bursts of 32; 0 for no limit";
    Exporting "udp-segments" BOTH one NUMBER "1" in exporting.udp_segments by parsers::udp_segments,
        "Messages of one size that the kernel takes as one over UDP and cuts apart as they leave, 1 to 16";
    Exporting "options" BOTH list OPTIONS "sampler,interfaces,statistics,reliability"
        in exporting.options by choices::named,
        "Options data that collectors are sent; repeat for several, or separate them by commas";
    Exporting "options-interval" BOTH one DURATION "60s" in exporting.options_interval by parsers::interval,
        "How often options data (interfaces, statistics) are sent again";
    Exporting "template-interval" BOTH one DURATION "60s" in exporting.template_interval by parsers::interval,
        "Over UDP, how often templates are sent again";
    Exporting "template-messages" BOTH one COUNT "20" in exporting.template_messages by parsers::template_messages,
        "Over UDP, messages after which templates are sent again, should the interval not be over";
    Exporting "flow-keys" BOTH one SWITCH "false" in exporting.flow_keys by parsers::switch,
        "Say which fields are the flow key over UDP too, where some collectors count that wrongly";
    Exporting "handshake-timeout" BOTH one DURATION "10s" in exporting.handshake_timeout by units::positive_duration,
        "How long connecting to a collector over TCP or TLS may take, with the handshake";
    Exporting "retry-limit" BOTH one DURATION "10s" in exporting.retry_limit by parsers::retry_limit,
        "The longest wait between two attempts at a collector that is away, from 200ms on";
    Exporting "resolve-interval" BOTH one DURATION "60s" in exporting.resolve_interval by parsers::interval,
        "Over UDP, how often a collector's name is resolved again; over TCP and TLS that is at each connection";
    Exporting "resend-window" BOTH one SIZE "4MiB" in exporting.resend_window by parsers::resend_window,
        "Octets that are sent again after a connection broke, as no collector confirms their arrival";
    Exporting "resend-after-end" BOTH one SWITCH "false" in exporting.resend_after_end by parsers::switch,
        "Send them again after a collector ended the connection in order too: for a collector behind a proxy, which \
         may end it before the collector has read everything";

    Exporter "collector" BOTH parameter URL "",
        "Collector, like udp://192.0.2.10:4739, 'udp://[2001:db8::10]?protocol=v9' or tls://collector.example; repeat \
         for several";
    Exporter "protocol" BOTH parameter PROTOCOL "",
        "Protocol of this collector instead of the common one";
    Exporter "preset" BOTH parameter PRESET "",
        "Kind of collector, whose peculiarities are respected";
    Exporter "fields" BOTH parameter FIELDS "",
        "Fields of this collector's records: `default` for all that are collected, IANA's name of an element to add, \
         and -NAME to leave one out";
    Exporter "mtu" BOTH parameter OCTETS "",
        "Largest message, octets of UDP payload or of one message in a stream";
    Exporter "source" BOTH parameter ADDRESS "",
        "Local address to send from";
    Exporter "resend-after-end" BOTH parameter SWITCH "",
        "Over TCP and TLS: the same as in [exporting], for this collector";
    Exporter "ca" BOTH parameter FILE "", "Over TLS: authorities, as in [tls]";
    Exporter "cert" BOTH parameter FILE "", "Over TLS: certificate, as in [tls]";
    Exporter "key" BOTH parameter FILE "", "Over TLS: private key, as in [tls]";
    Exporter "name" BOTH parameter NAME "", "Over TLS: name of the collector's certificate, as in [tls]";
    Exporter "peer" BOTH parameter PEERS "", "Over TLS: fingerprints of the collector's certificate, as in [tls]";
    Exporter "peers" BOTH parameter FILE "", "Over TLS: file of such fingerprints, as in [tls]";

    Spool "directory" BOTH maybe_path DIR "" in spool.directory by value::path,
        "Directory for records that a collector over TCP or TLS does not take at the moment";
    Spool "limit" BOTH one SIZE "1GiB" in spool.limit by units::positive_size,
        "Octets that the spool may take";
    Spool "age" BOTH one DURATION "24h" in spool.age by units::positive_duration,
        "A record that has waited in the spool for longer is given up";

    Tls "ca" BOTH maybe_path FILE "" in tls.ca by value::path,
        "PEM file of the authorities that may have issued the collectors' certificates, instead of the system's";
    Tls "cert" BOTH maybe_path FILE "" in tls.cert by value::path,
        "PEM file of our certificate and its intermediates, for collectors that ask";
    Tls "key" BOTH maybe_path FILE "" in tls.key by value::path,
        "PEM file of our private key";
    Tls "name" BOTH maybe NAME "" in tls.name by server_name,
        "Name that the collectors' certificates must have, instead of the URL's host";
    Tls "peer" BOTH list PEERS "" in tls.peers by peer,
        "SHA-256 of a certificate that may be a collector's, like sha256:HEX: others are refused; repeat for several";
    Tls "peers" BOTH maybe_path FILE "" in tls.peers_file by value::path,
        "File with more of them, one a line";
}

/// The row of a path's table and name.
pub fn find(table: Table, name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.table == table && key.name == name)
}
