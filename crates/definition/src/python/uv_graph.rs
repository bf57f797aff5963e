//! The graph of packages in a `uv.lock`, walked from its roots with the markers of its edges.
//!
//! The marker of a package is the *or* over all ways to it of the *and* of the markers on the way. Written out, that
//! grows without end in a graph made for it, so conditions are kept as sets of sets of comparisons in which what
//! another one implies is left out, and there is a limit.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use super::uv_lock::Package;
use crate::Marker;
use crate::document::Node;
use crate::lock_reader::LockReader;
use crate::recognise::value_of;
use crate::requirement::Assumed;
use crate::secrets::shown;

/// Ways of one package that cannot be told from each other any more; no real lock comes near it.
const MAX_WAYS: usize = 256;
/// Comparisons looked at in all.
const MAX_WORK: usize = 2_000_000;

/// Ways to a package, each the comparisons that hold on it. The empty way always holds.
type Ways = BTreeSet<BTreeSet<String>>;

/// A package, or an extra of it.
type Key = (usize, Option<String>);

pub(super) struct Graph<'p, 'n> {
    packages: &'p [Package<'n>],
    by_name: HashMap<&'p str, Vec<usize>>,
    ways: HashMap<Key, Ways>,
    queue: VecDeque<Key>,
    work: usize,
}

impl<'p, 'n> Graph<'p, 'n> {
    pub fn new(packages: &'p [Package<'n>]) -> Self {
        let mut by_name: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, package) in packages.iter().enumerate() {
            by_name.entry(&package.name).or_default().push(at);
        }
        Self { packages, by_name, ways: HashMap::new(), queue: VecDeque::new(), work: 0 }
    }

    pub fn is_empty(&self) -> bool {
        self.ways.is_empty()
    }

    /// The package at `at` is needed whatever holds.
    pub fn require(&mut self, at: usize) {
        self.reach((at, None), &BTreeSet::from([BTreeSet::new()]));
    }

    /// What `node`, an entry of a list of dependencies, asks for is needed.
    pub fn dependency(&mut self, lock: &mut LockReader<'_>, node: &'n Node) {
        self.follow(lock, node, &BTreeSet::from([BTreeSet::new()]));
    }

    /// All packages that are needed, in the lock's order, with when they are.
    pub fn solve(mut self, lock: &mut LockReader<'_>) -> Vec<(usize, Option<Marker>)> {
        let packages = self.packages;
        while let Some((at, extra)) = self.queue.pop_front() {
            let node = packages[at].node;
            let ways = self.ways[&(at, extra.clone())].clone();
            let dependencies = match &extra {
                None => lock.items(node, "dependencies"),
                Some(extra) => {
                    let extras = value_of(node, "optional-dependencies");
                    extras.map(|extras| lock.items(extras, extra)).unwrap_or_default()
                }
            };
            for dependency in dependencies {
                self.follow(lock, dependency, &ways);
                if self.work > MAX_WORK {
                    lock.invalid(
                        node.span,
                        "the packages are connected by more markers than can be looked at",
                    );
                    return Vec::new();
                }
            }
            if ways.len() > MAX_WAYS {
                lock.invalid(node.span, "more combinations of markers lead here than can be looked at");
                return Vec::new();
            }
        }
        let needed: BTreeMap<usize, Ways> = self
            .ways
            .into_iter()
            .filter_map(|((at, extra), ways)| extra.is_none().then_some((at, ways)))
            .collect();
        needed.into_iter().map(|(at, ways)| (at, marker_of(&ways))).collect()
    }

    fn follow(&mut self, lock: &mut LockReader<'_>, node: &'n Node, ways: &Ways) {
        let Some((text, span)) = lock.needed(node, "name") else { return };
        let name = crate::normalise_name(text);
        let version = lock.text(node, "version").map(|(text, _)| text);
        let source = value_of(node, "source");
        let same = |at: &&usize| {
            let package = &self.packages[**at];
            version.is_none_or(|version| package.version.as_deref() == Some(version))
                && source.is_none_or(|source| {
                    value_of(package.node, "source").is_some_and(|own| alike(own, source))
                })
        };
        self.work += self.by_name.get(&*name).map_or(0, Vec::len);
        let found: Vec<usize> =
            self.by_name.get(&*name).into_iter().flatten().filter(same).copied().collect();
        // What a script asks for names no version: each fork of the resolution says itself where it counts.
        let forked = found.len() > 1
            && found.iter().all(|at| value_of(self.packages[*at].node, "resolution-markers").is_some());
        if found.is_empty() {
            return lock.invalid(span, format!("`{}` is needed, and is not in the lock", shown(&name)));
        }
        if found.len() > 1 && !forked {
            let message = format!("`{}` could be any of several packages of the lock", shown(&name));
            return lock.invalid(span, message);
        }
        self.work += 8;
        let marker = match lock.text(node, "marker") {
            None => None,
            Some((text, span)) => match lock.marker(text, span) {
                None => return,
                Some(marker) => Some(marker),
            },
        };
        // Conflicting extras are told apart by `extra == 'extra-4-demo-cpu'`; nobody asks for one.
        let edge = match marker.map(|marker| marker.assume(&without_extras)) {
            None | Some(Assumed::Always) => BTreeSet::from([BTreeSet::new()]),
            Some(Assumed::Never) => return,
            Some(Assumed::When(marker)) => {
                self.work += marker.to_string().len() / 8;
                alternatives(&marker, &mut self.work)
            }
        };
        let ways = both(ways, &edge, &mut self.work);
        for at in found {
            let ways = if forked {
                let fork = self.fork(lock, at);
                both(&ways, &fork, &mut self.work)
            } else {
                ways.clone()
            };
            self.reach((at, None), &ways);
            // `extra` in dependencies, `extras` in the manifest's requirements.
            for key in ["extra", "extras"] {
                for extra in super::pylock::texts(lock, node, key) {
                    self.reach((at, Some(extra)), &ways);
                }
            }
        }
    }

    /// The ways on which the package at `at` is the one that its fork chose.
    fn fork(&mut self, lock: &mut LockReader<'_>, at: usize) -> Ways {
        let node = self.packages[at].node;
        let mut ways = Ways::new();
        for text in super::pylock::texts(lock, node, "resolution-markers") {
            let found = match lock.marker(&text, node.span).map(|marker| marker.assume(&without_extras)) {
                None | Some(Assumed::Never) => continue,
                Some(Assumed::Always) => BTreeSet::from([BTreeSet::new()]),
                Some(Assumed::When(marker)) => alternatives(&marker, &mut self.work),
            };
            for way in found {
                insert(&mut ways, way, &mut self.work);
            }
        }
        ways
    }

    fn reach(&mut self, key: Key, ways: &Ways) {
        let known = self.ways.entry(key.clone()).or_default();
        self.work += known.len() + ways.len();
        let before = known.clone();
        for way in ways {
            insert(known, way.clone(), &mut self.work);
        }
        if *known != before {
            self.queue.push_back(key);
        }
    }
}

