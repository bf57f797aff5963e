//! What crosses to Python of an environment: the sections that `azureml.core` has, and beside them what it lacks.

use indexmap::IndexMap;
use provenv_definition::{
    Base, BuildContext, CondaRequirements, ContextLocation, Environment, InferenceConfig, Origins,
    PipRequirement, Platform, PythonRequest, ReadEnvironment, Suite, SystemPackage, VirtualPackage,
    WriteFormat, read_str, write,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::definition::on_object;
use crate::errors::{Problem, Result};
use crate::workspace::folder;

/// An environment in two parts.
#[derive(Serialize, Deserialize)]
pub struct Document {
    /// What `azureml_environment.json` says.
    azure: Box<RawValue>,
    /// What `conda_dependencies.yml` says; on the way to Python only.
    #[serde(default)]
    conda: Option<serde_yaml_ng::Value>,
    /// What `BaseDockerfile` says; on the way to Python only.
    #[serde(default)]
    dockerfile: Option<String>,
    /// What only Provenv knows.
    own: Own,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Own {
    description: Option<String>,
    tags: IndexMap<String, String>,
    /// A base that Azure ML has not: `debian`, or a suite of it as `debian/bookworm`.
    base: Option<String>,
    /// A folder as build context.
    context: Option<Context>,
    system_packages: Vec<SystemPackage>,
    /// The base's Python, where conda brings none.
    python_version: Option<PythonRequest>,
    platforms: Vec<Platform>,
    inference_config: Option<InferenceConfig>,
    constraints: Vec<PipRequirement>,
    virtual_packages: Vec<VirtualPackage>,
    /// Conda packages that count on some platforms only.
    only_on: IndexMap<String, Vec<Platform>>,
}

#[derive(Serialize, Deserialize)]
struct Context {
    location: String,
    dockerfile: String,
}

impl Document {
    /// The document of an environment.
    pub fn of(environment: &Environment) -> Result<Self> {
        let mut rest = environment.clone();
        let definition = &mut rest.definition;
        let mut own = Own {
            description: rest.description.take(),
            tags: std::mem::take(&mut rest.tags),
            system_packages: std::mem::take(&mut definition.system_packages),
            python_version: definition.python.take(),
            inference_config: rest.inference_config.take(),
            constraints: std::mem::take(&mut definition.pip.constraints),
            virtual_packages: std::mem::take(&mut definition.conda.virtual_packages),
            ..Own::default()
        };
        if definition.platforms.len() > 1 {
            own.platforms = std::mem::take(&mut definition.platforms);
        }
        for package in &mut definition.conda.packages {
            if !package.platforms.is_empty() {
                own.only_on.insert(package.spec.clone(), std::mem::take(&mut package.platforms));
            }
        }
        match &definition.base {
            Base::Debian { suite } => {
                let suite = suite.as_ref().map(|suite| format!("debian/{suite}"));
                own.base = Some(suite.unwrap_or_else(|| "debian".to_owned()));
            }
            Base::Context(BuildContext { location: ContextLocation::Folder { path, .. }, dockerfile }) => {
                let location = path.to_string();
                let location = location.strip_prefix("file://").unwrap_or(&location).to_owned();
                own.context = Some(Context { location, dockerfile: dockerfile.clone() });
            }
            _ => {}
        }
        let written = write(&rest, WriteFormat::AzuremlV1)
            .map_err(|error| Problem::from(provenv_workspace::Error::from(error)))?;
        let mut files = written.files.into_iter();
        let azure = files.next().map(|file| file.text).unwrap_or_default();
        let mut document = Self {
            azure: RawValue::from_string(azure).map_err(|error| Problem::defect(&error))?,
            conda: None,
            dockerfile: None,
            own,
        };
        for file in files {
            if file.name == "BaseDockerfile" {
                document.dockerfile = Some(file.text);
            } else {
                document.conda =
                    Some(serde_yaml_ng::from_str(&file.text).map_err(|error| Problem::defect(&error))?);
            }
        }
        Ok(document)
    }

    /// The environment that it is.
    pub fn read(self) -> Result<ReadEnvironment> {
        let file = folder()?.join("environment.json");
        let mut read = match read_str(self.azure.get(), &file) {
            Ok(read) => read,
            Err(error) => return Err(Problem::definition(on_object(error.0))),
        };
        read.warnings = on_object(read.warnings);
        // An object has no lines to point to.
        read.origins = Origins::default();
        let Own {
            description,
            tags,
            base,
            context: _,
            system_packages,
            python_version,
            platforms,
            inference_config,
            constraints,
            virtual_packages,
            only_on,
        } = self.own;
        let environment = &mut read.environment;
        environment.description = description;
        environment.tags = tags;
        environment.inference_config = inference_config;
        let definition = &mut environment.definition;
        if let Some(base) = base {
            let suite = base.strip_prefix("debian/").map(|suite| Suite(suite.to_owned()));
            if suite.is_none() && base != "debian" {
                return Err(Problem::argument(
                    format!("there is no base `{base}`"),
                    "`debian` or one of its suites, e.g. `debian/bookworm`; an image is `docker.base_image`",
                ));
            }
            if definition.base == Base::default() {
                definition.base = Base::Debian { suite };
            }
        }
        definition.system_packages = system_packages;
        definition.system_packages.sort();
        definition.system_packages.dedup();
        definition.python = python_version;
        if !platforms.is_empty() {
            definition.platforms = platforms;
        }
        definition.pip.constraints = constraints;
        let CondaRequirements { packages, .. } = &mut definition.conda;
        for package in packages {
            if let Some(platforms) = only_on.get(&package.spec) {
                package.platforms.clone_from(platforms);
            }
        }
        definition.conda.virtual_packages = virtual_packages;
        Ok(read)
    }
}
