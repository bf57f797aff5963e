//! What is chosen.

use std::collections::{BTreeMap, BTreeSet};

use provenv_channel::{Channel, Package};
use provenv_definition::{Digest, Platform};
use provenv_lock::conda::Error;
use provenv_lock::{Lock, Upgrade};

use super::support::{Place, asked, lock, shown, small};

#[test]
fn what_is_needed_comes_along_and_the_newest_is_taken() {
    let place = Place::new();
    let channel = place.folder("small", &small());
    let resolution = place.resolve(&asked(&[&channel], &["program", "data"])).unwrap();
    assert_eq!(shown(&resolution), ["data 3 0", "library 2.0 0", "program 1.0 0"]);
    let requested: Vec<bool> = resolution.packages.iter().map(|package| package.requested).collect();
    assert_eq!(requested, [true, false, true]);
    let library = &resolution.packages[1];
    assert_eq!(library.artifact.url.to_string(), format!("{channel}/linux-64/library-2.0-0.conda"));
    assert_eq!(library.subdir, "linux-64");
    assert!(library.artifact.size > 0 && library.md5.is_some());
    assert_eq!(resolution.packages[0].subdir, "noarch");
    let whole = Lock {
        format: Lock::FORMAT,
        definition: Digest::of(b""),
        platforms: BTreeMap::from([(Platform::LinuxAmd64, lock(resolution))]),
    };
    whole.validate().unwrap();
}

#[test]
fn the_first_channel_that_has_a_package_is_its_only_one() {
    let place = Place::new();
    let first = place.folder("first", &Channel::new("first").add(Package::new("library", "1.0")));
    let second = place.folder("second", &small());
    assert_eq!(place.names(&asked(&[&first, &second], &["program"])), ["library 1.0 0", "program 1.0 0"]);
    assert_eq!(
        place.names(&asked(&[&first, &second], &[&format!("{second}::library"), "program"])),
        ["library 2.0 0", "program 1.0 0"]
    );
    // A channel that only a spec names comes after those of the definition.
    assert_eq!(
        place.names(&asked(&[&first], &[&format!("{second}::program")])),
        ["library 1.0 0", "program 1.0 0"]
    );
}

#[test]
fn each_platform_has_its_own_packages() {
    let place = Place::new();
    let channel = Channel::new("both")
        .add(Package::new("tool", "1").build("intel_0", 0).depends("__archspec * x86_64"))
        .add(
            Package::new("tool", "1")
                .build("arm_0", 0)
                .subdir("linux-aarch64")
                .depends("__archspec * aarch64"),
        );
    let channel = place.folder("both", &channel);
    let mut question = asked(&[&channel], &["tool"]);
    assert_eq!(place.names(&question), ["tool 1 intel_0"]);
    question.platform = Platform::LinuxArm64;
    assert_eq!(place.names(&question), ["tool 1 arm_0"]);
}

#[test]
fn the_target_decides_and_not_the_machine() {
    let place = Place::new();
    let channel = Channel::new("gpu")
        .add(Package::new("torch", "2").build("cpu_0", 0))
        .add(Package::new("torch", "2").build("cuda_1", 1).depends("__cuda >=12"))
        .add(Package::new("modern", "2").depends("__glibc >=2.38"))
        .add(Package::new("modern", "1").depends("__glibc >=2.17").depends("__linux").depends("__unix"));
    let channel = place.folder("gpu", &channel);
    let mut question = asked(&[&channel], &["torch", "modern"]);
    assert_eq!(place.names(&question), ["modern 1 0", "torch 2 cpu_0"]);
    question.virtual_packages = vec!["__cuda=12.4".to_owned()];
    assert_eq!(place.names(&question), ["modern 1 0", "torch 2 cuda_1"]);
}

