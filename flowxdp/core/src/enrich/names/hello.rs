//! A TLS ClientHello: server name, ALPN, and whether a part of it is encrypted.

use tls_parser::{
    SNIType, TlsExtension, parse_tls_extension_alpn_content, parse_tls_extension_sni_content,
    parse_tls_handshake_client_hello,
};

use super::verdict::{Hello, Reason, text};

/// Handshake message type.
pub(super) const CLIENT_HELLO: u8 = 1;

/// Extension types (IANA, TLS ExtensionType Values).
const SERVER_NAME: u16 = 0;
const ALPN: u16 = 16;
const ENCRYPTED_CLIENT_HELLO: u16 = 0xfe0d;

/// ALPN names that are kept: clients send two or three.
const MOST_ALPN: usize = 64;

/// Reads a handshake message of a client.
///
/// # Errors
///
/// A message that is no ClientHello, and one that breaks the rules.
pub(super) fn read(kind: u8, body: &[u8]) -> Result<Hello, Reason> {
    if kind != CLIENT_HELLO {
        return Err(Reason::Nameless);
    }
    let (rest, contents) = parse_tls_handshake_client_hello(body).map_err(|_| Reason::Malformed)?;
    if !rest.is_empty() {
        return Err(Reason::Malformed);
    }
    let mut hello = Hello::default();
    let mut extensions = contents.ext.unwrap_or_default();
    while !extensions.is_empty() {
        let (kind, content, behind) = extension(extensions).ok_or(Reason::Malformed)?;
        take(&mut hello, kind, content)?;
        extensions = behind;
    }
    Ok(hello)
}

/// The type and content of the first extension, and the octets behind it. Each is cut out by its length alone, since an
/// extension that the parser does not know must not hide the name behind it.
fn extension(octets: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let (&[a, b, c, d], rest) = octets.split_first_chunk()?;
    let (content, behind) = rest.split_at_checked(usize::from(u16::from_be_bytes([c, d])))?;
    Some((u16::from_be_bytes([a, b]), content, behind))
}

fn take(hello: &mut Hello, kind: u16, content: &[u8]) -> Result<(), Reason> {
    match kind {
        SERVER_NAME if hello.server_name.is_none() => hello.server_name = Some(server_name(content)?),
        ALPN if hello.alpn.is_empty() => {
            let Ok((_, TlsExtension::ALPN(names))) = parse_tls_extension_alpn_content(content) else {
                return Err(Reason::Malformed);
            };
            hello.alpn = names.into_iter().take(MOST_ALPN).map(text).collect::<Result<_, _>>()?;
        }
        ENCRYPTED_CLIENT_HELLO => hello.has_ech = true,
        _ => {}
    }
    Ok(())
}

/// The first host name of the list.
fn server_name(content: &[u8]) -> Result<Box<str>, Reason> {
    match parse_tls_extension_sni_content(content) {
        Ok((_, TlsExtension::SNI(names))) => {
            let host = names.iter().find(|(kind, _)| *kind == SNIType::HostName);
            host.ok_or(Reason::Malformed).and_then(|(_, name)| text(name))
        }
        _ => Err(Reason::Malformed),
    }
}
