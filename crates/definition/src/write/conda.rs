//! Conda's `environment.yml`, alone or inside another file.

use super::native::{line, list, map, scalar};
use super::parts::{Part, Rest};
use super::requirements::{constraints_file, options, requirement};
use super::{Written, WrittenFile, subdir};
use crate::{Base, CondaRequirement, CondaSpec, Definition, Environment, Platform, PythonRequest};

/// How the file is to be.
#[derive(Clone, Copy, Default)]
pub(super) struct Style<'e> {
    /// The name in the file.
    pub name: Option<&'e str>,
    /// Say `nodefaults`: else conda adds the user's own channels to those of the file.
    pub nodefaults: bool,
    /// Where the file of constraints is.
    pub constraints: Option<&'e str>,
    /// Leave out what a user-managed base has anyway.
    pub installed_only: bool,
}

pub(super) fn write(environment: &Environment) -> Written {
    let definition = &environment.definition;
    let mut rest = Rest::new(environment, "conda's file");
    rest.all_but(&[
        Part::Name,
        Part::Variables,
        Part::Python,
        Part::Conda,
        Part::Pip,
        Part::Constraints,
        Part::Platforms,
    ]);
    if definition.base != Base::default() {
        rest.base("conda's file has no place for it");
    }
    let style = Style {
        name: environment.name.as_deref(),
        nodefaults: true,
        constraints: Some("constraints.txt"),
        installed_only: true,
    };
    let mut yaml = document(definition, style, &mut rest);
    map(&mut yaml, "variables", &environment.environment_variables);
    if !definition.platforms.is_empty() && definition.platforms != [Platform::default()] {
        list(&mut yaml, 0, "platforms", definition.platforms.iter().map(|&one| subdir(one).to_owned()));
    }
    let mut files = vec![WrittenFile::new("environment.yml", yaml)];
    files.extend(constraints_file(definition).filter(|_| !definition.user_managed));
    Written { files, not_carried: rest.list() }
}

/// `name`, `channels` and `dependencies`. What is said otherwise goes to `rest`.
pub(super) fn document(definition: &Definition, style: Style<'_>, rest: &mut Rest<'_>) -> String {
    let Definition { conda, pip, python, user_managed, .. } = definition;
    let mut yaml = String::new();
    if let Some(name) = style.name {
        line(&mut yaml, 0, &format!("name: {}", scalar(name)));
    }
    if style.installed_only && *user_managed {
        // The list has to be there, or it is no file of conda's.
        line(&mut yaml, 0, "dependencies: []");
        return yaml;
    }
    let mut channels: Vec<String> = conda.channels.iter().map(ToString::to_string).collect();
    if style.nodefaults && !channels.is_empty() {
        channels.push("nodefaults".to_owned());
    }
    list(&mut yaml, 0, "channels", channels);

    let named = |name: &str| {
        conda.packages.iter().any(|package| package_name(&package.spec).as_deref() == Some(name))
    };
    let mut packages: Vec<String> = Vec::new();
    if let Some(python) = python {
        packages.extend(python_package(python, named("python"), rest));
        if !pip.requirements.is_empty() && !named("pip") {
            packages.push("pip".to_owned());
        }
    }
    packages.extend(conda.packages.iter().map(|package| package_line(package, rest)));
    let constraints =
        style.constraints.filter(|_| !pip.constraints.is_empty()).map(|path| format!("-c {path}"));
    let lines: Vec<String> =
        constraints.into_iter().chain(options(pip)).chain(pip.requirements.iter().map(requirement)).collect();
    if packages.is_empty() && lines.is_empty() {
        line(&mut yaml, 0, "dependencies: []");
        return yaml;
    }
    line(&mut yaml, 0, "dependencies:");
    for package in packages {
        line(&mut yaml, 1, &format!("- {package}"));
    }
    if !lines.is_empty() {
        line(&mut yaml, 1, "- pip:");
        for text in lines {
            line(&mut yaml, 2, &format!("- {}", scalar(&text)));
        }
    }
    yaml
}

/// Conda's own Python in the place of the base's.
fn python_package(python: &PythonRequest, named: bool, rest: &mut Rest<'_>) -> Option<String> {
    if named {
        rest.part(Part::Python, "conda's own `python` is asked for beside it");
        return None;
    }
    rest.part(Part::Python, "it is written as conda's package `python`, which is another build of it");
    Some(format!("python={python}"))
}

/// A package as an item of the list, with a comment where it counts on some platforms only.
fn package_line(package: &CondaRequirement, rest: &mut Rest<'_>) -> String {
    let spec = scalar(&package.spec);
    let selector = match package.platforms[..] {
        [] => return spec,
        [Platform::LinuxAmd64] => "linux64",
        [Platform::LinuxArm64] => "aarch64",
        _ => "linux",
    };
    let what = format!("the platforms of `{}`", package.spec);
    rest.remark(what, "they stand in a comment, which conda-lock and provenv honour and conda does not");
    format!("{spec}  # [{selector}]")
}

/// The name of the package in a spec.
fn package_name(spec: &str) -> Option<String> {
    spec.parse::<CondaSpec>().ok().map(|spec| spec.name)
}
