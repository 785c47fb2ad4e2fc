//! Which refusals are to be believed: any host can forge an ICMP message.
//!
//! - Only the collector's host knows that its port is closed. Any router can say that it has no way to the host.
//! - A message must have been sent that was refused: the one that is quoted; or, where an ICMP message quotes
//!   nothing of it (RFC 792 asks for 8 octets, the UDP header), any of the last second. Routers are believed
//!   with a quote alone.
//! - No message is refused twice. Refusals without a message, again and again, are forged: for a while none of
//!   their kind, with a quote or without, is believed.

use std::net::IpAddr;

use flowxdp_core::clock::{AgentTime, SECOND};

use super::lately::{Lately, TELLING};
use crate::transport::udp::reports::{Report, Said};

/// Refusals without a message, within [`WITHIN`], that are no accident of the network.
const SURPLUS: u32 = 3;
const WITHIN: u64 = 10 * SECOND;

/// So long their kind is not believed, nanoseconds.
const DISTRUST: u64 = 60 * SECOND;

/// Addresses that are named in the log.
const NAMED: usize = 8;

/// The judgement of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// A true refusal: the message at this place and the following ones were refused.
    Counts(usize),
    /// A refusal that cannot be true, for this reason.
    Untrue(&'static str),
    /// As `Untrue`, and by it others of its kind are known to be forged as well from now on.
    Forged,
}

/// Refusals of one kind.
#[derive(Debug, Default)]
struct Surplus {
    since: AgentTime,
    count: u32,
    /// Until then none is believed.
    distrust: AgentTime,
}

impl Surplus {
    /// One more; whether nothing of its kind is believed from now on, and was before.
    fn add(&mut self, real: AgentTime) -> bool {
        if real >= self.since.after(WITHIN) {
            (self.since, self.count) = (real, 0);
        }
        self.count += 1;
        let before = real < self.distrust;
        if before || self.count >= SURPLUS {
            self.distrust = real.after(DISTRUST);
        }
        !before && self.distrust > real
    }
}

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct Refusals {
    quoting: Surplus,
    quoteless: Surplus,
    named: Vec<IpAddr>,
}

impl Refusals {
    /// Judges a refusal of a message that was sent to `collector`.
    pub(super) fn judge(
        &mut self,
        report: &Report,
        collector: IpAddr,
        lately: &Lately,
        real: AgentTime,
    ) -> Verdict {
        let quotes = report.quoted.len() >= TELLING;
        if report.said == Said::Port && report.offender.to_canonical() != collector.to_canonical() {
            return Verdict::Untrue("only the collector's host can say so");
        }
        if report.said != Said::Port && !quotes {
            return Verdict::Untrue("it quotes no message");
        }
        let (place, kind) = if quotes {
            (lately.find(&report.quoted), &mut self.quoting)
        } else {
            (lately.last(real), &mut self.quoteless)
        };
        match place {
            Some(_) if real < kind.distrust => Verdict::Untrue("others like it were forged"),
            Some(place) => Verdict::Counts(place),
            None if quotes && !lately.was_refused(&report.quoted, real) => {
                Verdict::Untrue("it quotes no message that was sent lately")
            }
            None if kind.add(real) => Verdict::Forged,
            None => Verdict::Untrue("no message was sent that it could refuse"),
        }
    }

    /// Whether an address is to be named in the log: each once, and a few of them.
    pub(super) fn is_news(&mut self, offender: IpAddr) -> bool {
        let news = self.named.len() < NAMED && !self.named.contains(&offender);
        if news {
            self.named.push(offender);
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use flowxdp_core::{clock::MILLISECOND, exporting::session::Message};

    use super::*;

    const COLLECTOR: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    const ROUTER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 254));

    const fn at(nanoseconds: u64) -> AgentTime {
        AgentTime::new(nanoseconds)
    }

    fn message(nth: u8) -> Vec<u8> {
        vec![nth; 100]
    }

    fn report(said: Said, offender: IpAddr, quoted: &[u8]) -> Report {
        Report { said, offender, quoted: quoted.to_vec() }
    }

    fn lately(count: u8) -> Lately {
        let mut lately = Lately::default();
        for nth in 0..count {
            lately.push(Message { bytes: message(nth), ..Message::default() }, at(0));
        }
        lately
    }

    fn counts(verdict: Verdict) -> bool {
        matches!(verdict, Verdict::Counts(_))
    }

