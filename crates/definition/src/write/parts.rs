//! The parts of an environment, and what is said of those that a format has no place for.

use serde::Serialize;

use crate::{Base, ContextLocation, Definition, Environment, Platform};

/// Something that the written files do not say, or say otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotCarried {
    /// What it is, with its value where that is short.
    pub what: String,
    /// Why not, or how else it was written.
    pub why: String,
    /// Whether it counts for the definition digest: the files then read back as another definition.
    pub counts: bool,
}

/// One list of the parts.
macro_rules! parts {
    ($($(#[$doc:meta])* $part:ident,)*) => {
        /// A part of an environment that a format may have a place for; what an image stands on apart, which each writer
        /// sees to.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Part {
            $($(#[$doc])* $part,)*
        }

        impl Part {
            const ALL: &[Self] = &[$(Self::$part),*];
        }
    };
}

parts! {
    Name,
    Version,
    Description,
    Tags,
    Variables,
    Routes,
    Interpreter,
    SystemPackages,
    Python,
    Conda,
    VirtualPackages,
    Pip,
    Constraints,
    Spark,
    R,
    Platforms,
    UserManaged,
    /// What is kept of a user-managed environment's packages.
    Record,
}

impl Part {
    /// Whether it is part of the definition digest.
    fn counts(self) -> bool {
        !matches!(
            self,
            Self::Name
                | Self::Version
                | Self::Description
                | Self::Tags
                | Self::Variables
                | Self::Routes
                | Self::Interpreter
                | Self::Record
        )
    }

    fn pronoun(self) -> &'static str {
        match self {
            Self::Name
            | Self::Version
            | Self::Description
            | Self::Interpreter
            | Self::Python
            | Self::UserManaged => "it",
            _ => "them",
        }
    }

    /// What `environment` says of it; `None` where it says nothing.
    fn found(self, environment: &Environment) -> Option<String> {
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
        } = environment;
        let Definition { base: _, system_packages, python, conda, pip, spark, r, user_managed, platforms } =
            definition;
        let installed = !user_managed;
        let found = |present: bool, what: &str| present.then(|| what.to_owned());
        match self {
            Self::Name => name.as_ref().map(|name| format!("the name `{name}`")),
            Self::Version => version.as_ref().map(|version| format!("the version `{version}`")),
            Self::Description => found(description.is_some(), "the description"),
            Self::Tags => some(tags.keys()).map(|names| format!("the tags {names}")),
            // Names only: values may be secret.
            Self::Variables => {
                some(environment_variables.keys()).map(|names| format!("the environment variables {names}"))
            }
            Self::Routes => found(inference_config.is_some(), "the inference routes"),
            Self::Interpreter => {
                interpreter_path.as_ref().map(|path| format!("the interpreter path `{path}`"))
            }
            Self::SystemPackages => some(system_packages).map(|names| format!("the system packages {names}")),
            Self::Python => python.as_ref().filter(|_| installed).map(|python| format!("Python {python}")),
            Self::Conda if installed && conda.packages.is_empty() => {
                some(&conda.channels).map(|names| format!("the conda channels {names}"))
            }
            Self::Conda => some(conda.packages.iter().map(|package| &package.spec))
                .filter(|_| installed)
                .map(|specs| format!("the conda packages {specs}")),
            Self::VirtualPackages => some(&conda.virtual_packages)
                .filter(|_| installed)
                .map(|names| format!("the virtual packages {names}")),
            Self::Pip => {
                let requirements = some(pip.requirements.iter().map(|one| &one.requirement));
                let requirements = requirements.map(|list| format!("the pip requirements {list}"));
                let options = found(super::requirements::options(pip).next().is_some(), "the options of pip");
                requirements.or(options).filter(|_| installed)
            }
            Self::Constraints => some(pip.constraints.iter().map(|one| &one.requirement))
                .filter(|_| installed)
                .map(|list| format!("the constraints {list}")),
            Self::Spark => found(!spark.is_empty(), "the packages of Spark"),
            Self::R => found(!r.is_empty(), "the packages of R"),
            Self::Platforms => some(platforms)
                .filter(|_| **platforms != [Platform::default()])
                .map(|names| format!("the platforms {names}")),
            Self::UserManaged => found(*user_managed, "that nothing is to be installed (`user_managed`)"),
            Self::Record => found(
                *user_managed && !(conda.is_empty() && pip.is_empty() && python.is_none()),
                "the packages that are noted and not installed, as the base has them",
            ),
        }
    }
}

/// Up to three of `items`, and how many more there are.
fn some<T: ToString>(items: impl IntoIterator<Item = T>) -> Option<String> {
    let mut items = items.into_iter();
    let first: Vec<String> = items.by_ref().take(3).map(|item| format!("`{}`", item.to_string())).collect();
    let more = items.count();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!first.is_empty()).then(|| first.join(", ") + &more)
}