#[test]
fn packages_stay_where_they_can() {
    let place = Place::new();
    let channel = place.folder("small", &small());
    let before = place.resolve(&asked(&[&channel], &["program", "library=1"])).unwrap();
    let mut question = asked(&[&channel], &["program", "data"]);
    question.previous = Some(lock(before.clone()));
    assert_eq!(place.names(&question), ["data 3 0", "library 1.0 0", "program 1.0 0"]);
    question.upgrade = Upgrade::Packages(BTreeSet::from(["program".to_owned()]));
    assert_eq!(place.names(&question), ["data 3 0", "library 1.0 0", "program 1.0 0"]);
    question.upgrade = Upgrade::Packages(BTreeSet::from(["library".to_owned()]));
    assert_eq!(place.names(&question), ["data 3 0", "library 2.0 0", "program 1.0 0"]);
    question.upgrade = Upgrade::All;
    assert_eq!(place.names(&question), ["data 3 0", "library 2.0 0", "program 1.0 0"]);
    // What the definition does not admit any more moves all the same.
    let mut question = asked(&[&channel], &["program", "library>=2"]);
    question.previous = Some(lock(before));
    assert_eq!(place.names(&question), ["library 2.0 0", "program 1.0 0"]);
}

#[test]
fn a_package_that_has_vanished_stays_in_the_lock() {
    let place = Place::new();
    let channel = place.folder("small", &small());
    let before = place.resolve(&asked(&[&channel], &["program", "library=1"])).unwrap();
    let thinner = Channel::new("small")
        .add(Package::new("library", "2.0"))
        .add(Package::new("program", "1.0").depends("library").timestamp(1_600_000_000_000));
    place.folder("small", &thinner);
    let mut question = asked(&[&channel], &["program"]);
    question.previous = Some(lock(before.clone()));
    let after = place.resolve(&question).unwrap();
    assert_eq!(shown(&after), shown(&before));
    assert_eq!(after.packages[0].artifact, before.packages[0].artifact);
}

#[test]
fn what_a_vanished_package_needs_is_read_of_the_index() {
    let place = Place::new();
    let all = |vanished: bool| {
        let channel = Channel::new("small")
            .add(Package::new("library", "1.0"))
            .add(Package::new("helper", "1.0"))
            .add(Package::new("other", "1.0"));
        if vanished {
            return channel.add(Package::new("library", "2.0")).add(Package::new("other", "2.0"));
        }
        channel
            .add(Package::new("program", "1.0").depends("middle"))
            .add(Package::new("middle", "1.0").depends("library").depends("helper"))
    };
    let channel = place.folder("small", &all(false));
    let before = place.resolve(&asked(&[&channel], &["program", "other"])).unwrap();
    // What the channel says anew of a package that only the vanished ones lead to counts.
    place.folder(
        "small",
        &all(true).patch("helper-1.0-0.conda", "constrains", serde_json::json!(["other <2"])),
    );
    let mut question = asked(&[&channel], &["program", "other"]);
    question.previous = Some(lock(before.clone()));
    assert_eq!(shown(&place.resolve(&question).unwrap()), shown(&before));
    question.upgrade = Upgrade::Packages(["library".to_owned(), "other".to_owned()].into());
    let expected = ["helper 1.0 0", "library 2.0 0", "middle 1.0 0", "other 1.0 0", "program 1.0 0"];
    assert_eq!(place.names(&question), expected);
    // A new lock of it, where the library is not here any more but in the channel.
    question.previous.as_mut().unwrap().conda.retain(|package| package.name != "library");
    assert_eq!(place.names(&question), expected);
}

