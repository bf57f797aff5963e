//! An environment made from another one: what is the user's own comes on top of it.

use indexmap::IndexMap;

use crate::difference::{conda_name, pip_name};
use crate::{Base, CondaRequirements, Definition, Environment, PipRequirements};

/// `from` with what `own` says in its place or added to it. A package of both is `own`'s, as is every single value that
/// `own` gives; lists whose order counts, such as channels, are `own`'s as a whole. Name and version are `own`'s
/// alone.
#[must_use]
pub fn extend(from: Environment, own: Environment) -> Environment {
    // Every field is named, so that a new one cannot be forgotten here.
    let Environment {
        name,
        version,
        description,
        tags,
        environment_variables,
        inference_config,
        interpreter_path,
        definition,
    } = own;
    Environment {
        name,
        version,
        description: description.or(from.description),
        tags: map(from.tags, tags),
        environment_variables: map(from.environment_variables, environment_variables),
        inference_config: inference_config.or(from.inference_config),
        interpreter_path: interpreter_path.or(from.interpreter_path),
        definition: definitions(from.definition, definition),
    }
}

fn definitions(from: Definition, own: Definition) -> Definition {
    let Definition { base, system_packages, python, conda, pip, spark, r, user_managed, platforms } = own;
    let mut system_packages = by_name(from.system_packages, system_packages, |package| package.name.clone());
    system_packages.sort();
    Definition {
        base: if base == Base::default() { from.base } else { base },
        system_packages,
        python: python.or(from.python),
        conda: condas(from.conda, conda),
        pip: pips(from.pip, pip),
        spark: if spark.is_empty() { from.spark } else { spark },
        r: if r.is_empty() { from.r } else { r },
        user_managed: user_managed || from.user_managed,
        platforms: list(from.platforms, platforms),
    }
}

fn condas(from: CondaRequirements, own: CondaRequirements) -> CondaRequirements {
    let CondaRequirements { channels, packages, virtual_packages } = own;
    CondaRequirements {
        channels: list(from.channels, channels),
        packages: by_name(from.packages, packages, conda_name),
        virtual_packages: list(from.virtual_packages, virtual_packages),
    }
}

fn pips(from: PipRequirements, own: PipRequirements) -> PipRequirements {
    let PipRequirements {
        requirements,
        constraints,
        index_url,
        extra_index_urls,
        find_links,
        no_index,
        pre,
        require_hashes,
        no_binary,
        only_binary,
    } = own;
    PipRequirements {
        requirements: by_name(from.requirements, requirements, pip_name),
        constraints: by_name(from.constraints, constraints, pip_name),
        index_url: index_url.or(from.index_url),
        extra_index_urls: list(from.extra_index_urls, extra_index_urls),
        find_links: list(from.find_links, find_links),
        no_index: no_index || from.no_index,
        pre: pre || from.pre,
        require_hashes: require_hashes || from.require_hashes,
        no_binary: list(from.no_binary, no_binary),
        only_binary: list(from.only_binary, only_binary),
    }
}

fn map(mut from: IndexMap<String, String>, own: IndexMap<String, String>) -> IndexMap<String, String> {
    from.extend(own);
    from
}

fn list<T>(from: Vec<T>, own: Vec<T>) -> Vec<T> {
    if own.is_empty() { from } else { own }
}

/// All of `own`, after those of `from` whose names it does not have.
fn by_name<T>(mut from: Vec<T>, own: Vec<T>, name: impl Fn(&T) -> String) -> Vec<T> {
    let names: Vec<String> = own.iter().map(&name).collect();
    from.retain(|one| !names.contains(&name(one)));
    from.extend(own);
    from
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::extend;
    use crate::{differences, read_str, write_native};

    fn read(text: &str) -> crate::Environment {
        read_str(text, Path::new("/p/environment.yaml")).unwrap().environment
    }

    #[test]
    fn own_things_come_in_the_place_of_those_of_the_same_name_and_else_on_top() {
        let from = "name: curated\nversion: \"1\"\ndescription: shipped\nbase: debian/bookworm\npython: \"3.11\"\n\
                    system_packages: [git, curl]\npip: [numpy<2, scipy]\nenvironment_variables: {A: a, B: b}\n\
                    conda_file: {channels: [conda-forge], dependencies: [xz=5, zlib]}\ntags: {kind: x}\n";
        let own = "name: mine\npip: [numpy==2.1, requests]\nsystem_packages: [curl=7.88, nano]\n\
                   environment_variables: {B: c}\nconda_file: {channels: [own, conda-forge], dependencies: [xz=6]}\n";
        let extended = extend(read(from), read(own));
        insta::assert_snapshot!(write_native(&extended), @r#"
        name: mine
        description: shipped
        base: debian/bookworm
        python: "3.11"
        system_packages:
          - curl=7.88
          - git
          - nano
        pip:
          - scipy
          - numpy==2.1
          - requests
        conda_file:
          channels:
            - own
            - conda-forge
          dependencies:
            - zlib
            - xz=6
        environment_variables:
          A: a
          B: c
        tags:
          kind: x
        "#);
        let same = extend(read(from), read("name: mine\n"));
        assert_eq!(differences(&read(from), &same), []);
        assert_eq!((same.name.as_deref(), same.version), (Some("mine"), None));
    }
}
