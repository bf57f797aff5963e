//! Where a server listens, with or without TLS, and how it stops.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt as _;
use tokio::net::{TcpListener, TcpSocket};

use super::{ServerError, tls};

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;

/// An address that is taken. Nothing is answered before [`Door::serve`], but clients may connect.
pub struct Door {
    listener: TcpListener,
    acceptor: Option<tokio_rustls::TlsAcceptor>,
    address: SocketAddr,
}

impl Door {
    /// Takes `ADDRESS:PORT`; a port of 0 takes a free one. `tls` names the files with a certificate and its key, in PEM.
    pub async fn open(listen: &str, tls: Option<&(PathBuf, PathBuf)>) -> Result<Self, ServerError> {
        let acceptor = tls.map(|(certificate, key)| tls::acceptor(certificate, key)).transpose()?;
        let failed = |source| ServerError::Listen { address: listen.to_owned(), source };
        let listener = take(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, acceptor, address })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether clients speak TLS with it.
    pub fn is_secure(&self) -> bool {
        self.acceptor.is_some()
    }

    /// Serves until `stop` comes about; then requests that have begun may end, for as long as `grace`.
    pub async fn serve(
        self,
        app: Router,
        grace: Duration,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), ServerError> {
        let (told, mut hears) = tokio::sync::watch::channel(false);
        let stop = async move {
            stop.await;
            let _ = told.send(true);
        };
        let app = app.into_make_service_with_connect_info::<SocketAddr>();
        let serving: std::pin::Pin<Box<dyn Future<Output = io::Result<()>> + Send>> =
            if let Some(acceptor) = self.acceptor {
                let listener = tls::TlsListener::new(self.listener, acceptor).map_err(ServerError::Serve)?;
                // So that both say in the same way who is at the other end.
                let listener = listener.tap_io(|_| {});
                Box::pin(axum::serve(listener, app).with_graceful_shutdown(stop).into_future())
            } else {
                // An answer is all that is to be sent: nothing more comes that it could wait for.
                let listener = self.listener.tap_io(|connection| {
                    let _ = connection.set_nodelay(true);
                });
                Box::pin(axum::serve(listener, app).with_graceful_shutdown(stop).into_future())
            };
        let deadline = async {
            if hears.wait_for(|told| *told).await.is_err() {
                return std::future::pending().await;
            }
            tokio::time::sleep(grace).await;
        };
        tokio::select! {
            served = serving => served.map_err(ServerError::Serve),
            () = deadline => Ok(()),
        }
    }
}

/// Listens at the first of an address's meanings that can be had. Connections whose clients are gone without a word end after
/// a while.
async fn take(address: &str) -> io::Result<TcpListener> {
    let mut failed = io::Error::new(io::ErrorKind::InvalidInput, "it names no address");
    for address in tokio::net::lookup_host(address).await? {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.set_keepalive(true)?;
        match socket.bind(address).and_then(|()| socket.listen(BACKLOG)) {
            Ok(listener) => return Ok(listener),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}
