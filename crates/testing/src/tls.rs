//! TLS before a server, with a certificate of an authority that nobody knows.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use rcgen::{BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// Hands what comes by TLS to a server that speaks plain HTTP. It stops when dropped.
pub struct Front {
    /// `https://localhost:PORT`, without a slash at the end.
    pub url: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// The authority's certificate, as PEM.
    pub authority: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// A certificate for `localhost` with its key, and who signed it: all in PEM.
pub struct Pair {
    /// The authority's certificate.
    pub authority: String,
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

/// A new authority, and a certificate that it signed for `localhost`.
fn signed() -> (CertifiedIssuer<'static, KeyPair>, Certificate, KeyPair) {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // OpenSSL takes a certificate whose names are both the same for one that signed itself.
    authority.distinguished_name.push(DnType::CommonName, "an authority");
    let key = KeyPair::generate().expect("a key can be made");
    let authority = CertifiedIssuer::self_signed(authority, key).expect("an authority signs itself");
    let key = KeyPair::generate().expect("a key can be made");
    let own = CertificateParams::new(["localhost".to_owned()]).expect("localhost is a name");
    let own = own.signed_by(&key, &authority).expect("an authority signs");
    (authority, own, key)
}

impl Front {
    /// A certificate of a new authority, for servers that speak TLS themselves.
    pub fn certificate() -> Pair {
        let (authority, own, key) = signed();
        Pair { authority: authority.pem(), certificate: own.pem(), key: key.serialize_pem() }
    }

    /// Stands before the server at `behind`, with a new authority.
    pub fn before(behind: SocketAddr) -> Self {
        let (authority, own, key) = signed();
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![own.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
            .expect("key and certificate belong together");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port on the loopback");
        listener.set_nonblocking(true).expect("a socket can be made non-blocking");
        let address = listener.local_addr().expect("it is bound");
        let url = format!("https://localhost:{}", address.port());
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).expect("a listening socket");
                tokio::select! {
                    () = serve(listener, acceptor, behind) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { url, address, authority: authority.pem(), stop: Some(stop), thread: Some(thread) }
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, behind: SocketAddr) {
    while let Ok((client, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            // A client that does not trust us goes away here.
            let Ok(mut client) = acceptor.accept(client).await else { return };
            let Ok(mut server) = TcpStream::connect(behind).await else { return };
            let _ = copy_bidirectional(&mut client, &mut server).await;
        });
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
