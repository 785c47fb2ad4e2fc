//! TLS towards a collector: its URL's parameters and the common settings, put together.

use super::{CollectorUrl, UrlError};
pub use crate::transport::tls::TlsSettings;

impl CollectorUrl {
    /// TLS towards this collector: each parameter of the URL, and `common` for the rest.
    ///
    /// The list of peers, one by one and in a file, is one setting: a URL with a list of its own is for those
    /// peers alone.
    pub fn tls(&self, common: &TlsSettings) -> TlsSettings {
        let (url, common) = (self.tls.clone(), common.clone());
        let listed = !url.peers.is_empty() || url.peers_file.is_some();
        let list = |settings: TlsSettings| (settings.peers, settings.peers_file);
        let (peers, peers_file) = list(if listed { url.clone() } else { common.clone() });
        TlsSettings {
            ca: url.ca.or(common.ca),
            cert: url.cert.or(common.cert),
            key: url.key.or(common.key),
            name: url.name.or(common.name),
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
