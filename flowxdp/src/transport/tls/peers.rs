//! The list of authorised peers: SHA-256 over a certificate's DER (RFC 7011 section 11.3).

use std::collections::HashSet;

use anyhow::bail;
use ring::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;

use super::TlsSettings;
use crate::file;

/// SHA-256 of one certificate.
pub(super) type Fingerprint = [u8; 32];

/// The fingerprint that `text` writes: 64 hexadecimal digits, with or without colons and with or without a
/// prefix `sha256:` or, as `openssl x509 -fingerprint -sha256` prints it, `sha256 Fingerprint=`.
pub fn fingerprint(text: &str) -> Option<[u8; 32]> {
    let lower = text.trim().to_ascii_lowercase();
    let prefixes = ["sha256 fingerprint=", "sha256:", "sha256="];
    let bare = prefixes.iter().find_map(|prefix| lower.strip_prefix(prefix)).unwrap_or(&lower);
    let digits: String = bare.chars().filter(|c| *c != ':').collect();
    if digits.len() != 64 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut octets = [0; 32];
    for (octet, at) in octets.iter_mut().zip((0..).step_by(2)) {
        *octet = u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()?;
    }
    Some(octets)
}

/// A fingerprint as 64 lower-case digits.
pub(super) fn text(fingerprint: &Fingerprint) -> String {
    fingerprint.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// The fingerprint of a certificate.
pub(super) fn of(certificate: &CertificateDer<'_>) -> Fingerprint {
    let mut octets = [0; 32];
    octets.copy_from_slice(digest(&SHA256, certificate).as_ref());
    octets
}

/// All that may connect, from the settings and the file; none when there is no list at all. A list without an
/// entry is a list: no peer is authorised, and the log says so.
pub(super) fn read(settings: &TlsSettings) -> anyhow::Result<Option<HashSet<Fingerprint>>> {
    let mut peers: HashSet<_> = settings.peers.iter().copied().collect();
    let Some(path) = &settings.peers_file else {
        return Ok((!peers.is_empty()).then_some(peers));
    };
    let content = file::read(path)?;
    for (number, line) in String::from_utf8_lossy(&content).lines().enumerate() {
        // Text behind a # is a comment.
        let entry = line.split('#').next().unwrap_or_default().trim();
        if entry.is_empty() {
            continue;
        }
        match fingerprint(entry) {
            Some(fingerprint) => peers.insert(fingerprint),
            None => bail!(
                "{}, line {}: no SHA-256 of a certificate: write 64 hexadecimal digits",
                path.display(),
                number + 1
            ),
        };
    }
    if peers.is_empty() {
        log::warn!("{} lists no peer: no collector is authorised", path.display());
    }
    Ok(Some(peers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_read_as_tools_write_them() {
        let mut expected = [0xab; 32];
        expected[31] = 0x01;
        let plain = format!("{}01", "ab".repeat(31));
        let colons = format!("{}01", "AB:".repeat(31));
        for given in [
            plain.clone(),
            plain.to_uppercase(),
            format!("sha256:{plain}"),
            format!("SHA256:{colons}"),
            format!("sha256 Fingerprint={colons}"),
            format!("  {colons}\r"),
        ] {
            assert_eq!(fingerprint(&given), Some(expected), "{given}");
        }
        assert_eq!(text(&expected), plain);
    }

    #[test]
    fn other_texts_are_no_fingerprints() {
        for given in ["", "ab", &"ab".repeat(33), &"ab".repeat(20), &"xy".repeat(32), &"é".repeat(32)] {
            assert_eq!(fingerprint(given), None, "{given}");
        }
    }
}
