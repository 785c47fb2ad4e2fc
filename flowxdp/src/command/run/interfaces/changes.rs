//! Links that come, change or go.

use flowxdp_core::exporting::options;

use super::{
    super::choose::{Choice, choose},
    Announced, Interfaces, Selection, tap,
};
use crate::{
    kernel::{
        attach::{self, Attached, attach},
        link::{self, Link},
        offload,
    },
    metering::meter::Meter,
};

/// Gives a link its row of the counters, before it is attached.
pub(super) fn name(meter: &mut Meter, link: &Link, now: u64) -> anyhow::Result<()> {
    if !meter.name_interface(link.index, &link.name, now)? {
        log::warn!("{}: more interfaces than there are rows: it is counted as \"other\"", link.name);
    }
    Ok(())
}

impl Interfaces {
    /// Logs that a link of `all` is metered, its mode, and which of its packets or fields the records will lack.
    pub(super) fn announce_one(&mut self, link: &Link, attached: Attached, all: &[Link]) {
        offload::warn(link, attached, all);
        let (name, index) = (&link.name, link.index);
        if let Some(protocols) = &self.narrow
            && index > u32::from(u16::MAX)
            && self.too_wide.insert(index)
        {
            log::warn!(
                "{name}: {protocols} cannot hold its ifIndex {index}, which is above 65535: its records have \
                 interface 0 there; IPFIX and NetFlow v9 hold it"
            );
        }
        let way =
            if self.tap.is_some() { ", as a tap: its packets are dropped behind the meter" } else { "" };
        match (attached.is_xdp(), attached.word()) {
            (true, mode) => log::info!("{name}: metering in {mode} mode{way}"),
            (false, hook) => log::info!("{name}: metering by a classifier at ingress ({hook})"),
        }
    }

    /// Whether an interface is metered, by its ifIndex.
    pub(in super::super) fn has(&self, index: u32) -> bool {
        self.metered.contains_key(&index)
    }

