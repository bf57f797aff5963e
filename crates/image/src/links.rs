//! Hard links of a segment that a layer cannot keep as they are, since it leaves out what they lead to.
//!
//! An installer gives each path a file of its own: the link keeps the bytes of its package, whoever has the other path.

use std::collections::{BTreeSet, HashMap};

use crate::segment::{Item, ItemKind, Segment};

/// A hard link that is laid down in another way.
#[derive(Debug)]
pub(crate) struct Moved<'s> {
    /// The link.
    pub link: &'s Item,
    /// The file that it leads to in the end.
    pub file: &'s Item,
    /// What it is a link to in the layer; `None` where it is a file with the bytes of `file`.
    pub target: Option<&'s str>,
}

/// The hard links of `segment` that lead to, or through, a path in `without`, or through another such link. They stand behind all
/// other entries, in this order.
pub(crate) fn moved<'s>(segment: &'s Segment, without: &BTreeSet<String>) -> Vec<Moved<'s>> {
    if without.is_empty() {
        return Vec::new();
    }
    let items: HashMap<&str, &Item> =
        segment.index.entries.iter().map(|item| (item.path.as_str(), item)).collect();
    // By path of a file that is left out: the link that stands for it.
    let mut files: HashMap<&str, &str> = HashMap::new();
    let mut moved = Vec::new();
    for link in segment.index.entries.iter().filter(|item| !without.contains(&item.path)) {
        let mut item = link;
        let mut is_moved = false;
        // A link leads to what stands before it, so that there are no circles.
        while let ItemKind::Hardlink(target) = &item.kind {
            let Some(next) = items.get(target.as_str()).filter(|next| next.at < item.at) else { break };
            is_moved |= without.contains(target);
            item = next;
        }
        if !is_moved || item.kind != ItemKind::File {
            continue;
        }
        let target = if without.contains(&item.path) {
            files.get(item.path.as_str()).copied()
        } else {
            Some(item.path.as_str())
        };
        if target.is_none() {
            files.insert(&item.path, &link.path);
        }
        moved.push(Moved { link, file: item, target });
    }
    moved
}
