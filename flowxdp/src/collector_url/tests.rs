//! URLs that are accepted, URLs that are refused, and the refusals' texts.

use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;
use crate::committed::compare;

fn parsed(text: &str) -> CollectorUrl {
    text.parse().unwrap()
}

fn refused(text: &str) -> String {
    text.parse::<CollectorUrl>().unwrap_err().to_string()
}

#[test]
fn a_plain_url_takes_the_defaults() {
    let url = parsed("udp://collector.example.net");
    assert_eq!(url.host(), &Host::Name("collector.example.net".to_owned()));
    assert_eq!((url.port(Protocol::Ipfix), url.port(Protocol::V9)), (4739, 2055));
    assert_eq!((url.mtu(), url.source()), (None, None));
    assert_eq!(url.protocol(Protocol::V9), Protocol::V9);
}

#[test]
fn the_port_follows_the_protocol_of_the_url() {
    let url = parsed("udp://192.0.2.1?protocol=v9");
    assert_eq!(url.host(), &Host::V4(Ipv4Addr::new(192, 0, 2, 1)));
    assert_eq!((url.port(Protocol::Ipfix), url.protocol(Protocol::Ipfix)), (2055, Protocol::V9));
    assert_eq!(parsed("udp://192.0.2.1:9995?protocol=IPFIX").port(Protocol::V9), 9995);
}

#[test]
fn parameters_are_taken() {
    let url = parsed("udp://h:9995?protocol=ipfix&mtu=1400&source=192.0.2.7");
    assert_eq!(url.mtu(), Some(1400));
    assert_eq!(url.source(), Some("192.0.2.7".parse().unwrap()));
    assert_eq!(parsed("udp://[::1]?source=[2001:db8::1]").source(), Some("2001:db8::1".parse().unwrap()));
    assert_eq!(parsed("udp://[::1]?source=2001:db8::1").source(), Some("2001:db8::1".parse().unwrap()));
    assert_eq!((parsed("udp://h?").mtu(), parsed("udp://h?").preset()), (None, None));
    assert_eq!(parsed("udp://h?protocol=v9&preset=nfdump").preset(), Some(Preset::Nfdump));
}

#[test]
fn ipv6_stands_in_brackets() {
    let host = |text: &str| parsed(text).host().clone();
    let zone = |zone: &str| Host::V6 { address: "fe80::1".parse().unwrap(), zone: Some(zone.to_owned()) };
    assert_eq!(host("udp://[::1]:9995"), Host::V6 { address: "::1".parse().unwrap(), zone: None });
    assert_eq!(host("udp://[fe80::1%eth0]:9995"), zone("eth0"));
    assert_eq!(host("udp://[fe80::1%25eth0]"), zone("eth0"));
    assert_eq!(host("udp://[fe80::1%25]"), zone("25"));
    assert_eq!(host("udp://[fe80::1%253]"), zone("253"));
    assert_eq!(host("udp://[fe80::1%eth0]").to_string(), "[fe80::1%eth0]");
}

#[test]
fn display_is_the_text_as_typed() {
    for text in ["UDP://Host:04739?mtu=1400&protocol=V9", "udp://[FE80::1%25eth0]", "udp://h?"] {
        assert_eq!(parsed(text).to_string(), text);
    }
}

