//! Which segment goes to which layer.
//!
//! A large segment is a layer of its own, so that nothing else moves when it changes and it moves when nothing else does. The
//! rest go to a fixed number of buckets by a hash of the package's name, and not of its version, so that a package stays in
//! its bucket and one changed package moves one layer. The number of layers stays below 100, the most that a kernel takes as
//! an overlay by the old mount call and most clients take at all.
//!
//! Where somebody says how many layers there may be at the most, the kinds of packages share them in the proportions that they
//! have otherwise ([`Parts::policy`]). What a kind gets follows from that number, the number of the base's layers and the kinds
//! that there are, and from no package.

use provenv_definition::Digest;
use provenv_lock::{PlatformLock, PostLink, PythonLock};

use crate::form::CLIENTS_TAKE;

/// Packages that are spread over layers together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    System,
    CondaPython,
    Conda,
    CondaBytecode,
    Python,
}

/// How one kind of packages is spread over layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Policy {
    /// What a bucket is called: `system packages`.
    pub what: &'static str,
    pub buckets: u64,
    /// Compressed bytes from which a segment is a layer of its own.
    pub own_from: u64,
    /// How many segments are layers of their own at the most: the largest.
    pub own_most: usize,
}

/// Debian packages: most of them are small and hang together.
const SYSTEM: Policy = Policy { what: "system packages", buckets: 8, own_from: 8 << 20, own_most: 12 };

/// Python packages and their bytecode.
const PYTHON: Policy = Policy { what: "Python packages", buckets: 16, own_from: 2 << 20, own_most: 40 };

/// The conda packages that conda's Python stands on, itself included: what compiles the modules of all the others.
const CONDA_PYTHON: Policy =
    Policy { what: "packages that Python stands on", buckets: 4, own_from: 8 << 20, own_most: 4 };

/// The other conda packages.
const CONDA: Policy = Policy { what: "conda packages", buckets: 12, own_from: 4 << 20, own_most: 20 };

/// The bytecode of conda packages, which is made when their layers stand.
const CONDA_BYTECODE: Policy =
    Policy { what: "bytecode of conda packages", buckets: 8, own_from: 2 << 20, own_most: 4 };

/// Wheels and their bytecode above conda packages: fewer, as a rule, and there is less room for them.
const PYTHON_OVER_CONDA: Policy =
    Policy { what: "Python packages", buckets: 8, own_from: 2 << 20, own_most: 12 };

/// What the policies above come to together at the most, with what is made besides.
const MOST: usize = 96;

impl Policy {
    /// The same where a base from a registry has so many layers already.
    fn above(&self, base: usize) -> Self {
        let room = usize::from(CLIENTS_TAKE).saturating_sub(base).min(MOST);
        let share = |whole: usize| whole * room / MOST;
        let buckets = share(usize::try_from(self.buckets).expect("a small number")).max(1);
        Self { buckets: buckets as u64, own_most: share(self.own_most), ..*self }
    }

    /// How many layers it takes at the most.
    fn most(&self) -> usize {
        usize::try_from(self.buckets).expect("a small number") + self.own_most
    }

    /// The same with so many layers, at least one, and never more than it has.
    fn of_layers(&self, layers: usize) -> Self {
        let layers = layers.clamp(1, self.most());
        let buckets = usize::try_from(self.buckets).expect("a small number");
        let buckets = (layers * buckets / self.most()).max(1);
        Self { buckets: buckets as u64, own_most: layers - buckets, ..*self }
    }
}

/// What of an image takes layers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parts {
    /// Layers of a base from a registry.
    base: usize,
    /// Layers of which there is one: the base state, the environment's own files …
    fixed: usize,
    kinds: Vec<Kind>,
    has_conda: bool,
}

/// An image cannot have so few layers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an image of at most {allowed} layers was asked for, and this one has at least {needed}{}", of_base(*.base))]
pub struct TooFewLayers {
    allowed: usize,
    needed: usize,
    /// Of these, those of its base from a registry.
    base: usize,
}

fn of_base(layers: usize) -> String {
    if layers == 0 { String::new() } else { format!(", {layers} of them of its base image") }
}

impl TooFewLayers {
    /// What the user can do about it.
    pub fn hint(&self) -> String {
        if self.needed > CLIENTS_TAKE.into() {
            return format!("clients take {CLIENTS_TAKE} layers: take a base image of fewer");
        }
        format!("`--layers {}` is enough; with more, fewer packages move when one changes", self.needed)
    }
}

