//! A TLS session's fault, in words that name the place of the remedy.

use std::time::{Duration, SystemTime};

use rustls::{
    AlertDescription, CertificateError, Error, OtherError, PeerIncompatible, PeerMisbehaved,
    pki_types::{ServerName, UnixTime},
};

use super::judge::NotListed;

/// The session's state at the fault.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moment {
    /// The server answered with a `ServerHello`.
    pub(crate) greeted: bool,
    /// The server asked for our certificate.
    pub(crate) asked: bool,
    /// We have one.
    pub(crate) given: bool,
}

/// Names of a certificate that are shown, of thousands at the most.
const NAMES: usize = 4;

/// The clause behind "collector URL: ".
pub(crate) fn words(error: &Error, moment: Moment) -> String {
    match error {
        Error::InvalidCertificate(error) => certificate(error),
        Error::AlertReceived(alert) => refused(*alert, moment),
        Error::InvalidMessage(_) if !moment.greeted => "is not TLS".to_owned(),
        Error::InvalidMessage(error) => format!("sent what is not TLS: {error:?}"),
        Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::SupportedVersionsExtensionRequired,
        ) => VERSION.to_owned(),
        Error::PeerIncompatible(error) => format!("has a TLS that does not fit ours: {error:?}"),
        Error::PeerMisbehaved(
            PeerMisbehaved::SelectedUnofferedCipherSuite
            | PeerMisbehaved::SelectedUnusableCipherSuiteForVersion,
        ) => "chose a cipher suite that we do not offer".to_owned(),
        Error::PeerMisbehaved(error) => format!("breaks the rules of TLS: {error:?}"),
        Error::NoCertificatesPresented => "has no certificate".to_owned(),
        Error::DecryptError => "sent a record that cannot be decrypted".to_owned(),
        error => format!("failed in TLS: {error}"),
    }
}

const VERSION: &str = "offers neither TLS 1.2 nor TLS 1.3";

/// The fault of the collector's certificate.
fn certificate(error: &CertificateError) -> String {
    match error {
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("its certificate expired on {}", date(*not_after))
        }
        CertificateError::Expired => "its certificate expired".to_owned(),
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("its certificate is not valid before {}", date(*not_before))
        }
        CertificateError::NotValidYet => "its certificate is not valid yet".to_owned(),
        CertificateError::NotValidForNameContext { expected, presented } => names(expected, presented),
        CertificateError::NotValidForName => "its certificate is for another name".to_owned(),
        CertificateError::UnknownIssuer => {
            "its certificate is issued by no authority that we trust (ca=)".to_owned()
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "its certificate is not for servers (extended key usage)".to_owned()
        }
        CertificateError::BadSignature => "its certificate has a signature that is not right".to_owned(),
        CertificateError::BadEncoding => "its certificate is malformed".to_owned(),
        CertificateError::Revoked => "its certificate is revoked".to_owned(),
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "its certificate is signed in a way that is too weak or not known".to_owned()
        }
        CertificateError::Other(OtherError(error)) => match error.downcast_ref::<NotListed>() {
            Some(not_listed) => format!("its certificate is {not_listed}"),
            None => other(&error.to_string()),
        },
        error => other(&format!("{error:?}")),
    }
}

fn other(error: &str) -> String {
    match error {
        "CaUsedAsEndEntity" => "its certificate is an authority's (CA:TRUE), not a server's".to_owned(),
        error => format!("its certificate is not acceptable: {error}"),
    }
}

fn names(expected: &ServerName<'_>, presented: &[String]) -> String {
    let expected = expected.to_str();
    if presented.is_empty() {
        return format!("its certificate names no host (subjectAltName), so it is not for {expected}");
    }
    let mut list: Vec<_> = presented.iter().take(NAMES).map(|name| bare(name)).collect();
    if presented.len() > NAMES {
        list.push(format!("{} more", presented.len() - NAMES));
    }
    format!("its certificate is for {}, not {expected}", list.join(", "))
}

/// `DnsName("a.test")` without its shell, and without control characters.
fn bare(name: &str) -> String {
    let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or(name);
    inner.trim_matches('"').escape_debug().to_string()
}

fn date(time: UnixTime) -> String {
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(time.as_secs()));
    time.map_or_else(
        || "a day that no calendar has".to_owned(),
        |time| humantime::format_rfc3339_seconds(time).to_string(),
    )
}

/// The collector's verdict on us.
fn refused(alert: AlertDescription, moment: Moment) -> String {
    use AlertDescription as A;
    match alert {
        A::CertificateRequired => wants(alert),
        A::BadCertificate | A::HandshakeFailure | A::AccessDenied if moment.asked && !moment.given => {
            wants(alert)
        }
        A::BadCertificate
        | A::UnsupportedCertificate
        | A::CertificateRevoked
        | A::CertificateExpired
        | A::CertificateUnknown
        | A::UnknownCA
        | A::AccessDenied
        | A::DecryptError
            if moment.asked =>
        {
            format!("refused our certificate (alert {alert:?})")
        }
        A::ProtocolVersion => format!("{VERSION} (alert {alert:?})"),
        A::HandshakeFailure | A::InsufficientSecurity if !moment.greeted => {
            format!("has no cipher suite in common with us (alert {alert:?})")
        }
        _ => format!("ended the session (alert {alert:?})"),
    }
}

fn wants(alert: AlertDescription) -> String {
    format!("wants a certificate of ours: give cert= and key= (alert {alert:?})")
}
