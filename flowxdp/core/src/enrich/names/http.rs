//! The head of an HTTP/1 request (RFC 9112): its Host header.

use httparse::{EMPTY_HEADER, Error, Request as Head, Status};

use super::verdict::{Reason, Request, text};

/// Header lines that are read.
const HEADERS: usize = 64;

/// Letters of the longest method that is taken for one.
const METHOD: usize = 20;

/// Whether octets begin as a request or a response does, as far as they go: a method in upper case and a space, or
/// the version.
pub(super) fn begins(octets: &[u8]) -> bool {
    let is_method = |octet: &u8| octet.is_ascii_uppercase() || matches!(octet, b'-' | b'_');
    let letters = octets.iter().take_while(|octet| is_method(octet)).count();
    let is_request = letters > 0 && letters <= METHOD && octets.get(letters).is_none_or(|it| *it == b' ');
    is_request || is_response(octets)
}

fn is_response(octets: &[u8]) -> bool {
    octets.starts_with(b"HTTP/1.")
}

/// Reads the head of a request, as far as its Host header.
///
/// # Errors
///
/// A head that continues; a response; a request of no HTTP/1 or with header lines that break the rules.
pub(super) fn read(octets: &[u8]) -> Result<Request, Reason> {
    if is_response(octets) {
        return Err(Reason::Nameless);
    }
    match head(octets) {
        Err(Reason::Incomplete) => early(octets),
        result => result,
    }
}

/// A Host header in the whole lines of a head that continues: long cookies may never be held to their end.
fn early(octets: &[u8]) -> Result<Request, Reason> {
    let end = octets.windows(2).rposition(|pair| pair == b"\r\n").ok_or(Reason::Incomplete)?;
    let lines = [octets.get(..end).unwrap_or_default(), b"\r\n\r\n"].concat();
    head(&lines).ok().filter(|request| request.host.is_some()).ok_or(Reason::Incomplete)
}

fn head(octets: &[u8]) -> Result<Request, Reason> {
    let mut headers = [EMPTY_HEADER; HEADERS];
    let mut head = Head::new(&mut headers);
    match head.parse(octets) {
        Ok(Status::Complete(_)) => {}
        Ok(Status::Partial) => return Err(Reason::Incomplete),
        Err(Error::TooManyHeaders) => return Err(Reason::TooLong),
        Err(_) if head.version.is_some() => return Err(Reason::Malformed),
        Err(_) => return Err(Reason::Unknown),
    }
    let host = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case("host"));
    let host = host.map(|header| header.value.trim_ascii()).filter(|value| !value.is_empty());
    Ok(Request { host: host.map(text).transpose()? })
}
