//! Trees of any size: what is kept by node is the tree that RFC 6962 defines, proofs prove what they say and nothing else,
//! and a check tells what was done to a log.

use std::collections::HashMap;

use proptest::prelude::*;
use provenv_ledger::{
    Checkpoint, Entry, Finding, Given, Hash, Logged, Node, Range, check_consistency, check_inclusion,
    consistency, hash_of, inclusion, nodes_of, siblings, verify,
};

/// A log as a server keeps it.
#[derive(Default)]
struct Log {
    nodes: HashMap<Node, Hash>,
    size: u64,
}

impl Log {
    fn of(leaves: &[Hash]) -> Self {
        let mut log = Self::default();
        for leaf in leaves {
            log.append(*leaf);
        }
        log
    }

    fn append(&mut self, leaf: Hash) {
        let mut hash = leaf;
        let mut node = Node { level: 0, place: self.size };
        self.nodes.insert(node, hash);
        for sibling in siblings(self.size) {
            hash = Hash::inner(&self.nodes[&sibling], &hash);
            node = Node { level: node.level + 1, place: node.place / 2 };
            assert!(self.nodes.insert(node, hash).is_none(), "a node is made once");
        }
        self.size += 1;
    }

    fn over(&self, range: Range) -> Hash {
        hash_of(&nodes_of(range).iter().map(|node| self.nodes[node]).collect::<Vec<_>>())
    }

    fn path(&self, ranges: &[Range]) -> Vec<Hash> {
        ranges.iter().map(|range| self.over(*range)).collect()
    }
}

/// MTH of RFC 6962, word for word.
fn defined(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::empty(),
        [leaf] => *leaf,
        _ => {
            let mut k = 1;
            while k * 2 < leaves.len() {
                k *= 2;
            }
            Hash::inner(&defined(&leaves[..k]), &defined(&leaves[k..]))
        }
    }
}

fn leaves(size: usize) -> Vec<Hash> {
    (0..size).map(|number| Hash::leaf(number.to_string().as_bytes())).collect()
}

fn text(number: u64) -> String {
    let entry = Entry {
        number,
        at: jiff::Timestamp::UNIX_EPOCH,
        by: "ann".to_owned(),
        action: "label.set".to_owned(),
        workspace: Some("default".to_owned()),
        subject: format!("digits:{number}"),
        details: [("label".to_owned(), "prod".to_owned())].into(),
        salt: "salt".to_owned(),
    };
    entry.to_text().unwrap()
}

fn logged(number: u64) -> Logged {
    Logged { number, workspace: Some("default".to_owned()), text: text(number) }
}

/// A log with its entries, and what is signed for it.
fn whole(size: u64) -> (Vec<Logged>, Vec<Hash>, Checkpoint) {
    let entries: Vec<_> = (0..size).map(logged).collect();
    let leaves: Vec<_> = entries.iter().map(|entry| Hash::leaf(entry.text.as_bytes())).collect();
    let checkpoint = Checkpoint { origin: "log".to_owned(), size, root: defined(&leaves) };
    (entries, leaves, checkpoint)
}

fn given<'a>(checkpoint: &'a Checkpoint, leaves: &'a [Hash], entries: &'a [Logged]) -> Given<'a> {
    Given { checkpoint, leaves, entries, is_all: true, earlier: None, earlier_leaves: None }
}

