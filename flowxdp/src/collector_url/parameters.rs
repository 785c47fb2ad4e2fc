//! The values of a URL's parameters.

use std::ffi::{OsStr, OsString};
use std::net::IpAddr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use flowxdp_core::{exporting::protocol::Protocol, exporting::session::Preset};
use rustls::pki_types::ServerName;

use super::{Scheme, UrlError};
use crate::transport::tls::fingerprint;

/// Smallest message size that `mtu=` takes, octets: the fallback of RFC 7011 section 10.3.3.
const SMALLEST_MESSAGE: u16 = 512;

/// The parameters that a tls:// URL alone takes.
const TLS: [&str; 6] = ["ca", "cert", "key", "name", "peer", "peers"];

/// The parameter that only a collector with a connection takes.
const CONNECTION: &str = "resend-after-end";

/// A parameter's value, with its escapes resolved (RFC 3986 section 2.1).
pub(super) struct Value<'a> {
    name: &'a str,
    /// As typed.
    typed: &'a str,
    octets: Vec<u8>,
}

impl<'a> Value<'a> {
    /// Takes `NAME=VALUE` apart, for a URL of this scheme.
    pub(super) fn new(parameter: &'a str, scheme: Scheme) -> Result<Self, UrlError> {
        // A switch may stand without its value.
        let bare = if parameter == CONNECTION { "true" } else { "" };
        let (name, typed) = parameter.split_once('=').unwrap_or((parameter, bare));
        if TLS.contains(&name) && !scheme.is_encrypted() {
            return Err(UrlError::NoTls(name.to_owned(), scheme));
        }
        if name == CONNECTION && !scheme.is_reliable() {
            return Err(UrlError::NoConnection(name.to_owned()));
        }
        let octets = octets(typed).ok_or_else(|| UrlError::Percent(typed.to_owned()))?;
        Ok(Self { name, typed, octets })
    }

    pub(super) const fn name(&self) -> &'a str {
        self.name
    }

    fn text(&self) -> Result<&str, UrlError> {
        std::str::from_utf8(&self.octets).map_err(|_| UrlError::Percent(self.typed.to_owned()))
    }

    pub(super) fn protocol(&self) -> Result<Protocol, UrlError> {
        let text = self.text()?;
        Protocol::named(text).ok_or_else(|| UrlError::UnknownProtocol(text.to_owned()))
    }

    pub(super) fn preset(&self) -> Result<Preset, UrlError> {
        let text = self.text()?;
        Preset::named(text).ok_or_else(|| UrlError::UnknownPreset(text.to_owned()))
    }

    /// Terms with commas between them.
    pub(super) fn list(&self) -> Result<Vec<String>, UrlError> {
        match self.text()? {
            "" => Err(UrlError::Empty(self.name.to_owned())),
            text => Ok(text.split(',').map(str::to_owned).collect()),
        }
    }

    /// Octets of UDP payload, or of a message in a stream.
    pub(super) fn mtu(&self, scheme: Scheme) -> Result<u16, UrlError> {
        let (text, largest) = (self.text()?, scheme.largest_message());
        // parse alone would take a plus sign.
        let digits = Some(text).filter(|text| text.bytes().all(|octet| octet.is_ascii_digit()));
        match digits.map(str::parse) {
            Some(Ok(mtu)) if (SMALLEST_MESSAGE..=largest).contains(&mtu) => Ok(mtu),
            _ => Err(UrlError::Mtu(text.to_owned(), largest)),
        }
    }

    pub(super) fn source(&self) -> Result<IpAddr, UrlError> {
        let text = self.text()?;
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        match bare.parse::<IpAddr>() {
            Ok(address) if !address.is_unspecified() && !address.is_multicast() => Ok(address),
            _ => Err(UrlError::Source(text.to_owned())),
        }
    }

    pub(super) fn switch(&self) -> Result<bool, UrlError> {
        let text = self.text()?;
        text.parse().map_err(|_| UrlError::Switch(self.name.to_owned(), text.to_owned()))
    }

    pub(super) fn path(&self) -> Result<PathBuf, UrlError> {
        if self.octets.is_empty() {
            return Err(UrlError::Empty(self.name.to_owned()));
        }
        Ok(PathBuf::from(OsString::from_vec(self.octets.clone())))
    }

    pub(super) fn server_name(&self) -> Result<String, UrlError> {
        server_name(self.text()?)
    }

    pub(super) fn peer(&self) -> Result<[u8; 32], UrlError> {
        peer(self.text()?)
    }
}

/// A name or address that a certificate can be for.
///
/// # Errors
///
/// It is neither.
pub fn server_name(text: &str) -> Result<String, UrlError> {
    match ServerName::try_from(text.strip_suffix('.').unwrap_or(text)) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(UrlError::Name(text.to_owned())),
    }
}

/// SHA-256 of a certificate, from its digits.
///
/// # Errors
///
/// There are not 64 of them.
pub fn peer(text: &str) -> Result<[u8; 32], UrlError> {
    fingerprint(text).ok_or_else(|| UrlError::Peer(text.to_owned()))
}

/// The names of all protocols, for people.
pub(super) fn known_protocols() -> String {
    let [rest @ .., last] = Protocol::ALL.map(Protocol::name);
    format!("{} or {last}", rest.join(", "))
}

/// The names of all presets, for people.
pub(super) fn known_presets() -> String {
    Preset::ALL.map(Preset::name).join(", ")
}

/// A value with its escapes resolved; `None` where one is broken.
pub(super) fn decode(text: &str) -> Option<OsString> {
    octets(text).map(OsString::from_vec)
}

/// A value with escapes for characters that would end it or do not print.
pub(super) fn encode(value: &OsStr) -> String {
    let mut text = String::new();
    for chunk in value.as_bytes().utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '%' | '&' | '#' => escape(&mut text, &[character as u8]),
                _ if character.is_ascii_graphic()
                    || (!character.is_ascii() && character.is_alphanumeric()) =>
                {
                    text.push(character);
                }
                _ => escape(&mut text, character.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        escape(&mut text, chunk.invalid());
    }
    text
}

fn escape(text: &mut String, octets: &[u8]) {
    octets.iter().for_each(|octet| text.push_str(&format!("%{octet:02X}")));
}

/// `None` for a `%` that two hexadecimal digits do not follow.
fn octets(text: &str) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? << 4 | digit()?).ok()?
            }
            octet => octet,
        });
    }
    Some(octets)
}
