//! Certificates for tests: authorities, and the certificates that they issue.

use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;

use super::TlsSettings;

/// An authority, with a directory for files.
pub(super) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: TempDir,
}

/// A certificate and its key.
pub(super) struct Leaf {
    pub(super) chain: Vec<CertificateDer<'static>>,
    pub(super) key: KeyPair,
    pub(super) pem: String,
}

impl Authority {
    pub(super) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { issuer, directory: tempfile::tempdir().unwrap() }
    }

    pub(super) fn issue(&self, params: &CertificateParams) -> Leaf {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Leaf { chain: vec![certificate.der().clone()], key, pem: certificate.pem() }
    }

    pub(super) fn certificate(&self) -> CertificateDer<'static> {
        self.issuer.der().clone()
    }

    /// A file of the directory with this content.
    pub(super) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Settings that trust this authority and nobody else.
    pub(super) fn settings(&self) -> TlsSettings {
        TlsSettings { ca: Some(self.file("ca.pem", &self.issuer.pem())), ..TlsSettings::default() }
    }

    /// The same, with a certificate of our own.
    pub(super) fn settings_as(&self, leaf: &Leaf) -> TlsSettings {
        TlsSettings {
            cert: Some(self.file("cert.pem", &leaf.pem)),
            key: Some(self.file("key.pem", &leaf.key.serialize_pem())),
            ..self.settings()
        }
    }
}

impl Leaf {
    pub(super) fn self_signed(params: &CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { chain: vec![certificate.der().clone()], key, pem: certificate.pem() }
    }

    pub(super) fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.serialize_der()).unwrap()
    }

    pub(super) fn fingerprint(&self) -> [u8; 32] {
        let digest = ring::digest::digest(&ring::digest::SHA256, &self.chain[0]);
        digest.as_ref().try_into().unwrap()
    }

    pub(super) fn fingerprint_text(&self) -> String {
        self.fingerprint().iter().map(|octet| format!("{octet:02x}")).collect()
    }
}

/// A server's certificate for these names.
pub(super) fn server(names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2090, 1, 1);
    params
}

/// A client's certificate.
pub(super) fn exporter() -> CertificateParams {
    let mut params = server(&["exporter.test"]);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}