proptest! {
    #[test]
    fn trees_are_as_defined(size in 0_usize..300) {
        let leaves = leaves(size);
        prop_assert_eq!(Log::of(&leaves).over(Range::whole(size as u64)), defined(&leaves));
    }

    #[test]
    fn an_entry_is_where_it_is_and_nowhere_else(size in 1_usize..300, at in any::<prop::sample::Index>(),
                                               other in any::<prop::sample::Index>(), spoiled in any::<prop::sample::Index>()) {
        let leaves = leaves(size);
        let log = Log::of(&leaves);
        let root = defined(&leaves);
        let (number, other, size) = (at.index(size), other.index(size), size as u64);
        let path = log.path(&inclusion(number as u64, size));
        check_inclusion(&leaves[number], number as u64, size, &path, &root).unwrap();
        if other != number {
            prop_assert!(check_inclusion(&leaves[number], other as u64, size, &path, &root).is_err());
            prop_assert!(check_inclusion(&leaves[other], number as u64, size, &path, &root).is_err());
        }
        if !path.is_empty() {
            let mut bad = path.clone();
            let which = spoiled.index(bad.len());
            bad[which] = Hash::leaf(b"another");
            prop_assert!(check_inclusion(&leaves[number], number as u64, size, &bad, &root).is_err());
            prop_assert!(check_inclusion(&leaves[number], number as u64, size, &path[1..], &root).is_err());
        }
        let longer = [&path[..], &[root]].concat();
        prop_assert!(check_inclusion(&leaves[number], number as u64, size, &longer, &root).is_err());
    }

    #[test]
    fn a_log_grows_and_does_not_change(new in 1_usize..300, at in any::<prop::sample::Index>(),
                                      spoiled in any::<prop::sample::Index>()) {
        let old = at.index(new + 1);
        let leaves = leaves(new);
        let log = Log::of(&leaves);
        let (old_root, new_root) = (defined(&leaves[..old]), defined(&leaves));
        let path = log.path(&consistency(old as u64, new as u64));
        check_consistency((old as u64, &old_root), (new as u64, &new_root), &path).unwrap();
        if old > 0 {
            // Another past: one of its entries differs.
            let mut forked = leaves[..old].to_vec();
            forked[spoiled.index(old)] = Hash::leaf(b"another");
            let fork = defined(&forked);
            prop_assert!(check_consistency((old as u64, &fork), (new as u64, &new_root), &path).is_err());
        }
        let longer = [&path[..], &[new_root]].concat();
        prop_assert!(check_consistency((old as u64, &old_root), (new as u64, &new_root), &longer).is_err());
        prop_assert!(check_consistency((new as u64 + 1, &old_root), (new as u64, &new_root), &path).is_err());
    }

    #[test]
    fn a_check_tells_which_entry(size in 2_u64..80, at in any::<prop::sample::Index>(), to in any::<prop::sample::Index>()) {
        let (entries, leaves, checkpoint) = whole(size);
        prop_assert_eq!(verify(&given(&checkpoint, &leaves, &entries)).findings, []);
        let number = at.index(entries.len());
        let which = number as u64;

        let mut changed = entries.clone();
        changed[number].text = changed[number].text.replace("ann", "eve");
        prop_assert_eq!(verify(&given(&checkpoint, &leaves, &changed)).findings, [Finding::Changed { number: which }]);

        let mut removed = entries.clone();
        removed.remove(number);
        prop_assert_eq!(verify(&given(&checkpoint, &leaves, &removed)).findings, [Finding::Missing { number: which }]);

        let mut misfiled = entries.clone();
        misfiled[number].workspace = None;
        prop_assert_eq!(verify(&given(&checkpoint, &leaves, &misfiled)).findings, [Finding::Misfiled { number: which }]);

        let other = to.index(entries.len());
        if other != number {
            let mut moved = entries.clone();
            let texts = (entries[number].text.clone(), entries[other].text.clone());
            (moved[other].text, moved[number].text) = texts;
            let says = other as u64;
            let findings = verify(&given(&checkpoint, &leaves, &moved)).findings;
            prop_assert_eq!(findings.len(), 2);
            let moved_to = Finding::Moved { number: which, says };
            let moved_from = Finding::Moved { number: says, says: which };
            prop_assert!(findings.contains(&moved_to) && findings.contains(&moved_from), "{findings:?}");
        }

        // Whoever changes the hashes too is found out by what was signed, and by what was kept.
        let mut hashed = leaves.clone();
        hashed[number] = Hash::leaf(changed[number].text.as_bytes());
        prop_assert_eq!(verify(&given(&checkpoint, &hashed, &changed)).findings, [Finding::Root]);
        let resigned = Checkpoint { root: defined(&hashed), ..checkpoint.clone() };
        let now = Given { earlier: Some(&checkpoint), ..given(&resigned, &hashed, &changed) };
        prop_assert_eq!(verify(&now).findings, [Finding::Forked { size }]);
        let now = Given { earlier_leaves: Some(&leaves), ..now };
        prop_assert_eq!(verify(&now).findings, [Finding::Forked { size }, Finding::Replaced { number: which }]);

        let (short, fewer, before) = whole(size - 1);
        let now = Given { earlier: Some(&checkpoint), ..given(&before, &fewer, &short) };
        prop_assert_eq!(verify(&now).findings, [Finding::Shortened { earlier: size, now: size - 1 }]);
        let now = Given { earlier: Some(&before), ..given(&checkpoint, &leaves, &entries) };
        prop_assert_eq!(verify(&now).findings, []);
    }
}
