//! The `uv` executable: one version, pinned by the digests of its wheels, kept in the store.
//!
//! The wheels are manylinux2014 ones (glibc 2.17), so that the executable runs on every base from bullseye on. There
//! is a static one for x86-64 too, which was not tried. uv itself needs no Python.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use provenv_definition::{Digest, Platform, SafeUrl};
use provenv_fetch::Fetcher;
use url::Url;

use super::host::fetchable;
use super::{Error, PypiConfig, Result};
use crate::tool::{ToolCommand, ToolMount, ToolRunner};

/// The pinned version.
pub(super) const VERSION: &str = "0.13.9";

/// The wheel for this machine, with the hexadecimal digits of its sha256. Where an image is for another machine, uv
/// still runs on this one.
pub(super) fn wheel() -> (&'static str, &'static str) {
    match Platform::host() {
        Platform::LinuxAmd64 => (
            "uv-0.13.9-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
            "d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19",
        ),
        Platform::LinuxArm64 => (
            "uv-0.13.9-py3-none-manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64.whl",
            "5435c5ce14a56431208ca0996416d310f1598e8c2c8ba707688985a16bb82dbe",
        ),
    }
}

/// Where the executable is on this machine. Nobody is asked for it once it is in the store.
///
/// With a `runner`, the last resort is the pip of the Debian suite that the environment stands on.
pub(super) async fn executable(
    fetcher: &Fetcher,
    config: &PypiConfig,
    runner: Option<&dyn ToolRunner>,
) -> Result<PathBuf> {
    let store = fetcher.store();
    let key = format!("uv-{VERSION}-{}", Platform::host().machine());
    let kept = || store.tree("tool", &key).map(|folder| folder.join("uv"));
    if let Some(executable) = kept() {
        return Ok(executable);
    }
    let _lease = store.lock_async("tool", &key).await?;
    if let Some(executable) = kept() {
        return Ok(executable);
    }
    let wheel = fetch(fetcher, config, runner).await?;
    let staged = store.stage_tree("tool", &key)?;
    let folder = staged.path().to_owned();
    blocking(move || unpack(&wheel, &folder)).await?;
    Ok(staged.commit()?.join("uv"))
}

/// Runs what reads and writes much away from the threads that wait for others.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