#[test]
fn refusals_name_the_thing_and_the_remedy() {
    let lines: Vec<String> = [
        "",
        "192.0.2.1:4739",
        "http://192.0.2.1",
        "udp://",
        "udp://:4739",
        "udp://192.0.2.256",
        "udp://1.2.3",
        "udp://ho st",
        "udp://höst",
        "udp://a..b",
        "udp://2001:db8::1",
        "udp://[2001:db8::1",
        "udp://[2001:db8::1]4739",
        "udp://[2001:db8::g]",
        "udp://[fe80::1%]",
        "udp://h:",
        "udp://h:0",
        "udp://h:65536",
        "udp://h:+80",
        "udp://user@h",
        "udp://h/",
        "udp://h/path?mtu=1400",
        "udp://h#top",
        "udp://h?mtu=511",
        "udp://h?mtu=65508",
        "udp://h?mtu",
        "udp://h?mtu=1400&mtu=1400",
        "udp://h?colour=red",
        "udp://h?preset=colour",
        "udp://h?preset=",
        "udp://h?preset=nfdump&preset=nfdump",
        "udp://h?protocol=v8",
        "udp://h?protocol=sflow",
        "tcp://h?protocol=v9",
        "tls://h?name=c.example&protocol=v5",
        "tcp://h?mtu=65536",
        "udp://h?ca=ca.pem",
        "tcp://h?peer=sha256:00",
        "tls://h?ca=",
        "tls://h?cert",
        "tls://h?key=a&key=b",
        "tls://h?ca=100%",
        "tls://h?ca=%4",
        "tls://h?ca=%zz",
        "tls://h?name=%ff",
        "tls://h?name=two%20words",
        "tls://h?peer=sha256:00",
        "udp://h?source=eth0",
        "udp://h?source=0.0.0.0",
        "udp://192.0.2.1?source=::1",
        "udp://h?resend-after-end",
        "tcp://h?resend-after-end=yes",
        "tls://h?resend-after-end=",
        "tcp://h?resend-after-end&resend-after-end=false",
    ]
    .iter()
    .map(|text| format!("{text}\n    {}", refused(text)))
    .collect();
    compare("src/collector_url/snapshots/refusals_name_the_thing_and_the_remedy.txt", &lines.join("\n"));
}

#[test]
fn a_switch_is_on_by_its_name() {
    let url = |query: &str| parsed(&format!("tcp://h{query}")).resend_after_end();
    assert_eq!((url(""), url("?resend-after-end")), (None, Some(true)));
    assert_eq!((url("?resend-after-end=true"), url("?resend-after-end=false")), (Some(true), Some(false)));
}

#[test]
fn streams_have_ports_and_sizes_of_their_own() {
    let tcp = parsed("TCP://h?mtu=65535");
    assert_eq!((tcp.scheme(), tcp.mtu(), tcp.port(Protocol::Ipfix)), (Scheme::Tcp, Some(65_535), 4739));
    let tls = parsed("tls://h?protocol=ipfix&source=192.0.2.7");
    assert_eq!((tls.scheme(), tls.port(Protocol::V9), parsed("tls://h:1").port(Protocol::Ipfix)), {
        (Scheme::Tls, 4740, 1)
    });
    assert_eq!(parsed("udp://h").scheme(), Scheme::Udp);
}

#[test]
fn every_protocol_goes_over_udp_and_ipfix_alone_over_streams() {
    for protocol in Protocol::ALL {
        let url = parsed(&format!("udp://h?protocol={protocol}", protocol = protocol.name()));
        assert_eq!((url.protocol(Protocol::Ipfix), url.port(Protocol::Ipfix)), (protocol, protocol.port()));
        let flags = TlsSettings::default();
        assert_eq!(parsed("udp://h").check(protocol, &flags), Ok(()));
        for (text, scheme) in [("tcp://h", Scheme::Tcp), ("tls://h", Scheme::Tls)] {
            let expected =
                if protocol == Protocol::Ipfix { Ok(()) } else { Err(UrlError::UdpAlone(protocol, scheme)) };
            assert_eq!(parsed(text).check(protocol, &flags), expected);
        }
    }
}

#[test]
fn tls_parameters_are_taken_and_go_before_the_flags() {
    let (one, two) = ([0xab; 32], [0x01; 32]);
    let hex = |peer: [u8; 32], separator: &str| peer.map(|octet| format!("{octet:02x}")).join(separator);
    let url = parsed(&format!(
        "tls://h?ca=/etc/a%20b%2Cc.pem&cert=%e4.pem&key=k%25.pem&name=192.0.2.9&peer=sha256:{}&peer=SHA256:{}",
        hex(one, ""),
        hex(two, ":"),
    ));
    let flags = TlsSettings {
        ca: Some("flag-ca".into()),
        cert: Some("flag-cert".into()),
        key: Some("flag-key".into()),
        name: Some("flag.example".to_owned()),
        peers: vec![[0; 32]],
        peers_file: Some("flag-peers".into()),
    };
    let cert = std::os::unix::ffi::OsStringExt::from_vec(b"\xe4.pem".to_vec());
    let expected = TlsSettings {
        ca: Some("/etc/a b,c.pem".into()),
        cert: Some(OsString::into(cert)),
        key: Some("k%.pem".into()),
        name: Some("192.0.2.9".to_owned()),
        peers: vec![one, two],
        peers_file: None,
    };
    assert_eq!(url.tls(&flags), expected);
    // The flags set the parameters that a URL leaves open; its list of peers is one parameter.
    let url = parsed("tls://h?peers=list&name=h.example");
    let expected = TlsSettings {
        ca: flags.ca.clone(),
        cert: flags.cert.clone(),
        key: flags.key.clone(),
        name: Some("h.example".to_owned()),
        peers: Vec::new(),
        peers_file: Some("list".into()),
    };
    assert_eq!(url.tls(&flags), expected);
    let settings = parsed("tls://h").tls(&flags);
    assert_eq!((settings.peers, settings.peers_file), (vec![[0; 32]], Some("flag-peers".into())));
}

