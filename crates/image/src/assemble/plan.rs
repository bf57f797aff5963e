//! Which segment goes to which layer.
//!
//! A large segment is a layer of its own, so that nothing else moves when it changes and it moves when nothing else does. The
//! rest go to a fixed number of buckets by a hash of the package's name, and not of its version, so that a package stays in
//! its bucket and one changed package moves one layer. The number of layers stays below 100, the most that a kernel takes as
//! an overlay by the old mount call and most clients take at all.

use provenv_definition::Digest;

/// How one kind of packages is spread over layers.
#[derive(Clone, Copy)]
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
pub(super) const SYSTEM: Policy =
    Policy { what: "system packages", buckets: 8, own_from: 8 << 20, own_most: 12 };

/// Python packages and their bytecode.
pub(super) const PYTHON: Policy =
    Policy { what: "Python packages", buckets: 16, own_from: 2 << 20, own_most: 40 };

/// The conda packages that conda's Python stands on, itself included: what compiles the modules of all the others.
pub(super) const CONDA_PYTHON: Policy =
    Policy { what: "packages that Python stands on", buckets: 4, own_from: 8 << 20, own_most: 4 };

/// The other conda packages.
pub(super) const CONDA: Policy =
    Policy { what: "conda packages", buckets: 12, own_from: 4 << 20, own_most: 20 };

/// The bytecode of conda packages, which is made when their layers stand.
pub(super) const CONDA_BYTECODE: Policy =
    Policy { what: "bytecode of conda packages", buckets: 8, own_from: 2 << 20, own_most: 4 };

/// Wheels and their bytecode above conda packages: fewer, as a rule, and there is less room for them.
pub(super) const PYTHON_OVER_CONDA: Policy =
    Policy { what: "Python packages", buckets: 8, own_from: 2 << 20, own_most: 12 };

/// What the policies above come to together at the most, with what is made besides.
const MOST: usize = 96;
/// What clients take, and docker not one more.
const CLIENTS_TAKE: usize = 127;

impl Policy {
    /// The same where a base from a registry has so many layers already.
    pub fn above(&self, base: usize) -> Self {
        let room = CLIENTS_TAKE.saturating_sub(base).min(MOST);
        let share = |whole: usize| whole * room / MOST;
        let buckets = share(usize::try_from(self.buckets).expect("a small number")).max(1);
        Self { buckets: buckets as u64, own_most: share(self.own_most), ..*self }
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
            let most = |policy: &Policy| {
                let policy = policy.above(base);
                policy.own_most + usize::try_from(policy.buckets).unwrap()
            };
            let kinds = [&SYSTEM, &CONDA_PYTHON, &CONDA, &CONDA_BYTECODE, &PYTHON_OVER_CONDA];
            let all = base + kinds.into_iter().map(most).sum::<usize>() + 4;
            assert!(all <= 127, "{all} layers on {base}");
        }
        // With base state, Debian's bytecode and the virtualenv.
        let most = |policy: &Policy| policy.own_most + usize::try_from(policy.buckets).unwrap();
        assert!(most(&SYSTEM) + most(&PYTHON) + 3 < 100);
        // With base state, Debian's bytecode, the environment's own files and what scripts leave.
        let conda = [&CONDA_PYTHON, &CONDA, &CONDA_BYTECODE, &PYTHON_OVER_CONDA];
        assert!(most(&SYSTEM) + conda.into_iter().map(most).sum::<usize>() + 4 < 100);
    }
}
