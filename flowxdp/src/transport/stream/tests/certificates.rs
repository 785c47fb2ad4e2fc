//! The matrix of certificates that a collector may show.

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, date_time_ymd};
use rustls::version::{TLS12, TLS13};

use super::{
    Phase, RECORDS, TlsSettings, client,
    pki::{self, Authority, Leaf},
    server::Collector,
    session,
};
use crate::transport::tls::TlsClient;

/// A session with such a collector, in both versions: why it ended, or that all arrived. A collector that is
/// not trusted reads nothing.
fn outcome(leaf: &Leaf, client: &TlsClient) -> Result<(), String> {
    let mut results = Vec::new();
    for version in [&TLS13, &TLS12] {
        let server = Collector::of(version).serve(leaf);
        let result = session(server.address, Some(client));
        let expected: &[u8] = if result.is_ok() { RECORDS } else { b"" };
        assert_eq!(server.result(), expected, "{result:?}");
        results.push(result.map(|phases| {
            assert!(!phases.contains(&Phase::Probing), "who asks for no certificate refuses none");
        }));
    }
    assert_eq!(results[0], results[1], "TLS 1.3 and 1.2 agree");
    results.remove(0)
}

fn refusal(params: &CertificateParams) -> String {
    let authority = Authority::new("Test CA");
    outcome(&authority.issue(params), &client(authority.settings())).unwrap_err()
}

#[test]
fn a_good_certificate_gets_the_records() {
    let authority = Authority::new("Test CA");
    for names in
        [&["collector.test"][..], &["other.test", "collector.test"], &["*.lab.test", "collector.test"]]
    {
        let leaf = authority.issue(&pki::server(names));
        assert_eq!(outcome(&leaf, &client(authority.settings())), Ok(()), "{names:?}");
    }
    let settings = TlsSettings { name: Some("a.lab.test".to_owned()), ..authority.settings() };
    let wild = authority.issue(&pki::server(&["*.lab.test"]));
    assert_eq!(outcome(&wild, &client(settings)), Ok(()));
}

#[test]
fn an_address_is_judged_by_the_addresses_of_the_certificate() {
    let authority = Authority::new("Test CA");
    let client = TlsClient::new(authority.settings(), &super::host("127.0.0.1")).unwrap();
    assert_eq!(outcome(&authority.issue(&pki::server(&["127.0.0.1"])), &client), Ok(()));
    let other = outcome(&authority.issue(&pki::server(&["192.0.2.1"])), &client);
    assert_eq!(other, Err("its certificate is for 192.0.2.1, not 127.0.0.1".to_owned()));
}

#[test]
fn a_name_in_the_url_stands_for_the_host() {
    let authority = Authority::new("Test CA");
    let settings = TlsSettings { name: Some("other.test".to_owned()), ..authority.settings() };
    assert_eq!(outcome(&authority.issue(&pki::server(&["other.test"])), &client(settings)), Ok(()));
}

#[test]
fn an_expired_one_gets_nothing() {
    let mut params = pki::server(&["collector.test"]);
    params.not_after = date_time_ymd(2021, 2, 3);
    assert_eq!(refusal(&params), "its certificate expired on 2021-02-03T00:00:00Z");
}

#[test]
fn one_that_is_not_valid_yet_gets_nothing() {
    let mut params = pki::server(&["collector.test"]);
    params.not_before = date_time_ymd(2089, 1, 1);
    assert_eq!(refusal(&params), "its certificate is not valid before 2089-01-01T00:00:00Z");
}

#[test]
fn one_for_other_names_gets_nothing() {
    let told = |names: &[&str]| refusal(&pki::server(names));
    assert_eq!(told(&["other.test"]), "its certificate is for other.test, not collector.test");
    assert_eq!(told(&["*.collector.test"]), "its certificate is for *.collector.test, not collector.test");
    assert_eq!(told(&["192.0.2.1"]), "its certificate is for 192.0.2.1, not collector.test");
    assert_eq!(
        told(&["a.test", "b.test", "c.test", "d.test", "e.test", "f.test"]),
        "its certificate is for a.test, b.test, c.test, d.test, 2 more, not collector.test"
    );
}

#[test]
fn a_common_name_is_no_dns_id() {
    let mut params = pki::server(&[]);
    params.distinguished_name.push(DnType::CommonName, "collector.test");
    let told = refusal(&params);
    assert_eq!(told, "its certificate names no host (subjectAltName), so it is not for collector.test");
}

#[test]
fn one_for_clients_only_gets_nothing() {
    let mut params = pki::server(&["collector.test"]);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    assert_eq!(refusal(&params), "its certificate is not for servers (extended key usage)");
}

#[test]
fn one_of_another_authority_gets_nothing() {
    let (ours, theirs) = (Authority::new("Test CA"), Authority::new("Other CA"));
    let leaf = theirs.issue(&pki::server(&["collector.test"]));
    let told = outcome(&leaf, &client(ours.settings())).unwrap_err();
    assert_eq!(told, "its certificate is issued by no authority that we trust (ca=)");
    // The same name and another key: the signature tells.
    let twin = Authority::new("Test CA").issue(&pki::server(&["collector.test"]));
    let told = outcome(&twin, &client(ours.settings())).unwrap_err();
    assert_eq!(told, "its certificate has a signature that is not right");
}

#[test]
fn a_self_signed_one_gets_nothing() {
    let leaf = Leaf::self_signed(&pki::server(&["collector.test"]));
    let told = outcome(&leaf, &client(Authority::new("Test CA").settings())).unwrap_err();
    assert_eq!(told, "its certificate is issued by no authority that we trust (ca=)");
}

#[test]
fn the_system_trusts_no_authority_of_ours() {
    let leaf = Authority::new("Test CA").issue(&pki::server(&["collector.test"]));
    // A system may have no authorities at all.
    let client = match TlsClient::new(TlsSettings::default(), &super::host("collector.test")) {
        Ok(client) => client,
        Err(error) => return assert!(error.to_string().ends_with("give ca=FILE"), "{error}"),
    };
    let told = outcome(&leaf, &client).unwrap_err();
    assert_eq!(told, "its certificate is issued by no authority that we trust (ca=)");
}

#[test]
fn with_a_list_only_what_is_on_it_gets_records() {
    let authority = Authority::new("Test CA");
    let listed = authority.issue(&pki::server(&["collector.test"]));
    let stranger = authority.issue(&pki::server(&["collector.test"]));
    let settings = TlsSettings { peers: vec![listed.fingerprint()], ..authority.settings() };
    let client = client(settings);
    assert_eq!(outcome(&listed, &client), Ok(()));
    let told = outcome(&stranger, &client).unwrap_err();
    let expected = format!(
        "its certificate is not on the list of authorised peers (sha256:{})",
        stranger.fingerprint_text()
    );
    assert_eq!(told, expected);
}

#[test]
fn being_on_the_list_does_not_replace_a_good_chain() {
    let leaf = Leaf::self_signed(&pki::server(&["collector.test"]));
    let authority = Authority::new("Test CA");
    let settings = TlsSettings { peers: vec![leaf.fingerprint()], ..authority.settings() };
    let told = outcome(&leaf, &client(settings)).unwrap_err();
    assert_eq!(told, "its certificate is issued by no authority that we trust (ca=)");
}
