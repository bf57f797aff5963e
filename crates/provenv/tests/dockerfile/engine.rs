//! The engines that the same tests are run by.

use std::sync::Arc;

use crate::support::docker::Docker;
use crate::support::{Workspace, have};

/// An engine that is here.
pub enum Engine {
    Buildah,
    BuildKit(Arc<Docker>),
}

impl Engine {
    pub fn buildah() -> Option<Self> {
        have("buildah").then_some(Self::Buildah)
    }

    pub fn buildkit() -> Option<Self> {
        Docker::shared().map(Self::BuildKit)
    }

    pub fn is_buildkit(&self) -> bool {
        matches!(self, Self::BuildKit(_))
    }

    /// An empty workspace that runs Dockerfiles by it.
    pub fn workspace(&self) -> Workspace {
        self.set(Workspace::empty())
    }

    /// One that begins with the plain base.
    pub fn workspace_with_base(&self) -> Option<Workspace> {
        Workspace::new().map(|workspace| self.set(workspace))
    }

    fn set(&self, workspace: Workspace) -> Workspace {
        let builder = |name: &str| ("PROVENV_BUILDER".to_owned(), name.to_owned());
        match self {
            Self::Buildah => workspace.with(vec![builder("buildah")]),
            Self::BuildKit(docker) => workspace.with(docker.variables()).with(vec![builder("buildkit")]),
        }
    }

    /// What is shown when a step begins, the `number`th of `count` with its `FROM`.
    pub fn begins(&self, number: usize, count: usize, step: &str) -> String {
        match self {
            Self::Buildah => format!("| STEP {number}/{count}: {step}"),
            // It numbers only what makes a layer.
            Self::BuildKit(_) => format!("] {step}"),
        }
    }

    /// What is shown of the image that it begins from.
    pub fn takes(&self, count: usize, image: &str) -> String {
        match self {
            Self::Buildah => format!("| STEP 1/{count}: FROM {image}\n"),
            Self::BuildKit(_) => format!("[context {image}] OCI load from client\n"),
        }
    }
}

/// A test of each function for each engine.
macro_rules! by_each {
    ($($name:ident),+ $(,)?) => {
        mod by_buildah {
            $(#[test]
            fn $name() {
                if let Some(engine) = crate::dockerfile::engine::Engine::buildah() {
                    super::$name(&engine);
                }
            })+
        }

        mod by_buildkit {
            $(#[test]
            fn $name() {
                if let Some(engine) = crate::dockerfile::engine::Engine::buildkit() {
                    super::$name(&engine);
                }
            })+
        }
    };
}
pub(crate) use by_each;
