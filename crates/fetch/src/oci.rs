//! `oci:` URLs: files of a conda channel that is kept in a registry, as the mirrors of conda channels lay them out.
//!
//! Each index and each package is a repository: `oci://HOST/CHANNEL/linux-64/numpy-1.26.4-py311_0.conda` is the layer of type
//! `application/vnd.conda.package.v2` in `CHANNEL/linux-64/numpy:1.26.4-py311_0` at HOST. A registry that asks for a token says
//! where it is to be had.

use std::net::IpAddr;
use std::time::Instant;

use provenv_definition::SafeUrl;
use reqwest::header::{ACCEPT, HeaderMap, WWW_AUTHENTICATE};
use reqwest::{Client, Response, StatusCode};
use serde::Deserialize;
use url::Url;

use crate::credentials::Authentication;
use crate::retry::Failure;
use crate::tokens::Slot;
use crate::{Error, Fetcher};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The most bytes of a manifest, or of a token.
const LONGEST: usize = 4 << 20;

/// A layer of an image.
#[derive(Debug, PartialEq, Eq)]
struct Layer {
    /// With the registry's host, `https` but for this machine.
    registry: Url,
    repository: String,
    tag: String,
    media_type: &'static str,
    /// The digest, where the name says it.
    sha256: Option<String>,
}

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: String,
    digest: String,
}

/// Where the bytes of a layer are.
pub(crate) struct Located {
    pub(crate) blob: Url,
    /// How to ask for them.
    pub(crate) authentication: Option<Authentication>,
    /// Whether that is a token which was asked for earlier, and may be over.
    pub(crate) is_kept: bool,
}

/// Where the bytes of `url`, which is called `shown`, are, and how to ask for them; `None` where there is no such thing. A token that was `refused` is not
/// taken again.
pub(crate) async fn locate(
    fetcher: &Fetcher,
    client: &Client,
    url: &Url,
    shown: &SafeUrl,
    linked: bool,
    refused: Option<&Authentication>,
) -> Result<Option<Located>, Failure> {
    let Some(layer) = Layer::of(url) else { return Ok(None) };
    // Credentials are looked for as for the registry itself.
    let mut asked = layer.registry.clone();
    let _ = asked.set_username(url.username());
    let _ = asked.set_password(url.password());
    let own = fetcher.credentials_for(&asked, linked).await?;
    let registry = Registry { fetcher, client, url: shown.clone(), own };
    let manifest = layer.at("manifests", &layer.tag);
    let slot = fetcher.tokens().slot(&layer.registry, &layer.repository);
    // A bearer's token is the registry's own; what else there is it asks for.
    let bearer = registry.own.clone().filter(|own| matches!(own, Authentication::Bearer(_)));
    let kept = match &bearer {
        Some(_) => None,
        None => slot.open().await.usable(registry.own.as_ref(), refused),
    };
    let mut is_kept = kept.is_some();
    let mut authentication = bearer.or(kept);
    let mut response = registry.get(manifest.clone(), authentication.as_ref()).await?;
    if response.status() == StatusCode::UNAUTHORIZED {
        let challenge = Challenge::of(response.headers(), &layer.repository);
        authentication = match challenge.and_then(Challenge::url) {
            Some(realm) => {
                is_kept = false;
                Some(registry.token(realm, &slot, authentication.as_ref().or(refused)).await?)
            }
            None => registry.own.clone(),
        };
        response = registry.get(manifest, authentication.as_ref()).await?;
    }
    match response.status() {
        StatusCode::NOT_FOUND => return Ok(None),
        status if status.is_success() => {}
        _ => return Err(registry.refused(&response, authentication.is_some())),
    }
    let at = |digest: &str| layer.at("blobs", digest);
    if let Some(sha256) = &layer.sha256 {
        return Ok(Some(Located { blob: at(&format!("sha256:{sha256}")), authentication, is_kept }));
    }
    let manifest: Manifest = registry.json(response, "its manifest is none").await?;
    // Mirrors write zstd with and without a `d` at its end.
    let wanted = |descriptor: &&Descriptor| {
        let written = descriptor.media_type.strip_suffix("+zstd").map(|start| format!("{start}+zst"));
        written.as_deref().unwrap_or(&descriptor.media_type) == layer.media_type
    };
    let found = manifest.layers.iter().find(wanted);
    Ok(found.map(|descriptor| Located { blob: at(&descriptor.digest), authentication, is_kept }))
}

