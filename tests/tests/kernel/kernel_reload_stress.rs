//! Random changes of the file under full traffic: no packet is lost, no session breaks, and the books balance at
//! each question. `FLOWXDP_RELOADS` is the number of changes, `FLOWXDP_RELOAD_SEED` their seed.

use std::ops::Deref;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use flowxdp_tests::books::Count;
use flowxdp_tests::bpffs::Bpffs;
use flowxdp_tests::judge::nfcapd::Nfcapd;
use flowxdp_tests::judge::sessions::Received;
use flowxdp_tests::judge::{collect, wire};
use flowxdp_tests::pcap::Recording;
use flowxdp_tests::peer::Peer;
use flowxdp_tests::reload::{self, LIMIT, applied, at_rest};
use flowxdp_tests::sniff::Sniffer;
use flowxdp_tests::stream::messages;
use flowxdp_tests::traffic::{Traffic, UDP, generator};

const SENDER: &str = "gen0";
const METERED: &str = "met0";
const ROUND: Traffic = Traffic { flows: 500, packets: 20_000, ipv6: false, protocol: UDP, length: 100 };
/// Changes in the gate.
const CHANGES: u64 = 20;

/// A number from the environment.
fn number(name: &str, default: u64) -> Result<u64> {
    let value = std::env::var(name).ok();
    value.map_or(Ok(default), |value| value.parse().with_context(|| format!("{name}={value}")))
}

/// The file's values, all of which a reload can change.
struct Draft {
    rng: Rng,
    /// A second interface.
    second: bool,
    /// Lines of `[monitor]`, `[record]`, `[exporting]` and `[spool]`.
    monitor: [String; 4],
    collect: String,
    exporting: [String; 13],
    age: String,
    /// Parameters of the datagram collector that stays.
    first: String,
    /// Parameters of the stream collector, where it is there, and how often it came.
    stream: Option<String>,
    streams: usize,
    /// Parameters of the other datagram collector, where it is there.
    other: Option<String>,
}

impl Draft {
    fn new(seed: u64) -> Self {
        let mut draft = Self {
            rng: Rng::with_seed(seed),
            second: false,
            monitor: Default::default(),
            collect: "[]".to_owned(),
            exporting: Default::default(),
            age: "24h".to_owned(),
            first: String::new(),
            stream: Some(String::new()),
            streams: 1,
            other: None,
        };
        (0..3).for_each(|at| draft.change_monitor(at));
        draft
    }

    fn one_of(&mut self, values: &[&str]) -> String {
        self.rng.choice(values).map(|value| (*value).to_owned()).unwrap_or_default()
    }

    fn change_monitor(&mut self, at: usize) {
        let (key, values) = [
            ("flows", &["16384", "20000", "40000", "16385"][..]),
            ("idle-timeout", &["1s", "2s", "500ms"]),
            ("active-timeout", &["1s", "2s", "3s"]),
            ("timeouts.udp", &["500ms", "1s", "4s"]),
        ][at];
        let value = self.one_of(values);
        self.monitor[at] = match at {
            3 => format!("{key} = {{ idle = \"{value}\", active = \"{value}\" }}"),
            _ => format!("{key} = \"{value}\""),
        };
    }

    fn change_exporting(&mut self) {
        let at = self.rng.usize(..13);
        let (key, values) = [
            ("observation-domain", &["1", "7"][..]),
            ("pace", &["0", "20000"]),
            ("udp-segments", &["1", "8"]),
            ("options-interval", &["\"1s\"", "\"60s\""]),
            ("template-interval", &["\"1s\"", "\"60s\""]),
            ("template-messages", &["5", "20"]),
            ("handshake-timeout", &["\"5s\"", "\"10s\""]),
            ("retry-limit", &["\"1s\"", "\"10s\""]),
            ("resolve-interval", &["\"1s\"", "\"60s\""]),
            ("resend-window", &["\"1MiB\"", "\"4MiB\""]),
            ("resend-after-end", &["true", "false"]),
            ("failover-hold", &["\"1s\"", "\"30s\""]),
            ("options", &["[]", "[\"statistics\", \"reliability\"]", "[\"sampler\", \"interfaces\"]"]),
        ][at];
        let value = self.one_of(values);
        self.exporting[at] = format!("{key} = {value}");
    }

