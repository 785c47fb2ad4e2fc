//! Faulty configurations: a name, the flags, and the file.

/// The file of a case has this in front where it needs an interface and a collector.
macro_rules! with {
    ($text:literal) => {
        concat!("monitor.interface = ['eth0']\n[[exporter]]\ncollector = 'udp://192.0.2.1'\n\n", $text)
    };
}

/// All of them.
pub(crate) const CASES: &[(&str, &str, &str)] = &[
    (
        "unknown key",
        "",
        "[[exporter]]\ncollector = 'udp://192.0.2.1'\n[monitor]\ninterface = ['eth0']\nidel-timeout = '5s'\n",
    ),
    ("unknown key, known in another table", "", with!("[exporting]\nidle-timeout = '5s'\n")),
    ("unknown key by its flag's name", "", with!("[spool]\nspool-limit = '1GiB'\n")),
    ("underscores", "", with!("[exporting]\nobservation_domain = 1\n")),
    ("no such key", "", with!("[spool]\ncolour = 'red'\n")),
    ("unknown table", "", with!("[exportin]\npace = 1\n")),
    ("no such table", "", with!("[weather]\nrain = true\n")),
    ("a key without its table", "", "interface = ['eth0']\n[[exporter]]\ncollector = 'udp://192.0.2.1'\n"),
    ("a table as a value", "", "monitor = 5\n[[exporter]]\ncollector = 'udp://192.0.2.1'\n"),
    (
        "one exporter in single brackets",
        "",
        "monitor.interface = ['a']\n[exporter]\ncollector = 'udp://192.0.2.1'\n",
    ),
    ("a table in double brackets", "", "[[monitor]]\ninterface = ['a']\n"),
    ("exporters that are no tables", "", "monitor.interface = ['a']\nexporter = ['udp://192.0.2.1', 3]\n"),
    ("a duration without a unit", "", with!("[exporting]\ntemplate-interval = '90'\n")),
    ("a duration as a number", "", with!("[exporting]\ntemplate-interval = 90\n")),
    ("a duration of no known unit", "", with!("[exporting]\noptions-interval = '15parsecs'\n")),
    ("a duration of zero", "", with!("[spool]\nage = '0s'\n")),
    ("an interval that is too short", "", with!("[exporting]\nresolve-interval = '1ms'\n")),
    ("months for minutes", "", with!("[exporting]\nfailover-hold = '1M'\n")),
    ("a count in words", "", with!("[exporting]\npace = 'many'\n")),
    ("a negative count", "", with!("[exporting]\npace = -1\n")),
    ("a count with a fraction", "", with!("[exporting]\ntemplate-messages = 1.5\n")),
    ("a count that is too large", "", with!("[exporting]\ntemplate-messages = 4_294_967_296\n")),
    (
        "no flows",
        "",
        "monitor = { interface = ['a'], flows = 0 }\n[[exporter]]\ncollector = 'udp://192.0.2.1'\n",
    ),
    ("a size of no known unit", "", with!("[spool]\nlimit = '1 furlong'\n")),
    ("a window that is too large", "", with!("[exporting]\nresend-window = '100GiB'\n")),
    ("a group that is none", "", with!("[record]\ncollect = ['mac', 'base', 'colour']\n")),
    ("fields that no record has", "", with!("fields = ['default', '+bgpSourceAsNumber']\n")),
    ("fields that are no elements", "", with!("fields = ['default', 'minimumTtl']\n")),
    (
        "fields that every record needs",
        "--collector udp://h?fields=default,-packetDeltaCount --interface a",
        "",
    ),
    ("fields that are no list", "", with!("fields = 'default'\n")),
    ("a number in quotes", "", with!("[exporting]\nobservation-domain = '7'\n")),
    ("a domain of zero", "", with!("[exporting]\nobservation-domain = 0x0\n")),
    ("too many segments", "", with!("[exporting]\nudp-segments = 17\n")),
    ("a switch in quotes", "", with!("[exporting]\nflow-keys = 'yes'\n")),
    ("a choice that is none", "", with!("[exporting]\nstrategy = 'random'\n")),
    ("a choice as a switch", "", with!("[exporting]\nprotocol = true\n")),
    (
        "a list as a string",
        "",
        "monitor.interface = 'eth0,eth1'\n[[exporter]]\ncollector = 'udp://192.0.2.1'\n",
    ),
    (
        "numbers in a list",
        "",
        "monitor.interface = ['a', 1, 2]\n[[exporter]]\ncollector = 'udp://192.0.2.1'\n",
    ),
    (
        "an empty name in a list",
        "",
        "monitor.interface = ['a', '']\n[[exporter]]\ncollector = 'udp://192.0.2.1'\n",
    ),
    ("an empty path", "", with!("[tls]\nca = ''\n")),
    ("a date", "", with!("[tls]\nname = 2026-11-30\n")),
    ("fingerprints, two of them wrong", "", with!("[tls]\npeer = [\n  'sha256:ab',\n  'x',\n]\n")),
    ("a name that no certificate has", "", with!("[tls]\nname = 'two words'\n")),
    ("an exporter without a collector", "", with!("[[exporter]]\nmtu = 1400\n")),
    ("a collector without a scheme", "", with!("[[exporter]]\ncollector = '192.0.2.7:4739'\n")),
    (
        "a collector of an unknown scheme",
        "",
        with!("[[exporter]]\ncollector = 'http://192.0.2.7'\nprotcol = 'v9'\n"),
    ),
    (
        "an mtu that is too small, and one in quotes",
        "",
        with!("mtu = 100\n[[exporter]]\ncollector = 'udp://h'\nmtu = '1400'\n"),
    ),
    ("an unknown preset", "", with!("preset = 'nfdmp'\n")),
    ("a source of the other IP version", "", with!("source = '2001:db8::1'\n")),
    ("TLS without TLS", "", with!("ca = '/etc/ca.pem'\n")),
    (
        "a certificate without its key",
        "",
        with!("[[exporter]]\ncollector = 'tls://192.0.2.7'\ncert = 'c.pem'\n"),
    ),
    ("v9 over TCP", "", with!("[[exporter]]\ncollector = 'tcp://192.0.2.7'\nprotocol = 'v9'\n")),
    (
        "v9 over TCP by the common protocol",
        "",
        with!("[[exporter]]\ncollector = 'tcp://192.0.2.7'\n[exporting]\nprotocol = 'v9'\n"),
    ),
    ("a parameter twice", "", with!("[[exporter]]\ncollector = 'udp://192.0.2.7?mtu=1400'\nmtu = 1400\n")),
    ("one collector twice", "", with!("[[exporter]]\ncollector = 'UDP://192.0.2.1:4739'\n")),
    (
        "a spool that is too small",
        "",
        with!("[[exporter]]\ncollector = 'tcp://192.0.2.7'\n[spool]\ndirectory = '/s'\nlimit = '1KiB'\n"),
    ),
    (
        "keep without pins",
        "",
        "[monitor]\ninterface = ['eth0']\nkeep = true\n[[exporter]]\ncollector = 'udp://192.0.2.1'\n",
    ),
    ("nothing to meter and nowhere to send", "", "# empty\n"),
    ("a key twice", "", with!("[exporting]\npace = 1\npace = 2\n")),
    ("a table twice", "", with!("[exporting]\npace = 1\n[exporting]\npace = 2\n")),
    ("a string without its end", "", with!("[exporting]\nstrategy = \"balance\npace = 'x'\n")),
    (
        "a key without a value, and more faults",
        "",
        with!("[exporting]\npace =\nflow-keys = 1\nsegments = 2\n"),
    ),
    ("no TOML at all", "", "--interface eth0 --collector udp://192.0.2.1\n"),
    (
        "characters that a terminal acts on",
        "",
        with!("[exporting]\n\"pace\\u001b[31m\" = 1\nstrategy = 'a\u{202e}b'\n"),
    ),
    (
        "a line of many columns",
        "",
        concat!(
            "monitor = { interface = ['a234567890123456789012345678901234567890', 'b234567890123456789012345678901234567890', ",
            "'c234567890123456789012345678901234567890'], flows = 'none', mode = 'd234567890123456789012345678901234567890' }\n"
        ),
    ),
    (
        "everything at once",
        "",
        "[monitor]\ninterface = []\nmode = 'fast'\n[[exporter]]\ncolector = 'udp://h'\n[exporting]\npace = 'x'\n",
    ),
    (
        "timeouts of a class, an option and a kind that are unknown",
        "",
        "[monitor]\ninterface = ['eth0']\ntimeouts = { tpc = { idle = '30s' }, udp = { idel = '1s' } }\n[exporting]\noptions = ['samplers']\n[[exporter]]\ncollector = 'udp://192.0.2.1'\n",
    ),
    (
        "timeouts of another form",
        "",
        "[monitor]\ninterface = ['eth0']\ntimeouts = { tcp = '30s', udp = { active = 20 }, icmp = { idle = '0s' } }\n[[exporter]]\ncollector = 'udp://192.0.2.1'\n",
    ),
    (
        "timeouts as a list",
        "--timeouts tcp.idle",
        "[monitor]\ninterface = ['eth0']\ntimeouts = ['tcp.idle=30s']\n",
    ),
    ("a flag's value", "--interface eth0 --collector udp://192.0.2.1 --mode magic", ""),
    (
        "several flags",
        "--interface eth0, --collector udp://192.0.2.1,tcp://h?protocol=v9,dtls://h --flows 0 --idle-timeout 15",
        "",
    ),
    ("flags that do not agree", "--interface eth0 --collector udp://localhost,udp://127.0.0.1 --keep", ""),
    ("an unknown flag", "--interface eth0 --collector udp://192.0.2.1 --idel-timeout 5s", ""),
    ("a flag without its value", "--interface eth0 --collector udp://192.0.2.1 --mode", ""),
    ("no flags at all", "", ""),
    ("a faulty flag beside a faulty file", "--pace x", with!("[exporting]\nstrategy = 'x'\n")),
    (
        "a flag that does not agree with the file",
        "--protocol v5",
        with!("[[exporter]]\ncollector = 'tls://h'\n"),
    ),
];
