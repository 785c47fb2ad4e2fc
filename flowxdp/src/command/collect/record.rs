//! A decoded record: fields by element, with the names of IANA's registry and of the elements that records have.

use std::borrow::Cow;
use std::net::IpAddr;

use flowxdp_core::elements::{self, registry};

use super::value::Value;

/// Enterprise number under which reverse elements go (RFC 5103).
const REVERSE: u32 = 29305;

/// Number of applicationId.
const APPLICATION: u16 = 95;

/// The meaning of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// An information element: enterprise number, 0 for IANA's own, and number.
    Element(u32, u16),
    /// A scope of a v9 options template, by RFC 3954's number.
    V9Scope(u16),
}

impl Key {
    /// IANA's name; elements that IANA does not know go by number, `ENTERPRISE/NUMBER` or `NUMBER`.
    pub(super) fn name(self) -> Cow<'static, str> {
        match self {
            Self::Element(0, id) => match registry::get(id) {
                Some(entry) => entry.name.into(),
                None => id.to_string().into(),
            },
            Self::Element(REVERSE, id) => match registry::get(id) {
                Some(entry) => reverse(entry.name).into(),
                None => format!("{REVERSE}/{id}").into(),
            },
            Self::Element(enterprise, id) => match elements::of_enterprise(enterprise, id) {
                Some(element) => element.name.into(),
                None => format!("{enterprise}/{id}").into(),
            },
            Self::V9Scope(1) => "scopeSystem".into(),
            Self::V9Scope(2) => "scopeInterface".into(),
            Self::V9Scope(3) => "scopeLineCard".into(),
            Self::V9Scope(4) => "scopeCache".into(),
            Self::V9Scope(5) => "scopeTemplate".into(),
            Self::V9Scope(number) => format!("scope{number}").into(),
        }
    }

    /// The field with these octets.
    pub(super) fn field(self, octets: &[u8]) -> (Self, Value) {
        use flowxdp_core::elements::data_type::DataType;
        let data_type = match self {
            Self::Element(0, APPLICATION) => return (self, application(octets)),
            Self::Element(0 | REVERSE, id) => registry::get(id).map(|entry| entry.data_type),
            Self::Element(enterprise, id) => elements::of_enterprise(enterprise, id).map(|it| it.data_type),
            Self::V9Scope(_) => Some(DataType::Unsigned64),
        };
        (self, Value::read(data_type, octets))
    }

    /// The element of a field of NetFlow v9, where some enterprises have numbers above IANA's.
    pub(super) fn of_v9(id: u16) -> Self {
        let (enterprise, own) = elements::from_v9(id);
        let is_known = elements::of_enterprise(enterprise, own).is_some();
        if is_known { Self::Element(enterprise, own) } else { Self::Element(0, id) }
    }
}

/// An applicationId as `ENGINE:SELECTOR` (RFC 6759 section 4); octets where it has no selector, or too long a one.
fn application(octets: &[u8]) -> Value {
    match octets {
        [engine, selector @ ..] if (1..=7).contains(&selector.len()) => {
            let selector = selector.iter().fold(0_u64, |number, octet| number << 8 | u64::from(*octet));
            Value::Text(format!("{engine}:{selector}"))
        }
        _ => Value::Octets(octets.to_vec()),
    }
}

/// `octetDeltaCount` is `reverseOctetDeltaCount` on the way back.
fn reverse(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    "reverse".chars().chain(first).chain(letters).collect()
}

/// One data record.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Record {
    /// The record belongs to an options template.
    pub(super) options: bool,
    /// Number of leading fields that are scope. Only options have any.
    pub(super) scopes: usize,
    /// The fields in the order of the template.
    pub(super) fields: Vec<(Key, Value)>,
}

impl Record {
    /// The value of IANA's element `id`, the first if there are several.
    pub(super) fn get(&self, id: u16) -> Option<&Value> {
        self.fields.iter().find(|(key, _)| *key == Key::Element(0, id)).map(|(_, value)| value)
    }

    /// The first of `ids` that is there, as a number.
    pub(super) fn number(&self, ids: &[u16]) -> Option<u64> {
        ids.iter().find_map(|id| match self.get(*id)? {
            Value::Unsigned(number) => Some(*number),
            _ => None,
        })
    }

