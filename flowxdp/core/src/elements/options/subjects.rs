//! The subjects of options data that an operator chooses among.

use super::Kind;

/// A subject, with one kind of options record or two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// How packets are selected.
    Sampler,
    /// Names and descriptions of interfaces.
    Interfaces,
    /// Totals exported so far, and the exporter itself.
    Statistics,
    /// Packets that were ignored, and records that were not sent.
    Reliability,
}

impl Subject {
    /// All subjects.
    pub const ALL: [Self; 4] = [Self::Sampler, Self::Interfaces, Self::Statistics, Self::Reliability];

    /// The name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sampler => "sampler",
            Self::Interfaces => "interfaces",
            Self::Statistics => "statistics",
            Self::Reliability => "reliability",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl Kind {
    /// The subject of its records; `None` for flow keys, which have a switch of their own, and for those that records
    /// with names need.
    const fn subject(self) -> Option<Subject> {
        match self {
            Self::Sampler => Some(Subject::Sampler),
            Self::Interface => Some(Subject::Interfaces),
            Self::Statistics | Self::Exporter => Some(Subject::Statistics),
            Self::MeteringReliability | Self::ExportingReliability => Some(Subject::Reliability),
            Self::FlowKeys | Self::Applications | Self::Types => None,
        }
    }
}

/// A set of subjects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subjects(u8);

impl Subjects {
    /// Every subject.
    pub const ALL: Self = Self(u8::MAX);

    /// Whether records of this kind are sent.
    pub fn have(self, kind: Kind) -> bool {
        kind.subject().is_none_or(|subject| self.0 & subject.bit() != 0)
    }
}

impl FromIterator<Subject> for Subjects {
    fn from_iter<T: IntoIterator<Item = Subject>>(subjects: T) -> Self {
        Self(subjects.into_iter().fold(0, |bits, subject| bits | subject.bit()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::elements::options::OPTIONS;

    #[test]
    fn every_options_template_but_those_that_explain_records_has_a_subject() {
        for template in OPTIONS {
            let explains_records =
                template.is_of_keys() || matches!(template.kind, Kind::Applications | Kind::Types);
            let of = Subject::ALL.into_iter().filter(|one| Subjects::from_iter([*one]).have(template.kind));
            assert_eq!(of.count(), if explains_records { 4 } else { 1 }, "{:?}", template.kind);
            assert!(Subjects::ALL.have(template.kind));
            assert_eq!(Subjects::from_iter([]).have(template.kind), explains_records);
        }
    }
}