    fn parameters(&mut self) -> String {
        self.one_of(&["", "mtu = 1200\n", "fields = [\"default\", \"-minimumTTL\", \"-maximumTTL\"]\n"])
    }

    /// One to three changes.
    fn change(&mut self) {
        for _ in 0..self.rng.u8(1..=3) {
            match self.rng.u8(..10) {
                0 => self.second = !self.second,
                1 => self.change_monitor(0),
                2 => {
                    let at = self.rng.usize(1..4);
                    self.change_monitor(at);
                }
                3 | 4 => self.change_exporting(),
                5 => self.first = self.parameters(),
                6 => {
                    self.stream = if self.stream.is_none() { Some(self.parameters()) } else { None };
                }
                7 => {
                    let v9 = ["", "protocol = \"v9\"\n"][usize::from(self.rng.bool())];
                    self.other =
                        if self.rng.bool() { Some(v9.to_owned() + &self.parameters()) } else { None };
                }
                8 => self.age = self.one_of(&["1h", "24h"]),
                _ => {
                    let groups =
                        ["[]", "[\"mac\"]", "[\"vlan\", \"mac\"]", "[\"ipv6\", \"mpls\", \"duration\"]"];
                    self.collect = self.one_of(&groups);
                }
            }
        }
    }

    /// A file with a fault.
    fn faulty(&mut self, text: &str) -> String {
        match self.rng.u8(..4) {
            0 => text.replace("idle-timeout", "idel-timeout"),
            1 => text.replace("active-timeout = \"", "active-timeout = \"-"),
            2 => format!("{text}\n[[exporter]]\ncollector = \"sctp://127.0.0.1\"\n"),
            _ => text.replacen("[monitor]\n", "[monitor]\npin = \"/sys/fs/bpf/elsewhere\"\n", 1),
        }
    }
}

/// A namespace with collectors, and the file of an agent in it.
struct Stage {
    configured: reload::Stage,
    first: Nfcapd,
    other: Nfcapd,
    stream: Peer,
}

impl Deref for Stage {
    type Target = reload::Stage;

    fn deref(&self) -> &reload::Stage {
        &self.configured
    }
}

impl Stage {
    fn new() -> Result<Self> {
        let configured = reload::Stage::new(SENDER, METERED)?;
        let netns = &configured.netns;
        netns.veth("gen1", "met1")?;
        let (first, other) = (Nfcapd::start(Some(netns))?, Nfcapd::start(Some(netns))?);
        let stream = Peer::start(netns, 0, None)?;
        Ok(Self { first, other, stream, configured })
    }

    fn text(&self, draft: &Draft) -> String {
        let interfaces = if draft.second { "\"met0\", \"met1\"" } else { "\"met0\"" };
        let spool = self.folder().join("spool");
        let mut text = format!(
            "[monitor]\ninterface = [{interfaces}]\n{}\n[record]\ncollect = {}\n[exporting]\n{}\n[spool]\ndirectory = \
             \"{}\"\nage = \"{}\"\n",
            draft.monitor.join("\n"),
            draft.collect,
            draft.exporting.join("\n"),
            spool.display(),
            draft.age
        );
        let mut exporter = |url: &str, more: &str| {
            text += &format!("[[exporter]]\ncollector = \"{url}\"\n{more}");
        };
        exporter(
            &format!("udp://127.0.0.1:{}", self.first.port()),
            &format!("preset = \"nfdump\"\n{}", draft.first),
        );
        if let Some(more) = &draft.stream {
            exporter(&format!("tcp://127.0.0.1:{}", self.stream.port()), more);
        }
        if let Some(more) = &draft.other {
            exporter(&format!("udp://127.0.0.1:{}", self.other.port()), more);
        }
        text
    }