impl Parts {
    /// The parts of the image of `lock`, whose base from a registry, if it has one, has `base` layers.
    pub fn of(lock: &PlatformLock, base: usize) -> Self {
        let has_conda = !lock.conda.is_empty();
        let own_base = lock.base.manifest().is_none();
        let mut kinds = Vec::new();
        let mut fixed = 0;
        if own_base || !lock.debian.is_empty() {
            kinds.push(Kind::System);
            // The state of the base.
            fixed += 1;
        }
        if let Some(python) = &lock.python {
            // The bytecode of system packages.
            fixed += usize::from(python.executable.starts_with("/usr/bin/") && !lock.debian.is_empty());
        }
        let has_virtualenv = lock.python.as_ref().is_some_and(PythonLock::has_virtualenv);
        // The environment's own files.
        fixed += usize::from(has_conda || has_virtualenv || (own_base && lock.python.is_some()));
        if has_conda {
            if lock.python.as_ref().is_some_and(PythonLock::is_condas) {
                kinds.push(Kind::CondaPython);
            }
            kinds.push(Kind::Conda);
            if lock.python.is_some() {
                kinds.push(Kind::CondaBytecode);
            }
        }
        if !lock.pypi.is_empty() {
            kinds.push(Kind::Python);
        }
        // What scripts left.
        fixed += usize::from(matches!(lock.post_link, Some(PostLink::Run { layer: Some(_) })));
        Self { base, fixed, kinds, has_conda }
    }

    /// Refuses fewer layers than it takes.
    pub fn check(&self, most: Option<u8>) -> Result<(), TooFewLayers> {
        let own = self.fixed + self.kinds.len();
        match most.map(usize::from) {
            Some(allowed) if allowed < self.base + own => {
                Err(TooFewLayers { allowed, needed: self.base + own, base: self.base })
            }
            _ => Ok(()),
        }
    }

    /// How packages of a kind are spread in an image of at most so many layers.
    ///
    /// Each kind has one layer. Those that are left are shared in proportion to what the kinds have more than one of otherwise,
    /// rounded down. What a kind gets is divided into buckets and layers of single packages in the proportion that these have
    /// otherwise, with one bucket at least.
    pub fn policy(&self, kind: Kind, most: Option<u8>) -> Result<Policy, TooFewLayers> {
        let Some(allowed) = most else { return Ok(self.usual(kind).above(self.base)) };
        self.check(most)?;
        let room = usize::from(allowed) - self.base - self.fixed - self.kinds.len();
        let whole: usize = self.kinds.iter().map(|kind| self.usual(*kind).most() - 1).sum();
        let usual = self.usual(kind);
        let share = (usual.most() - 1) * room / whole.max(1);
        Ok(usual.of_layers(1 + share))
    }

    fn usual(&self, kind: Kind) -> Policy {
        match kind {
            Kind::System => SYSTEM,
            Kind::CondaPython => CONDA_PYTHON,
            Kind::Conda => CONDA,
            Kind::CondaBytecode => CONDA_BYTECODE,
            Kind::Python if self.has_conda => PYTHON_OVER_CONDA,
            Kind::Python => PYTHON,
        }
    }
}

/// A segment that wants a layer.
pub(super) struct Candidate {
    /// Name of the package.
    pub name: String,
    /// What it is called alone in a layer: `numpy 2.3.5`.
    pub what: String,
    /// Compressed bytes.
    pub size: u64,
}

/// A layer to be: what it is called, and which candidates are in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub what: String,
    pub members: Vec<usize>,
}

/// Spreads `candidates`, whose order is kept inside each layer. Buckets come first, then the large ones by name.
pub(super) fn group(policy: &Policy, candidates: &[Candidate]) -> Vec<Group> {
    let mut large: Vec<usize> =
        (0..candidates.len()).filter(|&n| candidates[n].size >= policy.own_from).collect();
    large.sort_by_key(|&n| (std::cmp::Reverse(candidates[n].size), &candidates[n].what));
    large.truncate(policy.own_most);
    large.sort_by_key(|&n| &candidates[n].what);

    let mut buckets = vec![Vec::new(); usize::try_from(policy.buckets).expect("a small number")];
    for n in (0..candidates.len()).filter(|n| !large.contains(n)) {
        buckets[bucket(&candidates[n].name, policy.buckets)].push(n);
    }
    let buckets = buckets.into_iter().enumerate().filter(|(_, members)| !members.is_empty());
    let buckets =
        buckets.map(|(n, members)| Group { what: format!("{} (bucket {})", policy.what, n + 1), members });
    buckets
        .chain(large.iter().map(|&n| Group { what: candidates[n].what.clone(), members: vec![n] }))
        .collect()
}

