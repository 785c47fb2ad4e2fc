//! Each key that differs is a change or a refusal, and nothing else is.

use std::time::Duration;

use flowxdp_common::field::Group;

use super::*;

fn config(change: impl FnOnce(&mut Config)) -> Config {
    let mut config = Config { exporter: urls(&["udp://a", "tls://b?ca=x"]), ..Config::default() };
    config.monitor.interface = vec!["eth0".to_owned(), "wan*".to_owned()];
    change(&mut config);
    config
}

fn urls(urls: &[&str]) -> Vec<CollectorUrl> {
    urls.iter().map(|url| url.parse().unwrap()).collect()
}

fn changes(change: impl FnOnce(&mut Config)) -> Vec<Change> {
    let diff = diff(&config(|_| ()), &config(change));
    assert_eq!(diff.refused, [""; 0]);
    diff.changes
}

#[test]
fn equal_configurations_have_no_changes() {
    assert_eq!(diff(&config(|_| ()), &config(|_| ())), Diff::default());
    // A number that equals the default.
    assert_eq!(changes(|config| config.monitor.flows6 = Some(config.monitor.flows)), []);
    assert_eq!(changes(|config| config.monitor.interface.reverse()), []);
}

#[test]
fn changes_have_the_new_values() {
    assert_eq!(
        changes(|config| config.monitor.interface = vec!["wan*".to_owned(), "eth1".to_owned()]),
        [Change::Interfaces { added: vec!["eth1".to_owned()], removed: vec!["eth0".to_owned()] }]
    );
    let timeouts = Timeouts::new(5_000_000_000, 60_000_000_000);
    assert_eq!(
        changes(|config| config.monitor.idle_timeout = Duration::from_secs(5)),
        [Change::Timeouts(timeouts)]
    );
    assert_eq!(changes(|config| config.monitor.flows = 7), [Change::Flows { v4: 7, v6: 7 }]);
    assert_eq!(changes(|config| config.monitor.flows6 = Some(7)), [Change::Flows { v4: 1_000_000, v6: 7 }]);
    assert_eq!(changes(|config| config.monitor.mode = Mode::Generic), [Change::Mode(Mode::Generic)]);
    let mac = Groups::BASE.with(Group::Mac);
    assert_eq!(changes(|config| config.record.collect = vec!["mac".to_owned(); 2]), [Change::Groups(mac)]);
    assert_eq!(changes(|config| config.monitor.keep = true), [Change::Keep(true)]);
    assert_eq!(
        changes(|config| config.exporting.strategy = Strategy::Balance),
        [Change::Dispatch { strategy: Strategy::Balance, hold: 30_000_000_000 }]
    );
    let pace = KEYS.iter().find(|key| key.name == "pace").unwrap();
    assert_eq!(changes(|config| config.exporting.pace = 1), [Change::Exporting(vec![pace])]);
}

#[test]
fn exporters_that_stay_are_none_that_come() {
    let [a, b, c] = ["udp://a", "tls://b?ca=x", "udp://c"].map(|url| url.parse::<CollectorUrl>().unwrap());
    let to = |list: &[&str]| {
        let list = urls(list);
        changes(|config| config.exporter = list)
    };
    assert_eq!(to(&["tls://b?ca=x", "udp://a"]), [Change::ExporterOrder(vec![b.clone(), a.clone()])]);
    assert_eq!(
        to(&["udp://a", "udp://c"]),
        [Change::ExporterRemoved(b.clone()), Change::ExporterAdded(c.clone())]
    );
    let other: CollectorUrl = "tls://b:4740?ca=y".parse().unwrap();
    assert_eq!(
        to(&["udp://a", "tls://b:4740?ca=y"]),
        [Change::ExporterChanged { from: b.into(), to: other.into() }]
    );
    // Another protocol is another session.
    let v9: CollectorUrl = "udp://a:4739?protocol=v9".parse().unwrap();
    assert_eq!(
        to(&["tls://b?ca=x", "udp://a:4739?protocol=v9"]),
        [Change::ExporterRemoved(a), Change::ExporterAdded(v9)]
    );
}

#[test]
fn a_key_that_cannot_change_is_one_line() {
    for (path, text) in [
        ("monitor.pin", "/sys/fs/bpf/other"),
        ("monitor.socket", "/run/other.sock"),
        ("monitor.chain", "true"),
        ("monitor.no-confine", "true"),
        ("spool.directory", "/var/spool/other"),
        ("spool.limit", "2GiB"),
    ] {
        let key = KEYS.iter().find(|key| key.path() == path).unwrap();
        let new = config(|config| assert_eq!(key.set(config, &[text.into()]), []));
        let Diff { changes, refused } = diff(&config(|_| ()), &new);
        let [line] = &refused[..] else { panic!("{path}: {refused:?}") };
        assert!(changes.is_empty() && line.starts_with(path) && line.contains(text), "{line}");
        assert!(line.contains("restart") && !line.contains('\n'), "{line}");
    }
}

/// A row of the table that `run` takes cannot be forgotten here.
#[test]
fn every_key_of_run_is_a_change_or_a_refusal() {
    let other = |key: &Key, config: &Config| -> Option<&'static str> {
        let texts = ["7", "7s", "true", "v9", "generic", "balance", "/other", "name.example", "mac", "eth7"];
        let peer = "0909090909090909090909090909090909090909090909090909090909090909";
        texts.into_iter().chain([peer, "tcp.idle=7s", "sampler", "inner", "join"]).find(|text| {
            let mut new = config.clone();
            key.set(&mut new, &[text.into()]).is_empty() && key.get(&new) != key.get(config)
        })
    };
    for key in KEYS.iter().filter(|key| key.is_for(RUN) && key.table != Table::Exporter) {
        let old = config(|_| ());
        let text = other(key, &old).unwrap();
        let new = config(|config| drop(key.set(config, &[text.into()])));
        let diff = diff(&old, &new);
        assert_eq!(diff.changes.is_empty(), !diff.refused.is_empty(), "{key:?} = {text}: {diff:?}");
    }
}
