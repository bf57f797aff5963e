//! Small worlds of packages, each with one thing to get right.

use super::super::index::index_of;
use super::super::relation::parse_list;
use super::*;

/// `name version` lines, each followed by its fields.
fn paragraphs(packages: &[(&str, &str)]) -> String {
    let paragraph = |(id, fields): &(&str, &str)| {
        let (name, version) = id.split_once(' ').unwrap();
        let end = if fields.is_empty() { "" } else { "\n" };
        format!(
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\n{fields}{end}Filename: pool/{name}.deb\n\
             Size: 1\nSHA256: {}\n\n",
            "0".repeat(64)
        )
    };
    packages.iter().map(paragraph).collect()
}

fn solve_in(packages: &[(&str, &str)], wanted: &str) -> Result<Vec<String>, Unsolvable> {
    let indexes = [index_of(&paragraphs(packages))];
    let universe = Universe::new(&indexes, "amd64");
    let mut ids: Vec<String> = solve(&universe, Vec::new(), parse_list(wanted).unwrap())?
        .iter()
        .map(|package| package.id())
        .collect();
    ids.sort();
    Ok(ids)
}

fn solved(packages: &[(&str, &str)], wanted: &str) -> Vec<String> {
    solve_in(packages, wanted).unwrap()
}

#[test]
fn dependencies_are_closed_and_cycles_end() {
    let packages =
        [("a 1", "Pre-Depends: b"), ("b 1", "Depends: c (>= 2)"), ("c 2", "Depends: a"), ("d 1", "")];
    assert_eq!(solved(&packages, "a"), ["a=1", "b=1", "c=2"]);
}

#[test]
fn the_first_alternative_is_taken_unless_another_is_there() {
    let packages = [("a 1", "Depends: x | y"), ("b 1", "Depends: y"), ("x 1", ""), ("y 1", "")];
    assert_eq!(solved(&packages, "a"), ["a=1", "x=1"]);
    assert_eq!(solved(&packages, "a, y"), ["a=1", "y=1"]);
    // Also when what brings it is looked at later.
    assert_eq!(solved(&packages, "a, b"), ["a=1", "b=1", "y=1"]);
}

#[test]
fn an_alternative_that_cannot_be_had_is_passed_over() {
    let packages = [("a 1", "Depends: gone | old (>= 2) | y"), ("old 1", ""), ("y 1", "")];
    assert_eq!(solved(&packages, "a"), ["a=1", "y=1"]);
}

#[test]
fn of_providers_the_one_with_the_higher_priority_is_taken() {
    let packages = [
        ("a 1", "Depends: awk"),
        ("gawk 1", "Provides: awk\nPriority: optional"),
        ("mawk 1", "Provides: awk\nPriority: required"),
    ];
    assert_eq!(solved(&packages, "a"), ["a=1", "mawk=1"]);
    assert_eq!(solved(&packages, "a, gawk"), ["a=1", "gawk=1"]);
}

#[test]
fn a_versioned_dependency_needs_a_versioned_provides() {
    let packages = [
        ("a 1", "Depends: api (>= 2)"),
        ("bare 1", "Provides: api\nPriority: required"),
        ("low 1", "Provides: api (= 1)"),
        ("right 1", "Provides: api (= 2.1)"),
    ];
    assert_eq!(solved(&packages, "a"), ["a=1", "right=1"]);
}

#[test]
fn the_latest_version_is_taken_and_an_exact_one_pulls_its_siblings() {
    let packages = [
        ("git 1", "Depends: man (= 1), lib"),
        ("git 2", "Depends: man (= 2), lib"),
        ("man 1", ""),
        ("man 2", ""),
        ("lib 1", ""),
        ("lib 2", ""),
    ];
    assert_eq!(solved(&packages, "git"), ["git=2", "lib=2", "man=2"]);
    assert_eq!(solved(&packages, "git (= 1)"), ["git=1", "lib=2", "man=1"]);
}

#[test]
fn a_choice_that_leads_nowhere_is_taken_back() {
    let packages = [
        ("a 1", "Depends: x | y"),
        ("x 1", "Depends: nothing-of-that-name"),
        ("y 1", ""),
        ("b 1", "Depends: p | q, z | w"),
        ("p 1", "Conflicts: z, w"),
        ("q 1", ""),
        ("z 1", ""),
        ("w 1", ""),
    ];
    assert_eq!(solved(&packages, "a"), ["a=1", "y=1"]);
    assert_eq!(solved(&packages, "b"), ["b=1", "q=1", "z=1"]);
}

#[test]
fn a_conflict_shows_both_sides() {
    let packages = [
        ("a 1", "Depends: left"),
        ("b 1", "Depends: right"),
        ("left 1", "Breaks: right (<< 2)"),
        ("right 1", ""),
    ];
    let Err(Unsolvable::Conflict { left, right, statement }) = solve_in(&packages, "a, b") else { panic!() };
    assert_eq!(left, ["b=1", "right=1"]);
    assert_eq!(right, ["a=1", "left=1"]);
    assert_eq!(statement, "left=1 conflicts with right (<< 2)");
}

#[test]
fn a_package_may_conflict_with_what_it_provides_itself() {
    let packages =
        [("mta-a 1", "Provides: mta\nConflicts: mta"), ("mta-b 1", "Provides: mta\nConflicts: mta")];
    assert_eq!(solved(&packages, "mta-a"), ["mta-a=1"]);
    assert!(matches!(solve_in(&packages, "mta-a, mta-b"), Err(Unsolvable::Conflict { .. })));
}

#[test]
fn an_unmet_dependency_shows_the_way_to_it() {
    let packages = [("a 1", "Depends: b"), ("b 1", "Depends: c (>= 3) | d"), ("c 1", ""), ("c 2", "")];
    let Err(Unsolvable::Unmet { chain, wanted, reasons }) = solve_in(&packages, "a") else { panic!() };
    assert_eq!(chain, ["a=1", "b=1"]);
    assert_eq!(wanted, "c (>= 3) | d");
    assert_eq!(reasons, ["of c there is 2, 1", "there is no package d"]);
}

#[test]
fn qualifiers_ask_for_what_multi_arch_allows() {
    let packages = [
        ("a 1", "Depends: py:any (>= 3)"),
        ("b 1", "Depends: lib:any"),
        ("c 1", "Depends: lib:native, lib:amd64"),
        ("d 1", "Depends: lib:i386"),
        ("py 3", "Multi-Arch: allowed"),
        ("lib 1", "Multi-Arch: same"),
    ];
    assert_eq!(solved(&packages, "a"), ["a=1", "py=3"]);
    assert!(matches!(solve_in(&packages, "b"), Err(Unsolvable::Unmet { .. })));
    assert_eq!(solved(&packages, "c"), ["c=1", "lib=1"]);
    assert!(matches!(solve_in(&packages, "d"), Err(Unsolvable::Unmet { .. })));
}

#[test]
fn what_is_installed_stays_and_is_not_listed() {
    let text = paragraphs(&[("tool 1", "Depends: lib (>= 1), more"), ("lib 2", ""), ("more 1", "")]);
    let indexes = [index_of(&text)];
    let universe = Universe::new(&indexes, "amd64");
    let mut old = (*universe.named("lib").unwrap()[0]).clone();
    old.version = "1".parse().unwrap();
    let added = solve(&universe, vec![Rc::new(old)], parse_list("tool").unwrap()).unwrap();
    let ids: Vec<String> = added.iter().map(|package| package.id()).collect();
    assert_eq!(ids, ["tool=1", "more=1"]);
}
