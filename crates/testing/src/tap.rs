//! A wire between HTTP clients and a server that a test listens to, and cuts.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// How the line of a request ends.
const END: &[u8] = b" HTTP/1.1\r\n";
/// No line of a request is longer.
const LONGEST: usize = 4096;
/// How lines of requests begin.
const METHODS: [&str; 6] = ["GET /", "HEAD /", "POST /", "PUT /", "PATCH /", "DELETE /"];

/// What went over the wire.
#[derive(Default)]
struct Heard {
    requests: Vec<String>,
    sent: u64,
    received: u64,
    /// How many bytes clients may still send before a connection is cut.
    left: Option<u64>,
    cuts: usize,
    /// What is answered here and not by the server: how the request begins, and the answer.
    answers: Vec<(String, String)>,
}

/// A wire. It goes when it is dropped.
pub struct Tap {
    /// Where clients connect to.
    pub address: SocketAddr,
    heard: Arc<Mutex<Heard>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Tap {
    /// A wire to the server at `target`.
    pub fn to(target: SocketAddr) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port on the loopback");
        listener.set_nonblocking(true).expect("a socket can be made non-blocking");
        let address = listener.local_addr().expect("it is bound");
        let heard: Arc<Mutex<Heard>> = Arc::default();
        let (stop, stopped) = oneshot::channel();
        let listening = Arc::clone(&heard);
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let listener = TcpListener::from_std(listener).expect("a listening socket");
                tokio::select! {
                    () = serve(listener, target, listening) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { address, heard, stop: Some(stop), thread: Some(thread) }
    }

    /// The requests that came, `METHOD PATH?QUERY` each, oldest first.
    pub fn requests(&self) -> Vec<String> {
        lock(&self.heard).requests.clone()
    }

    /// How many bytes clients sent, and got.
    pub fn bytes(&self) -> (u64, u64) {
        let heard = lock(&self.heard);
        (heard.sent, heard.received)
    }

    /// Forgets what was heard.
    pub fn forget(&self) {
        let mut heard = lock(&self.heard);
        let (left, answers) = (heard.left, std::mem::take(&mut heard.answers));
        *heard = Heard { left, answers, ..Heard::default() };
    }

    /// Answers the next request that begins so (`PUT /v2/`) with this status and these headers, each with the end of its line,
    /// in the place of the server, and hangs up.
    pub fn answer(&self, beginning: &str, status: &str, headers: &str, body: &str) {
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        lock(&self.heard).answers.push((beginning.to_owned(), answer));
    }

    /// How many answers are still to be given.
    pub fn unanswered(&self) -> usize {
        lock(&self.heard).answers.len()
    }

    /// Cuts the connection on which clients send the byte after so many more, once.
    pub fn cut_after(&self, bytes: u64) {
        lock(&self.heard).left = Some(bytes);
    }

    /// How many connections were cut.
    pub fn cuts(&self) -> usize {
        lock(&self.heard).cuts
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic there was printed already, and a second one while a test unwinds would abort.
            let _ = thread.join();
        }
    }
}

fn lock(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: TcpListener, target: SocketAddr, heard: Arc<Mutex<Heard>>) {
    while let Ok((client, _)) = listener.accept().await {
        let heard = Arc::clone(&heard);
        tokio::spawn(async move {
            let Ok(server) = TcpStream::connect(target).await else { return };
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            let to_client = tokio::sync::Mutex::new(to_client);
            tokio::select! {
                _ = there(from_client, to_server, &to_client, &heard) => {}
                _ = back(from_server, &to_client, &heard) => {}
            }
        });
    }
}

/// Hands on what clients send until they end, or are cut off.
async fn there(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    client: &tokio::sync::Mutex<OwnedWriteHalf>,
    heard: &Mutex<Heard>,
) -> std::io::Result<()> {
    let (mut buffer, mut pending) = (vec![0; 16 << 10], Vec::new());
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            // The answer may still be on its way.
            to.shutdown().await?;
            return std::future::pending().await;
        }
        // Who waits for an answer before the next request begins that with a packet of its own.
        let answer = {
            let mut heard = lock(heard);
            let place =
                heard.answers.iter().position(|(begin, _)| buffer[..count].starts_with(begin.as_bytes()));
            place.map(|place| heard.answers.remove(place).1)
        };
        if let Some(answer) = answer {
            pending.extend_from_slice(&buffer[..count]);
            lock(heard).requests.extend(requests(&mut pending));
            let mut client = client.lock().await;
            client.write_all(answer.as_bytes()).await?;
            client.shutdown().await?;
            // The rest is read, so that the answer is not lost with a reset.
            while from.read(&mut buffer).await? > 0 {}
            return Ok(());
        }
        let (count, cut) = {
            let mut heard = lock(heard);
            let allowed = heard.left.map_or(count as u64, |left| left.min(count as u64));
            let cut = allowed < count as u64;
            heard.left = heard.left.map(|left| left - allowed).filter(|_| !cut);
            heard.cuts += usize::from(cut);
            heard.sent += allowed;
            let count = usize::try_from(allowed).expect("no more than was read");
            pending.extend_from_slice(&buffer[..count]);
            heard.requests.extend(requests(&mut pending));
            (count, cut)
        };
        to.write_all(&buffer[..count]).await?;
        if cut {
            to.flush().await?;
            return Ok(());
        }
    }
}

async fn back(
    mut from: OwnedReadHalf,
    to: &tokio::sync::Mutex<OwnedWriteHalf>,
    heard: &Mutex<Heard>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return Ok(());
        }
        lock(heard).received += count as u64;
        to.lock().await.write_all(&buffer[..count]).await?;
    }
}

/// Takes the lines of requests out of what came; a beginning of one stays.
fn requests(pending: &mut Vec<u8>) -> Vec<String> {
    let mut found = Vec::new();
    while let Some(end) = pending.windows(END.len()).position(|window| window == END) {
        let line = String::from_utf8_lossy(&pending[end.saturating_sub(LONGEST)..end]).into_owned();
        let begin = METHODS.iter().filter_map(|method| line.rfind(method)).max();
        found.extend(begin.map(|begin| line[begin..].to_owned()));
        pending.drain(..end + END.len());
    }
    let excess = pending.len().saturating_sub(LONGEST);
    pending.drain(..excess);
    found
}