    /// Another selection holds from now on: interfaces that it does not name are released, and new ones are attached
    /// at the next look, which is due at once.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub(in super::super) fn select(
        &mut self,
        selection: Selection,
        meter: &mut Meter,
        now: u64,
    ) -> anyhow::Result<()> {
        let Selection { wanted, mode, narrow } = selection;
        (self.wanted, self.mode, self.narrow) = (wanted, mode, narrow);
        let named = |link: &Link| self.wanted.iter().any(|wanted| wanted.stands_for(link));
        let released = self.metered.iter().filter(|(_, (link, _))| !named(link)).map(|(index, _)| *index);
        for index in released.collect::<Vec<_>>() {
            self.let_go(meter, index, now)?;
        }
        self.refused.clear();
        (self.check_at, self.not_before) = (0, 0);
        Ok(())
    }

    /// Brings the metered interfaces into line with the links of this machine.
    pub(super) fn apply(&mut self, meter: &mut Meter, all: &[Link], now: u64) -> anyhow::Result<()> {
        let there = |index: u32| all.iter().find(|link| link.index == index);
        for index in self.metered.keys().copied().collect::<Vec<_>>() {
            match there(index) {
                Some(link) => self.keep(meter, link, now)?,
                // A link that changes while all are listed may be missing from the list.
                None if link::is_there(index).unwrap_or(true) => {}
                None => self.gone(meter, index, now)?,
            }
        }
        self.refused.retain(|&index, _| there(index).is_some());
        let choice = choose(&self.wanted, all, |index| self.metered.contains_key(&index));
        self.say(&choice);
        let left_out = choice.left_out.iter().map(|left| left.link.index);
        let parted: Vec<u32> = left_out.filter(|index| self.metered.contains_key(index)).collect();
        // First, since the kernel attaches nothing below a program.
        for index in parted {
            self.let_go(meter, index, now)?;
        }
        let tried = |link: &Link| self.refused.get(&link.index).is_some_and(|(before, _)| before == link);
        let again = now >= self.again_at;
        let new: Vec<_> = choice.taken.iter().copied().filter(|link| again || !tried(link)).collect();
        self.meter_all(meter, &new, all, now)?;
        if let Some(tap) = &mut self.tap
            && let Err(error) = tap.watch(self.metered.values().map(|(link, _)| link), all, &self.wanted)
        {
            log::warn!("{error:#}: whether a tap is put to use is not known; trying again");
        }
        Ok(())
    }

    fn meter_all(
        &mut self,
        meter: &mut Meter,
        links: &[&Link],
        all: &[Link],
        now: u64,
    ) -> anyhow::Result<()> {
        if links.is_empty() {
            return Ok(());
        }
        for link in links {
            name(meter, link, now)?;
        }
        // The first packet is counted by the name.
        meter.names_are_set()?;
        for link in links {
            match self.attach(meter, link, all) {
                Ok(attached) => self.announce_one(link, attached, all),
                Err(error) => self.refuse(meter, link, &error, now)?,
            }
        }
        Ok(())
    }

    /// Attaches to a link that has a row.
    pub(super) fn attach(
        &mut self,
        meter: &mut Meter,
        link: &Link,
        all: &[Link],
    ) -> anyhow::Result<Attached> {
        if self.tap.is_some() {
            tap::refuse_used(link, all, &self.wanted)?;
        }
        let attached = attach(&mut meter.loaded, link, self.mode)?;
        self.watches_filters |= attached == Attached::Clsact;
        if let Some(tap) = &mut self.tap {
            tap.join(link)?;
        }
        self.refused.remove(&link.index);
        self.announce_link(link);
        self.metered.insert(link.index, (link.clone(), attached));
        Ok(attached)
    }

    /// Logs once why a link is not metered.
    pub(super) fn refuse(
        &mut self,
        meter: &mut Meter,
        link: &Link,
        error: &anyhow::Error,
        now: u64,
    ) -> anyhow::Result<()> {
        meter.interface_is_gone(link.index, now)?;
        // The link went while the program was being attached.
        if !link::is_there(link.index).unwrap_or(true) {
            return Ok(());
        }
        let why = format!("{error:#}");
        if self.refused.get(&link.index).is_none_or(|(_, said)| *said != why) {
            log::warn!("{why}; it is not metered until then");
        }
        self.refused.insert(link.index, (link.clone(), why));
        Ok(())
    }

    /// Follows a metered link to its description of now.
    fn keep(&mut self, meter: &mut Meter, link: &Link, now: u64) -> anyhow::Result<()> {
        let Some((before, attached)) = self.metered.get(&link.index) else { return Ok(()) };
        let (has_grown, attached) = (before.mtu < link.mtu, *attached);
        if meter.loaded.chain.as_mut().is_some_and(|chain| chain.is_displaced(link)) {
            return self.let_go(meter, link.index, now);
        }
        if !attached.is_xdp() {
            if !meter.loaded.is_classified(link.index) {
                log::warn!("{}: the classifier's filter was removed: it is attached anew", link.name);
                return self.let_go(meter, link.index, now);
            }
        } else if link.xdp.is_none() {
            // Detached by another program, or a new link with the same ifIndex.
            log::warn!("{}: the XDP program was taken off", link.name);
            return self.let_go(meter, link.index, now);
        }
        if before.name != link.name {
            log::info!("{} is {} now, and is metered on under its new name", before.name, link.name);
            meter.rename_interface(link.index, &link.name);
        }
        if has_grown && attached == Attached::Native && attach::is_outgrown(&meter.loaded, link) {
            log::info!(
                "{}: an MTU of {}: metering packets in several buffers from now on",
                link.name,
                link.mtu
            );
            if let Err(error) = attach::outgrow(&mut meter.loaded, link) {
                log::warn!("{}: {error:#}: it is attached anew", link.name);
                return self.let_go(meter, link.index, now);
            }
        }
        self.announce_link(link);
        self.metered.insert(link.index, (link.clone(), attached));
        Ok(())
    }

    fn gone(&mut self, meter: &mut Meter, index: u32, now: u64) -> anyhow::Result<()> {
        let name = self.metered.get(&index).map_or("", |(link, _)| &link.name);
        log::warn!(
            "{name}: the interface is gone; what it counted stays, and it is metered again when it is back"
        );
        self.let_go(meter, index, now)
    }

    fn let_go(&mut self, meter: &mut Meter, index: u32, now: u64) -> anyhow::Result<()> {
        self.metered.remove(&index);
        if let Some(tap) = &mut self.tap {
            tap.leave(index);
        }
        if let Some(announced) = self.announced.get_mut(&index) {
            announced.gone_at = Some(now);
        }
        meter.interface_is_gone(index, now)
    }

    /// Has options data announce the link.
    fn announce_link(&mut self, link: &Link) {
        let Link { index, name, alias, .. } = link;
        let description = if alias.is_empty() { name } else { alias };
        let interface =
            options::Interface { index: *index, name: name.clone(), description: description.clone() };
        self.announced.insert(*index, Announced { interface, gone_at: None });
    }

    /// Logs once which links are asked for and not metered, and why.
    pub(super) fn say(&mut self, choice: &Choice<'_>) {
        self.left_out.retain(|&index| choice.left_out.iter().any(|left| left.link.index == index));
        for left in &choice.left_out {
            let index = left.link.index;
            if !self.left_out.insert(index) {
                continue;
            }
            if left.is_named || left.is_final() || self.metered.contains_key(&index) {
                log::warn!("{}", left.why());
            } else {
                log::info!("{}", left.why());
            }
        }
    }
}
