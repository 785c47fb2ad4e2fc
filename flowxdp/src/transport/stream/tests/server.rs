//! A collector for tests: takes one connection in a thread and gives the octets that its application read.

#![expect(clippy::disallowed_methods, reason = "a test may panic where the system has no thread")]

use std::{
    io::Read,
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rustls::{
    RootCertStore, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion,
    crypto::ring::default_provider, pki_types::CertificateDer, server::WebPkiClientVerifier,
};

use super::{LIMIT, pki::Leaf};

/// A thread with one connection, and its result.
pub(super) struct Server<T> {
    pub(super) address: SocketAddr,
    thread: JoinHandle<T>,
}

impl<T: Send + 'static> Server<T> {
    /// Runs `talk` with the first connection that comes.
    pub(super) fn new(talk: impl FnOnce(TcpStream) -> T + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let thread = std::thread::spawn(move || {
            let stream = accept(&listener);
            drop(listener);
            talk(stream)
        });
        Self { address, thread }
    }

    pub(super) fn result(self) -> T {
        self.thread.join().unwrap()
    }
}

fn accept(listener: &TcpListener) -> TcpStream {
    let start = Instant::now();
    listener.set_nonblocking(true).unwrap();
    loop {
        match listener.accept() {
            Ok((stream, _)) => {
                stream.set_nonblocking(false).unwrap();
                stream.set_read_timeout(Some(LIMIT)).unwrap();
                stream.set_write_timeout(Some(LIMIT)).unwrap();
                return stream;
            }
            Err(_) => assert!(start.elapsed() < LIMIT, "nobody came"),
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Properties of a TLS collector.
pub(super) struct Collector {
    pub(super) version: &'static SupportedProtocolVersion,
    /// The authority of accepted clients; none: the server asks for no certificate.
    pub(super) clients: Option<CertificateDer<'static>>,
}

impl Collector {
    pub(super) const fn of(version: &'static SupportedProtocolVersion) -> Self {
        Self { version, clients: None }
    }

    pub(super) fn config(&self, leaf: &Leaf) -> Arc<ServerConfig> {
        let provider = Arc::new(default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[self.version])
            .unwrap();
        let builder = match &self.clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.clone()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        Arc::new(builder.with_single_cert(leaf.chain.clone(), leaf.private_key()).unwrap())
    }

    /// Serves one session; the result is the octets that the application read.
    pub(super) fn serve(&self, leaf: &Leaf) -> Server<Vec<u8>> {
        let config = self.config(leaf);
        Server::new(move |stream| {
            let mut tls = StreamOwned::new(ServerConnection::new(config).unwrap(), stream);
            let mut read = Vec::new();
            // Any end will do: only the octets read until then count.
            drop(tls.read_to_end(&mut read));
            tls.conn.send_close_notify();
            drop(tls.conn.write_tls(&mut tls.sock));
            read
        })
    }
}
