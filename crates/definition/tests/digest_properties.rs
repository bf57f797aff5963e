//! What counts for the digest and what does not, over every field there is: definitions as JSON are taken apart
//! without naming their fields, so that a field of tomorrow is tried as well, or fails a test until it is.

use std::path::Path;

use proptest::prelude::*;
use provenv_definition::{
    Base, Definition, Environment, InferenceConfig, Route, canonical_bytes, read_str, write_native,
};
use serde_json::{Value, json};

use crate::support::{bases, definition, digest, from_json, full, paths};

/// Lists whose order does not count, nor how often an item occurs.
const SETS: &[&str] = &[
    "/conda/packages",
    "/conda/virtual_packages",
    "/conda/packages/*/platforms",
    "/pip/constraints",
    "/pip/no_binary",
    "/pip/only_binary",
    "/pip/requirements",
    "/pip/requirements/*/hashes",
    "/platforms",
    "/r/bioconductor",
    "/r/cran",
    "/r/github",
    "/r/urls",
    "/spark/packages",
    "/system_packages",
];

/// Lists whose order counts; a later repetition does not.
const LISTS: &[&str] =
    &["/conda/channels", "/pip/extra_index_urls", "/pip/find_links", "/spark/repositories"];

/// Values that do not count.
const FREE: &[&str] = &["/base/context/location/folder/path"];