    /// Records the datagrams of the collector that stays.
    fn sniffer(&self) -> Result<Sniffer> {
        Sniffer::start(self.first.port(), Some(&self.netns))
    }
}

/// Sequences without a gap, and a template in front of all data. On the loopback a recording has messages together
/// that the kernel cuts apart later.
fn judge(recording: &Recording) -> Result<()> {
    let mut wire = wire::Wire::default();
    for datagram in &recording.datagrams {
        for message in messages(&datagram.payload)? {
            wire.message(datagram.from, datagram.to, message);
        }
    }
    ensure!(wire.findings.is_empty(), "{} findings: {:?}", wire.findings.len(), wire.findings.first());
    ensure!(wire.seen.data_records > 0 && wire.seen.layouts.len() > 4, "{:?}", wire.seen);
    Ok(())
}

#[test]
fn random_changes_under_traffic_lose_nothing_and_break_no_session() -> Result<()> {
    let (seed, changes) = (number("FLOWXDP_RELOAD_SEED", 11)?, number("FLOWXDP_RELOADS", CHANGES)?);
    let (stage, mut draft) = (Stage::new()?, Draft::new(seed));
    stage.write(&stage.text(&draft))?;
    let sniffer = stage.sniffer()?;
    let mut live = stage.agent(&[])?;
    let mut refused = 0;
    let sent = stage.meanwhile(&ROUND, || {
        for number in 0..changes {
            if number % 5 == 4 {
                let text = stage.text(&draft);
                stage.write(&draft.faulty(&text))?;
                let ended = reload::reload(&live)?;
                ensure!(ended.code == Some(1) && ended.stderr.lines().count() == 1, "{}", ended.stderr);
                refused += 1;
            } else {
                let was_there = draft.stream.is_some();
                draft.change();
                draft.streams += usize::from(!was_there && draft.stream.is_some());
                let text = stage.text(&draft);
                stage.write(&text)?;
                applied(&live).with_context(|| format!("change {number} of seed {seed}:\n{text}"))?;
            }
            live.status()?.balance().with_context(|| format!("after change {number} of seed {seed}"))?;
        }
        Ok(())
    })?;
    let books = at_rest(&mut live)?;
    ensure!(books.seen == sent, "seen {:?} of {sent:?}", books.seen);
    ensure!(books.lost_total().packets == 0 && books.seen == books.exported, "{books:?}");
    live.stop()?.success()?;
    // The collector that stays has every packet. nfcapd does not count options data, so a strict reader judges its
    // sequences and templates.
    let stored = stage.first.store()?.total()?;
    ensure!(stored == sent, "nfcapd has {stored:?} of {sent:?}");
    judge(&sniffer.stop()?.recording)?;
    let complaints = stage.other.store()?.findings;
    let is_ours = |line: &String| !line.contains("option size error") && !line.contains("Bad Packets: 0");
    ensure!(!complaints.iter().any(is_ours), "{complaints:?}");
    // One connection for each time that the stream's collector came, each without a gap.
    let sessions = stage.stream.sessions();
    ensure!(
        sessions.len() == draft.streams,
        "{} sessions, and it came {} times",
        sessions.len(),
        draft.streams
    );
    let received = Received::read(&sessions)?;
    ensure!(received.cut == 0 && received.all() == received.distinct(), "records came twice");
    println!("{changes} changes of seed {seed}, {refused} refused: {} packets, all received", sent.packets);
    stage.configured.netns.expect_clean(METERED)
}

