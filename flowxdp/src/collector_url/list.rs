//! Several URLs in one text: a comma begins another only where a scheme follows.

/// Schemes that begin another URL, whether or not this build speaks them.
const SCHEMES: [&str; 4] = ["udp://", "tcp://", "tls://", "dtls://"];

/// The URLs of a list; all other commas belong to a parameter.
pub fn split_list(text: &str) -> Vec<&str> {
    let mut urls = Vec::new();
    let mut start = 0;
    for (at, _) in text.match_indices(',') {
        if begins_url(&text[at + 1..]) {
            urls.push(&text[start..at]);
            start = at + 1;
        }
    }
    urls.push(&text[start..]);
    urls
}

fn begins_url(text: &str) -> bool {
    let begins =
        |scheme: &&str| text.get(..scheme.len()).is_some_and(|head| head.eq_ignore_ascii_case(scheme));
    SCHEMES.iter().any(begins)
}

#[cfg(test)]
mod tests {
    use super::split_list;

    #[test]
    fn a_comma_separates_only_in_front_of_a_scheme() {
        for (text, urls) in [
            ("udp://a", &["udp://a"][..]),
            ("udp://a,TLS://b?ca=x,y.pem,tcp://c", &["udp://a", "TLS://b?ca=x,y.pem", "tcp://c"]),
            ("udp://a?fields=default,-b,+c,dtls://d", &["udp://a?fields=default,-b,+c", "dtls://d"]),
            ("udp://a,", &["udp://a,"]),
            ("udp://a,b", &["udp://a,b"]),
            ("", &[""]),
            ("udp://a,udp:/b,é", &["udp://a,udp:/b,é"]),
        ] {
            assert_eq!(split_list(text), urls, "{text}");
        }
    }
}