    /// The first of `ids` that is there, as a time in whole milliseconds since 1970.
    pub(super) fn time(&self, ids: &[u16]) -> Option<u64> {
        ids.iter().find_map(|id| match self.get(*id)? {
            Value::Unsigned(number) => Some(*number),
            #[expect(clippy::cast_possible_truncation, reason = "a float stands for parts of milliseconds")]
            #[expect(clippy::cast_sign_loss, reason = "never before 1970")]
            Value::Float(number) => Some(*number as u64),
            _ => None,
        })
    }

    /// The first of `ids` that is there, as an address.
    pub(super) fn address(&self, ids: &[u16]) -> Option<IpAddr> {
        ids.iter().find_map(|id| match self.get(*id)? {
            Value::Address(address) => Some(*address),
            _ => None,
        })
    }

    /// packetDeltaCount; packetTotalCount or postPacketDeltaCount where there is none.
    pub(super) fn packets(&self) -> Option<u64> {
        self.number(&[2, 86, 24])
    }

    /// octetDeltaCount; octetTotalCount or postOctetDeltaCount where there is none.
    pub(super) fn octets(&self) -> Option<u64> {
        self.number(&[1, 85, 23])
    }

    /// Adds flowStartMilliseconds and flowEndMilliseconds where only uptimes are given.
    pub(super) fn complete_times(&mut self, wall_ms: impl Fn(u32) -> Option<u64>) {
        for (uptime, milliseconds) in [(22, 152), (21, 153)] {
            let Some(uptime) = self.number(&[uptime]).and_then(|uptime| u32::try_from(uptime).ok()) else {
                continue;
            };
            // An IPFIX record brings the zero of the uptime along: systemInitTimeMilliseconds.
            let wall = wall_ms(uptime).or_else(|| self.number(&[160])?.checked_add(uptime.into()));
            if let (None, Some(wall)) = (self.get(milliseconds), wall) {
                self.fields.push((Key::Element(0, milliseconds), Value::Unsigned(wall)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_registry() {
        assert_eq!(Key::Element(0, 8).name(), "sourceIPv4Address");
        assert_eq!(Key::Element(0, 5).name(), "ipClassOfService");
        assert_eq!(Key::Element(29305, 1).name(), "reverseOctetDeltaCount");
        assert_eq!(Key::Element(29305, 32000).name(), "29305/32000");
        assert_eq!(Key::Element(9, 8).name(), "9/8");
        assert_eq!(Key::Element(35_632, 188).name(), "tlsServerName");
        assert_eq!((Key::of_v9(57_660), Key::of_v9(8)), (Key::Element(35_632, 188), Key::Element(0, 8)));
        assert_eq!(Key::of_v9(57_473), Key::Element(0, 57_473));
        assert_eq!(Key::Element(0, 40005).name(), "40005");
        assert_eq!(Key::V9Scope(1).name(), "scopeSystem");
    }

    #[test]
    fn an_application_is_engine_and_selector() {
        let text = |octets: &[u8]| Key::Element(0, 95).field(octets).1.to_string();
        assert_eq!(text(&[3, 0, 1, 0xbb]), "3:443");
        assert_eq!(text(&[13, 1]), "13:1");
        assert_eq!(text(&[3]), "03");
        assert_eq!(text(&[20, 0, 0, 0, 9, 0, 0, 0, 1]), "140000000900000001");
    }

    #[test]
    fn uptimes_become_times_once() {
        let field = |id, number| (Key::Element(0, id), Value::Unsigned(number));
        let mut record =
            Record { fields: vec![field(22, 100), field(21, 300), field(153, 7)], ..Record::default() };
        record.complete_times(|uptime| Some(1_000_000 + u64::from(uptime)));
        assert_eq!((record.time(&[152]), record.time(&[153])), (Some(1_000_100), Some(7)));

        let mut record = Record { fields: vec![field(22, 100), field(160, 5_000)], ..Record::default() };
        record.complete_times(|_| None);
        assert_eq!((record.time(&[152]), record.time(&[153])), (Some(5_100), None));
    }
}