/// Whether two sources are the same.
fn alike(left: &Node, right: &Node) -> bool {
    use crate::document::Kind;
    let (Kind::Mapping(left), Kind::Mapping(right)) = (&left.kind, &right.kind) else { return false };
    left.len() == right.len()
        && left
            .iter()
            .zip(right)
            .all(|((key, value), (other, same))| key.text() == other.text() && value.text() == same.text())
}

fn without_extras(comparison: &str) -> Option<bool> {
    if comparison.starts_with("extra == ") {
        Some(false)
    } else if comparison.starts_with("extra != ") {
        Some(true)
    } else {
        None
    }
}

/// Adds `way` unless a weaker one is there, and takes out those that it makes superfluous.
fn insert(ways: &mut Ways, way: BTreeSet<String>, work: &mut usize) {
    // Past the limit the lock is refused anyway.
    if ways.len() > MAX_WAYS || *work > MAX_WORK {
        return;
    }
    *work += ways.len() * (way.len() + 1);
    if ways.iter().any(|known| known.is_subset(&way)) {
        return;
    }
    ways.retain(|known| !way.is_subset(known));
    ways.insert(way);
}

/// The ways on which both hold.
fn both(left: &Ways, right: &Ways, work: &mut usize) -> Ways {
    let mut ways = Ways::new();
    for left in left {
        for right in right {
            if ways.len() > MAX_WAYS || *work > MAX_WORK {
                return ways;
            }
            *work += left.len() + right.len();
            insert(&mut ways, left | right, work);
        }
    }
    ways
}

/// The ways on which `marker` holds.
fn alternatives(marker: &Marker, work: &mut usize) -> Ways {
    match marker {
        Marker::Compare(text) => BTreeSet::from([BTreeSet::from([text.clone()])]),
        Marker::Or(operands) => {
            let mut ways = Ways::new();
            for way in operands.iter().flat_map(|operand| alternatives(operand, work)).collect::<Vec<_>>() {
                insert(&mut ways, way, work);
            }
            ways
        }
        Marker::And(operands) => {
            let mut ways = Ways::from([BTreeSet::new()]);
            for operand in operands {
                let more = alternatives(operand, work);
                ways = both(&ways, &more, work);
            }
            ways
        }
    }
}

/// The marker that `ways` stand for; `None` where it always holds.
fn marker_of(ways: &Ways) -> Option<Marker> {
    if ways.contains(&BTreeSet::new()) {
        return None;
    }
    let all = |way: &BTreeSet<String>| Marker::all(way.iter().map(|text| Marker::Compare(text.clone())));
    Marker::any(ways.iter().filter_map(all))
}
