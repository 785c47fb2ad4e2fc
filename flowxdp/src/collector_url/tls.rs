//! What the command line and a collector's URL say of TLS, put together.

use std::path::PathBuf;

use super::{CollectorUrl, UrlError, parameters};
pub use crate::transport::tls::TlsSettings;

/// TLS towards every tls:// collector whose URL does not say otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct TlsFlags {
    /// PEM file of the authorities that may have issued the collectors' certificates, instead of the system's
    #[arg(long, value_name = "FILE")]
    pub tls_ca: Option<PathBuf>,
    /// PEM file of our certificate and its intermediates, for collectors that ask
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// PEM file of our private key
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Name that the collectors' certificates must have, instead of the URL's host
    #[arg(long, value_name = "NAME", value_parser = parameters::server_name)]
    pub tls_name: Option<String>,
    /// SHA-256 of a certificate that may be a collector's, like sha256:HEX: others are refused; repeat for
    /// several
    #[arg(long, value_name = "FINGERPRINT", value_delimiter = ',', value_parser = parameters::peer)]
    pub tls_peer: Vec<[u8; 32]>,
    /// File with more of them, one a line
    #[arg(long, value_name = "FILE")]
    pub tls_peers: Option<PathBuf>,
}

impl CollectorUrl {
    /// What holds towards this collector: each thing that the URL says, and the flags for the rest.
    ///
    /// The list of peers, named one by one and in a file, is one thing: a URL with a list of its own is for
    /// those peers alone.
    pub fn tls(&self, flags: &TlsFlags) -> TlsSettings {
        let url = self.tls.clone();
        let listed = !url.peers.is_empty() || url.peers_file.is_some();
        let (peers, peers_file) = if listed {
            (url.peers, url.peers_file)
        } else {
            (flags.tls_peer.clone(), flags.tls_peers.clone())
        };
        TlsSettings {
            ca: url.ca.or_else(|| flags.tls_ca.clone()),
            cert: url.cert.or_else(|| flags.tls_cert.clone()),
            key: url.key.or_else(|| flags.tls_key.clone()),
            name: url.name.or_else(|| flags.tls_name.clone()),
            peers,
            peers_file,
        }
    }
}

/// Whether a certificate and its key are both there, or neither.
pub(super) const fn pair(settings: &TlsSettings) -> Result<(), UrlError> {
    match (&settings.cert, &settings.key) {
        (Some(_), None) => Err(UrlError::NoKey),
        (None, Some(_)) => Err(UrlError::NoCertificate),
        (Some(_), Some(_)) | (None, None) => Ok(()),
    }
}
