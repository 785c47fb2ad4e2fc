//! Settings without effect, each in a sentence with its remedy.

use std::time::Duration;

use flowxdp_common::field::Group;
use flowxdp_core::exporting::wire;

use super::{Config, Tunnels};
use crate::collector_url::CollectorUrl;

impl Config {
    /// A sentence for each setting without effect.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings: Vec<String> = self.idle_spool().into_iter().chain(self.idle_ports()).collect();
        for url in &self.exporter {
            match self.fixed_record(url) {
                Some(fixed) => warnings.extend(fixed),
                None => warnings.extend(self.absent_fields(url)),
            }
        }
        warnings.extend(self.exporter.iter().filter_map(|url| self.long_timeout(url)));
        warnings
    }

    /// Writes the warnings on the log.
    pub fn warn(&self) {
        self.warnings().iter().for_each(|text| log::warn!("{text}"));
    }

    /// A unit may have a spool for collectors that come later.
    fn idle_spool(&self) -> Option<String> {
        let idle = self.spool.directory.is_some() && self.streams() == 0;
        let text = "--spool is for collectors over TCP and TLS, and there is none: no record will wait on disk; name \
                    one by tcp:// or tls://, or take --spool away";
        idle.then(|| text.to_owned())
    }

    /// Ports of tunnels that stay closed.
    fn idle_ports(&self) -> Option<String> {
        let idle = self.record.tunnels == Tunnels::Outer && !self.record.vxlan_ports.is_empty();
        let text = "--vxlan-ports has no effect, as tunnels stay closed: add --tunnels inner, or take the ports away";
        idle.then(|| text.to_owned())
    }

    /// Fields and groups beside a protocol whose record is fixed; `None` for a protocol with templates.
    fn fixed_record(&self, url: &CollectorUrl) -> Option<Vec<String>> {
        let protocol = url.protocol(self.exporting.protocol);
        if wire::Protocol::of(protocol).is_some() {
            return None;
        }
        let mut ignored = Vec::new();
        if url.lists_fields() {
            ignored.push(format!(
                "collector {url}: fields has no effect, as the record of {protocol} is fixed: take it away, or choose \
                 protocol=v9 or protocol=ipfix"
            ));
        }
        // The fixed records have no element of a group, but for those of the base record that minmax names.
        let groups = self.record.groups().iter().filter(|group| *group != Group::Minmax);
        let groups: Vec<&str> = groups.map(Group::name).collect();
        if !groups.is_empty() {
            ignored.push(format!(
                "collector {url}: its records have nothing of --collect {}, as the record of {protocol} is fixed: \
                 choose protocol=v9 or protocol=ipfix for it",
                groups.join(",")
            ));
        }
        Some(ignored)
    }

    /// Elements that a list of fields leaves out although no record has them.
    fn absent_fields(&self, url: &CollectorUrl) -> Vec<String> {
        let (_, absent) = url.choice(&self.record).unwrap_or_default();
        let text = |name: &String| {
            format!(
                "collector {url}: its records have no {name} that fields could leave out: take -{name} away"
            )
        };
        absent.iter().map(text).collect()
    }

    /// An active timeout above the longest that the collector's preset shows rightly.
    fn long_timeout(&self, url: &CollectorUrl) -> Option<String> {
        let most = Duration::from_secs(url.preset()?.row().active_timeout_s?);
        let text = format!("collector {url}: its preset wants --active-timeout {}s or less", most.as_secs());
        (self.monitor.longest_active() > most).then_some(text)
    }
}
