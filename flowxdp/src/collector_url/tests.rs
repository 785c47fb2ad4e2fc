//! What is taken as a URL, what is not, and what the user is told.

use std::net::Ipv4Addr;

use proptest::prelude::*;

use super::*;

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
    assert_eq!(parsed("udp://h?").mtu(), None);
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
        "tcp://192.0.2.1",
        "tls://192.0.2.1",
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
        "udp://h?protocol=v5",
        "udp://h?protocol=v7",
        "udp://h?protocol=v1",
        "udp://h?protocol=sflow",
        "udp://h?source=eth0",
        "udp://h?source=0.0.0.0",
        "udp://192.0.2.1?source=::1",
    ]
    .iter()
    .map(|text| format!("{text}\n    {}", refused(text)))
    .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn listening_takes_port_0_and_no_parameters() {
    let listen = |text: &str| text.parse::<ListenUrl>();
    assert_eq!(listen("udp://127.0.0.1:0").unwrap().port(), 0);
    assert_eq!(listen("udp://[::]").unwrap().port(), 4739);
    assert_eq!(listen("udp://localhost:9995").unwrap().host(), &Host::Name("localhost".to_owned()));
    assert_eq!(listen("udp://h?mtu=1400"), Err(UrlError::NoParameters));
    assert_eq!(listen("udp://h:9995").unwrap().to_string(), "udp://h:9995");
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC*") {
        let _ = (text.parse::<CollectorUrl>(), text.parse::<ListenUrl>());
    }

    #[test]
    fn no_nearly_right_text_panics(
        text in "(udp|tcp|tls|x)?(://)?[\\[\\]@:/%#?&=0-9a-f.é]{0,24}(\\?(mtu|source|protocol)=[0-9a-z:.&]{0,8})?"
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
