//! The environment YAML of Azure ML v2: an image or a build context, and conda's file inline.

use super::conda::{self, Style};
use super::native::{line, map, routes, scalar};
use super::parts::{Part, Rest};
use super::{AZURE_IMAGE, Written, WrittenFile};
use crate::{Base, BuildContext, ContextLocation, Environment};

const SCHEMA: &str = "https://azuremlschemas.azureedge.net/latest/environment.schema.json";

pub(super) fn write(environment: &Environment) -> Written {
    let definition = &environment.definition;
    let mut rest = Rest::new(environment, "Azure ML's v2 YAML");
    let mut yaml = String::new();
    let mut field = |key: &str, value: Option<&str>| {
        if let Some(value) = value {
            line(&mut yaml, 0, &format!("{key}: {}", scalar(value)));
        }
    };
    field("$schema", Some(SCHEMA));
    field("name", environment.name.as_deref());
    field("version", environment.version.as_deref());
    field("description", environment.description.as_deref());
    map(&mut yaml, "tags", &environment.tags);

    let mut files = Vec::new();
    let mut build = |path: &str, dockerfile: &str| {
        line(&mut yaml, 0, "build:");
        line(&mut yaml, 1, &format!("path: {}", scalar(path)));
        line(&mut yaml, 1, &format!("dockerfile_path: {}", scalar(dockerfile)));
    };
    let in_context = match &definition.base {
        Base::Debian { .. } => {
            rest.base("Azure ML builds on images only: its own default image is named instead");
            line(&mut yaml, 0, &format!("image: {AZURE_IMAGE}"));
            false
        }
        Base::Image { reference } => {
            line(&mut yaml, 0, &format!("image: {}", scalar(reference)));
            false
        }
        Base::Dockerfile { text } => {
            rest.base("Azure ML v2 takes it as a build context: a folder with it alone is written");
            files.push(WrittenFile::new("context/Dockerfile", text.clone()));
            build("context", "Dockerfile");
            true
        }
        Base::Context(BuildContext { location, dockerfile }) => {
            match location {
                ContextLocation::Folder { path, .. } => match path.as_url().to_file_path() {
                    Ok(folder) => build(&folder.to_string_lossy(), dockerfile),
                    Err(()) => build(&path.to_string(), dockerfile),
                },
                ContextLocation::Url(url) => build(&url.to_string(), dockerfile),
            }
            true
        }
    };

    let mut carried = vec![Part::Name, Part::Version, Part::Description, Part::Tags, Part::Routes];
    if in_context {
        for part in [Part::Python, Part::Conda, Part::Pip, Part::Constraints] {
            carried.push(part);
            rest.part(part, "Azure ML installs nothing on top of a build context");
        }
    } else {
        carried.extend([Part::Python, Part::Conda, Part::Pip]);
        let packages =
            !definition.conda.is_empty() || !definition.pip.is_empty() || definition.python.is_some();
        if packages && !definition.user_managed {
            let style = Style { installed_only: true, nodefaults: true, ..Style::default() };
            line(&mut yaml, 0, "conda_file:");
            for text in conda::document(definition, style, &mut rest).lines() {
                line(&mut yaml, 1, text);
            }
        }
    }
    rest.all_but(&carried);
    rest.local_paths("Azure ML has no such path");
    line(&mut yaml, 0, "os_type: linux");
    if let Some(config) = &environment.inference_config {
        routes(&mut yaml, config);
    }
    files.insert(0, WrittenFile::new("environment.yml", yaml));
    Written { files, not_carried: rest.list() }
}
