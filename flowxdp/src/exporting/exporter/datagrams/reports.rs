//! ICMP messages take export messages back to the queue; the next ones wait, or are smaller.

use std::net::IpAddr;

use flowxdp_core::clock::{AgentTime, MILLISECOND};

use super::{Datagrams, Outgoing, State, TRIAL, lately::TELLING, refusals::Verdict};
use crate::transport::udp::reports::{Report, Said};

/// ICMP messages that are read at once: a flood of them is not to keep the agent from sending.
const AT_ONCE: usize = 256;

/// A router that has no way to the collector is asked again after so long at the least, nanoseconds: Linux says so
/// every two seconds at most, and would seem to have a way again meanwhile.
const ROUTER: u64 = 2_500 * MILLISECOND;

impl Datagrams {
    /// Reads the ICMP messages that came. Whether there was one.
    pub(super) fn read_reports(&mut self, out: &mut Outgoing, real: AgentTime) -> bool {
        for nth in 0..AT_ONCE {
            let Some(report) = self.socket.as_ref().and_then(|socket| socket.report()) else {
                return nth > 0;
            };
            match report.said {
                Said::TooLarge(mtu) => self.found_too_large(out, real, &report, mtu),
                Said::Port | Said::Unreachable(..) => self.found_refused(out, real, &report),
            }
        }
        true
    }

    /// A router refused a message for its size: the records go out again, in smaller messages.
    fn found_too_large(&mut self, out: &mut Outgoing, real: AgentTime, report: &Report, mtu: usize) {
        let Some(headers) = self.socket.as_ref().map(|socket| socket.headers()) else { return };
        let quoted = self.lately.find(&report.quoted);
        let size = self.path.believed(mtu).saturating_sub(headers);
        let first = match quoted {
            // Without a quote all that is larger may have been refused: routers that quote 8 octets limit how
            // often they say so.
            None if report.quoted.len() < TELLING => self.lately.larger(size, real),
            quoted => quoted,
        };
        let refused = first.and_then(|place| self.lately.get(place)).filter(|it| it.bytes.len() > size);
        let (Some(first), Some(refused)) = (first, refused) else {
            // Routers speak of each message; the first time all that were too large were taken back.
            if self.fits > size && !self.lately.was_refused(&report.quoted, real) {
                self.say_untrue(
                    out,
                    report.offender,
                    report.said,
                    "it refuses no message that was sent lately",
                );
            }
            return;
        };
        let is_data = !refused.templates_only;
        let packet = refused.bytes.len() + headers;
        let was_probe = !is_data && self.path.is_trying(packet);
        let news = self.path.refused(packet, mtu, real);
        let place = if is_data { Some(first) } else { self.lately.larger_data(first, size) };
        let records = place.map_or(0, |place| self.revoke(out, real, place));
        if news {
            let (url, offender, said) = (&out.url, report.offender, report.said);
            log::info!(
                "collector {url}: {offender} takes {said}; {records} records go out again in smaller messages"
            );
        }
        // Templates and options are made anew, but for those that were to be lost.
        self.anew |= !is_data && !was_probe;
    }

    /// An ICMP message says that the collector does not take messages, or that there is no way to it.
    fn found_refused(&mut self, out: &mut Outgoing, real: AgentTime, report: &Report) {
        let Some(collector) = self.socket.as_ref().map(|socket| socket.address().ip()) else { return };
        match self.refusals.judge(report, collector, &self.lately, real) {
            Verdict::Counts(place) => self.refused(out, real, report, place),
            Verdict::Untrue(why) => self.say_untrue(out, report.offender, report.said, why),
            Verdict::Forged => {
                let (url, offender, said) = (&out.url, report.offender, report.said);
                log::warn!(
                    "collector {url}: {said}, says {offender} of messages that were not sent: this is forged, and \
                     is not believed for a minute"
                );
                // Nothing that was refused so far counts any more.
                if matches!(self.state, State::Waiting(_)) {
                    self.state = State::Waiting(real);
                    self.backoff.reset();
                }
            }
        }
    }

    fn say_untrue(&mut self, out: &Outgoing, offender: IpAddr, said: Said, why: &str) {
        if self.refusals.is_news(offender) {
            log::warn!("collector {}: {said}, says {offender}; messages go out all the same: {why}", out.url);
        } else {
            log::debug!("collector {}: {said}, says {offender}: {why}", out.url);
        }
    }

    /// The messages from a place on were refused: they wait again, and nothing is sent for a while.
    fn refused(&mut self, out: &mut Outgoing, real: AgentTime, report: &Report, place: usize) {
        out.books.refused();
        self.revoke(out, real, place);
        let since = *self.refused_since.get_or_insert(real);
        if matches!(self.state, State::Waiting(_) | State::Resolving(_)) {
            return;
        }
        let what = format!("does not take messages: {}, says {}", report.said, report.offender);
        let is_time = real >= since.after(TRIAL);
        if is_time && !self.trial && self.pending.iter().any(|message| !message.templates_only) {
            // All this may be forged: data goes out all the same, one message at a time.
            self.trial = true;
            self.state = State::Up;
            out.failed(&what);
            return;
        }
        if self.trial {
            // Another message goes next time: so each gets there, if the collector is up.
            self.trial = false;
            self.refused_since = Some(real);
            if let Some(first) = self.pending.pop_front() {
                self.pending.push_back(first);
            }
        }
        let least = if report.said == Said::Port { 0 } else { ROUTER };
        self.wait(out, real, &what, least);
    }

    /// Messages from a place on go back to the front of those that wait, and are named: the refusal may be wrong.
    /// Gives the records in them.
    fn revoke(&mut self, out: &mut Outgoing, real: AgentTime, place: usize) -> u64 {
        let mut records = 0;
        for message in self.lately.take_from(place, real).into_iter().rev() {
            out.books.revoke(&message);
            records += message.total.records;
            self.pending.push_front(message);
        }
        self.anew = true;
        records
    }
}
