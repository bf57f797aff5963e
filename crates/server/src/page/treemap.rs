//! The packages of an image as areas: the squarified treemap of Bruls, Huizing and van Wijk, in an SVG whose places are parts
//! of its width, so that its texts stay as large as all others on any screen.

use maud::{Markup, html};
use provenv_workspace::PackageSummary;

use super::words::{bytes, count};

/// What is smaller is one area with all others of its kind.
const SMALLEST: f64 = 0.004;
/// The shape that it is laid out for.
const WIDTH: f64 = 1000.0;
/// Its other side.
const HEIGHT: f64 = 420.0;

/// An area to be.
struct Item {
    name: String,
    class: &'static str,
    size: u64,
}

/// An area in its place, in parts of the whole.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Area {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

/// The treemap of packages.
pub(super) fn figure(packages: &[PackageSummary]) -> Markup {
    let items = items(packages);
    let total: u64 = items.iter().map(|item| item.size).sum();
    if total == 0 {
        return html! { p { "No index said how large its packages are." } };
    }
    let sizes: Vec<f64> = items.iter().map(|item| item.size as f64).collect();
    let areas = squarify(&sizes, WIDTH, HEIGHT);
    let part = |value: f64, whole: f64| format!("{:.3}%", value / whole * 100.0);
    html! {
        figure.treemap {
            svg width="100%" height="420" role="img" aria-label="The packages of the image, each as large as its file; the table of packages has the same in numbers" {
                @for (item, area) in items.iter().zip(&areas) {
                    svg x=(part(area.x, WIDTH)) y=(part(area.y, HEIGHT)) width=(part(area.width, WIDTH)) height=(part(area.height, HEIGHT)) {
                        title { (item.name) ", " (bytes(item.size)) }
                        rect class=(item.class) width="100%" height="100%" rx="3" {}
                        @if area.height > 22.0 {
                            // Not a text of SVG, which would be cut where the area ends.
                            foreignObject width="100%" height="100%" {
                                p { span { (item.name) } @if area.height > 40.0 { span.size { (bytes(item.size)) } } }
                            }
                        }
                    }
                }
            }
            figcaption {
                @for (class, text) in [("pypi", "PyPI"), ("conda", "conda"), ("deb", "Debian")] {
                    @if items.iter().any(|item| item.class == class) { span.key.(class) { (text) } }
                }
            }
        }
    }
}

/// The packages by size, small ones taken together.
fn items(packages: &[PackageSummary]) -> Vec<Item> {
    let total: u64 = packages.iter().map(|package| package.size).sum();
    let is_large = |size: u64| size as f64 >= total as f64 * SMALLEST;
    let mut items: Vec<Item> = Vec::new();
    for class in ["pypi", "conda", "deb"] {
        let (large, small): (Vec<_>, Vec<_>) = packages
            .iter()
            .filter(|package| package.ecosystem == class)
            .partition(|package| is_large(package.size));
        items.extend(large.iter().map(|package| Item {
            name: package.name.clone(),
            class,
            size: package.size,
        }));
        let rest: u64 = small.iter().map(|package| package.size).sum();
        if rest > 0 {
            items.push(Item { name: format!("{} more", count(small.len(), "package")), class, size: rest });
        }
    }
    items.retain(|item| item.size > 0);
    items.sort_by(|one, other| other.size.cmp(&one.size).then_with(|| one.name.cmp(&other.name)));
    items
}

/// Cuts a rectangle into areas in the order of `sizes`, which fall, each about as wide as high.
fn squarify(sizes: &[f64], width: f64, height: f64) -> Vec<Area> {
    let total: f64 = sizes.iter().sum();
    let mut areas = Vec::with_capacity(sizes.len());
    let mut rest = Area { x: 0.0, y: 0.0, width, height };
    let scaled: Vec<f64> = sizes.iter().map(|size| size / total * width * height).collect();
    let mut left = &scaled[..];
    while !left.is_empty() {
        let side = rest.width.min(rest.height);
        let mut taken = 1;
        while taken < left.len() && worst(&left[..=taken], side) <= worst(&left[..taken], side) {
            taken += 1;
        }
        let (row, others) = left.split_at(taken);
        let area: f64 = row.iter().sum();
        let across = if side > 0.0 { area / side } else { 0.0 };
        let mut along = 0.0;
        for one in row {
            let length = if across > 0.0 { one / across } else { 0.0 };
            areas.push(if rest.width >= rest.height {
                Area { x: rest.x, y: rest.y + along, width: across, height: length }
            } else {
                Area { x: rest.x + along, y: rest.y, width: length, height: across }
            });
            along += length;
        }
        if rest.width >= rest.height {
            (rest.x, rest.width) = (rest.x + across, (rest.width - across).max(0.0));
        } else {
            (rest.y, rest.height) = (rest.y + across, (rest.height - across).max(0.0));
        }
        left = others;
    }
    areas
}

/// The longest of a row's areas, as the ratio of its sides.
fn worst(row: &[f64], side: f64) -> f64 {
    let area: f64 = row.iter().sum();
    let ratio = |one: &f64| {
        let ratio = side * side * one / (area * area);
        ratio.max(1.0 / ratio)
    };
    row.iter().map(ratio).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_fill_the_whole_and_are_as_large_as_they_should() {
        let sizes = [600.0, 300.0, 300.0, 200.0, 100.0, 50.0, 1.0];
        let areas = squarify(&sizes, 600.0, 400.0);
        let total: f64 = sizes.iter().sum();
        for (area, size) in areas.iter().zip(sizes) {
            let wanted = size / total * 600.0 * 400.0;
            assert!((area.width * area.height - wanted).abs() < 0.01, "{area:?} {wanted}");
            assert!(
                area.x >= -0.01 && area.x + area.width <= 600.01 && area.y + area.height <= 400.01,
                "{area:?}"
            );
        }
        let apart = |one: &Area, other: &Area| {
            one.x + one.width <= other.x + 0.01
                || other.x + other.width <= one.x + 0.01
                || one.y + one.height <= other.y + 0.01
                || other.y + other.height <= one.y + 0.01
        };
        for (place, one) in areas.iter().enumerate() {
            assert!(areas[place + 1..].iter().all(|other| apart(one, other)), "{one:?}");
        }
        assert!(squarify(&[], 1.0, 1.0).is_empty());
    }
}
