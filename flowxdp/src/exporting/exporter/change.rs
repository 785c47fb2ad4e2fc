//! A reload and the exporters: one takes other settings in its session, one comes, one goes.

use anyhow::Context;
use flowxdp_common::reason::Undelivered;
use flowxdp_core::{
    clock::{AgentTime, Now},
    exporting::session::{Session, SessionConfig},
    record::RecordTotal,
};

use super::{Exporter, Outcome, Settings, pace};
use crate::{
    collector_url::{CollectorUrl, Endpoint, Scheme},
    exporting::deliveries::SharedLedger,
    transport::tls::{TlsClient, TlsSettings},
};

/// Other settings for an exporter that runs, all of which can be had.
pub struct Renewal {
    pub(super) url: CollectorUrl,
    pub(super) settings: Settings,
    session: SessionConfig,
    tls_settings: TlsSettings,
    /// TLS from its files, where its settings differ.
    pub(super) tls: Option<TlsClient>,
}

impl Exporter {
    /// The collector, however its URL is spelled.
    pub const fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Prepares other settings for the same collector: nothing changes yet.
    ///
    /// # Errors
    ///
    /// A message size that its records do not fit; a file for TLS that cannot be used.
    pub fn renewal(
        &self,
        url: &CollectorUrl,
        tls: TlsSettings,
        settings: &Settings,
    ) -> anyhow::Result<Renewal> {
        let prepare = || -> anyhow::Result<Renewal> {
            let session = settings.session(url);
            Session::new(session.clone())?;
            let differs = url.scheme() == Scheme::Tls && tls != self.tls;
            let client = differs.then(|| TlsClient::new(tls.clone(), url.host())).transpose()?;
            let (url, settings) = (url.clone(), settings.clone());
            Ok(Renewal { url, settings, session, tls_settings: tls, tls: client })
        };
        prepare().with_context(|| format!("collector {url}"))
    }

    /// Takes other settings over. The session, its sequence and the queue stay; templates that differ go out before
    /// further records.
    pub fn change(&mut self, mut renewal: Renewal, real: AgentTime, now: Now) {
        if renewal.session != self.config {
            self.delivery.finish_queue(&mut self.out, now);
            if let Err(error) = self.out.session.change(renewal.session.clone()) {
                // The configuration was tried when the change was prepared.
                log::error!("collector {}: {error}; its records stay as they are", self.out.url);
            }
            self.out.books.keep_domains([0, renewal.session.observation_domain]);
        }
        self.delivery.change(&mut self.out, &mut renewal, real);
        self.out.pace = pace(&renewal.settings);
        if self.out.url != renewal.url {
            self.out.books.rename(Some(&renewal.url.to_string()));
        }
        (self.out.url, self.config, self.tls) = (renewal.url, renewal.session, renewal.tls_settings);
        self.room = None;
    }

    /// The books of the records retired so far, for a collector that comes.
    pub(crate) fn outcome(&self) -> Outcome {
        self.out.books.outcome()
    }

    /// The same, with records on disk.
    pub(super) fn outcome_with_spool(&self) -> Outcome {
        self.out.books.outcome_with_spool()
    }

    /// A reload added the collector: its terms begin now, behind those of `before`. With a ledger each step is
    /// written down, and where `excused`, records that wait for others are not owed to it, also after a kill.
    ///
    /// # Errors
    ///
    /// There are more collectors than pages.
    pub(crate) fn begin(
        &mut self,
        before: &Outcome,
        ledger: Option<&SharedLedger>,
        excused: bool,
    ) -> anyhow::Result<()> {
        self.out.books.follow(&Outcome::default(), before);
        let url = self.out.url.to_string();
        ledger.map_or(Ok(()), |ledger| self.out.books.attach(ledger, &url, excused))
    }

    /// From now on each record goes to every collector: those of the `others` until now are of before.
    pub(crate) fn join(&mut self, others: &Outcome) {
        self.out.books.excuse();
        self.follow(&Outcome::default(), others);
    }

    /// The terms of before grow by those of a collector that goes.
    pub(crate) fn follow(&mut self, from: &Outcome, to: &Outcome) {
        self.out.books.follow(from, to);
    }

    /// A reload removed the collector: its page is none of a URL's from now on.
    pub(crate) fn leave_name(&self) {
        self.out.books.rename(None);
    }

    /// The collector that was removed does not take its queue: all records are lost, also those on disk. Gives its sum.
    pub(crate) fn discard(&mut self, reason: Undelivered, real: AgentTime, now: Now) -> RecordTotal {
        let before = self.out.books.all_lost();
        self.delivery.discard(&mut self.out, reason, real, now);
        self.out.lose_queue(reason);
        self.given_up = Some(reason);
        let mut lost = self.out.books.all_lost();
        lost -= before;
        lost
    }

    /// The exporter has not begun, and is not to: an empty place on disk that was made for it is removed.
    pub(crate) fn withdraw(mut self) {
        if self.delivery.stored().is_none() {
            self.delivery.remove_store(&self.out);
        }
    }

    /// Nothing of a removed collector is left: neither a page nor a place on disk.
    pub(crate) fn remove(mut self) {
        self.delivery.remove_store(&self.out);
        self.out.books.detach();
    }
}
