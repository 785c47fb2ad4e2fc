//! The metered interfaces: present at the start, or come, changed and gone later.

mod changes;
mod selection;
mod tap;

pub(super) use self::selection::Selection;
use self::{selection::none_is_refused, tap::Tap};

use std::collections::{BTreeMap, BTreeSet};

use flowxdp_common::counter::ROWS;
use flowxdp_core::{books::Books, clock::SECOND, exporting::options};

use super::{
    choose::{Choice, choose, is_named},
    wanted::Wanted,
};
use crate::{
    clock,
    config::Monitor,
    kernel::{
        attach::{self, Attached, Mode},
        cpus,
        follow::Follow,
        link::{self, Link},
    },
    metering::meter::Meter,
};

/// Interfaces that could not be metered are tried again after this time at the latest, nanoseconds.
const AGAIN: u64 = 10 * SECOND;

/// Listing the links takes at most one part in this many of the time.
const SHARE: u64 = 10;

/// An interface that is or was metered, as options data announce it.
struct Announced {
    interface: options::Interface,
    /// When the interface went, nanoseconds.
    gone_at: Option<u64>,
}

/// All metered interfaces, and the rules by which others join them.
pub(super) struct Interfaces {
    wanted: Vec<Wanted>,
    mode: Mode,
    narrow: Option<String>,
    /// With --tap.
    tap: Option<Tap>,
    /// ifIndexes that the log has named as too large for these protocols.
    too_wide: BTreeSet<u32>,
    follow: Follow,
    /// By ifIndex: the link as the kernel described it last, and its kind of attachment.
    metered: BTreeMap<u32, (Link, Attached)>,
    /// Links that could not be metered, and the logged reason; when all are tried again.
    refused: BTreeMap<u32, (Link, String)>,
    again_at: u64,
    /// Links that are asked for and left out; the log has the reason.
    left_out: BTreeSet<u32>,
    announced: BTreeMap<u32, Announced>,
    /// When the links are listed next, and the earliest instant for that, nanoseconds.
    check_at: u64,
    not_before: u64,
    /// The links could not be listed; the log has the reason.
    unlisted: bool,
    /// A netlink filter may be removed without news of its link.
    watches_filters: bool,
}

impl Interfaces {
    /// The interfaces that `--interface` names, among the links of this machine. `narrow` names the protocols of
    /// collectors that hold no ifIndex above 65,535.
    ///
    /// # Errors
    ///
    /// A name stands twice, is no interface's, or is that of an interface that cannot be metered.
    pub(super) fn new(monitor: &Monitor, narrow: Option<String>) -> anyhow::Result<Self> {
        // Before the first list, so that no change is missed.
        let follow = Follow::new(monitor.tap)?;
        let Selection { wanted, mode, narrow } = Selection::new(monitor, narrow, |_| false)?;
        Ok(Self {
            wanted,
            mode,
            narrow,
            tap: None,
            too_wide: BTreeSet::new(),
            follow,
            metered: BTreeMap::new(),
            refused: BTreeMap::new(),
            again_at: u64::MAX,
            left_out: BTreeSet::new(),
            announced: BTreeMap::new(),
            check_at: 0,
            not_before: 0,
            unlisted: false,
            watches_filters: false,
        })
    }

    /// Partitions for their packets. Interfaces that come later may receive on every CPU.
    ///
    /// # Errors
    ///
    /// The number of CPUs cannot be read.
    pub(super) fn partitions(&self) -> anyhow::Result<u32> {
        if self.wanted.iter().any(Wanted::is_pattern) {
            return cpus::online();
        }
        let all = link::all()?;
        let links: Vec<Link> = all.into_iter().filter(|link| is_named(&self.wanted, link)).collect();
        attach::partitions(&links, self.mode)
    }

    /// Meters the interfaces of the start; gives them with their kinds of attachment.
    ///
    /// # Errors
    ///
    /// An interface that is named, and not by a pattern alone, cannot be metered.
    pub(super) fn start(&mut self, meter: &mut Meter, now: u64) -> anyhow::Result<Vec<(Link, Attached)>> {
        self.metered.clear();
        let all = link::all()?;
        let choice = choose(&self.wanted, &all, |_| false);
        none_is_refused(&choice)?;
        let mut started = Vec::new();
        make_room(meter, &all, &choice)?;
        for &link in &choice.taken {
            changes::name(meter, link, now)?;
        }
        // An earlier agent's program may remember an ifIndex's earlier interface.
        meter.names_are_set()?;
        for &link in &choice.taken {
            match self.attach(meter, link, &all) {
                Ok(attached) => started.push((link.clone(), attached)),
                Err(error) if is_named(&self.wanted, link) => return Err(error),
                Err(error) => self.refuse(meter, link, &error, now)?,
            }
        }
        self.say(&choice);
        self.next_sweep(now);
        Ok(started)
    }