/// A registry that is asked for the sake of a URL.
struct Registry<'a> {
    fetcher: &'a Fetcher,
    client: &'a Client,
    url: SafeUrl,
    /// The user's own credentials for it.
    own: Option<Authentication>,
}

impl Registry<'_> {
    async fn get(&self, url: Url, authentication: Option<&Authentication>) -> Result<Response, Failure> {
        let request = crate::request::authenticated(self.client.get(url), authentication);
        let sent = request.header(ACCEPT, MANIFEST).send().await;
        sent.map_err(|error| crate::request::failed(self.fetcher, &self.url, 0, error))
    }

    /// A token from `realm`: one that was asked for meanwhile, unless it is the one that was `refused`, or a new one.
    async fn token(
        &self,
        realm: Url,
        slot: &Slot,
        refused: Option<&Authentication>,
    ) -> Result<Authentication, Failure> {
        let mut slot = slot.open().await;
        if let Some(token) = slot.usable(self.own.as_ref(), refused) {
            return Ok(token);
        }
        let asked = Instant::now();
        let response = self.get(realm, self.own.as_ref()).await?;
        if !response.status().is_success() {
            return Err(self.refused(&response, self.own.is_some()));
        }
        let reason = "the registry gives no token";
        let given = self.json(response, reason).await?;
        slot.keep(given, self.own.clone(), asked).ok_or_else(|| self.broken(reason))
    }

    fn refused(&self, response: &Response, with_credentials: bool) -> Failure {
        let status = response.status().as_u16();
        crate::request::refused(self.url.clone().into(), status, with_credentials, response.headers())
    }

    /// What a short body says. One that breaks off, or that makes no sense, may be whole the next time.
    async fn json<T: serde::de::DeserializeOwned>(
        &self,
        mut response: Response,
        reason: &str,
    ) -> Result<T, Failure> {
        let mut body = Vec::new();
        loop {
            let chunk = response
                .chunk()
                .await
                .map_err(|error| crate::request::failed(self.fetcher, &self.url, body.len() as u64, error))?;
            let Some(chunk) = chunk else { break };
            body.extend_from_slice(&chunk);
            if body.len() > LONGEST {
                return Err(self.broken(reason));
            }
        }
        serde_json::from_slice(&body).map_err(|_| self.broken(reason))
    }

    fn broken(&self, reason: &str) -> Failure {
        let url = self.url.clone().into();
        Failure::Distrust(Error::Registry { url, reason: reason.to_owned() })
    }
}

impl Layer {
    fn of(url: &Url) -> Option<Self> {
        let mut segments: Vec<&str> = url.path_segments()?.filter(|segment| !segment.is_empty()).collect();
        let file = segments.pop()?;
        let (mut name, mut tag, mut sha256) = ("repodata.json".to_owned(), "latest".to_owned(), None);
        let media_type = match file {
            "repodata_shards.msgpack.zst" => "application/vnd.conda.repodata.shards.v1+msgpack+zst",
            "repodata.json" => "application/vnd.conda.repodata.v1+json",
            "repodata.json.zst" => "application/vnd.conda.repodata.v1+json+zst",
            "repodata.json.bz2" => "application/vnd.conda.repodata.v1+json+bz2",
            _ if segments.last() == Some(&"shards") && file.ends_with(".msgpack.zst") => {
                segments.pop();
                "repodata.json/shards".clone_into(&mut name);
                file.trim_end_matches(".msgpack.zst").clone_into(&mut tag);
                sha256 = Some(tag.clone());
                "application/vnd.conda.repodata.shard.v1+msgpack+zst"
            }
            _ => {
                let (stem, media_type) = match file.strip_suffix(".conda") {
                    Some(stem) => (stem, "application/vnd.conda.package.v2"),
                    None => (file.strip_suffix(".tar.bz2")?, "application/vnd.conda.package.v1"),
                };
                let mut parts = stem.rsplitn(3, '-');
                let (build, version) = (parts.next()?, parts.next()?);
                parts.next()?.clone_into(&mut name);
                // What a tag may not hold.
                tag = format!("{version}-{build}")
                    .replace('+', "__p__")
                    .replace('!', "__e__")
                    .replace('=', "__eq__");
                media_type
            }
        };
        // A repository's name may not begin so.
        if name.starts_with('_') {
            name = format!("zzz{name}");
        }
        let host = url.host_str()?;
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let scheme = if is_here(url) { "http" } else { "https" };
        Some(Self {
            registry: Url::parse(&format!("{scheme}://{host}{port}/")).ok()?,
            repository: format!("{}/{name}", segments.join("/")).trim_start_matches('/').to_owned(),
            tag,
            media_type,
            sha256,
        })
    }

