//! Garbage collection never takes what a root, a hold or a pin protects, and takes the rest.

use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use proptest::prelude::*;
use provenv_definition::Digest;
use provenv_store::{Hold, Item, Roots, SharedPin, Store};
use tempfile::TempDir;

#[derive(Clone, Debug)]
enum Step {
    Put(u8),
    Record(u8, u8),
    Tree(u8),
    Pin,
    Unpin,
    /// Holds the things whose bit is set.
    Hold(u16),
    Release,
    /// Collects with the things whose bit is set as roots.
    Collect {
        roots: u16,
        dry_run: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_u8..8).prop_map(Step::Put),
        3 => (0_u8..8, 0_u8..8).prop_map(|(key, blob)| Step::Record(key, blob)),
        2 => (0_u8..8).prop_map(Step::Tree),
        1 => Just(Step::Pin),
        1 => Just(Step::Unpin),
        1 => any::<u16>().prop_map(Step::Hold),
        1 => Just(Step::Release),
        3 => (any::<u16>(), prop::bool::weighted(0.2)).prop_map(|(roots, dry_run)| Step::Collect { roots, dry_run }),
    ]
}

fn content(id: u8) -> Vec<u8> {
    vec![id; 10 + usize::from(id)]
}

/// Roots, and what they root: blobs, records, trees.
type Rooted = (Roots, HashSet<u8>, HashSet<u8>, HashSet<u8>);

/// What should be there.
#[derive(Default)]
struct Model {
    blobs: HashSet<u8>,
    records: BTreeMap<u8, u8>,
    trees: HashSet<u8>,
}

impl Model {
    fn check(&self, store: &Store) {
        for id in 0..8 {
            assert_eq!(store.contains(&Digest::of(&content(id))), self.blobs.contains(&id), "blob {id}");
            assert_eq!(
                store.record::<u8>("r", &id.to_string()).unwrap(),
                self.records.get(&id).copied(),
                "record {id}"
            );
            assert_eq!(store.tree("t", &id.to_string()).is_some(), self.trees.contains(&id), "tree {id}");
        }
    }

