//! Where flow records go, as typed: `SCHEME://HOST[:PORT][?NAME=VALUE&…]`, udp, tcp or tls.
//!
//! Parameters are `protocol`, `preset`, `fields`, `mtu` and `source`, for tcp and tls `resend-after-end`, and for tls `ca`,
//! `cert`, `key`, `name`, `peers` and, as often as needed, `peer`. Values may have escapes: `%26` for an ampersand;
//! a plus sign stands for itself.

mod authority;
mod error;
mod fields;
mod list;
mod listen;
mod parameters;
mod same;
mod tls;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use flowxdp_core::{exporting::protocol::Protocol, exporting::session::Preset};

use self::parameters::Value;
pub use self::{
    authority::{Host, Scheme},
    error::UrlError,
    list::split_list,
    listen::ListenUrl,
    parameters::{peer, server_name},
    same::Endpoint,
    tls::TlsSettings,
};

/// A collector's URL.
///
/// Its `Display` is the text as it was typed: the collector's name in the books.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CollectorUrl {
    text: String,
    scheme: Scheme,
    host: Host,
    port: Option<u16>,
    protocol: Option<Protocol>,
    preset: Option<Preset>,
    fields: Vec<String>,
    mtu: Option<u16>,
    source: Option<IpAddr>,
    resend_after_end: Option<bool>,
    tls: TlsSettings,
}

impl CollectorUrl {
    /// How messages travel.
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host to send to.
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// The port: the one typed, or the usual one of the scheme or of the protocol in effect.
    pub fn port(&self, default_protocol: Protocol) -> u16 {
        let usual = self.port.or_else(|| self.scheme.port());
        usual.unwrap_or_else(|| self.protocol(default_protocol).port())
    }

    /// The protocol: the one typed here, that of the kind of collector, or the given one.
    pub fn protocol(&self, default_protocol: Protocol) -> Protocol {
        let preset = self.preset.and_then(|preset| preset.row().protocol);
        self.protocol.or(preset).unwrap_or(default_protocol)
    }

    /// The collector's preset, where the URL names one.
    pub const fn preset(&self) -> Option<Preset> {
        self.preset
    }

    /// The terms of the list of fields, where the URL has one.
    pub fn fields(&self) -> &[String] {
        &self.fields
    }

    /// Largest message, octets of UDP payload or of one message in a stream, where the URL says so.
    pub const fn mtu(&self) -> Option<u16> {
        self.mtu
    }

    /// The local address to send from, where the URL says so.
    pub const fn source(&self) -> Option<IpAddr> {
        self.source
    }

    /// Whether the window goes out again after an end in order too, where the URL says so.
    pub const fn resend_after_end(&self) -> Option<bool> {
        self.resend_after_end
    }

    /// Whether the URL can be used with these defaults.
    ///
    /// # Errors
    ///
    /// NetFlow is to go over TCP or TLS; a certificate has no key, or a key no certificate.
    pub fn check(&self, default_protocol: Protocol, tls: &TlsSettings) -> Result<(), UrlError> {
        self.over_udp_alone(self.protocol(default_protocol))?;
        if self.scheme.is_encrypted() { tls::pair(&self.tls(tls)) } else { Ok(()) }
    }

    const fn over_udp_alone(&self, protocol: Protocol) -> Result<(), UrlError> {
        match protocol {
            Protocol::Ipfix => Ok(()),
            protocol if self.scheme.is_reliable() => Err(UrlError::UdpAlone(protocol, self.scheme)),
            _ => Ok(()),
        }
    }

    fn take(&mut self, parameter: &str) -> Result<(), UrlError> {
        let value = Value::new(parameter, self.scheme)?;
        let tls = &mut self.tls;
        let duplicate = match value.name() {
            "protocol" => self.protocol.replace(value.protocol()?).is_some(),
            "preset" => self.preset.replace(value.preset()?).is_some(),
            "fields" => !std::mem::replace(&mut self.fields, value.list()?).is_empty(),
            "mtu" => self.mtu.replace(value.mtu(self.scheme)?).is_some(),
            "source" => self.source.replace(value.source()?).is_some(),
            "resend-after-end" => self.resend_after_end.replace(value.switch()?).is_some(),
            "ca" => tls.ca.replace(value.path()?).is_some(),
            "cert" => tls.cert.replace(value.path()?).is_some(),
            "key" => tls.key.replace(value.path()?).is_some(),
            "name" => tls.name.replace(value.server_name()?).is_some(),
            "peers" => tls.peers_file.replace(value.path()?).is_some(),
            "peer" => {
                tls.peers.push(value.peer()?);
                false
            }
            name => return Err(UrlError::UnknownParameter(name.to_owned())),
        };
        if duplicate { Err(UrlError::Duplicate(value.name().to_owned())) } else { Ok(()) }
    }
}

impl CollectorUrl {
    /// Scheme, host, port and the parameters of the text.
    pub(crate) fn begin(text: &str) -> Result<Self, UrlError> {
        let parts = authority::split(text)?;
        if parts.port == Some(0) {
            return Err(UrlError::Port("0".to_owned()));
        }
        let mut url = Self {
            text: text.to_owned(),
            scheme: parts.scheme,
            host: parts.host,
            port: parts.port,
            protocol: None,
            preset: None,
            fields: Vec::new(),
            mtu: None,
            source: None,
            resend_after_end: None,
            tls: TlsSettings::default(),
        };
        for parameter in parts.query.unwrap_or_default().split('&').filter(|part| !part.is_empty()) {
            url.take(parameter)?;
        }
        Ok(url)
    }

    /// Adds a parameter, also to the text. A list is one value with commas.
    pub(crate) fn add(&mut self, name: &str, value: &OsStr) -> Result<(), UrlError> {
        let parameter = format!("{name}={}", parameters::encode(value));
        self.take(&parameter)?;
        let separator = if !self.text.contains('?') {
            "?"
        } else if self.text.ends_with(['?', '&']) {
            ""
        } else {
            "&"
        };
        self.text = format!("{}{separator}{parameter}", self.text);
        Ok(())
    }

    /// The parameters agree with each other and with the host.
    pub(crate) fn finish(self) -> Result<Self, UrlError> {
        if let Some(protocol) = self.protocol {
            self.over_udp_alone(protocol)?;
        }
        match (self.source, self.host.address()) {
            (Some(source), Some(host)) if source.is_ipv4() != host.is_ipv4() => {
                Err(UrlError::SourceFamily(source, host))
            }
            _ => Ok(self),
        }
    }

    /// The text without parameters, and the parameters in order; `None` where another spelling than
    /// [`CollectorUrl::add`]'s would be lost by that.
    pub(crate) fn split(&self) -> Option<(&str, Vec<(&str, OsString)>)> {
        let Some((base, query)) = self.text.split_once('?') else { return Some((&self.text, Vec::new())) };
        let mut parameters = Vec::new();
        for parameter in query.split('&') {
            let (name, typed) = parameter.split_once('=')?;
            let value = parameters::decode(typed)?;
            if parameters::encode(&value) != typed {
                return None;
            }
            parameters.push((name, value));
        }
        Some((base, parameters))
    }
}

impl FromStr for CollectorUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        Self::begin(text)?.finish()
    }
}

impl fmt::Display for CollectorUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests;