/// `path` without the numbers in it.
fn pattern(path: &str) -> String {
    let part = |part: &str| if part.parse::<usize>().is_ok() { "*".to_owned() } else { part.to_owned() };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

fn json_of(definition: &Definition) -> Value {
    serde_json::to_value(definition).unwrap()
}

/// Values of the same kind as `value`, and others.
fn others(value: &Value) -> Vec<Value> {
    match value {
        Value::Bool(flag) => vec![json!(!flag)],
        Value::Number(number) => vec![json!(number.as_u64().unwrap() + 1)],
        Value::String(text) => {
            let digits = text.strip_prefix("sha256:").map(|digits| format!("sha256:c{}", &digits[1..]));
            let platforms = ["linux/amd64", "linux/arm64"].map(str::to_owned).into_iter();
            let near = [format!("{text}1"), format!("x{text}"), text.replacen("://", "://x", 1)];
            let candidates =
                digits.into_iter().chain(platforms.filter(|_| text.starts_with("linux/"))).chain(near);
            candidates.filter(|candidate| candidate != text).map(Value::String).collect()
        }
        _ => Vec::new(),
    }
}

/// `json` with each value changed, one at a time, in all ways that still make a definition.
fn changed(json: &Value) -> Vec<(String, Definition)> {
    let (_, leaves) = paths(json);
    let mut all = Vec::new();
    for path in leaves {
        let before = all.len();
        for other in others(json.pointer(&path).unwrap()) {
            let mut json = json.clone();
            *json.pointer_mut(&path).unwrap() = other;
            all.extend(from_json(&json).map(|definition| (path.clone(), definition)));
        }
        assert!(all.len() > before || json.pointer(&path).unwrap().is_null(), "nothing replaces {path}");
    }
    all
}

#[test]
fn the_full_definition_leaves_nothing_out() {
    let Value::Object(mut fields) = json_of(&full(bases().remove(0))) else { panic!() };
    // Only without it does the rest count; it has a test of its own.
    assert!(fields.remove("user_managed").is_none());
    let (lists, leaves) = paths(&Value::Object(fields.clone()));
    for path in &leaves {
        let value = Value::Object(fields.clone()).pointer(path).unwrap().clone();
        assert!(!matches!(value, Value::Null | Value::Bool(false)) && value != json!(""), "{path} is empty");
    }
    for path in &lists {
        assert!(
            Value::Object(fields.clone()).pointer(path).unwrap().as_array().unwrap().len() >= 2,
            "{path} is short"
        );
    }
    // `user_managed` and nothing else is missing where all fields of the definition are named.
    let Definition {
        base: _,
        system_packages: _,
        python: _,
        conda: _,
        pip: _,
        spark: _,
        r: _,
        user_managed: _,
        platforms: _,
    } = Definition::default();
    assert_eq!(fields.len(), 8, "{:?}", fields.keys().collect::<Vec<_>>());
}

#[test]
fn every_value_counts_but_those_named() {
    let mut seen = Vec::new();
    for base in bases() {
        let definition = full(base);
        for (path, other) in changed(&json_of(&definition)) {
            let free = FREE.contains(&&*pattern(&path));
            assert_eq!(digest(&definition) == digest(&other), free, "{path}: {other:?}");
            seen.push(pattern(&path));
        }
    }
    for path in FREE {
        assert!(seen.iter().any(|seen| seen == path), "{path} does not occur");
    }
}

#[test]
fn every_value_left_out_counts() {
    for base in bases() {
        let definition = full(base);
        let json = json_of(&definition);
        let (lists, leaves) = paths(&json);
        for path in leaves.iter().chain(&lists) {
            let (parent, name) = path.rsplit_once('/').unwrap();
            let mut json = json.clone();
            let removed = match json.pointer_mut(parent).unwrap() {
                Value::Object(fields) => fields.remove(name),
                Value::Array(items) => Some(items.remove(name.parse().unwrap())),
                _ => None,
            };
            assert!(removed.is_some());
            if let Some(other) = from_json(&json) {
                assert_ne!(digest(&definition), digest(&other), "without {path}");
            }
        }
        // Whole sections.
        for section in json.as_object().unwrap().keys().filter(|section| *section != "base") {
            let mut json = json.clone();
            json.as_object_mut().unwrap().remove(section);
            assert_ne!(digest(&definition), digest(&from_json(&json).unwrap()), "without {section}");
        }
    }
}

#[test]
fn every_list_is_a_set_or_ordered() {
    for base in bases() {
        let definition = full(base);
        let json = json_of(&definition);
        for path in paths(&json).0 {
            let name = pattern(&path);
            let ordered = LISTS.contains(&&*name);
            assert!(ordered != SETS.contains(&&*name), "{name}: say whether its order counts");
            let with = |change: &dyn Fn(&mut Vec<Value>)| {
                let mut json = json.clone();
                change(json.pointer_mut(&path).unwrap().as_array_mut().unwrap());
                digest(&from_json(&json).unwrap())
            };
            assert_eq!(with(&|items| items.reverse()) != digest(&definition), ordered, "{path} reversed");
            assert_eq!(with(&|items| items.push(items[0].clone())), digest(&definition), "{path} repeated");
        }
    }
}

#[test]
fn user_managed_counts_and_what_would_be_installed_does_not_then() {
    for base in bases() {
        let managed = full(base.clone());
        let user_managed = Definition { user_managed: true, ..managed.clone() };
        assert_ne!(digest(&managed), digest(&user_managed));
        let Definition { base, system_packages, python, conda, pip, spark, r, user_managed: _, platforms } =
            user_managed.clone();
        // What would be installed is kept for the record.
        let _ = (python, conda, pip);
        let bare = Definition { base, system_packages, spark, r, platforms, ..Definition::default() };
        // Without a package a virtual environment is made all the same, unless it is user-managed.
        assert_ne!(digest(&user_managed), digest(&bare));
        assert_eq!(digest(&user_managed), digest(&Definition { user_managed: true, ..bare }));
    }
}

/// An environment of which everything but the definition is something.
fn dressed(definition: Definition) -> Environment {
    let route = |port| Route { port, path: "/x".to_owned() };
    let pairs = || [("A".to_owned(), "b".to_owned())].into_iter().collect();
    Environment {
        name: Some("name".to_owned()),
        version: Some("7".to_owned()),
        description: Some("text".to_owned()),
        tags: pairs(),
        environment_variables: pairs(),
        inference_config: Some(InferenceConfig {
            liveness_route: route(1),
            readiness_route: route(2),
            scoring_route: route(3),
        }),
        interpreter_path: Some("/usr/bin/python3".to_owned()),
        definition,
    }
}

#[test]
fn nothing_but_the_definition_counts() {
    let definition = full(Base::Image { reference: "python:3.12".to_owned() });
    let digest_of = |json: &Value| {
        let environment: Environment = serde_json::from_value(json.clone()).unwrap();
        digest(&environment.definition)
    };
    let plain = digest(&definition);
    let json = serde_json::to_value(dressed(definition)).unwrap();
    assert_eq!(digest_of(&json), plain);
    for field in json.as_object().unwrap().keys().filter(|field| *field != "definition") {
        let mut json = json.clone();
        json.as_object_mut().unwrap().remove(field);
        assert_eq!(digest_of(&json), plain, "without {field}");
    }
}

/// A block of YAML, a top-level key each.
fn blocks(yaml: &str) -> Vec<String> {
    let mut blocks: Vec<String> = Vec::new();
    for line in yaml.lines() {
        if line.starts_with(' ') {
            let last = blocks.last_mut().unwrap();
            *last += line;
            *last += "\n";
        } else {
            blocks.push(format!("{line}\n"));
        }
    }
    blocks
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn order_and_repetition_count_only_in_lists(definition in definition(), seed in any::<usize>()) {
        let json = json_of(&definition);
        let (lists, _) = paths(&json);
        for path in lists {
            let name = pattern(&path);
            let mut json = json.clone();
            let items = json.pointer_mut(&path).unwrap().as_array_mut().unwrap();
            if items.is_empty() {
                continue;
            }
            let turn = seed % items.len();
            if SETS.contains(&&*name) {
                items.rotate_left(turn);
            }
            items.push(items[turn].clone());
            prop_assert_eq!(digest(&definition), digest(&from_json(&json).unwrap()), "{}", path);
        }
    }

    #[test]
    fn what_counts_is_told_apart(definition in definition(), seed in any::<prop::sample::Index>()) {
        let changed = changed(&json_of(&definition));
        prop_assume!(!changed.is_empty());
        let (path, other) = &changed[seed.index(changed.len())];
        let section = path.split('/').nth(1).unwrap();
        let same = canonical_bytes(&definition) == canonical_bytes(other);
        let ignored = definition.user_managed && ["conda", "pip", "python"].contains(&section);
        // A repetition of what is there already, or the flag of what is not there.
        let idle = (section == "platforms" || path.ends_with("/no_precache")
            || SETS.iter().chain(LISTS).any(|list| pattern(path).starts_with(list))) && same;
        if ignored || FREE.contains(&&*pattern(path)) {
            prop_assert!(same, "{}", path);
        } else if !idle {
            prop_assert!(!same, "{}: {:?}", path, other);
        }
    }

    #[test]
    fn keys_comments_and_blank_lines_do_not_count(
        definition in definition(), order in any::<prop::sample::Index>(), comment in "[ -~]{0,12}"
    ) {
        let environment = dressed(definition);
        let written = write_native(&environment);
        let Ok(plain) = read_str(&written, Path::new("/p/env.yaml")) else { return Ok(()) };
        let mut blocks = blocks(&written);
        let turn = order.index(blocks.len());
        blocks.rotate_left(turn);
        // In text of several lines a comment is text, but the writer makes none.
        let text = blocks.join(&format!("\n# {}\n\n", comment.replace(['{', '}'], "")));
        for text in [text.clone(), text.replace('\n', "\r\n"), format!("\u{feff}{text}"), text.trim_end().to_owned()] {
            let other = read_str(&text, Path::new("/p/env.yaml"));
            let other = other.unwrap_or_else(|error| panic!("{text}\n{:?}", error.0));
            prop_assert_eq!(digest(&plain.environment.definition), digest(&other.environment.definition), "{}", text);
        }
    }
}
