//! A workspace, as Python holds it.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use provenv_workspace::{
    Find, OpenOptions, Record, RegisterOptions, Remote, Silent, Workspace, default_workspace,
};
use pyo3::prelude::*;
use serde::Serialize;

use crate::definition::NativeEnvironment;
use crate::errors::{Problem, Result};
use crate::waiting::wait;

/// How it is opened, kept so that a process that was forked can open it again.
#[derive(Clone)]
struct Opening {
    root: Option<PathBuf>,
    url: Option<String>,
    token: Option<String>,
    offline: bool,
}

impl Opening {
    /// The workspace on a server, if it is one.
    fn remote(&self) -> Result<Option<Remote>> {
        let Some(url) = &self.url else { return Ok(None) };
        Ok(Some(match &self.token {
            Some(token) => Remote::open_with(url, token)?,
            None => Remote::open(url)?,
        }))
    }

    async fn open(&self) -> Result<Workspace> {
        let options = |root| OpenOptions {
            root,
            reporter: Arc::new(Silent),
            offline: self.offline,
            no_cache_registry: false,
            builder: None,
            secrets: Vec::new(),
            of_server: None,
        };
        if let Some(remote) = self.remote()? {
            return Ok(Workspace::open_for(remote, options(PathBuf::new())).await?);
        }
        let root = match &self.root {
            Some(root) => root.clone(),
            None => default_workspace().ok_or(provenv_workspace::Error::NoHome)?,
        };
        let root = std::path::absolute(root)
            .map_err(|error| Problem::io("the working folder cannot be used", &error))?;
        Ok(Workspace::open(options(root)).await?)
    }
}

/// A workspace that is open.
#[pyclass(frozen, module = "provenv._native", name = "Workspace")]
pub struct NativeWorkspace {
    opening: Opening,
    /// With the process that opened it.
    open: Mutex<(u32, Arc<Workspace>)>,
}

#[pymethods]
impl NativeWorkspace {
    /// Opens a folder, made where it is missing; `None` is the user's own.
    #[staticmethod]
    fn local(python: Python<'_>, root: Option<PathBuf>, offline: bool) -> PyResult<Self> {
        Self::open(python, Opening { root, url: None, token: None, offline })
    }

    /// A workspace on a server; without a token as whoever logged in.
    #[staticmethod]
    fn connect(python: Python<'_>, url: String, token: Option<String>, offline: bool) -> PyResult<Self> {
        Self::open(python, Opening { root: None, url: Some(url), token, offline })
    }

    /// Its folder on this machine.
    #[getter]
    fn root(&self) -> PathBuf {
        self.held().root().to_owned()
    }

    /// Its URL, if it is on a server.
    #[getter]
    fn url(&self) -> Option<&str> {
        self.opening.url.as_deref()
    }

    /// Registers an environment.
    fn register(
        &self,
        python: Python<'_>,
        environment: &NativeEnvironment,
        lock: Option<PathBuf>,
    ) -> PyResult<String> {
        let workspace = self.workspace(python)?;
        let read = &environment.read;
        wait(python, async || {
            let options = RegisterOptions { lock: lock.as_deref(), ..RegisterOptions::default() };
            let registered = workspace
                .register_with(&read.environment, &read.origins, read.locked.as_ref(), &options)
                .await
                .map_err(|error| {
                    error.located(&read.environment.definition, &read.origins, Some(read.format))
                })?;
            json(&registered)
        })
    }

    /// A registered version, a curated one, or a file.
    fn show(&self, python: Python<'_>, reference: &str) -> PyResult<String> {
        let workspace = self.workspace(python)?;
        wait(python, async || {
            let (details, _) = workspace.show(reference, &folder()?).await?;
            json(&details)
        })
    }

    /// A registered version, and nothing else that may have its name.
    fn get(&self, python: Python<'_>, reference: &str) -> PyResult<String> {
        let workspace = self.workspace(python)?;
        // No folder may be meant.
        wait(python, async || json(&workspace.show(reference, std::path::Path::new("/nonexistent")).await?.0))
    }

    /// The newest version of each name, or all versions.
    fn list(&self, python: Python<'_>, name: Option<String>, all: bool) -> PyResult<String> {
        let find = Find { name, all_versions: all, ..Find::default() };
        let record = self.record(python)?;
        wait(python, async || json(&record.find(&find).await?.environments))
    }
}

impl NativeWorkspace {
    /// What is on record, wherever that is.
    pub fn record(&self, python: Python<'_>) -> PyResult<Arc<dyn Record>> {
        Ok(match self.opening.remote()? {
            Some(remote) => Arc::new(remote),
            None => self.workspace(python)?,
        })
    }

    fn open(python: Python<'_>, opening: Opening) -> PyResult<Self> {
        let workspace = wait(python, async || opening.open().await)?;
        Ok(Self { opening, open: Mutex::new((std::process::id(), Arc::new(workspace))) })
    }

    fn held(&self) -> Arc<Workspace> {
        Arc::clone(&self.open.lock().unwrap_or_else(PoisonError::into_inner).1)
    }

    /// The workspace, opened again where this process was forked since: its connections are the parent's.
    pub fn workspace(&self, python: Python<'_>) -> PyResult<Arc<Workspace>> {
        let process = std::process::id();
        if self.open.lock().unwrap_or_else(PoisonError::into_inner).0 == process {
            return Ok(self.held());
        }
        let again = Arc::new(wait(python, async || self.opening.open().await)?);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        // To close the parent's would be to end what it is doing.
        std::mem::forget(std::mem::replace(&mut *open, (process, Arc::clone(&again))));
        Ok(again)
    }
}

/// The folder that relative paths count from.
pub fn folder() -> Result<PathBuf> {
    std::env::current_dir().map_err(|error| Problem::io("the working folder cannot be used", &error))
}

/// What Python reads.
pub fn json<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Problem::defect(&error))
}
