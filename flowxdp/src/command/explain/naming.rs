//! Names of a packet's payload, in words and as fields of a JSON object.

use flowxdp_core::enrich::names::verdict::{Answer, Hello, Message, Names, Reason, Verdict};
use serde_json::{Value, json};

use crate::names::Said;

/// Types of DNS records (IANA, DNS parameters) that names are asked for by.
const TYPES: [(u16, &str); 11] = [
    (1, "A"),
    (2, "NS"),
    (5, "CNAME"),
    (6, "SOA"),
    (12, "PTR"),
    (15, "MX"),
    (16, "TXT"),
    (28, "AAAA"),
    (33, "SRV"),
    (64, "SVCB"),
    (65, "HTTPS"),
];

/// The words behind those of the headers: nothing for a payload of which nothing is known.
pub(super) fn words(said: &Said) -> String {
    let mut words = match &said.verdict {
        Verdict::Named(Names::Tls(of)) => format!("; TLS {}", hello(of)),
        Verdict::Named(Names::Quic(of)) => format!("; QUIC {}", hello(of)),
        Verdict::Named(Names::Http(request)) => match &request.host {
            Some(host) => format!("; HTTP host {host}"),
            None => "; HTTP without a host".to_owned(),
        },
        Verdict::Named(Names::Dns(of)) => format!("; DNS {}", message(of)),
        Verdict::Unnamed(Reason::Unknown | Reason::Nameless) => String::new(),
        Verdict::Unnamed(reason) => format!("; no name: {}", reason.words()),
    };
    if let Some(name) = &said.resolved {
        words += &format!("; resolved as {name}");
    }
    words
}

fn hello(hello: &Hello) -> String {
    let mut words = match &hello.server_name {
        Some(name) => format!("server name {name}"),
        None => "without a server name".to_owned(),
    };
    if !hello.alpn.is_empty() {
        words += &format!(", ALPN {}", hello.alpn.join(" "));
    }
    if hello.has_ech {
        words += ", encrypted client hello: the name is the outer one";
    }
    words
}

fn message(message: &Message) -> String {
    let known = TYPES.iter().find(|(number, _)| *number == message.kind).map(|(_, name)| (*name).to_owned());
    let kind = known.unwrap_or_else(|| format!("type {}", message.kind));
    let question = message.question.as_deref().unwrap_or("nothing");
    let way = if message.is_response { "response" } else { "query" };
    let mut words = format!("{way} {kind} {question}");
    if message.code != 0 {
        words += &format!(", code {}", message.code);
    }
    let answer = |answer: &Answer| format!("{} for {} s", answer.address, answer.ttl);
    let answers: Vec<String> = message.answers.iter().map(answer).collect();
    if answers.is_empty() { words } else { words + ": " + &answers.join(", ") }
}

/// The fields: `names`, or the reason why there are none, and `resolved` where a name was.
pub(super) fn fields(said: &Said) -> Vec<(String, Value)> {
    let names = match &said.verdict {
        Verdict::Named(names) => json!(names),
        Verdict::Unnamed(reason) => json!({"reason": reason}),
    };
    let mut fields = vec![("names".to_owned(), names)];
    fields.extend(said.resolved.as_ref().map(|name| ("resolved".to_owned(), json!(name))));
    fields
}

#[cfg(test)]
mod tests {
    use flowxdp_core::enrich::names::verdict::Request;

    use super::*;

    fn said(verdict: Verdict, resolved: Option<&str>) -> Said {
        Said { verdict, resolved: resolved.map(Into::into) }
    }

    #[test]
    fn names_and_reasons_have_words_and_fields() {
        let hello = Hello {
            server_name: Some("a.example".into()),
            alpn: vec!["h2".into(), "h3".into()],
            has_ech: true,
        };
        let answers = vec![Answer { address: [192, 0, 2, 1].into(), ttl: 30 }];
        let message =
            Message { is_response: true, question: Some("a.example".into()), kind: 257, code: 3, answers };
        for (verdict, resolved, words, fields) in [
            (
                Verdict::Named(Names::Tls(hello)),
                None,
                "; TLS server name a.example, ALPN h2 h3, encrypted client hello: the name is the outer one",
                r#"{"protocol":"tls","server_name":"a.example","alpn":["h2","h3"],"ech":true}"#,
            ),
            (
                Verdict::Named(Names::Quic(Hello::default())),
                Some("b.example"),
                "; QUIC without a server name; resolved as b.example",
                r#"{"protocol":"quic","server_name":null,"alpn":[],"ech":false}"#,
            ),
            (
                Verdict::Named(Names::Http(Request { host: Some("a.example:80".into()) })),
                None,
                "; HTTP host a.example:80",
                r#"{"protocol":"http","host":"a.example:80"}"#,
            ),
            (
                Verdict::Named(Names::Dns(message)),
                None,
                "; DNS response type 257 a.example, code 3: 192.0.2.1 for 30 s",
                r#"{"protocol":"dns","response":true,"question":"a.example","type":257,"code":3,"answers":[{"address":"192.0.2.1","ttl":30}]}"#,
            ),
            (
                Verdict::Unnamed(Reason::TooLong),
                None,
                "; no name: longer than is held of a flow",
                r#"{"reason":"too_long"}"#,
            ),
            (
                Verdict::Unnamed(Reason::Unknown),
                Some("b.example"),
                "; resolved as b.example",
                r#"{"reason":"unknown"}"#,
            ),
        ] {
            let said = said(verdict, resolved);
            assert_eq!(super::words(&said), words);
            let fields: Value = serde_json::from_str(fields).unwrap();
            assert_eq!(super::fields(&said)[0], ("names".to_owned(), fields));
            assert_eq!(super::fields(&said).get(1).map(|it| it.1.as_str()), resolved.map(Some));
        }
    }
}
