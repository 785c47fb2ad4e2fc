//! Who a collector must be: its certificate is issued by an authority that we trust, valid, for servers and
//! for the name that we asked for; and, where there is a list of authorised peers, on it.

use std::{
    collections::HashSet,
    fmt::Debug,
    path::Path,
    sync::{Arc, PoisonError, RwLock},
};

use anyhow::{Context, bail};
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::CryptoProvider,
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use super::{
    TlsSettings, files,
    peers::{self, Fingerprint},
};

/// The judge of one collector's certificates, by the present content of the files.
#[derive(Debug)]
pub(super) struct Judge(RwLock<Arc<Trust>>);

#[derive(Debug)]
struct Trust {
    chains: Arc<WebPkiServerVerifier>,
    /// None: everybody whose chain is good.
    peers: Option<HashSet<Fingerprint>>,
}

/// A certificate that is good but not on the list of authorised peers.
#[derive(Clone, Debug, thiserror::Error)]
#[error("not on the list of authorised peers (sha256:{})", peers::text(.0))]
pub(super) struct NotListed(Fingerprint);

impl Judge {
    /// Reads authorities and list.
    pub(super) fn new(settings: &TlsSettings, provider: &Arc<CryptoProvider>) -> anyhow::Result<Self> {
        Ok(Self(RwLock::new(Arc::new(Trust::read(settings, provider)?))))
    }

    /// Reads authorities and list again, for sessions under way as well.
    pub(super) fn read(&self, settings: &TlsSettings, provider: &Arc<CryptoProvider>) -> anyhow::Result<()> {
        let trust = Arc::new(Trust::read(settings, provider)?);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = trust;
        Ok(())
    }

    /// Judges a chain that was taken before, the peer's own certificate first.
    pub(super) fn again(&self, chain: &[CertificateDer<'_>], name: &ServerName<'_>) -> Result<(), Error> {
        let (own, intermediates) = chain.split_first().ok_or(Error::NoCertificatesPresented)?;
        self.verify_server_cert(own, intermediates, name, &[], UnixTime::now()).map(drop)
    }

    fn trust(&self) -> Arc<Trust> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Trust {
    fn read(settings: &TlsSettings, provider: &Arc<CryptoProvider>) -> anyhow::Result<Self> {
        let roots = match &settings.ca {
            Some(path) => roots_of_file(path)?,
            None => roots_of_system()?,
        };
        let chains =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build()?;
        Ok(Self { chains, peers: peers::read(settings)? })
    }
}

fn roots_of_file(path: &Path) -> anyhow::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in files::certificates(path)? {
        roots.add(certificate).with_context(|| {
            format!("{} holds a certificate that cannot be an authority's", path.display())
        })?;
    }
    Ok(roots)
}

fn roots_of_system() -> anyhow::Result<RootCertStore> {
    // The library would wait for the writer of a pipe.
    if let Some(path) = std::env::var_os("SSL_CERT_FILE")
        && std::fs::metadata(&path).is_ok_and(|state| !state.is_file())
    {
        bail!("SSL_CERT_FILE={} is no regular file: unset it, or give ca=FILE", path.display());
    }
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    match (roots.is_empty(), found.errors.first()) {
        (false, _) => Ok(roots),
        (true, Some(error)) => {
            bail!("cannot read this system's certificate authorities ({error}): give ca=FILE")
        }
        (true, None) => bail!("this system has no certificate authorities: give ca=FILE"),
    }
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let trust = self.trust();
        let verified =
            trust.chains.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)?;
        if let Some(peers) = &trust.peers {
            let fingerprint = peers::of(end_entity);
            if !peers.contains(&fingerprint) {
                let error = OtherError(Arc::new(NotListed(fingerprint)));
                return Err(Error::InvalidCertificate(CertificateError::Other(error)));
            }
        }
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.trust().chains.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.trust().chains.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.trust().chains.supported_verify_schemes()
    }
}
