//! A DNS message (RFC 1035 section 4): its question, and the addresses that answer it.

use std::net::IpAddr;

use domain::{
    base::{
        Message as Wire, ParsedName, ParsedRecord, Rtype,
        iana::{Class, Opcode},
        message::RecordSection,
        rdata::ParseRecordData,
    },
    rdata::{A, Aaaa, Cname},
};

use super::verdict::{Answer, Message, Reason};

/// Records of the answer section that are read: an answer over UDP has few, and a forged one must cost no more.
const RECORDS: usize = 256;

/// Aliases that are followed: resolvers stop at 8 to 16.
const ALIASES: usize = 16;

type Name<'a> = ParsedName<&'a [u8]>;

/// Reads a message over UDP.
///
/// # Errors
///
/// A message cut before its question ends, of another kind than a query, or without a question.
pub(super) fn read(octets: &[u8]) -> Result<Message, Reason> {
    let wire = Wire::from_slice(octets).map_err(|_| Reason::Incomplete)?;
    let (header, counts) = (wire.header(), wire.header_counts());
    if header.opcode() != Opcode::QUERY || counts.qdcount() == 0 {
        return Err(Reason::Nameless);
    }
    let question = wire.question().next().ok_or(Reason::Malformed)?.map_err(|_| Reason::Malformed)?;
    let mut message = Message {
        is_response: header.qr(),
        question: Some(name(question.qname())),
        kind: question.qtype().to_int(),
        code: header.rcode().to_int(),
        answers: Vec::new(),
    };
    if message.is_response
        && question.qclass() == Class::IN
        && let Ok(section) = wire.answer()
    {
        message.answers = answers(*question.qname(), section);
    }
    Ok(message)
}

/// Reads the first message of a stream, behind its length of two octets (RFC 7766 section 8).
///
/// # Errors
///
/// Octets that are missing yet, and the faults of a message.
pub(super) fn stream(octets: &[u8]) -> Result<Message, Reason> {
    let (length, rest) = octets.split_first_chunk::<2>().ok_or(Reason::Incomplete)?;
    let message = rest.get(..usize::from(u16::from_be_bytes(*length))).ok_or(Reason::Incomplete)?;
    match read(message) {
        Err(Reason::Incomplete) => Err(Reason::Malformed),
        result => result,
    }
}

fn name(name: &Name<'_>) -> Box<str> {
    if name.is_root() { ".".into() } else { name.to_string().into() }
}

/// The addresses of a name, or of the last of its aliases. A record of another owner answers no question, and records
/// behind a fault are not read.
fn answers(question: Name<'_>, section: RecordSection<'_, [u8]>) -> Vec<Answer> {
    let mut aliases = Vec::new();
    let mut addresses = Vec::new();
    for record in section.take(RECORDS).map_while(Result::ok).filter(|record| record.class() == Class::IN) {
        let (owner, ttl) = (record.owner(), record.ttl().as_secs());
        let address: Option<IpAddr> = match record.rtype() {
            Rtype::A => data::<A>(&record).map(|data| IpAddr::V4(data.addr())),
            Rtype::AAAA => data::<Aaaa>(&record).map(|data| IpAddr::V6(data.addr())),
            Rtype::CNAME => {
                aliases.extend(data::<Cname<Name<'_>>>(&record).map(|alias| (owner, alias.into_cname())));
                None
            }
            _ => None,
        };
        addresses.extend(address.map(|address| (owner, Answer { address, ttl })));
    }
    let last = last(question, &aliases);
    addresses.into_iter().filter(|(owner, _)| *owner == last).map(|(_, answer)| answer).collect()
}

/// The data of a record of a type; none where it breaks the rules of the type.
fn data<'a, D: ParseRecordData<'a, [u8]>>(record: &ParsedRecord<'a, [u8]>) -> Option<D> {
    record.to_record::<D>().ok().flatten().map(|record| record.into_data())
}

/// The last alias of a name: the owner of its addresses.
fn last<'a>(question: Name<'a>, aliases: &[(Name<'a>, Name<'a>)]) -> Name<'a> {
    let mut name = question;
    for _ in 0..ALIASES {
        match aliases.iter().find(|(owner, _)| *owner == name) {
            Some((_, alias)) => name = *alias,
            None => break,
        }
    }
    name
}
