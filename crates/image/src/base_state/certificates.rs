//! The certificate authorities that programs trust, as `update-ca-certificates` and `openssl rehash` leave them:
//! the bundle for those that read one file, a link a certificate and one a subject's hash for those that read the folder.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::State;
use super::canonical_name::subject_hash;

const SHIPPED: &str = "usr/share/ca-certificates/";
const CONF: &str = "etc/ca-certificates.conf";
const CONF_HEAD: &str = "\
# This file lists certificates that you wish to use or to ignore to be
# installed in /etc/ssl/certs.
# update-ca-certificates(8) will update /etc/ssl/certs by reading this file.
#
# Certificates should be installed under /usr/share/ca-certificates
# and files with extension '.crt' is recognized as available certs.
#
# line begins with # is comment.
# line begins with ! is certificate filename to be deselected.
#
";

pub(super) fn fill(state: &mut State) {
    let certificates = trusted(state);
    if certificates.is_empty() {
        return;
    }
    let mut conf = String::from(CONF_HEAD);
    let mut bundle = Vec::new();
    let mut by_name = BTreeMap::new();
    for (path, bytes) in certificates {
        conf.extend([&path[SHIPPED.len()..], "\n"]);
        bundle.extend_from_slice(bytes);
        if !bytes.ends_with(b"\n") {
            bundle.push(b'\n');
        }
        let name = link_name(path);
        state.link(&format!("etc/ssl/certs/{name}"), &format!("/{path}"));
        by_name.insert(name, bytes);
    }
    state.file(CONF, conf);
    state.file("etc/ssl/certs/ca-certificates.crt", bundle);
    state.directory("usr/local/share/ca-certificates", 0o755, 0);
    for (link, name) in hash_links(&by_name) {
        state.link(&format!("etc/ssl/certs/{link}"), &name);
    }
}

/// The certificates to trust, sorted: those that a shipped configuration names, or all that packages bring.
fn trusted<'a>(state: &State<'a>) -> BTreeMap<&'a str, &'a [u8]> {
    let mut all = state.contents_below(SHIPPED);
    all.retain(|path, _| Path::new(path).extension().is_some_and(|extension| extension == "crt"));
    if let Some(conf) = state.contents(CONF) {
        let conf = String::from_utf8_lossy(conf);
        let named: BTreeSet<&str> = conf.lines().map(str::trim).collect();
        all.retain(|path, _| named.contains(&path[SHIPPED.len()..]));
    }
    all
}

/// The name of a certificate in `/etc/ssl/certs`: what a shell would stumble over is replaced.
fn link_name(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    let name = file.strip_suffix(".crt").unwrap_or(file);
    name.replace([' ', ','], "_").replace(['(', ')'], "=") + ".pem"
}

/// `hash.0` → certificate, counting up where subjects have the same hash, in the order of names; a certificate that is
/// there under two names counts once.
fn hash_links(certificates: &BTreeMap<String, &[u8]>) -> BTreeMap<String, String> {
    let mut by_hash: BTreeMap<u32, Vec<(&str, Vec<u8>)>> = BTreeMap::new();
    for (name, pem) in certificates {
        let Some(der) = only_certificate(pem) else { continue };
        let Some(hash) = subject_hash(&der) else { continue };
        let same = by_hash.entry(hash).or_default();
        if !same.iter().any(|(_, other)| *other == der) {
            same.push((name, der));
        }
    }
    let mut links = BTreeMap::new();
    for (hash, same) in by_hash {
        for (number, (name, _)) in same.into_iter().enumerate() {
            links.insert(format!("{hash:08x}.{number}"), name.to_owned());
        }
    }
    links
}

/// The DER bytes of a PEM file with exactly one certificate; `openssl rehash` passes over others.
fn only_certificate(pem: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(pem).ok()?;
    let (_, rest) = text.split_once("-----BEGIN CERTIFICATE-----")?;
    let (body, rest) = rest.split_once("-----END CERTIFICATE-----")?;
    if rest.contains("-----BEGIN CERTIFICATE-----") {
        return None;
    }
    let digits: String = body.split_ascii_whitespace().collect();
    BASE64_STANDARD.decode(digits).ok()
}