    fn at(&self, what: &str, which: &str) -> Url {
        let mut url = self.registry.clone();
        url.set_path(&format!("/v2/{}/{what}/{which}", self.repository));
        url
    }
}

/// What a registry asks for, in place of a password.
struct Challenge {
    realm: Url,
    service: Option<String>,
    scope: String,
}

impl Challenge {
    /// `Bearer realm="…",service="…",scope="…"`; `None` where it asks for something else.
    fn of(headers: &HeaderMap, repository: &str) -> Option<Self> {
        let asked = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let text = asked
            .filter_map(|text| text.split_once(' '))
            .find(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))?;
        let field = |name: &str| {
            let start = text.1.find(&format!("{name}=\""))? + name.len() + 2;
            text.1[start..].split('"').next().map(str::to_owned)
        };
        Some(Self {
            realm: field("realm")?.parse().ok()?,
            service: field("service"),
            scope: format!("repository:{repository}:pull"),
        })
    }

    /// Where the token is to be had; `None` where a password would travel unprotected to get there.
    fn url(self) -> Option<Url> {
        let protected = self.realm.scheme() == "https" || is_here(&self.realm);
        let mut url = Some(self.realm).filter(|_| protected)?;
        if let Some(service) = &self.service {
            url.query_pairs_mut().append_pair("service", service);
        }
        url.query_pairs_mut().append_pair("scope", &self.scope);
        Some(url)
    }
}

/// Whether it is this machine, with which plain http is spoken.
fn is_here(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(url: &str) -> String {
        let layer = Layer::of(&url.parse().unwrap()).unwrap();
        format!("{} {}", layer.at("manifests", &layer.tag), layer.media_type.rsplit('.').next().unwrap())
    }

    #[test]
    fn files_of_a_channel_are_layers() {
        for (url, expected) in [
            (
                "oci://ghcr.io/mirrors/conda-forge/linux-64/numpy-1.26.4-py311_0.conda",
                "https://ghcr.io/v2/mirrors/conda-forge/linux-64/numpy/manifests/1.26.4-py311_0 v2",
            ),
            (
                "oci://ghcr.io/c/noarch/_x-y-1!2+3-h_0.tar.bz2",
                "https://ghcr.io/v2/c/noarch/zzz_x-y/manifests/1__e__2__p__3-h_0 v1",
            ),
            (
                "oci://127.0.0.1:5000/c/noarch/repodata.json.zst",
                "http://127.0.0.1:5000/v2/c/noarch/repodata.json/manifests/latest v1+json+zst",
            ),
            (
                "oci://ghcr.io/c/noarch/repodata_shards.msgpack.zst",
                "https://ghcr.io/v2/c/noarch/repodata.json/manifests/latest v1+msgpack+zst",
            ),
            (
                "oci://ghcr.io/c/noarch/shards/ab12.msgpack.zst",
                "https://ghcr.io/v2/c/noarch/repodata.json/shards/manifests/ab12 v1+msgpack+zst",
            ),
        ] {
            assert_eq!(shown(url), expected);
        }
        for url in
            ["oci://ghcr.io/c/noarch/notices.json", "oci://ghcr.io/", "oci://ghcr.io/c/noarch/a-1.conda"]
        {
            assert_eq!(Layer::of(&url.parse().unwrap()), None);
        }
    }

    #[test]
    fn a_password_goes_to_no_unprotected_place() {
        let token = |realm: &str| {
            let challenge = format!("Bearer realm=\"{realm}\",service=\"s\"");
            let headers = HeaderMap::from_iter([(WWW_AUTHENTICATE, challenge.parse().unwrap())]);
            Challenge::of(&headers, "c/x").and_then(Challenge::url).map(String::from)
        };
        assert_eq!(token("http://e.test/token"), None);
        let asked = "?service=s&scope=repository%3Ac%2Fx%3Apull";
        for realm in ["https://e.test/token", "http://127.0.0.1:5001/token"] {
            assert_eq!(token(realm), Some(format!("{realm}{asked}")));
        }
    }
}
