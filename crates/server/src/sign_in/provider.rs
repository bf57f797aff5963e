//! The identity provider: where it has what (discovery), its keys, and what it says of whoever signs in.
//!
//! The checks of identity tokens are the crate `openidconnect`'s. Its client is not used: it wants a provider's description when
//! it is made, and this server begins also where the provider is down.

use std::future::Future;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use openidconnect::core::{CoreIdToken, CoreIdTokenVerifier, CoreJsonWebKeySet, CoreJwsSigningAlgorithm};
use openidconnect::{
    ClaimsVerificationError, ClientId, IssuerUrl, Nonce, NonceVerifier, SignatureVerificationError,
};
use provenv_workspace::{OidcSettings, causes};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::sync::RwLock;
use url::Url;

use crate::problem::{Problem, Result};

/// How long a provider may take to answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// The most bytes of an answer.
const LONGEST: usize = 1024 * 1024;
/// How long a description holds.
const HOLDS: Duration = Duration::from_hours(1);

/// What a provider says of itself.
#[derive(Clone, Deserialize)]
pub(super) struct Description {
    issuer: String,
    pub authorization_endpoint: Url,
    token_endpoint: Url,
    jwks_uri: Url,
    userinfo_endpoint: Option<Url>,
    pub device_authorization_endpoint: Option<Url>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

/// What is known of it.
#[derive(Clone)]
struct Known {
    description: Description,
    keys: CoreJsonWebKeySet,
    at: Instant,
}

/// An identity provider.
pub(crate) struct Provider {
    issuer: Url,
    client_id: String,
    client_secret: Option<String>,
    client: reqwest::Client,
    known: RwLock<Option<Known>>,
}

/// What a provider answers to a code that it takes.
#[derive(Deserialize)]
pub(super) struct Tokens {
    access_token: String,
    id_token: Option<String>,
}

/// An answer that says no (RFC 6749, section 5.2).
#[derive(Deserialize)]
pub(super) struct Refusal {
    pub error: String,
    #[serde(default)]
    error_description: String,
}

impl Refusal {
    /// In words that a person may be shown.
    pub fn said(&self) -> String {
        let clean = |text: &str| -> String { text.chars().filter(|c| !c.is_control()).take(200).collect() };
        match clean(&self.error_description) {
            text if text.is_empty() => clean(&self.error),
            text => format!("{}: {text}", clean(&self.error)),
        }
    }
}

/// A URL that nobody between can change.
pub(super) fn is_private(url: &Url) -> bool {
    let is_here = match url.host() {
        Some(url::Host::Domain(domain)) => domain == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "https" || url.scheme() == "http" && is_here
}

impl Provider {
    pub fn new(issuer: Url, settings: &OidcSettings) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .timeout(PATIENCE)
            .user_agent(concat!("provenv/", env!("CARGO_PKG_VERSION")))
            // A secret goes where the description says, and nowhere else.
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self {
            issuer,
            client_id: settings.client_id.clone(),
            client_secret: settings.client_secret.clone(),
            client,
            known: RwLock::default(),
        })
    }

    /// As it names itself: without the `/` that a URL without a path is given.
    pub fn issuer(&self) -> &str {
        self.issuer.as_str().trim_end_matches('/')
    }

    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// What it says of itself, asked for anew now and then.
    pub(super) async fn description(&self) -> Result<Description> {
        Ok(self.known(None).await?.description)
    }

