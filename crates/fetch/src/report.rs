//! How far the work is. Logic reports here and prints nothing.

/// A stretch of the way that a user watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// Choosing versions.
    Resolving,
    /// Bringing bytes from elsewhere.
    Fetching,
    /// Making segments and layers.
    Assembling,
    /// Laying layers out to run from.
    Unpacking,
    /// Handing an image on.
    Publishing,
    /// Reading again what is kept.
    Checking,
}

impl Phase {
    /// What is done, in logs and traces.
    pub fn word(self) -> &'static str {
        match self {
            Self::Resolving => "resolve",
            Self::Fetching => "fetch",
            Self::Assembling => "assemble",
            Self::Unpacking => "unpack",
            Self::Publishing => "publish",
            Self::Checking => "check",
        }
    }
}

/// Hears of progress. Every method may be called from any thread, at any rate.
pub trait Reporter: Send + Sync {
    /// `phase` will deal with `items` more things, `bytes` more bytes in all (0 where unknown).
    fn expect(&self, phase: Phase, items: u64, bytes: u64);
    /// Work on `item` begins.
    fn begin(&self, phase: Phase, item: &str);
    /// `bytes` more are done.
    fn advance(&self, phase: Phase, bytes: u64);
    /// Work on `item` has ended.
    fn end(&self, phase: Phase, item: &str);
    /// Something a user may want to know, e.g. a fallback; also kept in the build log.
    fn note(&self, message: &str);
    /// A line that a step of a Dockerfile, or what runs it, has printed; also kept in the build log.
    fn output(&self, _line: &str) {}
}

/// Hears and says nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Reporter for Silent {
    fn expect(&self, _: Phase, _: u64, _: u64) {}
    fn begin(&self, _: Phase, _: &str) {}
    fn advance(&self, _: Phase, _: u64) {}
    fn end(&self, _: Phase, _: &str) {}
    fn note(&self, _: &str) {}
}
