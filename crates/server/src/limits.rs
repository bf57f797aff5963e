//! How much is taken, and from whom: rates, requests at once, headers. What is too much is answered with 429 and `Retry-After`. Which
//! proxies are believed is said here as well.
//!
//! Tokens cannot be guessed, so that the limit on failed sign-ins protects the log and the database, and no account: a token that
//! holds is let in whatever else comes from its address. Each server counts what it is asked itself.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use provenv_workspace::LimitSettings;

use crate::database::Identity;
use crate::problem::{Problem, Result};
use crate::state::Server;

/// How many keys a limiter knows before it forgets those that it need not know.
const KNOWN: usize = 10_000;
/// Set by a proxy: how it was spoken to.
pub(crate) const FORWARDED_PROTO: &str = "x-forwarded-proto";
/// The most bytes of headers, if nobody says.
const HEADERS: u64 = 32 * 1024;

tokio::task_local! {
    /// Where the request that is answered came from.
    static FROM: Option<IpAddr>;
}

/// What was asked just now.
pub(crate) struct Limits {
    users: Rate<String>,
    addresses: Rate<IpAddr>,
    failures: Rate<IpAddr>,
    concurrent: Slots,
    streams: Slots,
    headers: u64,
    proxies: Vec<IpAddr>,
}

impl Limits {
    pub fn new(settings: &LimitSettings) -> Self {
        Self {
            users: Rate::new(settings.requests.unwrap_or(12_000)),
            addresses: Rate::new(settings.anonymous.unwrap_or(600)),
            failures: Rate::new(settings.failures.unwrap_or(30)),
            concurrent: Slots::new(settings.concurrent.unwrap_or(256)),
            streams: Slots::new(settings.streams.unwrap_or(64)),
            headers: settings.headers.unwrap_or(HEADERS),
            proxies: settings.trusted_proxies.clone(),
        }
    }

    /// Counts a request of somebody: by their token, or by their name.
    pub fn request(&self, identity: &Identity) -> Result<()> {
        let key = identity.token.as_deref().unwrap_or(&identity.user);
        self.users.check(key.to_owned()).map_err(|wait| {
            too_much(wait, "too-many-requests", "this token sent more requests than are taken in a minute")
        })
    }

    /// Counts a request of nobody.
    pub fn anonymous(&self) -> Result<()> {
        let Some(address) = from() else { return Ok(()) };
        self.addresses.check(address).map_err(|wait| {
            let detail = format!("{address} sent more requests without a token than are taken in a minute");
            too_much(wait, "too-many-requests", detail)
        })
    }

    /// Counts a token, or a sign-in, that did not hold.
    pub fn failure(&self) -> Result<()> {
        let Some(address) = from() else { return Ok(()) };
        self.failures.check(address).map_err(|wait| {
            let detail = format!("{address} sent more tokens that do not hold than are taken in a minute");
            too_much(wait, "too-many-failures", detail)
        })
    }

    /// A place among the requests of a user that are answered at once; it is given back when it is dropped.
    pub fn enter(&self, user: &str) -> Result<Slot> {
        self.concurrent.take(user).ok_or_else(|| {
            let detail = format!("{} requests of `{user}` are being answered already", self.concurrent.most);
            too_much(1, "too-many-at-once", detail)
        })
    }

    /// A place among the logs that a user follows.
    pub fn follow(&self, user: &str) -> Result<Slot> {
        self.streams.take(user).ok_or_else(|| {
            let detail = format!("`{user}` follows {} logs already", self.streams.most);
            too_much(5, "too-many-streams", detail)
        })
    }

    /// Whether a request comes from a proxy that is trusted.
    fn is_trusted(&self, peer: Option<SocketAddr>) -> bool {
        peer.is_some_and(|peer| self.proxies.contains(&peer.ip().to_canonical()))
    }

    /// Where a request comes from: the connection's end, or whom a proxy that is trusted speaks for.
    fn origin(&self, peer: Option<SocketAddr>, headers: &HeaderMap) -> Option<IpAddr> {
        let mut address = peer?.ip().to_canonical();
        let named = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
        let named: Vec<&str> = named.flat_map(|value| value.split(',')).collect();
        // From the nearest on: what stands before one that is not trusted is anybody's invention.
        for name in named.into_iter().rev() {
            if !self.proxies.contains(&address) {
                break;
            }
            let Ok(next) = name.trim().parse::<IpAddr>() else { break };
            address = next.to_canonical();
        }
        Some(match address {
            // One machine has as many addresses as it likes in its network.
            IpAddr::V6(address) => {
                let network = u128::from(address) & !u128::from(u64::MAX);
                IpAddr::V6(Ipv6Addr::from(network))
            }
            address => address,
        })
    }
}