    /// Logs which interfaces are metered from the start, and which are waited for.
    pub(super) fn announce(&mut self, started: &[(Link, Attached)]) {
        // Without a list the log names no other ends of pairs.
        let all = link::all().unwrap_or_default();
        started.iter().for_each(|(link, attached)| self.announce_one(link, *attached, &all));
        for pattern in self.wanted.iter().filter(|wanted| wanted.is_pattern()) {
            if !started.iter().any(|(link, _)| pattern.stands_for(link)) {
                log::warn!("no interface that can be metered matches {}: waiting for one", pattern.as_str());
            }
        }
    }

    /// Waits for news of links from the kernel, and lets them be listed soon.
    pub(super) async fn changed(&mut self) {
        if let Err(error) = self.follow.changed().await {
            log::debug!("netlink: {error}");
        }
        self.check_at = self.check_at.min(self.not_before);
    }

    /// Lets the links be listed soon.
    pub(super) fn hurry(&mut self) {
        self.check_at = self.check_at.min(self.not_before);
    }

    /// When the links are to be listed, nanoseconds of the monotonic clock.
    pub(super) const fn check_at(&self) -> u64 {
        self.check_at
    }

    /// Lists the links: releases gone ones, follows changed ones, meters new ones.
    ///
    /// # Errors
    ///
    /// The kernel fails underneath; a link that cannot be metered is no error.
    pub(super) fn check(&mut self, meter: &mut Meter, now: u64) -> anyhow::Result<()> {
        let begun = clock::monotonic();
        let all = link::all();
        let ended = clock::monotonic();
        self.not_before = ended + (ended - begun) * SHARE;
        match all {
            Ok(all) => {
                self.apply(meter, &all, now)?;
                self.unlisted = false;
            }
            Err(error) => {
                if !std::mem::replace(&mut self.unlisted, true) {
                    log::warn!("{error:#}; trying again");
                }
                self.check_at = now + SECOND;
                return Ok(());
            }
        }
        self.next_sweep(now);
        Ok(())
    }

    /// Without news the next list is for links that could not be metered, for taps that a route puts to use, and for
    /// filters that are gone.
    fn next_sweep(&mut self, now: u64) {
        if self.refused.is_empty() {
            self.again_at = u64::MAX;
        } else if self.again_at <= now || self.again_at == u64::MAX {
            self.again_at = now + AGAIN;
        }
        let watches = self.tap.is_some() || self.watches_filters;
        self.check_at = if watches { self.again_at.min(now + AGAIN) } else { self.again_at };
    }

    /// Opens the socket by which taps are promiscuous.
    ///
    /// # Errors
    ///
    /// CAP_NET_RAW is missing.
    pub(super) fn open_tap(&mut self) -> anyhow::Result<()> {
        self.tap = Some(Tap::open()?);
        Ok(())
    }

    /// No interface is promiscuous for this agent any more: their programs are detached.
    pub(super) fn close_tap(&mut self) {
        self.tap = None;
    }

    /// Names hooks and taps in the books, and the use that was made of a tap meanwhile.
    pub(super) fn name_hooks(&self, books: &mut Books) {
        for (index, (link, attached)) in &self.metered {
            let Some(interface) = books.interfaces.get_mut(&link.name) else { continue };
            interface.hook = Some(attached.word().to_owned());
            interface.tap = self.tap.is_some();
            interface.tap_in_use = self.tap.as_ref().and_then(|tap| tap.in_use(*index)).map(str::to_owned);
        }
    }

    /// Interfaces that flow records may name: metered ones, and ones that went less than `rest` nanoseconds
    /// ago.
    pub(super) fn announced(&mut self, now: u64, rest: u64) -> Vec<options::Interface> {
        self.announced.retain(|_, it| it.gone_at.is_none_or(|at| now.saturating_sub(at) < rest));
        self.announced.values().map(|it| it.interface.clone()).collect()
    }
}

/// Takes back rows that an earlier agent gave to interfaces that have no program any more, or are gone;
/// their ifIndexes may be others' by now. If the rows do not suffice then, those of interfaces that are
/// not to be metered any more go too.
fn make_room(meter: &mut Meter, all: &[Link], choice: &Choice<'_>) -> anyhow::Result<()> {
    let is_attached = |link: &&Link| link.xdp.is_some() || meter.loaded.has_pinned_classifier(link.index);
    let attached: BTreeSet<u32> = all.iter().filter(is_attached).map(|link| link.index).collect();
    meter.take_rows_back(|index| attached.contains(&index))?;
    let taken: BTreeSet<u32> = choice.taken.iter().map(|link| link.index).collect();
    if attached.union(&taken).count() >= ROWS as usize {
        meter.take_rows_back(|index| taken.contains(&index))?;
    }
    Ok(())
}