    /// What is known of it; `unless` is what is out of date, whatever its age.
    async fn known(&self, unless: Option<Instant>) -> Result<Known> {
        let holds = |known: &Known| known.at.elapsed() < HOLDS && unless.is_none_or(|at| known.at > at);
        if let Some(known) = self.known.read().await.as_ref().filter(|known| holds(known)) {
            return Ok(known.clone());
        }
        let mut place = self.known.write().await;
        if let Some(known) = place.as_ref().filter(|known| holds(known)) {
            return Ok(known.clone());
        }
        let at = Instant::now();
        let text = format!("{}/.well-known/openid-configuration", self.issuer());
        let url = Url::parse(&text).map_err(|error| Problem::fault(&error))?;
        let description: Description = self
            .ask(self.client.get(url))
            .await?
            .map_err(|refusal| self.wrong(format!("it has no description: {}", refusal.said())))?;
        if description.issuer.trim_end_matches('/') != self.issuer() {
            return Err(self.wrong(format!("it calls itself {}", description.issuer)));
        }
        let places = [
            Some(&description.authorization_endpoint),
            Some(&description.token_endpoint),
            Some(&description.jwks_uri),
            description.userinfo_endpoint.as_ref(),
            description.device_authorization_endpoint.as_ref(),
        ];
        if let Some(place) = places.into_iter().flatten().find(|place| !is_private(place)) {
            return Err(self.wrong(format!("it names {place}, which anybody between could answer for")));
        }
        let keys = self.client.get(description.jwks_uri.clone());
        let keys = self.ask(keys).await?.map_err(|refusal| self.wrong(refusal.said()))?;
        let known = Known { description, keys, at };
        *place = Some(known.clone());
        Ok(known)
    }

    /// Exchanges a code for what it stands for. The inner result is the provider's own no.
    pub(super) async fn exchange(&self, form: &[(&str, &str)]) -> Result<Result<Tokens, Refusal>> {
        let description = self.description().await?;
        self.ask(self.authenticated(&description, &description.token_endpoint, form)).await
    }

    /// Begins the device grant.
    pub(super) async fn device<T: DeserializeOwned>(
        &self,
        endpoint: &Url,
        form: &[(&str, &str)],
    ) -> Result<Result<T, Refusal>> {
        let description = self.description().await?;
        self.ask(self.authenticated(&description, endpoint, form)).await
    }

