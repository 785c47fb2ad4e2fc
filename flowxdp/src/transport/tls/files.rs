//! The files that TLS is made from: certificates, keys, and whether they changed.

use std::{os::unix::fs::MetadataExt, path::Path};

use anyhow::{Context, bail};
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer,
    pem::{self, PemObject},
};

use super::TlsSettings;
use crate::file;

/// Every certificate of a PEM file, in its order; at least one.
pub(super) fn certificates(path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let octets = file::read(path)?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&octets)
        .collect::<Result<_, _>>()
        .with_context(|| format!("{} is not well-formed PEM", path.display()))?;
    if certificates.is_empty() {
        bail!("{} holds no certificate: it must have one in PEM (BEGIN CERTIFICATE)", path.display());
    }
    Ok(certificates)
}

/// The first private key of a PEM file.
pub(super) fn key(path: &Path) -> anyhow::Result<PrivateKeyDer<'static>> {
    let octets = file::read(path)?;
    match PrivateKeyDer::from_pem_slice(&octets) {
        Ok(key) => Ok(key),
        Err(pem::Error::NoItemsFound) if octets.windows(17).any(|part| part == b"ENCRYPTED PRIVATE") => {
            bail!("{} is protected by a passphrase: give the key without one", path.display())
        }
        Err(pem::Error::NoItemsFound) => {
            bail!("{} holds no private key: it must have one in PEM (BEGIN PRIVATE KEY)", path.display())
        }
        Err(error) => Err(error).with_context(|| format!("{} is not well-formed PEM", path.display())),
    }
}

/// A file's version: inode, size, seconds and nanoseconds of the last change to content and to state.
type Stamp = (u64, u64, i64, i64, i64, i64);

/// The states of all files; none for those that are not named or not there.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stamps([Option<Stamp>; 4]);

impl Stamps {
    /// As they are now; taken before the files are read, so that a change in between is seen the next time.
    pub(super) fn take(settings: &TlsSettings) -> Self {
        let files = [&settings.ca, &settings.cert, &settings.key, &settings.peers_file];
        Self(files.map(|file| {
            let state = std::fs::metadata(file.as_deref()?).ok()?;
            Some((
                state.ino(),
                state.size(),
                state.mtime(),
                state.mtime_nsec(),
                state.ctime(),
                state.ctime_nsec(),
            ))
        }))
    }
}
