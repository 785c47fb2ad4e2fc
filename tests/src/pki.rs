//! Certificates for TLS, made for one test.

use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

/// The name of the collector.
pub const NAME: &str = "collector.test";

/// An authority and its certificates, as PEM files.
pub struct Pki {
    directory: TempDir,
}

impl Pki {
    /// Makes an authority and a server's certificate for [`NAME`].
    pub fn new() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.distinguished_name.push(DnType::CommonName, "authority.test");
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let server = CertificateParams::new(vec![NAME.to_owned()])?.signed_by(&key, &authority)?;
        let pki = Self { directory };
        for (path, content) in [
            (pki.authority(), authority.pem()),
            (pki.certificate(), server.pem()),
            (pki.key(), key.serialize_pem()),
        ] {
            std::fs::write(path, content)?;
        }
        Ok(pki)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The authority's certificate.
    pub fn authority(&self) -> PathBuf {
        self.file("ca.pem")
    }

    /// The server's.
    pub fn certificate(&self) -> PathBuf {
        self.file("server.pem")
    }

    /// The server's key.
    pub fn key(&self) -> PathBuf {
        self.file("server.key")
    }

    /// The folder of all.
    pub fn folder(&self) -> &Path {
        self.directory.path()
    }
}