/// What is left over when an environment is written in a format.
pub(super) struct Rest<'e> {
    environment: &'e Environment,
    /// The format, as the subject of a sentence.
    format: &'static str,
    list: Vec<NotCarried>,
}

impl<'e> Rest<'e> {
    pub fn new(environment: &'e Environment, format: &'static str) -> Self {
        Self { environment, format, list: Vec::new() }
    }

    /// Notes every part beside those of `carried`.
    pub fn all_but(&mut self, carried: &[Part]) {
        let format = self.format;
        for part in Part::ALL.iter().copied().filter(|part| !carried.contains(part)) {
            self.part(part, &format!("{format} has no place for {}", part.pronoun()));
        }
    }

    /// Notes a part, if there is something of it.
    pub fn part(&mut self, part: Part, why: &str) {
        let found = part.found(self.environment);
        let note = |what| NotCarried { what, why: why.to_owned(), counts: part.counts() };
        self.list.extend(found.map(note));
    }

    /// Notes that what the image stands on is not said, or in another way.
    pub fn base(&mut self, why: &str) {
        let what = base_words(&self.environment.definition.base);
        self.list.push(NotCarried { what, why: why.to_owned(), counts: true });
    }

    /// Notes what is worth knowing and changes no digest.
    pub fn remark(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.list.push(NotCarried { what: what.into(), why: why.into(), counts: false });
    }

    /// Notes something else that counts.
    pub fn loss(&mut self, what: impl Into<String>, why: impl Into<String>) {
        self.list.push(NotCarried { what: what.into(), why: why.into(), counts: true });
    }

    /// Notes packages that lie on this machine: they are named, and will not be found.
    pub fn local_paths(&mut self, why: &str) {
        let pip = &self.environment.definition.pip;
        let local =
            |text: &str| text.starts_with("file:") || text.contains("@ file:") || text.contains("+file:");
        let found: Vec<&str> = pip
            .requirements
            .iter()
            .map(|one| &*one.requirement)
            .filter(|text| local(text))
            .chain(
                pip.find_links.iter().filter(|url| url.as_url().scheme() == "file").map(|_| "--find-links"),
            )
            .collect();
        if let Some(what) = some(found) {
            self.remark(format!("local paths: {what}"), why);
        }
    }

    /// Whether something that counts for the digest is among it.
    pub fn counts(&self) -> bool {
        self.list.iter().any(|part| part.counts)
    }

    pub fn list(self) -> Vec<NotCarried> {
        self.list
    }
}

fn base_words(base: &Base) -> String {
    match base {
        Base::Debian { suite: None } => "the base, Debian".to_owned(),
        Base::Debian { suite: Some(suite) } => format!("the base, Debian {suite}"),
        Base::Image { reference } => format!("the image `{reference}`"),
        Base::Dockerfile { .. } => "the Dockerfile".to_owned(),
        Base::Context(context) => match &context.location {
            ContextLocation::Folder { path, .. } => format!("the build context `{path}`"),
            ContextLocation::Url(url) => format!("the build context `{url}`"),
        },
    }
}