    /// Root things by the bits of `roots`: a rooted record brings its blob along.
    fn roots(&self, roots: u16) -> Rooted {
        let picked =
            |offset: u16| (0..8_u8).filter(move |id| roots >> ((u16::from(*id) + offset) % 16) & 1 == 1);
        let records: HashSet<u8> = picked(3).filter(|id| self.records.contains_key(id)).collect();
        let mut blobs: HashSet<u8> = picked(0).collect();
        blobs.extend(records.iter().map(|id| self.records[id]));
        let trees: HashSet<u8> = picked(7).collect();
        let named =
            |kind: &str, ids: &HashSet<u8>| ids.iter().map(|id| (kind.to_owned(), id.to_string())).collect();
        let roots = Roots {
            blobs: blobs.iter().map(|id| Digest::of(&content(*id))).collect(),
            records: named("r", &records),
            trees: named("t", &trees),
        };
        (roots, blobs, records, trees)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_rooted_or_pinned_stays_and_the_rest_goes(steps in prop::collection::vec(step(), 1..40)) {
        let folder = TempDir::new().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut model = Model::default();
        let mut pins: Vec<SharedPin> = Vec::new();
        let mut holds: Vec<(Hold, Rooted)> = Vec::new();
        for step in steps {
            match step {
                Step::Put(id) => {
                    store.put(&content(id)).unwrap();
                    model.blobs.insert(id);
                }
                Step::Record(key, id) => {
                    store.put(&content(id)).unwrap();
                    store.set_record("r", &key.to_string(), &id).unwrap();
                    model.blobs.insert(id);
                    model.records.insert(key, id);
                }
                Step::Tree(id) => {
                    store.stage_tree("t", &id.to_string()).unwrap().commit().unwrap();
                    model.trees.insert(id);
                }
                Step::Pin => pins.push(store.pin().unwrap()),
                Step::Unpin => drop(pins.pop()),
                Step::Hold(bits) => {
                    let rooted = model.roots(bits);
                    holds.push((store.pin().unwrap().hold(&rooted.0).unwrap(), rooted));
                }
                Step::Release => drop(holds.pop()),
                Step::Collect { roots, dry_run } => {
                    let collector = store.try_collector().unwrap();
                    prop_assert_eq!(collector.is_some(), pins.is_empty());
                    let Some(collector) = collector else { continue };
                    let (roots, mut blobs, mut records, mut trees) = model.roots(roots);
                    for (_, (_, held_blobs, held_records, held_trees)) in &holds {
                        blobs.extend(held_blobs);
                        records.extend(held_records);
                        trees.extend(held_trees);
                    }
                    let before = store.stats().unwrap();
                    let report = collector.collect(&roots, dry_run).unwrap();
                    let after = store.stats().unwrap();
                    if dry_run {
                        prop_assert_eq!(before, after);
                        let again = collector.collect(&roots, false).unwrap();
                        prop_assert_eq!(&again, &report);
                    }
                    model.blobs.retain(|id| blobs.contains(id));
                    model.records.retain(|id, _| records.contains(id));
                    model.trees.retain(|id| trees.contains(id));
                    let kept = model.blobs.len() + model.records.len() + model.trees.len();
                    prop_assert_eq!(report.kept, kept as u64);
                    let rank = |item: &Item| match item {
                        Item::Record(..) => 0,
                        Item::Tree(..) => 1,
                        Item::Blob(_) | Item::Quarantined(_) => 2,
                    };
                    prop_assert!(report.removed.is_sorted_by_key(|(item, _)| rank(item)), "records, trees, blobs");
                }
            }
            model.check(&store);
        }
    }
}

#[test]
fn builds_and_collections_at_once() {
    let folder = TempDir::new().unwrap();
    let rooted: Mutex<Vec<(String, Digest)>> = Mutex::new(Vec::new());
    let done = AtomicBool::new(false);
    let collections = std::thread::scope(|scope| {
        let builders: Vec<_> = (0..4)
            .map(|builder| {
                let (folder, rooted) = (&folder, &rooted);
                scope.spawn(move || {
                    let store = Store::open(folder.path()).unwrap();
                    for round in 0..60 {
                        let pin = store.pin().unwrap();
                        // Often the same blob as other builders', found rather than made.
                        let blob = store.put(format!("blob {}", round / 2).as_bytes()).unwrap();
                        let key = format!("{builder}-{round}");
                        store.set_record("build", &key, &blob).unwrap();
                        std::thread::yield_now();
                        assert!(store.contains(&blob), "what a pinned build made stays");
                        assert_eq!(store.record::<Digest>("build", &key).unwrap(), Some(blob));
                        if round % 3 == 0 {
                            rooted.lock().unwrap().push((key, blob));
                        }
                        drop(pin);
                    }
                })
            })
            .collect();
        let collector = scope.spawn(|| {
            let store = Store::open(folder.path()).unwrap();
            let mut collections = 0;
            while !done.load(Ordering::SeqCst) {
                let collector = store.collector().unwrap();
                let mut roots = Roots::default();
                for (key, blob) in rooted.lock().unwrap().iter() {
                    roots.blobs.insert(*blob);
                    roots.records.insert(("build".into(), key.clone()));
                }
                collector.collect(&roots, false).unwrap();
                collections += 1;
                drop(collector);
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            collections
        });
        for builder in builders {
            builder.join().unwrap();
        }
        done.store(true, Ordering::SeqCst);
        collector.join().unwrap()
    });
    assert!(collections > 0);
    let store = Store::open(folder.path()).unwrap();
    for (key, blob) in rooted.into_inner().unwrap() {
        assert!(store.contains(&blob));
        assert_eq!(store.record::<Digest>("build", &key).unwrap(), Some(blob));
    }
}
