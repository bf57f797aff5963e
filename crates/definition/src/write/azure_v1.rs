//! The folder that Azure ML's v1 SDK writes (`Environment.save_to_directory`) and loads: three files, of which those with
//! nothing in them are left out.

use std::fmt::Write as _;

use indexmap::IndexMap;
use serde::Serialize;

use super::conda::{self, Style};
use super::parts::{Part, Rest};
use super::{AZURE_IMAGE, Written, WrittenFile};
use crate::{Base, BuildContext, ContextLocation, Environment, Platform, RPackages, SparkPackages};

/// What the SDK begins its conda files with.
const CONDA_HEADER: &str = "\
# Conda environment specification. The dependencies defined in this file will
# be automatically provisioned for runs with userManagedDependencies=False.

# Details about the Conda environment file format:
# https://conda.io/docs/user-guide/tasks/manage-environments.html#create-env-file-manually

";

pub(super) fn write(environment: &Environment) -> Written {
    let definition = &environment.definition;
    let mut rest = Rest::new(environment, "Azure ML's v1 environment");
    rest.all_but(&[
        Part::Name,
        Part::Version,
        Part::Variables,
        Part::Interpreter,
        Part::Python,
        Part::Conda,
        Part::Pip,
        Part::Spark,
        Part::R,
        Part::Platforms,
        Part::UserManaged,
        Part::Record,
    ]);
    if definition.platforms.len() > 1 {
        rest.part(Part::Platforms, "Azure ML builds for one platform: the first is named");
    }
    rest.local_paths("Azure ML has no such path");
    let mut files = Vec::new();
    let mut docker = Docker::new(definition.platforms.first().copied().unwrap_or_default());
    match &definition.base {
        Base::Debian { .. } => {
            rest.base("Azure ML builds on images only: its own default image is named instead");
            docker.base_image = Some(AZURE_IMAGE);
        }
        Base::Image { reference } => docker.base_image = Some(reference),
        Base::Dockerfile { text } => {
            docker.base_dockerfile = None;
            files.push(WrittenFile::new("BaseDockerfile", text.clone()));
        }
        Base::Context(BuildContext { location: ContextLocation::Folder { .. }, .. }) => {
            rest.base(
                "Azure ML has to be given the folder: `DockerBuildContext.from_local_directory` uploads it",
            );
        }
        Base::Context(BuildContext { location: ContextLocation::Url(url), dockerfile }) => {
            let location = url.to_string();
            let git =
                location.starts_with("git") || location.contains(".git") || location.contains("github.com/");
            let location_type = if git { "git" } else { "storageAccount" };
            docker.build_context = Some(Context { location_type, location, dockerfile_path: dockerfile });
        }
    }
    if !definition.conda.is_empty() || !definition.pip.is_empty() || definition.python.is_some() {
        let style = Style { name: Some("project_environment"), ..Style::default() };
        let yaml = conda::document(definition, style, &mut rest);
        files.push(WrittenFile::new("conda_dependencies.yml", CONDA_HEADER.to_owned() + &yaml));
    }
    let saved = Saved {
        name: environment.name.as_deref(),
        version: environment.version.as_deref(),
        environment_variables: &environment.environment_variables,
        python: Python {
            user_managed_dependencies: definition.user_managed,
            interpreter_path: environment.interpreter_path.as_deref().unwrap_or("python"),
            conda_dependencies_file: (),
            base_conda_environment: (),
        },
        docker,
        spark: Spark::of(&definition.spark),
        databricks: Databricks::default(),
        r: (!definition.r.is_empty()).then(|| RSection::of(&definition.r)),
        inferencing_stack_version: (),
        asset_id: (),
    };
    files.insert(0, WrittenFile::new("azureml_environment.json", json(&saved)));
    Written { files, not_carried: rest.list() }
}

