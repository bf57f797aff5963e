//! TLS before the server.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::Listener;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;

/// How long a client may take to shake hands.
const PATIENCE: Duration = Duration::from_secs(20);
/// How many connections may wait to be served.
const WAITING: usize = 64;

/// A certificate or a key that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("could not read the certificate or its key")]
    Read(#[from] io::Error),
    /// A file is not PEM, or has nothing of this kind in it.
    #[error("`{file}` holds no {what} in PEM")]
    Pem {
        /// The file.
        file: String,
        /// What was looked for.
        what: &'static str,
    },
    /// The two do not go together, or are of a kind that is not known.
    #[error("the certificate and the key cannot be used together")]
    Pair(#[from] tokio_rustls::rustls::Error),
}

/// Reads a certificate, with those that stand behind it, and its key.
pub(super) fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, TlsError> {
    let pem = |file: &Path, what| TlsError::Pem { file: file.display().to_string(), what };
    let bytes = fs_err::read(certificate)?;
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<_, _>>()
        .map_err(|_| pem(certificate, "certificate"))?;
    if chain.is_empty() {
        return Err(pem(certificate, "certificate"));
    }
    let bytes = fs_err::read(key)?;
    let key = PrivateKeyDer::from_pem_slice(&bytes).map_err(|_| pem(key, "private key"))?;
    let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Takes connections and shakes hands, with many clients at once.
pub(super) struct TlsListener {
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
    address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl TlsListener {
    pub fn new(mut listener: TcpListener, acceptor: TlsAcceptor) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let (sender, ready) = mpsc::channel(WAITING);
        let task = tokio::spawn(async move {
            loop {
                // Axum's own way of accepting, which goes on after errors that pass.
                let (stream, from) = Listener::accept(&mut listener).await;
                let (acceptor, sender) = (acceptor.clone(), sender.clone());
                let _ = stream.set_nodelay(true);
                tokio::spawn(async move {
                    match tokio::time::timeout(PATIENCE, acceptor.accept(stream)).await {
                        Ok(Ok(stream)) => {
                            let _ = sender.send((stream, from)).await;
                        }
                        Ok(Err(error)) => tracing::debug!(%from, %error, "no handshake"),
                        Err(_) => tracing::debug!(%from, "no handshake in time"),
                    }
                });
            }
        });
        Ok(Self { ready, address, task })
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(accepted) => accepted,
            // The task that accepts never ends before this does.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        Ok(self.address)
    }
}

impl Drop for TlsListener {
    fn drop(&mut self) {
        self.task.abort();
    }
}
