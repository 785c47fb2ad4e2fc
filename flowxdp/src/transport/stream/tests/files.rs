//! Files that change while sessions stand.

use rustls::version::TLS13;

use super::{
    Driver, RECORDS, StreamSettings, TlsSettings, client, host,
    pki::{self, Authority, Leaf},
    server::{Collector, Server},
    session,
};
use crate::transport::tls::TlsClient;

/// A session that stands, with a client whose list of peers is in a file.
struct Standing {
    authority: Authority,
    leaf: Leaf,
    client: TlsClient,
    driver: Driver,
    server: Server<Vec<u8>>,
}

impl Standing {
    fn new() -> Self {
        let authority = Authority::new("Test CA");
        let leaf = authority.issue(&pki::server(&["collector.test"]));
        let list = authority.file("peers", &format!("# ours\nsha256:{}  # lab\n", leaf.fingerprint_text()));
        let client = client(TlsSettings { peers_file: Some(list), ..authority.settings() });
        let server = Collector::of(&TLS13).serve(&leaf);
        let mut driver = Driver::connect(server.address, &StreamSettings::default(), Some(&client)).unwrap();
        driver.ready().unwrap();
        driver.stream.judge_again(&client).unwrap();
        Self { authority, leaf, client, driver, server }
    }

    fn judge(&self) -> Result<(), String> {
        self.driver.stream.judge_again(&self.client).map_err(|broken| broken.to_string())
    }

    fn not_listed(&self) -> String {
        let fingerprint = self.leaf.fingerprint_text();
        format!("its certificate is not on the list of authorised peers (sha256:{fingerprint})")
    }
}

#[test]
fn who_is_taken_off_the_list_is_judged_again() {
    let mut standing = Standing::new();
    assert!(!standing.client.refresh_if_changed(), "nothing changed");
    standing.authority.file("peers", &format!("{}\n", "00".repeat(32)));
    assert_eq!(standing.judge(), Ok(()), "not read yet");
    assert!(standing.client.refresh_if_changed());
    assert_eq!(standing.judge(), Err(standing.not_listed()));
    assert!(!standing.client.refresh_if_changed(), "read once");
    drop(standing.driver);
    assert_eq!(standing.server.result(), b"");
    // The next try fails in the handshake, and after the list is put right it does not.
    let server = Collector::of(&TLS13).serve(&standing.leaf);
    assert!(session(server.address, Some(&standing.client)).is_err());
    assert_eq!(server.result(), b"");
    standing.authority.file("peers", &standing.leaf.fingerprint_text());
    assert!(standing.client.refresh_if_changed());
    let server = Collector::of(&TLS13).serve(&standing.leaf);
    session(server.address, Some(&standing.client)).unwrap();
    assert_eq!(server.result(), RECORDS);
}

#[test]
fn a_list_without_entries_authorises_nobody() {
    let mut standing = Standing::new();
    standing.authority.file("peers", "# nobody\n");
    assert!(standing.client.refresh_if_changed());
    assert_eq!(standing.judge(), Err(standing.not_listed()));
}

#[test]
fn a_list_that_cannot_be_read_changes_nothing() {
    let mut standing = Standing::new();
    let list = standing.authority.file("peers", "not a fingerprint\n");
    assert!(!standing.client.refresh_if_changed());
    let error = standing.client.reload().unwrap_err().to_string();
    assert!(error.contains("peers, line 1: no SHA-256 of a certificate"), "{error}");
    assert_eq!(standing.judge(), Ok(()));
    std::fs::remove_file(list).unwrap();
    assert!(!standing.client.refresh_if_changed());
    assert_eq!(standing.judge(), Ok(()));
}

#[test]
fn another_authority_in_the_file_ends_sessions_of_the_old_one() {
    let mut standing = Standing::new();
    let other = Authority::new("Other CA");
    let pem = std::fs::read_to_string(other.settings().ca.unwrap()).unwrap();
    standing.authority.file("ca.pem", &pem);
    standing.client.reload().unwrap();
    let expected = "its certificate is issued by no authority that we trust (ca=)";
    assert_eq!(standing.judge(), Err(expected.to_owned()));
}

#[test]
fn a_handshake_under_way_is_judged_by_the_new_list() {
    let mut standing = Standing::new();
    let server = Collector::of(&TLS13).serve(&standing.leaf);
    let mut driver =
        Driver::connect(server.address, &StreamSettings::default(), Some(&standing.client)).unwrap();
    standing.authority.file("peers", "");
    assert!(standing.client.refresh_if_changed());
    assert_eq!(driver.stream.judge_again(&standing.client), Ok(()), "there is no certificate yet");
    assert_eq!(driver.ready().unwrap_err().to_string(), standing.not_listed());
    drop(driver);
    assert_eq!(server.result(), b"");
}

#[test]
fn a_new_certificate_of_ours_is_shown_at_the_next_session() {
    let (theirs, other) = (Authority::new("Test CA"), Authority::new("Other CA"));
    let leaf = theirs.issue(&pki::server(&["collector.test"]));
    let collector = Collector { version: &TLS13, clients: Some(theirs.certificate()) };
    let mut client = client(theirs.settings_as(&other.issue(&pki::exporter())));
    let server = collector.serve(&leaf);
    assert!(session(server.address, Some(&client)).is_err());
    server.result();
    let good = theirs.issue(&pki::exporter());
    // Between the two writes certificate and key do not belong together: that is waited out.
    theirs.file("cert.pem", &good.pem);
    assert!(!client.refresh_if_changed());
    theirs.file("key.pem", &good.key.serialize_pem());
    assert!(client.refresh_if_changed());
    let server = collector.serve(&leaf);
    session(server.address, Some(&client)).unwrap();
    assert_eq!(server.result(), RECORDS);
}

#[test]
fn files_that_cannot_be_used_are_named_with_a_remedy() {
    let authority = Authority::new("Test CA");
    let leaf = authority.issue(&pki::exporter());
    let good = authority.settings_as(&leaf);
    let told = |change: &dyn Fn(&mut TlsSettings)| {
        let mut settings = good.clone();
        change(&mut settings);
        format!("{:#}", TlsClient::new(settings, &host("collector.test")).err().unwrap())
    };
    let empty = authority.file("empty.pem", "nothing\n");
    let other = authority.file("other.pem", &authority.issue(&pki::exporter()).key.serialize_pem());
    let locked = authority.file(
        "locked.pem",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    for (text, remedy) in [
        (told(&|s| s.ca = Some("/nowhere/ca.pem".into())), "cannot read /nowhere/ca.pem: No such file"),
        (told(&|s| s.ca = Some(empty.clone())), "empty.pem holds no certificate"),
        (told(&|s| s.cert = Some(empty.clone())), "empty.pem holds no certificate"),
        (told(&|s| s.key = Some(empty.clone())), "empty.pem holds no private key"),
        (told(&|s| s.key = Some(locked.clone())), "locked.pem is protected by a passphrase"),
        (told(&|s| s.key = Some(other.clone())), "other.pem does not belong to the first certificate in"),
        (told(&|s| s.key = None), "needs its private key: give key= too"),
        (told(&|s| s.cert = None), "needs its certificate: give cert= too"),
        (told(&|s| s.peers_file = Some("/nowhere/peers".into())), "cannot read /nowhere/peers"),
        (told(&|s| s.name = Some("not a name".into())), "is no name that a certificate can have"),
    ] {
        assert!(text.contains(remedy), "{text}");
    }
}