#[test]
fn agents_and_loaders_killed_between_changes_of_collectors_lose_nothing() -> Result<()> {
    let (bpffs, stage, mut draft) = (Bpffs::new()?, Stage::new()?, Draft::new(5));
    let pins = bpffs.pins().display().to_string();
    stage.write(&stage.text(&draft))?;
    let mut live = Some(stage.agent(&["--pin", &pins])?);
    let sent = stage.meanwhile(&ROUND, || {
        for (number, wait) in [20, 200, 600].into_iter().enumerate() {
            let running = live.take().context("no agent")?;
            draft.other = draft.other.is_none().then(String::new);
            draft.first = draft.parameters();
            draft.change_monitor(0);
            stage.write(&stage.text(&draft))?;
            applied(&running).with_context(|| format!("change {number}"))?;
            draft.change_exporting();
            stage.write(&stage.text(&draft))?;
            let asking = reload::asking(&running)?.start()?;
            std::thread::sleep(Duration::from_millis(wait));
            running.kill()?;
            asking.wait(LIMIT)?;
            let next = stage.agent(&["--pin", &pins])?;
            next.status()?.balance().with_context(|| format!("after kill {number}"))?;
            live = Some(next);
        }
        Ok(())
    })?;
    let mut live = live.context("no agent")?;
    let books = at_rest(&mut live)?;
    ensure!(books.seen == sent, "seen {:?} of {sent:?}", books.seen);
    ensure!(books.lost_total().packets == 0, "{books:?}");
    live.stop()?.success()?;
    stage.netns.expect_clean(METERED)?;
    bpffs.expect_clean()
}

#[test]
fn facts_of_the_old_table_reach_records_under_other_groups() -> Result<()> {
    let (stage, mut draft) = (Stage::new()?, Draft::new(3));
    // So small a table that packets go through the ring buffer and the spill table too, which empty with the table.
    draft.monitor =
        ["flows = \"1024\"", "idle-timeout = \"1h\"", "active-timeout = \"1h\"", ""].map(str::to_owned);
    draft.stream = None;
    draft.collect = "[\"mac\"]".to_owned();
    stage.write(&stage.text(&draft))?;
    let (sniffer, mut live) = (stage.sniffer()?, stage.agent(&[])?);
    let round = Traffic { flows: 2_000, ..ROUND };
    let mut sent = Count::default();
    for groups in ["[\"vlan\", \"mac\"]", "[\"mac\", \"mpls\", \"ipv6\"]", "[\"mac\"]"] {
        generator().send(&round, &stage.netns, SENDER)?;
        sent = sent + round.times(1);
        draft.collect = groups.to_owned();
        stage.write(&stage.text(&draft))?;
        applied(&live)?;
    }
    draft.monitor[1] = "idle-timeout = \"1s\"".to_owned();
    stage.write(&stage.text(&draft))?;
    applied(&live)?;
    let books = at_rest(&mut live)?;
    ensure!(books.seen == sent && books.exported == sent, "{books:?}");
    live.until_log(LIMIT, "tables that drained", |log| log.matches("is empty, and removed").count() >= 3)?;
    live.stop()?.success()?;
    let recording = sniffer.stop()?.recording;
    wire::judge(&recording)?;
    let flows = collect::flows(&recording.datagrams)?;
    let mut layouts = std::collections::BTreeMap::new();
    for (key, record) in &flows {
        for (name, end) in [("sourceMacAddress", ":ff:01"), ("destinationMacAddress", ":ff:02")] {
            let got = record.get(name).and_then(|value| value.as_str());
            ensure!(got.is_some_and(|got| got.ends_with(end)), "{key}: {name} is {got:?}: {record}");
        }
        *layouts
            .entry((record.get("dot1qVlanId").is_some(), record.get("mplsTopLabelStackSection").is_some()))
            .or_insert(0) += 1;
    }
    ensure!(flows.len() >= 2_000 && layouts.len() >= 2, "{} records: {layouts:?}", flows.len());
    stage.netns.expect_clean(METERED)
}