    #[test]
    fn a_closed_port_is_known_to_the_host_alone_and_a_way_to_any_router() {
        let (mut refusals, lately) = (Refusals::default(), lately(3));
        let quote = &message(1)[..80];
        let mut judge =
            |said, offender| refusals.judge(&report(said, offender, quote), COLLECTOR, &lately, at(1));
        assert_eq!(judge(Said::Port, COLLECTOR), Verdict::Counts(1));
        assert!(!counts(judge(Said::Port, ROUTER)));
        assert_eq!(judge(Said::Unreachable(3, 1), ROUTER), Verdict::Counts(1));
        let mapped = IpAddr::V6(Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped());
        assert_eq!(judge(Said::Port, mapped), Verdict::Counts(1));
    }

    #[test]
    fn a_quote_must_be_of_a_message_that_was_sent_lately() {
        let (mut refusals, mut lately) = (Refusals::default(), lately(3));
        let other = report(Said::Port, COLLECTOR, &message(9)[..80]);
        for _ in 0..100 {
            assert!(!counts(refusals.judge(&other, COLLECTOR, &lately, at(1))));
        }
        // Behind a quote there may be padding and extensions.
        let mut quoted = message(2);
        quoted.extend([0; 20]);
        assert_eq!(
            refusals.judge(&report(Said::Port, COLLECTOR, &quoted), COLLECTOR, &lately, at(1)),
            Verdict::Counts(2)
        );
        while lately.pop(at(6 * SECOND)).is_some() {}
        assert!(!counts(refusals.judge(
            &report(Said::Port, COLLECTOR, &quoted),
            COLLECTOR,
            &lately,
            at(6 * SECOND)
        )));
    }

    #[test]
    fn without_a_quote_it_speaks_of_the_last_message_of_a_second_and_of_a_router_never() {
        let (mut refusals, lately) = (Refusals::default(), lately(3));
        let bare = report(Said::Port, COLLECTOR, &[]);
        assert_eq!(refusals.judge(&bare, COLLECTOR, &lately, at(1)), Verdict::Counts(2));
        assert!(!counts(refusals.judge(&bare, COLLECTOR, &lately, at(SECOND))));
        assert!(!counts(refusals.judge(
            &report(Said::Unreachable(3, 0), ROUTER, &[]),
            COLLECTOR,
            &lately,
            at(1)
        )));
    }

    #[test]
    fn refusals_that_nothing_was_sent_for_are_forged_and_their_kind_is_not_believed() {
        let (mut refusals, mut lately) = (Refusals::default(), lately(1));
        let bare = report(Said::Port, COLLECTOR, &[]);
        let quoting = report(Said::Port, COLLECTOR, &message(1));
        let (mut real, mut verdicts) = (at(0), Vec::new());
        for _ in 0..6 {
            real = real.after(20 * MILLISECOND);
            let verdict = refusals.judge(&bare, COLLECTOR, &lately, real);
            if let Verdict::Counts(place) = verdict {
                assert_eq!(lately.take_from(place, real).len(), 1);
            }
            verdicts.push(verdict);
        }
        assert!(counts(verdicts[0]) && !verdicts[1..].iter().any(|it| counts(*it)), "{verdicts:?}");
        assert_eq!(verdicts.iter().filter(|it| **it == Verdict::Forged).count(), 1);
        lately.push(Message { bytes: message(1), ..Message::default() }, real);
        assert!(!counts(refusals.judge(&bare, COLLECTOR, &lately, real)));
        // One that quotes the message is of another kind.
        assert!(counts(refusals.judge(&quoting, COLLECTOR, &lately, real)));
        let later = real + DISTRUST;
        lately.push(Message { bytes: message(1), ..Message::default() }, later);
        assert!(counts(refusals.judge(&bare, COLLECTOR, &lately, later)));
    }

    #[test]
    fn a_message_is_refused_once() {
        let (mut refusals, mut lately) = (Refusals::default(), lately(2));
        let quoting = report(Said::Port, COLLECTOR, &message(0));
        assert_eq!(refusals.judge(&quoting, COLLECTOR, &lately, at(1)), Verdict::Counts(0));
        assert_eq!(lately.take_from(0, at(1)).len(), 2);
        let verdicts: Vec<_> =
            (2..7).map(|real| refusals.judge(&quoting, COLLECTOR, &lately, at(real))).collect();
        assert!(
            !verdicts.iter().any(|it| counts(*it)) && verdicts.contains(&Verdict::Forged),
            "{verdicts:?}"
        );
    }

    #[test]
    fn each_address_is_named_once() {
        let mut refusals = Refusals::default();
        let address = |nth| IpAddr::from([192, 0, 2, nth]);
        assert_eq!((0..100).filter(|nth| refusals.is_news(address(*nth))).count(), NAMED);
        assert!(!refusals.is_news(address(0)));
    }
}