/// As Python's `json.dump(…, indent=4)` writes it: ASCII, and no line break at the end.
fn json(saved: &Saved<'_>) -> String {
    let mut bytes = Vec::new();
    let indent = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let written = saved.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, indent));
    written.expect("texts and numbers are plain data");
    let mut text = String::with_capacity(bytes.len());
    for c in String::from_utf8_lossy(&bytes).chars() {
        if c.is_ascii() && c != '\x7f' {
            text.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
    }
    text
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Saved<'e> {
    name: Option<&'e str>,
    version: Option<&'e str>,
    environment_variables: &'e IndexMap<String, String>,
    python: Python<'e>,
    docker: Docker<'e>,
    spark: Spark,
    databricks: Databricks,
    r: Option<RSection<'e>>,
    inferencing_stack_version: (),
    asset_id: (),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Python<'e> {
    user_managed_dependencies: bool,
    interpreter_path: &'e str,
    conda_dependencies_file: (),
    base_conda_environment: (),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Docker<'e> {
    enabled: bool,
    base_image: Option<&'e str>,
    /// Left out where it is a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    base_dockerfile: Option<()>,
    build_context: Option<Context<'e>>,
    shared_volumes: bool,
    shm_size: &'static str,
    arguments: [(); 0],
    base_image_registry: Registry,
    platform: DockerPlatform,
}

impl Docker<'_> {
    fn new(platform: Platform) -> Self {
        Self {
            enabled: false,
            base_image: None,
            base_dockerfile: Some(()),
            build_context: None,
            shared_volumes: true,
            shm_size: "2g",
            arguments: [],
            base_image_registry: Registry::default(),
            platform: DockerPlatform { os: "Linux", architecture: platform.architecture() },
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Context<'e> {
    location_type: &'static str,
    location: String,
    dockerfile_path: &'e str,
}

/// Whose images need a login; a definition holds none.
#[derive(Default, Serialize)]
struct Registry {
    address: (),
    username: (),
    password: (),
    #[serde(rename = "registryIdentity")]
    identity: (),
}

#[derive(Serialize)]
struct DockerPlatform {
    os: &'static str,
    architecture: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Spark {
    repositories: Vec<String>,
    packages: Vec<crate::MavenPackage>,
    precache_packages: bool,
}

impl Spark {
    fn of(spark: &SparkPackages) -> Self {
        Self {
            repositories: spark.repositories.iter().map(ToString::to_string).collect(),
            packages: spark.packages.clone(),
            precache_packages: !spark.no_precache,
        }
    }
}

/// Libraries for Databricks alone, which a definition has none of.
#[derive(Default, Serialize)]
struct Databricks {
    #[serde(rename = "mavenLibraries")]
    maven: [(); 0],
    #[serde(rename = "pypiLibraries")]
    pypi: [(); 0],
    #[serde(rename = "rcranLibraries")]
    rcran: [(); 0],
    #[serde(rename = "jarLibraries")]
    jar: [(); 0],
    #[serde(rename = "eggLibraries")]
    egg: [(); 0],
}

/// Azure ML's `r` section.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RSection<'e> {
    r_version: Option<&'e str>,
    user_managed: bool,
    rscript_path: Option<&'e str>,
    snapshot_date: Option<&'e str>,
    cran_packages: Vec<Cran<'e>>,
    github_packages: Vec<GitHub<'e>>,
    custom_url_packages: Vec<String>,
    bioconductor_packages: &'e [String],
}

#[derive(Serialize)]
struct Cran<'e> {
    name: &'e str,
    version: Option<&'e str>,
    repository: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GitHub<'e> {
    repository: &'e str,
    auth_token: (),
}

impl<'e> RSection<'e> {
    fn of(r: &'e RPackages) -> Self {
        let RPackages {
            version,
            user_managed,
            rscript_path,
            snapshot_date,
            cran,
            github,
            urls,
            bioconductor,
        } = r;
        let cran = cran.iter().map(|package| Cran {
            name: &package.name,
            version: package.version.as_deref(),
            repository: package.repository.as_ref().map(ToString::to_string),
        });
        Self {
            r_version: version.as_deref(),
            user_managed: *user_managed,
            rscript_path: rscript_path.as_deref(),
            snapshot_date: snapshot_date.as_deref(),
            cran_packages: cran.collect(),
            github_packages: github.iter().map(|repository| GitHub { repository, auth_token: () }).collect(),
            custom_url_packages: urls.iter().map(ToString::to_string).collect(),
            bioconductor_packages: bioconductor,
        }
    }
}
