//! The idle and the active timeout, common to all flows or by class of protocol.

use crate::record::EndReason;

/// A class of protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP and ICMPv6.
    Icmp,
    /// Every other protocol, and the aggregates of several.
    Other,
}

impl Class {
    /// All classes.
    pub const ALL: [Self; 4] = [Self::Tcp, Self::Udp, Self::Icmp, Self::Other];

    /// The name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
            Self::Other => "other",
        }
    }

    /// The class of a protocol, IANA's number.
    pub const fn of(protocol: u8) -> Self {
        match protocol {
            6 => Self::Tcp,
            17 => Self::Udp,
            1 | 58 => Self::Icmp,
            _ => Self::Other,
        }
    }
}

/// An idle and an active timeout, nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A flow without a packet for so long has ended.
    pub idle: u64,
    /// A flow that lasts is exported after so long, and continues in a new record.
    pub active: u64,
}

impl Limits {
    /// When a flow is due, and why: the timeout that passes first, whenever a sweep finds the flow.
    #[inline(always)]
    pub const fn due(&self, first: u64, last: u64) -> (u64, EndReason) {
        let idle = last.saturating_add(self.idle);
        let active = first.saturating_add(self.active);
        if idle <= active { (idle, EndReason::IdleTimeout) } else { (active, EndReason::ActiveTimeout) }
    }
}

/// The timeouts of every class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    common: Limits,
    classes: [Limits; Class::ALL.len()],
    /// A class differs from the common timeouts: a sweep reads each flow's protocol.
    by_class: bool,
}

impl Timeouts {
    /// The same for every class, nanoseconds.
    pub const fn new(idle: u64, active: u64) -> Self {
        let common = Limits { idle, active };
        Self { common, classes: [common; Class::ALL.len()], by_class: false }
    }

    /// These, with those of one class changed.
    #[must_use]
    pub fn with(mut self, class: Class, change: impl FnOnce(&mut Limits)) -> Self {
        if let Some(limits) = self.classes.get_mut(class as usize) {
            change(limits);
        }
        self.by_class = self.classes.iter().any(|limits| *limits != self.common);
        self
    }

    /// The timeouts of classes that have none of their own.
    pub const fn common(&self) -> Limits {
        self.common
    }

    /// Whether a class differs from the common timeouts.
    pub const fn by_class(&self) -> bool {
        self.by_class
    }

    /// The timeouts of a flow, whose protocol is read only where that matters.
    #[inline(always)]
    pub fn of(&self, protocol: impl FnOnce() -> u8) -> &Limits {
        if !self.by_class {
            return &self.common;
        }
        let [tcp, udp, icmp, other] = &self.classes;
        match Class::of(protocol()) {
            Class::Tcp => tcp,
            Class::Udp => udp,
            Class::Icmp => icmp,
            Class::Other => other,
        }
    }

    /// The shortest of all, nanoseconds: no flow is due sooner.
    pub fn shortest(&self) -> u64 {
        self.each().min().unwrap_or(u64::MAX)
    }

    /// The longest of all, nanoseconds: no flow stays longer without a sweep that finds it due.
    pub fn longest(&self) -> u64 {
        self.each().max().unwrap_or(u64::MAX)
    }

    fn each(&self) -> impl Iterator<Item = u64> {
        self.classes.iter().flat_map(|limits| [limits.idle, limits.active])
    }

    /// The idle timeout of aggressive aging for flows with `limits`, where `short` replaces the common one.
    #[inline(always)]
    pub fn scaled(&self, short: u64, limits: &Limits) -> u64 {
        if limits.idle == self.common.idle {
            return short;
        }
        let scaled = u128::from(short) * u128::from(limits.idle) / u128::from(self.common.idle.max(1));
        u64::try_from(scaled).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMON: Timeouts = Timeouts::new(15, 60);

    #[test]
    fn a_class_has_its_own_timeouts_and_the_others_keep_the_common_ones() {
        let timeouts = COMMON.with(Class::Tcp, |tcp| tcp.idle = 30).with(Class::Udp, |udp| udp.active = 20);
        for (protocol, idle, active) in
            [(6, 30, 60), (17, 15, 20), (1, 15, 60), (58, 15, 60), (132, 15, 60), (0, 15, 60)]
        {
            assert_eq!(timeouts.of(|| protocol), &Limits { idle, active }, "{protocol}");
        }
        assert_eq!((timeouts.shortest(), timeouts.longest(), timeouts.common().idle), (15, 60, 15));
        assert_ne!(timeouts, COMMON);
        assert_eq!(COMMON.with(Class::Icmp, |icmp| icmp.idle = 15), COMMON);
    }

    #[test]
    fn aggressive_aging_shortens_each_class_in_proportion() {
        let timeouts =
            COMMON.with(Class::Tcp, |tcp| tcp.idle = 30).with(Class::Other, |other| other.idle = 5);
        let scaled = |protocol| timeouts.scaled(3, timeouts.of(|| protocol));
        assert_eq!([6, 17, 47].map(scaled), [6, 3, 1]);
        let most = Timeouts::new(1, 1).with(Class::Tcp, |tcp| tcp.idle = u64::MAX);
        assert_eq!(most.scaled(u64::MAX, most.of(|| 6)), u64::MAX);
    }

    #[test]
    fn a_protocol_is_read_where_a_class_differs_alone() {
        assert_eq!(COMMON.of(|| panic!("read")), &COMMON.common());
    }
}