fn bucket(name: &str, buckets: u64) -> usize {
    let digest = Digest::of(name.as_bytes());
    let head = digest.as_bytes().first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
    usize::try_from(head % buckets).expect("a small number")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(name: &str, version: &str, size: u64) -> Candidate {
        Candidate { name: name.to_owned(), what: format!("{name} {version}"), size }
    }

    #[test]
    fn a_new_version_moves_no_other_package() {
        let names = ["a", "b", "c", "d", "e", "f"];
        let groups = |version| {
            let candidates: Vec<_> = names.iter().map(|name| candidate(name, version, 1)).collect();
            group(&PYTHON, &candidates)
        };
        assert_eq!(groups("1"), groups("2"));
    }

    #[test]
    fn layers_stay_below_the_limit() {
        let candidates: Vec<_> =
            (0..1000).map(|n| candidate(&format!("package-{n}"), "1", (1 << 20) * (n % 50))).collect();
        for policy in [&SYSTEM, &PYTHON, &CONDA_PYTHON, &CONDA, &CONDA_BYTECODE, &PYTHON_OVER_CONDA] {
            let groups = group(policy, &candidates);
            assert_eq!(groups.iter().map(|group| group.members.len()).sum::<usize>(), 1000);
            assert!(groups.len() <= policy.own_most + usize::try_from(policy.buckets).unwrap());
            // The largest are the ones apart.
            let smallest_apart = groups
                .iter()
                .filter(|group| !group.what.contains("bucket"))
                .map(|group| candidates[group.members[0]].size)
                .min();
            assert!(smallest_apart.unwrap() >= 40 << 20);
        }
        for base in [0, 20, 31, 60, 100] {
            let kinds = [&SYSTEM, &CONDA_PYTHON, &CONDA, &CONDA_BYTECODE, &PYTHON_OVER_CONDA];
            let all = base + kinds.into_iter().map(|policy| policy.above(base).most()).sum::<usize>() + 4;
            assert!(all <= 127, "{all} layers on {base}");
        }
        // With base state, Debian's bytecode and the virtualenv.
        let most = Policy::most;
        assert!(most(&SYSTEM) + most(&PYTHON) + 3 < 100);
        // With base state, Debian's bytecode, the environment's own files and what scripts leave.
        let conda = [&CONDA_PYTHON, &CONDA, &CONDA_BYTECODE, &PYTHON_OVER_CONDA];
        assert!(most(&SYSTEM) + conda.into_iter().map(most).sum::<usize>() + 4 < 100);
    }

    fn all_kinds(base: usize) -> Parts {
        let kinds = vec![Kind::System, Kind::CondaPython, Kind::Conda, Kind::CondaBytecode, Kind::Python];
        Parts { base, fixed: 4, kinds, has_conda: true }
    }

    #[test]
    fn what_is_allowed_is_shared_and_kept_to() {
        for parts in [
            all_kinds(0),
            all_kinds(30),
            Parts { base: 0, fixed: 3, kinds: vec![Kind::System, Kind::Python], has_conda: false },
            Parts { base: 5, fixed: 0, kinds: vec![Kind::Python], has_conda: false },
            Parts { base: 5, fixed: 1, kinds: Vec::new(), has_conda: false },
        ] {
            let least = parts.base + parts.fixed + parts.kinds.len();
            for most in 1..=CLIENTS_TAKE {
                if usize::from(most) < least {
                    let error = parts.check(Some(most)).unwrap_err();
                    assert_eq!((error.allowed, error.needed), (most.into(), least));
                    continue;
                }
                parts.check(Some(most)).unwrap();
                let policies = parts.kinds.iter().map(|kind| parts.policy(*kind, Some(most)).unwrap());
                let policies: Vec<Policy> = policies.collect();
                assert!(policies.iter().all(|policy| policy.buckets >= 1));
                let all = parts.base + parts.fixed + policies.iter().map(Policy::most).sum::<usize>();
                assert!(all <= most.into(), "{all} layers, and {most} are allowed: {policies:?}");
            }
        }
        // Where there is room for all that the rules want, it is as where nobody says anything.
        let parts = all_kinds(0);
        for kind in &parts.kinds {
            assert_eq!(parts.policy(*kind, Some(CLIENTS_TAKE)).unwrap(), parts.policy(*kind, None).unwrap());
        }
        // These numbers are part of the rules of epoch 2.
        let shares = parts.kinds.iter().map(|kind| parts.policy(*kind, Some(40)).unwrap());
        let shares: Vec<(u64, usize)> = shares.map(|policy| (policy.buckets, policy.own_most)).collect();
        assert_eq!(shares, [(2, 5), (1, 2), (4, 8), (2, 2), (2, 5)]);
    }
}