    /// All that it says of whoever signed in, once what it says is known to be its own and for this server. `nonce` is what
    /// the identity token must have; none came with the device grant.
    pub(super) async fn claims(&self, tokens: &Tokens, nonce: Option<&str>) -> Result<Map<String, Value>> {
        let refused = |why: String| {
            tracing::warn!(why, "an identity token was refused");
            Problem::new(
                StatusCode::UNAUTHORIZED,
                "identity-refused",
                "what the provider says of you does not hold",
            )
            .hint("sign in again; the server's log says more")
        };
        let text = tokens.id_token.as_deref().ok_or_else(|| refused("there is none".to_owned()))?;
        let token: CoreIdToken =
            text.parse().map_err(|error: serde_json::Error| refused(error.to_string()))?;
        let known = self.known(None).await?;
        let verified = match self.verify(&known, &token, nonce) {
            // It has new keys, perhaps.
            Err(ClaimsVerificationError::SignatureVerification(
                SignatureVerificationError::NoMatchingKey | SignatureVerificationError::CryptoError(_),
            )) => self.verify(&self.known(Some(known.at)).await?, &token, nonce),
            verified => verified,
        };
        let subject = verified.map_err(|error| {
            let causes = causes(&error);
            refused(std::iter::once(error.to_string()).chain(causes).collect::<Vec<_>>().join(": "))
        })?;
        let payload = text.split('.').nth(1).unwrap_or_default();
        let payload = base64::Engine::decode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, payload);
        let payload = payload.map_err(|error| refused(error.to_string()))?;
        let mut claims: Map<String, Value> =
            serde_json::from_slice(&payload).map_err(|error| refused(error.to_string()))?;
        // Providers may keep the rest for those who ask.
        if let Some(endpoint) = &known.description.userinfo_endpoint {
            let request = self.client.get(endpoint.clone()).bearer_auth(&tokens.access_token);
            let more: Map<String, Value> = self.ask(request).await?.map_err(|no| self.wrong(no.said()))?;
            if more.get("sub").and_then(Value::as_str) != Some(&*subject) {
                return Err(refused("`userinfo` is about somebody else".to_owned()));
            }
            for (name, value) in more {
                claims.entry(name).or_insert(value);
            }
        }
        Ok(claims)
    }

    /// Signature, issuer, audience, expiry and nonce; gives the subject.
    fn verify(
        &self,
        known: &Known,
        token: &CoreIdToken,
        nonce: Option<&str>,
    ) -> Result<String, ClaimsVerificationError> {
        let other = |error: url::ParseError| ClaimsVerificationError::Other(error.to_string());
        let issuer = IssuerUrl::new(known.description.issuer.clone()).map_err(other)?;
        let client = ClientId::new(self.client_id.clone());
        // Neither `none`, nor those whose key is a secret that this server knows as well.
        let verifier = CoreIdTokenVerifier::new_public_client(client, issuer, known.keys.clone())
            .set_allowed_algs([
                CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
                CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
                CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
                CoreJwsSigningAlgorithm::RsaSsaPssSha256,
                CoreJwsSigningAlgorithm::RsaSsaPssSha384,
                CoreJwsSigningAlgorithm::RsaSsaPssSha512,
                CoreJwsSigningAlgorithm::EcdsaP256Sha256,
                CoreJwsSigningAlgorithm::EcdsaP384Sha384,
                CoreJwsSigningAlgorithm::EdDsa,
            ]);
        let claims = token.claims(&verifier, Expected(nonce))?;
        Ok(claims.subject().to_string())
    }

    /// A form, as the client that this server is.
    fn authenticated(
        &self,
        description: &Description,
        endpoint: &Url,
        form: &[(&str, &str)],
    ) -> reqwest::RequestBuilder {
        let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(form).append_pair("client_id", &self.client_id);
        let mut request = self.client.post(endpoint.clone());
        if let Some(secret) = &self.client_secret {
            let methods = description.token_endpoint_auth_methods_supported.as_deref();
            let is_basic = methods.is_none_or(|all| all.iter().any(|one| one == "client_secret_basic"));
            if is_basic {
                // Each encoded first (RFC 6749, section 2.3.1).
                request = request.basic_auth(encode(&self.client_id), Some(encode(secret)));
            } else {
                body.append_pair("client_secret", secret);
            }
        }
        request.header(reqwest::header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(body.finish())
    }

    /// An answer in JSON. The inner result is a no that says why.
    fn ask<T: DeserializeOwned>(
        &self,
        request: reqwest::RequestBuilder,
    ) -> impl Future<Output = Result<Result<T, Refusal>>> + Send + '_ {
        async move {
            let unreachable = |error: reqwest::Error| {
                let error = error.without_url();
                tracing::warn!(error = %error, causes = ?causes(&error), "the identity provider does not answer");
                Problem::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "provider-unreachable",
                    format!("the identity provider at {} does not answer", self.issuer()),
                )
                .hint("try again later; tokens hold meanwhile")
                .retry_after(10)
            };
            let mut answer = request
                .header(reqwest::header::ACCEPT, "application/json")
                .send()
                .await
                .map_err(unreachable)?;
            let status = answer.status();
            let mut body = Vec::new();
            while let Some(part) = answer.chunk().await.map_err(unreachable)? {
                body.extend_from_slice(&part);
                if body.len() > LONGEST {
                    return Err(self.wrong("its answer has no end".to_owned()));
                }
            }
            if status.is_success() {
                let parsed = serde_json::from_slice(&body);
                return Ok(Ok(
                    parsed.map_err(|error| self.wrong(format!("its answer does not read: {error}")))?
                ));
            }
            match serde_json::from_slice::<Refusal>(&body) {
                Ok(refusal) if status.is_client_error() => Ok(Err(refusal)),
                _ => Err(self.wrong(format!("it answers {status}"))),
            }
        }
    }

    /// Said of a provider that is not as one should be.
    pub(super) fn wrong(&self, why: String) -> Box<Problem> {
        tracing::warn!(why, issuer = self.issuer(), "the identity provider is not as it should be");
        Problem::new(
            StatusCode::BAD_GATEWAY,
            "provider-wrong",
            format!("the identity provider at {} does not answer as one should", self.issuer()),
        )
        .hint("the server's log says more; `provenv serve` has it on standard error")
    }
}

/// The nonce that an identity token must have.
struct Expected<'a>(Option<&'a str>);

impl NonceVerifier for Expected<'_> {
    fn verify(self, nonce: Option<&Nonce>) -> Result<(), String> {
        match (self.0, nonce) {
            (None, _) => Ok(()),
            (Some(wanted), Some(found)) if wanted == found.secret() => Ok(()),
            _ => Err("it is not the one that was sent".to_owned()),
        }
    }
}
