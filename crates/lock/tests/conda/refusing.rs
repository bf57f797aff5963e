//! What cannot be chosen, and how that is said.

use provenv_channel::{Channel, Package};
use provenv_lock::conda::Error;

use crate::support::{Place, asked, small};

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

#[test]
fn conflicts_name_what_was_asked_for() {
    let place = Place::new();
    let channel = Channel::new("conflict")
        .add(Package::new("library", "1"))
        .add(Package::new("library", "2"))
        .add(Package::new("old", "1").depends("library <2"))
        .add(Package::new("new", "1").depends("library >=2"))
        .add(Package::new("other", "1"));
    let channel = place.folder("conflict", &channel);
    let question = asked(&[&channel], &["other", "new", "old"]);
    let error = place.resolve(&question).unwrap_err();
    assert_eq!(error.concerns(&question.requirements), [1, 2]);
    insta::assert_snapshot!(error.to_string());
}
