//! Certificates for tests: authorities, their good and bad certificates, and servers that use them.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, anyhow};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    date_time_ymd,
};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig};
use tempfile::TempDir;

/// An authority, with a directory for files.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: TempDir,
}

/// A certificate and its key, in memory and in files.
pub struct Leaf {
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
    /// File of the certificate.
    pub cert_file: PathBuf,
    /// File of the key.
    pub key_file: PathBuf,
}

impl Authority {
    /// An authority that no collector knows yet.
    pub fn new(name: &str) -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let directory = tempfile::tempdir()?;
        std::fs::write(directory.path().join("ca.pem"), issuer.pem())?;
        Ok(Self { issuer, directory })
    }

    /// File of its own certificate.
    pub fn file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// Issues a certificate, whose files are named after `name`.
    pub fn issue(&self, name: &str, params: &CertificateParams) -> Result<Leaf> {
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        self.leaf(name, key, certificate.der().clone(), &certificate.pem())
    }

    /// A certificate that vouches for itself; the authority only lends its directory.
    pub fn self_signed(&self, name: &str, params: &CertificateParams) -> Result<Leaf> {
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        self.leaf(name, key, certificate.der().clone(), &certificate.pem())
    }

    fn leaf(&self, name: &str, key: KeyPair, der: CertificateDer<'static>, pem: &str) -> Result<Leaf> {
        let file = |what: &str| self.directory.path().join(format!("{name}-{what}.pem"));
        let (cert_file, key_file) = (file("cert"), file("key"));
        std::fs::write(&cert_file, pem)?;
        std::fs::write(&key_file, key.serialize_pem())?;
        Ok(Leaf { chain: vec![der], key, cert_file, key_file })
    }

    fn roots(&self) -> Result<Arc<RootCertStore>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone())?;
        Ok(Arc::new(roots))
    }
}

/// The parameters of a server's certificate for these names; a test may spoil them.
pub fn server(names: &[&str]) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2090, 1, 1);
    Ok(params)
}

/// The parameters of an exporter's certificate.
pub fn client() -> Result<CertificateParams> {
    let mut params = server(&["exporter.test"])?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    Ok(params)
}

/// A server of TLS 1.2 and 1.3 that shows this certificate, and asks for one of this authority if any.
pub fn serving(leaf: &Leaf, clients: Option<&Authority>) -> Result<Arc<ServerConfig>> {
    let provider = Arc::new(default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&TLS13, &TLS12])?;
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(authority.roots()?, provider);
            builder.with_client_cert_verifier(verifier.build()?)
        }
    };
    let key = PrivateKeyDer::try_from(leaf.key.serialize_der()).map_err(|error| anyhow!(error))?;
    Ok(Arc::new(builder.with_single_cert(leaf.chain.clone(), key)?))
}

impl Leaf {
    /// The lower-case SHA-256 fingerprint, as `--tls-peer` takes it.
    pub fn fingerprint(&self) -> String {
        let digest = default_digest(self.chain.first().map_or(&[], |certificate| certificate.as_ref()));
        digest.iter().map(|octet| format!("{octet:02x}")).collect()
    }
}

/// SHA-256 by the provider's own hash.
fn default_digest(octets: &[u8]) -> Vec<u8> {
    use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
    let suite = TLS13_AES_128_GCM_SHA256.tls13();
    suite.map_or_else(Vec::new, |suite| suite.common.hash_provider.hash(octets).as_ref().to_vec())
}
