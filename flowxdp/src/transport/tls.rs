//! TLS towards a collector: whom we trust and who we are (RFC 7011 section 11.3).
//!
//! TLS 1.2 and 1.3 only, with the suites of one provider, named here: a second one in the same program would
//! make the library's own choice a panic. Sessions are never resumed, so that each judges certificates anew.

mod files;
mod identity;
mod judge;
mod keylog;
mod peers;
mod words;

use std::{path::PathBuf, sync::Arc};

use anyhow::Context;
use rustls::{
    ClientConfig, ClientConnection,
    client::Resumption,
    crypto::{CryptoProvider, ring::default_provider},
    pki_types::{CertificateDer, ServerName},
    version::{TLS12, TLS13},
};

pub use self::peers::fingerprint;
use self::{files::Stamps, judge::Judge, keylog::KeyFile};
pub(super) use self::{
    identity::Identity,
    words::{Moment, words},
};
use super::broken::Broken;
use crate::collector_url::Host;

/// The TLS parameters of a collector's URL.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TlsSettings {
    /// File with the authorities that may have issued the collector's certificate; the system's otherwise.
    pub ca: Option<PathBuf>,
    /// File with our certificate and its intermediates.
    pub cert: Option<PathBuf>,
    /// File with our private key.
    pub key: Option<PathBuf>,
    /// The name that the collector's certificate must have, where that is not the host.
    pub name: Option<String>,
    /// SHA-256 of the certificates that may be the collector's.
    pub peers: Vec<[u8; 32]>,
    /// File with more of them, one a line.
    pub peers_file: Option<PathBuf>,
}

/// TLS towards one collector, made from its URL and the files that it names.
pub struct TlsClient {
    settings: TlsSettings,
    name: ServerName<'static>,
    /// Shared with sessions under way, so that a handshake that began before a change sees it.
    judge: Arc<Judge>,
    config: Arc<ClientConfig>,
    identity: Identity,
    stamps: Stamps,
}

impl TlsClient {
    /// Reads every file that `settings` name. Without `name`, the certificate must be for `host`: a DNS-ID
    /// for a name (RFC 6125 section 6), an iPAddress for an address.
    ///
    /// # Errors
    ///
    /// A file that cannot be read or used: the text names it and the remedy.
    pub fn new(settings: TlsSettings, host: &Host) -> anyhow::Result<Self> {
        let provider = Arc::new(default_provider());
        let stamps = Stamps::take(&settings);
        let name = name(&settings, host)?;
        let judge = Arc::new(Judge::new(&settings, &provider)?);
        let identity = Identity::read(&settings, &provider)?;
        let config = Arc::new(config(&judge, provider)?);
        Ok(Self { settings, name, judge, config, identity, stamps })
    }

    /// Reads every file again. Sessions that stand are judged by [`super::stream::Stream::judge_again`].
    ///
    /// # Errors
    ///
    /// As for [`TlsClient::new`]; the files read before stay in force.
    pub fn reload(&mut self) -> anyhow::Result<()> {
        self.stamps = Stamps::take(&self.settings);
        let identity = Identity::read(&self.settings, self.config.crypto_provider())?;
        self.judge.read(&self.settings, self.config.crypto_provider())?;
        self.identity = identity;
        Ok(())
    }

    /// Reads the files again if one of them changed, and gives whether the new content is in force. Asks the
    /// system for a few files' states, so call it each second, not at each wake.
    ///
    /// A file that cannot be used is logged once, until it changes; the files read before stay in force.
    pub fn refresh_if_changed(&mut self) -> bool {
        if Stamps::take(&self.settings) == self.stamps {
            return false;
        }
        match self.reload() {
            Ok(()) => true,
            Err(error) => {
                log::warn!(
                    "TLS towards {}: {error:#}; what was read before stays in force",
                    self.name.to_str()
                );
                false
            }
        }
    }

    /// A session that has not begun, and its record of our certificate.
    pub(super) fn connection(&self) -> Result<(ClientConnection, Arc<Identity>), Broken> {
        let identity = Arc::new(self.identity.for_session());
        let mut config = ClientConfig::clone(&self.config);
        config.client_auth_cert_resolver = identity.clone();
        let connection = ClientConnection::new(Arc::new(config), self.name.clone())
            .map_err(|error| Broken::new(format!("cannot be spoken to by TLS: {error}")))?;
        Ok((connection, identity))
    }

    /// Whether a certificate chain, the collector's own first, would be taken now.
    pub(super) fn judge(&self, chain: &[CertificateDer<'static>]) -> Result<(), Broken> {
        self.judge.again(chain, &self.name).map_err(|error| Broken::new(words(&error, Moment::default())))
    }
}

/// The name that the certificate must be for.
fn name(settings: &TlsSettings, host: &Host) -> anyhow::Result<ServerName<'static>> {
    let text = match (&settings.name, host) {
        (Some(name), _) | (None, Host::Name(name)) => name.strip_suffix('.').unwrap_or(name),
        (None, Host::V4(address)) => return Ok(ServerName::from(std::net::IpAddr::from(*address))),
        (None, Host::V6 { address, .. }) => return Ok(ServerName::from(std::net::IpAddr::from(*address))),
    };
    ServerName::try_from(text.to_owned()).with_context(|| {
        format!("\"{text}\" is no name that a certificate can have: write name=collector.example")
    })
}

fn config(judge: &Arc<Judge>, provider: Arc<CryptoProvider>) -> anyhow::Result<ClientConfig> {
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .dangerous()
        .with_custom_certificate_verifier(judge.clone())
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    // Only where the environment's SSLKEYLOGFILE names a file.
    config.key_log = Arc::new(KeyFile::of_environment());
    Ok(config)
}
