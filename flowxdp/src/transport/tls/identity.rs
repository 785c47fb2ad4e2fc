//! Who we are: our certificate and key, and whether a server asked for them.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use anyhow::bail;
use rustls::{
    Error, InconsistentKeys, SignatureScheme, client::ResolvesClientCert, crypto::CryptoProvider,
    sign::CertifiedKey,
};

use super::{TlsSettings, files};

/// The kinds of keys that the provider signs with.
const KINDS: &str = "RSA of 2048 bits and more, P-256, P-384 and Ed25519";

/// Our side of mutual authentication, in one session.
#[derive(Debug)]
pub(crate) struct Identity {
    key: Option<Arc<CertifiedKey>>,
    asked: AtomicBool,
}

impl Identity {
    /// Reads certificate and key, where both are named.
    pub(super) fn read(settings: &TlsSettings, provider: &CryptoProvider) -> anyhow::Result<Self> {
        let key = match (&settings.cert, &settings.key) {
            (None, None) => None,
            (Some(cert), Some(key)) => {
                let certified =
                    CertifiedKey::from_der(files::certificates(cert)?, files::key(key)?, provider);
                let certified = certified.map_err(|error| match error {
                    Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => anyhow::anyhow!(
                        "the key in {} does not belong to the first certificate in {}: give the two that do",
                        key.display(),
                        cert.display()
                    ),
                    error => anyhow::Error::new(error).context(format!(
                        "cannot use {} with {}: {KINDS} can be used",
                        key.display(),
                        cert.display()
                    )),
                });
                Some(Arc::new(certified?))
            }
            (Some(cert), None) => bail!("cert={} needs its private key: give key= too", cert.display()),
            (None, Some(key)) => bail!("key={} needs its certificate: give cert= too", key.display()),
        };
        Ok(Self { key, asked: AtomicBool::new(false) })
    }

    /// The same, and nobody asked yet.
    pub(super) fn for_session(&self) -> Self {
        Self { key: self.key.clone(), asked: AtomicBool::new(false) }
    }

    /// Whether we have one.
    pub(crate) const fn is_some(&self) -> bool {
        self.key.is_some()
    }

    /// Whether the server asked for it.
    pub(crate) fn asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }
}

impl ResolvesClientCert for Identity {
    fn resolve(&self, _authorities: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        // The certificate is given even when the server names other authorities: the server then refuses with
        // an alert.
        self.asked.store(true, Ordering::Relaxed);
        self.key.clone()
    }

    fn has_certs(&self) -> bool {
        self.key.is_some()
    }
}