fn unpack(wheel: &Path, folder: &Path) -> Result<()> {
    let bad = |source| Error::BadUvWheel { path: wheel.to_owned(), source };
    let mut archive = zip::ZipArchive::new(fs_err::File::open(wheel)?).map_err(bad)?;
    let mut member = archive.by_name(&format!("uv-{VERSION}.data/scripts/uv")).map_err(bad)?;
    let target = folder.join("uv");
    let mut file = fs_err::File::create(&target)?;
    io::copy(&mut member, &mut file)?;
    fs_err::set_permissions(&target, std::fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// Brings the wheel into the store by the first way that leads there.
async fn fetch(fetcher: &Fetcher, config: &PypiConfig, runner: Option<&dyn ToolRunner>) -> Result<PathBuf> {
    let (file, hex) = wheel();
    let digest = Digest::from_hex(hex).expect("the constant is 64 hexadecimal digits");
    let store = fetcher.store();
    if store.contains(&digest) {
        return Ok(store.path(&digest));
    }
    let named =
        config.host.variable("PROVENV_UV_WHEEL").map(PathBuf::from).or_else(|| config.uv_wheel.clone());
    if let Some(path) = named {
        return import(fetcher, &path, &digest).await;
    }

    let mut reasons = Vec::new();
    let index = match index(config)? {
        Some(index) => Some(index),
        None => pips_default(config).await,
    };
    match index {
        Some(index) => match from_index(fetcher, &index, file, &digest).await {
            Ok(path) => return Ok(path),
            Err(Error::Store(error)) => return Err(error.into()),
            Err(error) => reasons.push(chain(&error)),
        },
        None => reasons.push("no index is configured".to_owned()),
    }
    match from_pip(fetcher, config, file, &digest).await {
        Ok(path) => return Ok(path),
        Err(Reason::Ours(error)) => return Err(error),
        Err(Reason::Pip(reason)) => reasons.push(reason),
    }
    if let Some(runner) = runner.filter(|_| !fetcher.options().offline) {
        match from_pip_in_sandbox(fetcher, config, runner, file, &digest).await {
            Ok(path) => return Ok(path),
            Err(Reason::Ours(error)) => return Err(error),
            Err(Reason::Pip(reason)) => reasons.push(reason),
        }
    }
    Err(Error::NoUv { reasons })
}

/// The index that uv asks where nobody names another (uv's reference of settings, `index`).
pub(super) fn default_index() -> Url {
    Url::parse("https://pypi.org/simple").expect("it is a URL")
}

/// The index that the user or this machine names, with its credentials.
pub(super) fn index(config: &PypiConfig) -> Result<Option<Url>> {
    if let Some(url) = config.host.index_of("PROVENV_PYPI_INDEX")? {
        return Ok(Some(url));
    }
    match &config.index {
        Some(url) => fetchable(url.clone(), "`index` under [pypi] of the settings").map(Some),
        None => config.host.index(),
    }
}

/// The index that pip asks where nobody names another. Only asked for, because a download by pip takes several times as
/// long as ours; where a pip keeps it elsewhere, pip downloads.
async fn pips_default(config: &PypiConfig) -> Option<Url> {
    const QUESTION: &str = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)";
    let mut command = tokio::process::Command::new(on_path(config, "python3")?);
    command.args(["-I", "-c", QUESTION]).stdin(std::process::Stdio::null()).kill_on_drop(true);
    let output = command.output().await.ok().filter(|output| output.status.success())?;
    let url = Url::parse(std::str::from_utf8(&output.stdout).ok()?.trim()).ok()?;
    (url.scheme() == "https").then_some(url)
}

async fn import(fetcher: &Fetcher, path: &Path, expected: &Digest) -> Result<PathBuf> {
    let (store, path, expected) = (fetcher.store().clone(), path.to_owned(), *expected);
    blocking(move || {
        let mut staged = store.stage()?;
        io::copy(&mut fs_err::File::open(&path)?, &mut staged)?;
        match staged.commit_expecting(&expected, None) {
            Ok(blob) => Ok(store.path(&blob.digest)),
            Err(provenv_store::Error::Mismatch { expected, actual }) => {
                Err(Error::OtherUvWheel { path, expected, actual })
            }
            Err(error) => Err(error.into()),
        }
    })
    .await
}

/// Asks the index's page of uv (PEP 503, PEP 691) where the file is.
async fn from_index(fetcher: &Fetcher, index: &Url, file: &str, digest: &Digest) -> Result<PathBuf> {
    let mut page = index.clone();
    page.set_path(&format!("{}/uv/", index.path().trim_end_matches('/')));
    let accept = "application/vnd.pypi.simple.v1+json, text/html;q=0.1";
    let document = fetcher.document_as(&page, Some(accept)).await?;
    let text = String::from_utf8_lossy(&fetcher.store().read(&document.blob)?).into_owned();
    let link = link(&text, file)
        .and_then(|link| document.url.as_url().join(&link).ok())
        .ok_or_else(|| Error::NoUv { reasons: vec![format!("`{}` has no `{file}`", SafeUrl::new(page))] })?;
    Ok(fetcher.artifact_of(&document.url, &SafeUrl::new(link), digest, None).await?)
}

/// The URL of `file` on an index page.
fn link(page: &str, file: &str) -> Option<String> {
    let is_file = |url: &str| {
        let path = url.split(['?', '#']).next().unwrap_or_default();
        path.rsplit('/').next() == Some(file)
    };
    if let Ok(json) = serde_json::from_str::<serde_json::Value>(page) {
        let files = json.get("files")?.as_array()?;
        let found =
            files.iter().find(|entry| entry.get("filename").and_then(|name| name.as_str()) == Some(file))?;
        return Some(found.get("url")?.as_str()?.to_owned());
    }
    page.split("href=").skip(1).find_map(|rest| {
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let url = rest[1..].split(quote).next()?.replace("&amp;", "&");
        is_file(&url).then_some(url)
    })
}

enum Reason {
    /// Nothing else will work either.
    Ours(Error),
    Pip(String),
}

impl<E: Into<Error>> From<E> for Reason {
    fn from(error: E) -> Self {
        Self::Ours(error.into())
    }
}

/// Lets pip download the file: it brings its own default index.
async fn from_pip(
    fetcher: &Fetcher,
    config: &PypiConfig,
    file: &str,
    digest: &Digest,
) -> Result<PathBuf, Reason> {
    if fetcher.options().offline {
        return Err(Reason::Pip("pip was not asked: the network is not to be used".to_owned()));
    }
    let folder = fetcher.store().scratch()?;
    let mut reason = "there is no pip on PATH".to_owned();
    for program in [&["pip3"][..], &["pip"], &["python3", "-I", "-m", "pip"]] {
        let Some(path) = on_path(config, program[0]) else { continue };
        fetcher.reporter().note(&format!("fetching uv {VERSION} by `{}`", program.join(" ")));
        let mut command = tokio::process::Command::new(path);
        command
            .args(&program[1..])
            .args([
                "download",
                "--no-deps",
                "--only-binary=:all:",
                "--no-input",
                "--disable-pip-version-check",
            ])
            .args(["--quiet", "--no-cache-dir", "--dest"])
            .arg(folder.path())
            .arg(format!("uv=={VERSION}"))
            // Not the user's: Python runs what is called like a module there.
            .current_dir(folder.path())
            .env("PYTHONSAFEPATH", "1")
            .stdin(std::process::Stdio::null())
            .kill_on_drop(true);
        match command.output().await {
            Ok(output) if output.status.success() => {
                let path = folder.path().join(file);
                if path.is_file() {
                    return Ok(import(fetcher, &path, digest).await?);
                }
                reason = format!("`{}` brought another file than `{file}`", program.join(" "));
            }
            Ok(output) => {
                let stderr = String::from_utf8_lossy(&output.stderr);
                let last = stderr.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
                let last = provenv_definition::mask_secrets(last.trim_start_matches("ERROR: "));
                reason = format!("`{}` failed: {last}", program.join(" "));
            }
            Err(error) => reason = format!("`{}` did not start: {error}", program.join(" ")),
        }
    }
    Err(Reason::Pip(reason))
}

/// Lets Debian's pip, on the environment's own base, download the file: a machine without Python needs none.
async fn from_pip_in_sandbox(
    fetcher: &Fetcher,
    config: &PypiConfig,
    runner: &dyn ToolRunner,
    file: &str,
    digest: &Digest,
) -> Result<PathBuf, Reason> {
    const FOLDER: &str = "/provenv/download";
    const CERTIFICATES: &str = "/provenv/certificates.pem";
    fetcher.reporter().note(&format!("fetching uv {VERSION} by Debian's pip, in the sandbox"));
    let folder = fetcher.store().scratch()?;
    let mut mounts =
        vec![ToolMount { host: folder.path().to_owned(), guest: FOLDER.into(), read_only: false }];
    let mut env: Vec<_> = config.host.passed_on().collect();
    env.extend([("HOME".to_owned(), FOLDER.to_owned()), ("LC_ALL".to_owned(), "C.UTF-8".to_owned())]);
    if let Some(certificates) = config.host.ca_bundle() {
        mounts.push(ToolMount { host: certificates, guest: CERTIFICATES.into(), read_only: true });
        env.push(("PIP_CERT".to_owned(), CERTIFICATES.to_owned()));
    }
    let requirement = format!("uv=={VERSION}");
    let words =
        ["/usr/bin/python3", "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"];
    let options =
        ["--disable-pip-version-check", "--quiet", "--no-cache-dir", "--dest", FOLDER, &requirement];
    let command = ToolCommand {
        command: words.iter().chain(&options).map(|&word| word.to_owned()).collect(),
        env,
        mounts,
        cwd: FOLDER.into(),
        network: true,
        extra_packages: vec!["python3-pip".to_owned()],
    };
    let output = match runner.run(command).await {
        Ok(output) => output,
        Err(error) => return Err(Reason::Pip(format!("Debian's pip did not start: {error}"))),
    };
    let path = folder.path().join(file);
    if path.is_file() {
        return Ok(import(fetcher, &path, digest).await?);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let last = stderr.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    Err(Reason::Pip(format!("Debian's pip failed: {}", provenv_definition::mask_secrets(last))))
}

fn on_path(config: &PypiConfig, program: &str) -> Option<PathBuf> {
    let path = config.host.variable("PATH")?;
    let folders = std::env::split_paths(path).filter(|folder| folder.is_absolute());
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_found_on_both_kinds_of_pages() {
        let (file, _) = wheel();
        let html = format!(
            "<a href=\"../../f/uv-{VERSION}.tar.gz#sha256=0\">uv</a>\n<a data-x='1' href='/f/{file}?a=1&amp;b=2#sha256=1'>x</a>"
        );
        assert_eq!(link(&html, file).unwrap(), format!("/f/{file}?a=1&b=2#sha256=1"));
        let json = format!("{{\"files\": [{{\"filename\": \"{file}\", \"url\": \"https://h.test/x\"}}]}}");
        assert_eq!(link(&json, file).unwrap(), "https://h.test/x");
        for page in ["", "{}", "<a href=", "<a href=\"", "{\"files\": [1]}", "<a href=\"/uv.whl\">"] {
            assert_eq!(link(page, file), None, "{page}");
        }
    }
}