#[test]
fn a_channel_that_had_nothing_yet_is_not_the_first() {
    let place = Place::new();
    let made = |version: &str, year: i16| {
        let time = jiff::civil::date(year, 6, 1).in_tz("UTC").unwrap().timestamp().as_millisecond();
        Package::new("tool", version).timestamp(u64::try_from(time).unwrap())
    };
    let first = place.folder("first", &Channel::new("first").add(made("2.0", 2025)));
    let second = Channel::new("second").add(made("1.0", 2023)).add(made("3.0", 2025));
    let second = place.folder("second", &second);
    let on = |day: &str, spec: &str| {
        let mut question = asked(&[&first, &second], &[spec]);
        question.as_of = Some(format!("{day}T00:00:00Z").parse().unwrap());
        place.resolve(&question).map(|resolution| shown(&resolution))
    };
    assert_eq!(on("2024-01-01", "tool").unwrap(), ["tool 1.0 0"]);
    assert_eq!(on("2026-01-01", "tool").unwrap(), ["tool 2.0 0"], "by then it was");
    for (day, spec) in [("2022-01-01", "tool".to_owned()), ("2024-01-01", format!("{first}::tool"))] {
        let error = on(day, &spec).unwrap_err();
        assert!(matches!(&error, Error::Unsolvable { .. }), "{error}");
        assert!(format!("{error:?}").contains("newer than the time asked for"), "{error:?}");
    }
}

#[test]
fn the_index_of_an_earlier_day() {
    let place = Place::new();
    let channel = place.folder("small", &small());
    let mut question = asked(&[&channel], &["program"]);
    question.as_of = Some("2022-01-01T00:00:00Z".parse().unwrap());
    assert_eq!(place.names(&question), ["library 1.0 0", "program 1.0 0"]);
}

#[test]
fn what_is_marked_as_removed_is_not_taken() {
    let place = Place::new();
    let channel = place.folder("small", &small().yank("library-2.0-0.conda"));
    assert_eq!(place.names(&asked(&[&channel], &["program"])), ["library 1.0 0", "program 1.0 0"]);
}

#[test]
fn a_package_can_be_named_by_its_url() {
    let place = Place::new();
    let channel = place.folder("small", &small());
    let elsewhere = Channel::new("elsewhere")
        .add(Package::new("program", "0.5").depends("library<2").old_format())
        .add(Package::new("loner", "1"));
    let elsewhere = place.folder("elsewhere", &elsewhere);
    let old = format!("{elsewhere}/linux-64/program-0.5-0.tar.bz2");
    let loner = format!("{elsewhere}/linux-64/loner-1-0.conda");
    let resolution = place.resolve(&asked(&[&channel], &[&old, &loner, "data"])).unwrap();
    assert_eq!(shown(&resolution), ["data 3 0", "library 1.0 0", "loner 1 0", "program 0.5 0"]);
    assert_eq!(resolution.packages[3].artifact.url.to_string(), old);
    assert!(resolution.packages[3].requested);
}

#[test]
fn where_an_index_has_no_digest_the_archive_says_it() {
    let place = Place::new();
    let known = small().files()["linux-64/library-2.0-0.conda"].clone();
    let channel = small().patch("library-2.0-0.conda", "sha256", serde_json::Value::Null).patch(
        "library-2.0-0.conda",
        "size",
        serde_json::Value::Null,
    );
    let channel = place.folder("small", &channel);
    let resolution = place.resolve(&asked(&[&channel], &["library"])).unwrap();
    let artifact = &resolution.packages[0].artifact;
    assert_eq!(artifact.sha256, Digest::of(&known));
    assert_eq!(artifact.size, known.len() as u64);
}

#[test]
fn a_spec_may_name_folder_and_file() {
    let place = Place::new();
    let channel = Channel::new("twice")
        .add(Package::new("tool", "1").build("native_0", 0))
        .add(Package::new("tool", "1").build("any_1", 1).noarch_generic());
    let channel = place.folder("twice", &channel);
    assert_eq!(place.names(&asked(&[&channel], &["tool"])), ["tool 1 any_1"]);
    assert_eq!(place.names(&asked(&[&channel], &["tool[subdir=linux-64]"])), ["tool 1 native_0"]);
    assert_eq!(place.names(&asked(&[&channel], &["tool[fn=tool-1-native_0.conda]"])), ["tool 1 native_0"]);
}
