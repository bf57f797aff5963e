//! Which package needs which, as a drawing: in columns, so that each needs only what stands to the right of it.

use std::collections::{BTreeMap, BTreeSet};

use maud::{Markup, html};

use super::packages::About;

/// More would be a knot: the lock and the SBOM have it all.
const MOST: usize = 60;
const COLUMN: usize = 210;
const ROW: usize = 34;
const BOX: usize = 170;

/// The drawing; `None` where nothing needs anything.
pub(super) fn figure(about: &About) -> Option<Markup> {
    let edges: BTreeSet<(&str, &str)> =
        about.needs.iter().map(|(from, to)| (&**from, &**to)).filter(|(from, to)| from != to).collect();
    let columns = columns(&edges);
    if columns.is_empty() || columns.len() > MOST {
        return None;
    }
    let mut rows = vec![0_usize; columns.values().max().map_or(0, |last| last + 1)];
    let mut places = BTreeMap::new();
    for (name, column) in &columns {
        places.insert(*name, (column * COLUMN, rows[*column] * ROW));
        rows[*column] += 1;
    }
    let width = (rows.len() - 1) * COLUMN + BOX + 2;
    let height = rows.iter().max().map_or(0, |most| most * ROW);
    Some(html! {
        figure.graph {
            div.scroll tabindex="0" role="region" aria-label="Drawing of who needs whom" {
                svg width=(width) height=(height) viewBox={ "-1 0 " (width) " " (height) } role="img" aria-label="Lines lead from a package to those that it needs" {
                    @for (from, to) in &edges {
                        @let ((x, y), (to_x, to_y)) = (places[from], places[to]);
                        @let (x, y, to_y, half) = (x + BOX, y + 13, to_y + 13, (COLUMN - BOX) / 2);
                        path d={ "M" (x) " " (y) "C" (x + half) " " (y) " " (to_x.saturating_sub(half)) " " (to_y) " " (to_x) " " (to_y) } { title { (from) " needs " (to) } }
                    }
                    @for (name, (x, y)) in &places {
                        svg x=(x) y=(y) width=(BOX) height="26" {
                            title { (name) }
                            rect width="100%" height="100%" rx="6" {}
                            text x="10" y="17.5" { (name) }
                        }
                    }
                }
            }
        }
    })
}

/// The column of each package: behind all that need it. What needs itself by a detour stays where it was met.
fn columns<'a>(edges: &BTreeSet<(&'a str, &'a str)>) -> BTreeMap<&'a str, usize> {
    let names: BTreeSet<&str> = edges.iter().flat_map(|(from, to)| [*from, *to]).collect();
    let mut columns: BTreeMap<&str, usize> = names.iter().map(|name| (*name, 0)).collect();
    // A way without a detour is no longer than there are packages.
    for _ in 0..names.len().min(12) {
        let mut moved = false;
        for (from, to) in edges {
            let wanted = columns[from] + 1;
            if wanted > columns[to] && wanted < 12 {
                columns.insert(to, wanted);
                moved = true;
            }
        }
        if !moved {
            break;
        }
    }
    columns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_stands_behind() {
        let edges = BTreeSet::from([("sklearn", "numpy"), ("sklearn", "scipy"), ("scipy", "numpy")]);
        assert_eq!(columns(&edges), BTreeMap::from([("numpy", 2), ("scipy", 1), ("sklearn", 0)]));
    }

    #[test]
    fn a_circle_ends() {
        let columns = columns(&BTreeSet::from([("a", "b"), ("b", "a")]));
        assert!(columns.values().all(|column| *column < 12));
    }
}
