//! A client of plain sockets: it sends what it is told to, right or wrong.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use provenv_definition::Digest;

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// All values of a header.
    #[allow(dead_code, reason = "the tests of the registry alone do not ask for it")]
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let found = self.headers.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The same where it must be there.
    #[track_caller]
    pub fn must(&self, name: &str) -> &str {
        self.header(name).unwrap_or_else(|| panic!("no {name}: {self:?}"))
    }

    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// It, if it has this status.
    #[track_caller]
    pub fn is(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{:?} {}", self.headers, self.text());
        self
    }

    /// It, if it is an error of this status with this code, in the specification's form.
    #[track_caller]
    pub fn fails(self, status: u16, code: &str) -> Self {
        let answer = self.is(status);
        let errors = answer.json()["errors"].clone();
        let first = &errors[0];
        assert_eq!(first["code"], code, "{errors}");
        assert!(first["message"].as_str().is_some_and(|message| !message.is_empty()), "{errors}");
        answer
    }

    /// The codes and details of an error.
    pub fn details(&self) -> Vec<serde_json::Value> {
        let errors = self.json()["errors"].clone();
        errors.as_array().unwrap().iter().map(|error| error["detail"].clone()).collect()
    }
}

/// Where a registry is, and as whom it is asked.
#[derive(Clone, Debug)]
pub struct Client {
    pub address: SocketAddr,
    pub headers: Vec<(String, String)>,
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        Self { address, headers: Vec::new() }
    }

    /// The same client with another header in all its requests.
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut client = self.clone();
        client.headers.push((name.to_owned(), value.to_owned()));
        client
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"")
    }

    pub fn head(&self, path: &str) -> Answer {
        self.send("HEAD", path, &[], b"")
    }

    pub fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, &[], b"")
    }

    pub fn post(&self, path: &str, body: &[u8]) -> Answer {
        self.send("POST", path, &[], body)
    }

    pub fn put(&self, path: &str, body: &[u8]) -> Answer {
        self.send("PUT", path, &[], body)
    }

    pub fn patch(&self, path: &str, range: Option<&str>, body: &[u8]) -> Answer {
        let headers: Vec<_> = range.map(|range| ("Content-Range", range)).into_iter().collect();
        self.send("PATCH", path, &headers, body)
    }

    /// A whole request on a connection of its own.
    #[track_caller]
    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.try_send(method, path, headers, body).unwrap()
    }

    /// The same where the server may be gone.
    pub fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Answer> {
        let length = body.len().to_string();
        let mut all = vec![("Content-Length", &*length)];
        all.extend(headers);
        let mut connection = self.try_begin(method, path, &all)?;
        // A server that refuses what it has not read may close the connection meanwhile.
        let _ = connection.write_all(body);
        try_read(connection, method)
    }

    /// The head of a request.
    pub fn begin(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> TcpStream {
        self.try_begin(method, path, headers).unwrap()
    }

    fn try_begin(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> io::Result<TcpStream> {
        let mut connection = TcpStream::connect(self.address)?;
        connection.set_read_timeout(Some(Duration::from_mins(2)))?;
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.address);
        let own = self.headers.iter().map(|(name, value)| (&**name, &**value));
        for (name, value) in own.chain(headers.iter().copied()) {
            head.extend([name, ": ", value, "\r\n"]);
        }
        connection.write_all((head + "\r\n").as_bytes())?;
        Ok(connection)
    }

    /// Pushes a small image where the server may be killed meanwhile; gives back its manifest if it was taken.
    pub fn try_image(&self, repository: &str, tag: &str, text: &str) -> io::Result<Vec<u8>> {
        for bytes in [b"{}", text.as_bytes()] {
            let path = format!("/v2/{repository}/blobs/uploads/?digest={}", Digest::of(bytes));
            self.try_send("POST", &path, &[], bytes)?.is(201);
        }
        let manifest = image(text.as_bytes(), &serde_json::json!({}));
        let path = format!("/v2/{repository}/manifests/{tag}");
        self.try_send("PUT", &path, &[("Content-Type", IMAGE)], &manifest)?.is(201);
        Ok(manifest)
    }

    /// Uploads a blob at once; gives back its digest.
    pub fn blob(&self, repository: &str, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        let location = self.upload(repository);
        self.put(&with_digest(&location, &digest), bytes).is(201);
        digest
    }

    /// Begins an upload; gives back its place.
    pub fn upload(&self, repository: &str) -> String {
        let begun = self.post(&format!("/v2/{repository}/blobs/uploads/"), b"").is(202);
        begun.must("Location").to_owned()
    }

    /// Pushes a manifest.
    pub fn manifest(&self, repository: &str, reference: &str, kind: &str, bytes: &[u8]) -> Answer {
        let path = format!("/v2/{repository}/manifests/{reference}");
        self.send("PUT", &path, &[("Content-Type", kind)], bytes)
    }

    /// Pushes a small image with this text in its layer; gives back its manifest.
    pub fn image(&self, repository: &str, reference: &str, text: &str) -> Vec<u8> {
        self.blob(repository, b"{}");
        self.blob(repository, text.as_bytes());
        let manifest = image(text.as_bytes(), &serde_json::json!({}));
        let pushed = self.manifest(repository, reference, IMAGE, &manifest).is(201);
        assert_eq!(pushed.must("Docker-Content-Digest"), Digest::of(&manifest).to_string());
        manifest
    }
}

pub const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// The manifest of an image of one layer, with more in it.
pub fn image(layer: &[u8], more: &serde_json::Value) -> Vec<u8> {
    let mut manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": IMAGE,
        "config": descriptor("application/vnd.oci.image.config.v1+json", b"{}"),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", layer)],
    });
    for (name, value) in more.as_object().unwrap() {
        manifest[name] = value.clone();
    }
    serde_json::to_vec(&manifest).unwrap()
}

pub fn descriptor(kind: &str, bytes: &[u8]) -> serde_json::Value {
    serde_json::json!({ "mediaType": kind, "digest": Digest::of(bytes), "size": bytes.len() })
}

/// The place of an upload with the digest that ends it.
pub fn with_digest(location: &str, digest: &Digest) -> String {
    let joint = if location.contains('?') { '&' } else { '?' };
    format!("{location}{joint}digest={digest}")
}

/// Reads an answer to its end.
#[track_caller]
pub fn read(connection: TcpStream, method: &str) -> Answer {
    try_read(connection, method).unwrap()
}

fn try_read(mut connection: TcpStream, method: &str) -> io::Result<Answer> {
    let mut bytes = Vec::new();
    // Where the server closed before it had read all, what it said comes first.
    let ended = connection.read_to_end(&mut bytes);
    let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Err(io::Error::other(format!("no answer: {ended:?}")));
    };
    let text = String::from_utf8(bytes[..head].to_vec()).unwrap();
    let mut lines = text.split("\r\n");
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.map(|line| {
        let (name, value) = line.split_once(':').unwrap();
        (name.to_owned(), value.trim().to_owned())
    });
    let answer = Answer { status, headers: headers.collect(), body: bytes[head + 4..].to_vec() };
    assert_eq!(answer.header("Transfer-Encoding"), None, "everything has a known length");
    if method == "HEAD" || matches!(status, 204 | 304) {
        assert_eq!(answer.text(), "");
    } else if answer.must("Content-Length") != answer.body.len().to_string() {
        return Err(io::Error::other(format!("an answer that is cut off: {answer:?}")));
    }
    Ok(answer)
}
