//! What cannot be chosen, and how that is said.

use provenv_channel::{Channel, Package};
use provenv_lock::conda::Error;
use serde_json::Value;

use super::support::{Asked, Place, asked, small};

#[test]
fn a_package_that_nobody_has_is_named_with_what_may_be_meant() {
    let place = Place::new();
    let channel = place.folder("small", &small());
    let question = asked(&[&channel], &["data", "libary"]);
    let error = place.resolve(&question).unwrap_err();
    assert_eq!(error.to_string(), "no channel has a package `libary`");
    assert_eq!(error.hint().unwrap(), "did you mean `library`?");
    assert_eq!(error.concerns(&question.requirements), [1]);
}

#[test]
fn no_channel_is_an_error_of_its_own() {
    let place = Place::new();
    let error = place.resolve(&asked(&[], &["numpy"])).unwrap_err();
    assert!(matches!(error, Error::NoChannels { .. }));
    assert!(error.hint().unwrap().contains("conda-forge"));
}

/// What is said of specs that cannot be had on this channel, with the hint.
fn refusal(channel: &Channel, specs: &[&str]) -> String {
    let place = Place::new();
    let url = place.folder("channel", channel);
    let question = asked(&[&url], specs);
    said(&place, &question)
}

fn said(place: &Place, question: &Asked) -> String {
    let error = place.resolve(question).unwrap_err();
    let concerned = error.concerns(&question.requirements);
    let concerned = concerned.iter().map(|at| question.requirements.packages[*at].spec.as_str());
    let concerned = concerned.collect::<Vec<_>>().join(", ");
    let hint = error.hint().map(|hint| format!("hint: {hint}\n")).unwrap_or_default();
    let text = format!("{error}\n{hint}concerns: {concerned}");
    text.replace(&place.path().display().to_string(), "PLACE")
}

#[test]
fn conflicts_name_what_was_asked_for() {
    let channel = Channel::new("conflict")
        .add(Package::new("library", "1"))
        .add(Package::new("library", "2"))
        .add(Package::new("old", "1").depends("library <2"))
        .add(Package::new("new", "1").depends("library >=2"))
        .add(Package::new("other", "1"));
    insta::assert_snapshot!(refusal(&channel, &["other", "new", "old"]));
}

#[test]
fn constraints_of_packages_count() {
    let channel = Channel::new("constrains")
        .add(Package::new("library", "1"))
        .add(Package::new("library", "2"))
        .add(Package::new("picky", "1").constrains("library <2"));
    insta::assert_snapshot!(refusal(&channel, &["picky", "library>=2"]));
}

#[test]
fn a_version_that_nobody_has_is_told_with_those_that_there_are() {
    insta::assert_snapshot!(refusal(&small(), &["program", "library=3"]));
}

#[test]
fn builds_that_there_are_are_listed_and_exact_versions_explained() {
    let channel = Channel::new("builds")
        .add(Package::new("python", "3.11.2").build("h1_0", 0))
        .add(Package::new("numpy", "2.4.6").build("py311_0", 0))
        .add(Package::new("numpy", "2.4.6").build("py313_0", 0));
    let said = refusal(&channel, &["numpy=2.4.6=py312_0"]);
    assert!(said.contains("the channels have of 2.4.6 the builds "), "{said}");
    assert!(said.contains("py311_0") && said.contains("py313_0"), "{said}");
    let said = refusal(&channel, &["python==3.11"]);
    assert!(
        said.contains("hint: `python=3.11` is any 3.11.x; `python==3.11` is 3.11 and nothing else"),
        "{said}"
    );
}

#[test]
fn what_a_package_needs_and_nobody_has() {
    let channel = Channel::new("broken").add(Package::new("broken", "1").depends("nowhere >=2"));
    insta::assert_snapshot!(refusal(&channel, &["broken"]));
}

#[test]
fn a_gpu_must_be_declared() {
    let channel =
        Channel::new("gpu").add(Package::new("torch", "2").build("cuda_0", 0).depends("__cuda >=12"));
    insta::assert_snapshot!(refusal(&channel, &["torch"]));
    let place = Place::new();
    let channel = place.folder("channel", &channel);
    let mut question = asked(&[&channel], &["torch"]);
    question.virtual_packages = vec!["__cuda=11.8".to_owned()];
    insta::assert_snapshot!("a_gpu_that_is_too_old", said(&place, &question));
}

#[test]
fn a_newer_libc_is_the_bases_matter() {
    let channel = Channel::new("modern").add(Package::new("modern", "1").depends("__glibc >=2.38"));
    insta::assert_snapshot!(refusal(&channel, &["modern"]));
}

#[test]
fn the_channel_that_comes_first_is_named() {
    let place = Place::new();
    let first = place.folder("first", &Channel::new("first").add(Package::new("library", "1.0")));
    let second = place.folder("second", &small());
    insta::assert_snapshot!(said(&place, &asked(&[&first, &second], &["program", "library>=2"])));
}

#[test]
fn what_is_newer_than_the_time_asked_for() {
    let place = Place::new();
    let channel =
        place.folder("small", &small().add(Package::new("timeless", "1").field("timestamp", Value::Null)));
    let mut question = asked(&[&channel], &["library>=2"]);
    question.as_of = Some("2022-01-01T00:00:00Z".parse().unwrap());
    insta::assert_snapshot!(said(&place, &question));
    question.requirements.packages[0].spec = "timeless".to_owned();
    insta::assert_snapshot!("what_has_no_time", said(&place, &question));
}