/// Where the request that is answered came from, if it came from anywhere.
fn from() -> Option<IpAddr> {
    FROM.try_with(|from| *from).ok().flatten()
}

/// The same where a task of its own goes on with the request.
pub(crate) fn carried<T>(answer: impl Future<Output = T>) -> impl Future<Output = T> {
    FROM.scope(from(), answer)
}

/// Around every request: notes where it comes from, and refuses headers that are too long.
pub(crate) async fn around(
    State(server): State<Arc<Server>>,
    mut request: Request<Body>,
    next: Next,
) -> Response {
    let limits = &server.limits;
    let length: usize =
        request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if length as u64 > limits.headers {
        let detail = format!("the headers have {length} bytes, and {} are taken", limits.headers);
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        return Problem::new(status, "headers-too-large", detail).into_response();
    }
    let peer = request.extensions().get::<axum::extract::ConnectInfo<SocketAddr>>().map(|peer| peer.0);
    let origin = limits.origin(peer, request.headers());
    // Said by anybody else it says nothing: nobody behind this sees it then.
    if !limits.is_trusted(peer) {
        request.headers_mut().remove(FORWARDED_PROTO);
    }
    FROM.scope(origin, next.run(request)).await
}

fn too_much(wait: u64, code: &'static str, detail: impl Into<String>) -> Box<Problem> {
    Problem::new(StatusCode::TOO_MANY_REQUESTS, code, detail)
        .hint(
            "wait as long as `Retry-After` says; `[limits]` in the server's settings says how much it takes",
        )
        .retry_after(wait)
}

/// So many a minute of each.
struct Rate<K: Clone + Eq + Hash>(Option<DefaultKeyedRateLimiter<K>>);

impl<K: Clone + Eq + Hash> Rate<K> {
    fn new(most: u32) -> Self {
        Self(NonZeroU32::new(most).map(|most| RateLimiter::keyed(Quota::per_minute(most))))
    }

    /// Counts one more, or says after how many seconds there may be one.
    fn check(&self, key: K) -> Result<(), u64> {
        let Some(limiter) = &self.0 else { return Ok(()) };
        if limiter.len() > KNOWN {
            limiter.retain_recent();
        }
        limiter.check_key(&key).map_err(|until| {
            let wait = until.wait_time_from(DefaultClock::default().now());
            wait.as_secs() + u64::from(wait.subsec_nanos() > 0)
        })
    }
}

/// So many at once of each user.
struct Slots {
    most: usize,
    taken: Arc<Mutex<HashMap<String, usize>>>,
}

/// One of them.
pub(crate) struct Slot {
    user: String,
    taken: Arc<Mutex<HashMap<String, usize>>>,
}

impl Slots {
    fn new(most: usize) -> Self {
        Self { most: if most == 0 { usize::MAX } else { most }, taken: Arc::default() }
    }

    fn take(&self, user: &str) -> Option<Slot> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(user.to_owned()).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Slot { user: user.to_owned(), taken: Arc::clone(&self.taken) })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_that_of_the_nearest_that_is_not_trusted() {
        let settings = LimitSettings {
            trusted_proxies: vec!["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()],
            ..LimitSettings::default()
        };
        let limits = Limits::new(&settings);
        let origin = |peer: &str, forwarded: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("x-forwarded-for", forwarded.parse().unwrap());
            limits.origin(Some(peer.parse().unwrap()), &headers).unwrap().to_string()
        };
        assert_eq!(origin("192.0.2.7:1", "198.51.100.1"), "192.0.2.7");
        assert_eq!(origin("10.0.0.1:1", "198.51.100.1"), "198.51.100.1");
        assert_eq!(origin("10.0.0.1:1", "1.1.1.1, 198.51.100.1, 10.0.0.2"), "198.51.100.1");
        assert_eq!(origin("10.0.0.1:1", "nonsense"), "10.0.0.1");
        assert_eq!(origin("[2001:db8::1:2:3:4]:1", ""), "2001:db8::");
        assert_eq!(origin("[::ffff:192.0.2.7]:1", ""), "192.0.2.7");
    }

    #[test]
    fn a_place_is_given_back() {
        let slots = Slots::new(2);
        let first = slots.take("ann").unwrap();
        let _second = slots.take("ann").unwrap();
        assert!(slots.take("ann").is_none());
        let _other = slots.take("ben").unwrap();
        drop(first);
        assert!(slots.take("ann").is_some());
        assert_eq!(slots.taken.lock().unwrap().len(), 2);
    }
}