#[test]
fn a_certificate_goes_with_a_key() {
    let check = |text: &str, flags: &TlsSettings| parsed(text).check(Protocol::Ipfix, flags);
    let none = TlsSettings::default();
    assert_eq!(check("tls://h?cert=c", &none), Err(UrlError::NoKey));
    assert_eq!(check("tls://h?key=k", &none), Err(UrlError::NoCertificate));
    assert_eq!(check("tls://h?cert=c&key=k", &none), Ok(()));
    let key = TlsSettings { key: Some("k".into()), ..none };
    assert_eq!(check("tls://h?cert=c", &key), Ok(()));
    assert_eq!(check("tls://h", &key), Err(UrlError::NoCertificate));
    assert_eq!(check("tcp://h", &key), Ok(()));
}

#[test]
fn listening_takes_port_0_and_no_parameters() {
    let listen = |text: &str| text.parse::<ListenUrl>();
    assert_eq!(listen("udp://127.0.0.1:0").unwrap().port(), 0);
    assert_eq!(listen("udp://[::]").unwrap().port(), 4739);
    assert_eq!(listen("udp://localhost:9995").unwrap().host(), &Host::Name("localhost".to_owned()));
    assert_eq!(listen("udp://h?mtu=1400"), Err(UrlError::NoParameters));
    assert_eq!(listen("tcp://h"), Err(UrlError::Listen));
    assert_eq!(listen("tls://h"), Err(UrlError::Listen));
    assert_eq!(listen("udp://h:9995").unwrap().to_string(), "udp://h:9995");
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC*") {
        let _ = (text.parse::<CollectorUrl>(), text.parse::<ListenUrl>());
    }

    #[test]
    fn no_nearly_right_text_panics(
        text in "(udp|tcp|tls|x)?(://)?[\\[\\]@:/%#?&=0-9a-f.é]{0,24}(\\?(mtu|source|protocol|ca|name|peer)=[0-9a-z:.&%é]{0,8})?"
    ) {
        if let Ok(url) = text.parse::<CollectorUrl>() {
            prop_assert_eq!(&url.to_string(), &text);
            prop_assert!(url.port(Protocol::Ipfix) > 0);
        }
        let _ = text.parse::<ListenUrl>();
    }

    #[test]
    fn ports_and_hosts_come_back(address: [u8; 4], port in 1u16..) {
        let url = parsed(&format!("udp://{}:{port}", Ipv4Addr::from(address)));
        prop_assert_eq!(url.port(Protocol::V9), port);
        prop_assert_eq!(url.host().address(), Some(IpAddr::from(address)));
    }
}

#[test]
fn a_preset_brings_its_protocol_and_fields_and_the_url_has_the_last_word() {
    let protocol = |text| parsed(text).protocol(Protocol::V5);
    assert_eq!(protocol("udp://h?preset=elastic"), Protocol::V9);
    assert_eq!(protocol("udp://h?preset=elastic&protocol=ipfix"), Protocol::Ipfix);
    let [nfdump, akvorado] = ["udp://h?preset=nfdump", "udp://h?preset=akvorado"].map(protocol);
    assert_eq!((nfdump, akvorado), (Protocol::V5, Protocol::Ipfix));
    let fields = |text| -> Vec<u16> {
        let (choice, _) = parsed(text).choice(&crate::config::Record::default()).unwrap();
        choice.elements().map(|element| element.id).collect()
    };
    let original = fields("udp://h?preset=netflow-original");
    assert!(original.contains(&7) && [52, 58, 136, 60].iter().all(|id| !original.contains(id)));
    assert_eq!(fields("udp://h?preset=netflow-original&fields=default"), fields("udp://h"));
}
