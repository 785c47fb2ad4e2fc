//! A collector over TCP and TLS 1.3 that reads to the end and counts records.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, anyhow, ensure};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;

use super::decode::Layouts;

/// A receiver in a thread of its own.
pub(crate) struct Stream {
    port: u16,
    /// Where the certificate is, if it speaks TLS.
    folder: Option<TempDir>,
    thread: JoinHandle<Result<u64>>,
}

impl Stream {
    pub(crate) fn start(tls: bool) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let (config, folder) = if tls {
            let (config, folder) = server()?;
            (Some(config), Some(folder))
        } else {
            (None, None)
        };
        let thread = thread::spawn(move || {
            let (socket, _) = listener.accept()?;
            receive(socket, config)
        });
        Ok(Self { port, folder, thread })
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// The file with the certificate.
    pub(crate) fn ca(&self) -> Option<PathBuf> {
        self.folder.as_ref().map(|folder| folder.path().join(CERTIFICATE))
    }

    /// Waits for the end; gives the data records of all messages.
    pub(crate) fn finish(self) -> Result<u64> {
        self.thread.join().map_err(|_| anyhow!("the receiver panicked"))?
    }
}

const CERTIFICATE: &str = "certificate.pem";

/// A certificate of its own, which is in the folder.
fn server() -> Result<(Arc<ServerConfig>, TempDir)> {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join(CERTIFICATE), made.cert.pem())?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)?;
    Ok((Arc::new(config), folder))
}

fn receive(socket: TcpStream, config: Option<Arc<ServerConfig>>) -> Result<u64> {
    match config {
        Some(config) => count(StreamOwned::new(ServerConnection::new(config)?, socket)),
        None => count(socket),
    }
}

fn count(mut stream: impl Read) -> Result<u64> {
    let layouts = Layouts::new();
    let mut octets = vec![0; 1 << 18];
    let (mut records, mut end) = (0, 0);
    loop {
        let length = stream.read(&mut octets[end..]).context("reading")?;
        if length == 0 {
            ensure!(end == 0, "the stream ends within a message");
            return Ok(records);
        }
        end += length;
        let mut start = 0;
        while let Some(message) = message(&octets[start..end])? {
            records += layouts.sum(message).records;
            start += message.len();
        }
        octets.copy_within(start..end, 0);
        end -= start;
    }
}

/// The first message, if it is whole: its length is behind the version (RFC 7011 section 3.1).
fn message(octets: &[u8]) -> Result<Option<&[u8]>> {
    let Some(&[_, _, high, low]) = octets.first_chunk() else { return Ok(None) };
    let length = usize::from(u16::from_be_bytes([high, low]));
    ensure!(length >= 16, "a message of {length} octets");
    Ok(octets.get(..length))
}
