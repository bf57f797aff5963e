//! Tokens: what docker and others trade a name and a password for, where a registry is open to some and closed to others.

use std::collections::HashMap;
use std::io::{self, Read as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use provenv_definition::Digest;

use super::access::Who;

/// How long a token holds.
pub(super) const HOLDS: Duration = Duration::from_hours(1);
/// How many are kept; beyond that, all are let go, and clients ask again.
const MOST: usize = 10_000;

/// The token of whoever gave no name. It gives what its absence gives; some clients want one.
const ANONYMOUS: &str = "anonymous";

/// The tokens that were given out.
#[derive(Default)]
pub(super) struct Tokens(Mutex<HashMap<String, Token>>);

struct Token {
    who: Who,
    /// Of the password that it was given for.
    seal: Option<Digest>,
    given: Instant,
}

impl Tokens {
    /// A new one for a user whose password has this seal, or the one of nobody.
    pub fn give(&self, who: &Who, seal: Option<Digest>) -> io::Result<String> {
        if *who == Who::Anybody {
            return Ok(ANONYMOUS.to_owned());
        }
        let token = random()?;
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if tokens.len() >= MOST {
            tokens.retain(|_, token| token.given.elapsed() < HOLDS);
            if tokens.len() >= MOST {
                tokens.clear();
            }
        }
        tokens.insert(token.clone(), Token { who: who.clone(), seal, given: Instant::now() });
        Ok(token)
    }

    /// Whose it is, and the seal of the password that it was given for; `None` where it is not one, or no longer.
    pub fn whose(&self, token: &str) -> Option<(Who, Option<Digest>)> {
        if token == ANONYMOUS {
            return Some((Who::Anybody, None));
        }
        let tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let token = tokens.get(token)?;
        (token.given.elapsed() < HOLDS).then(|| (token.who.clone(), token.seal))
    }
}

/// 32 hexadecimal digits that nobody can guess.
pub(super) fn random() -> io::Result<String> {
    let mut bytes = [0; 16];
    fs_err::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}
