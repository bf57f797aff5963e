//! Build contexts: brought to this machine, and laid out for an engine as their digest says, with nothing else in them.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;
use provenv_compute::HostProcess;
use provenv_definition::{
    Base, BuildContext, ContextFile, ContextFileKind, ContextLocation, Digest, Hasher, SafeUrl, context_files,
};
use provenv_lock::ContextLock;
use url::Url;

use super::engine::{self, Said, environment, listen};
use super::failure::DockerfileError;
use crate::error::IoContext as _;
use crate::folders::shown;
use crate::{Error, Result, Workspace};

/// The time of every file in a context, as of those in layers: 1980-01-01.
const TIME: i64 = 315_532_800;

/// A build context that is laid out.
pub(super) struct Laid {
    /// The text of the Dockerfile.
    pub text: String,
    /// What was fetched.
    pub lock: Option<ContextLock>,
    /// What stands for all of it in the key of a run.
    pub key: String,
}

impl Workspace {
    /// Lays the build context of `base` out in the empty folder `to`; of one from elsewhere the state that is `pinned`, if one is.
    /// `work` is an empty folder, and `heard` gets what git says.
    pub(super) async fn lay_context(
        &self,
        base: &Base,
        pinned: Option<&ContextLock>,
        work: &Path,
        to: &Path,
    ) -> Result<Laid> {
        let context = match base {
            Base::Dockerfile { text } => {
                let key = format!("text {}", Digest::of(text.as_bytes()));
                return Ok(Laid { text: text.clone(), lock: None, key });
            }
            Base::Context(context) => context,
            Base::Debian { .. } | Base::Image { .. } => unreachable!("these are no Dockerfiles"),
        };
        match &context.location {
            ContextLocation::Folder { path, content } => {
                let folder = path.as_url().to_file_path().unwrap_or_default();
                let (dockerfile, to, expected) = (context.dockerfile.clone(), to.to_owned(), *content);
                tokio::task::spawn_blocking(move || {
                    let (text, found) = lay(&folder, &dockerfile, &to)?;
                    if found != expected {
                        return Err(DockerfileError::ContextChanged { folder: shown(&folder) }.into());
                    }
                    Ok(Laid { text, lock: None, key: format!("folder {expected} {dockerfile}") })
                })
                .await?
            }
            ContextLocation::Url(url) => self.lay_remote(context, url, pinned, work, to).await,
        }
    }

    async fn lay_remote(
        &self,
        context: &BuildContext,
        url: &SafeUrl,
        pinned: Option<&ContextLock>,
        work: &Path,
        to: &Path,
    ) -> Result<Laid> {
        let source = work.join("source");
        fs_err::create_dir(&source).doing(|| "could not prepare the build context".to_owned())?;
        let (lock, folder) = if let Some(git) = GitUrl::of(url) {
            let commit = match pinned {
                Some(ContextLock::Git { commit }) => Some(commit.clone()),
                _ => None,
            };
            if self.offline {
                let what = format!("{url} is not kept, and is not fetched with --offline");
                return Err(
                    DockerfileError::Context { what, hint: Some("leave --offline out".to_owned()) }.into()
                );
            }
            let fetched = move || -> Result<_> {
                let commit = git.fetch(commit.as_deref(), &source)?;
                let folder = git.folder_in(&source)?;
                Ok((ContextLock::Git { commit }, folder))
            };
            tokio::task::spawn_blocking(fetched).await??
        } else {
            let lock = self.archive_at(url, pinned).await?;
            let ContextLock::Archive { sha256, .. } = &lock else { unreachable!("it is one") };
            let (archive, to, url) = (self.store.path(sha256), source.clone(), url.clone());
            let laid =
                tokio::task::spawn_blocking(move || provenv_image::unpack::archive(&archive, &to)).await?;
            laid.map_err(|error| DockerfileError::Context {
                what: format!("{url} cannot be unpacked: {error}"),
                hint: Some(
                    "it has to be a tar, which may be compressed by gzip, bzip2, xz or zstd".to_owned(),
                ),
            })?;
            (lock, source)
        };
        let (dockerfile, to) = (context.dockerfile.clone(), to.to_owned());
        let (text, found) = tokio::task::spawn_blocking(move || lay(&folder, &dockerfile, &to)).await??;
        Ok(Laid { text, lock: Some(lock), key: format!("folder {found} {}", context.dockerfile) })
    }

    /// The archive at a URL, in the store.
    async fn archive_at(&self, url: &SafeUrl, pinned: Option<&ContextLock>) -> Result<ContextLock> {
        let fetcher = self.fetcher().await?;
        if let Some(ContextLock::Archive { sha256, size }) = pinned {
            fetcher.artifact(url, sha256, Some(*size)).await?;
            return Ok(ContextLock::Archive { sha256: *sha256, size: *size });
        }
        let blob = fetcher.unverified(url.as_url()).await?;
        Ok(ContextLock::Archive { sha256: blob.digest, size: blob.size })
    }
}

/// Copies what Docker would send of `folder` to `to`, and checks on the way that it is what is hashed. The text of its Dockerfile, and
/// the digest of all.
fn lay(folder: &Path, dockerfile: &str, to: &Path) -> Result<(String, Digest)> {
    let (files, content) = context_files(folder, dockerfile)
        .map_err(|(what, hint)| DockerfileError::Context { what: format!("cannot be used: {what}"), hint })?;
    let text = fs_err::read_to_string(folder.join(dockerfile))
        .doing(|| "could not read the Dockerfile".to_owned())?;
    for file in &files {
        copy(folder, to, file)?;
    }
    // Folders at last: what is put into them changes their time.
    for file in files.iter().rev() {
        set_time(&to.join(&file.path))?;
    }
    set_time(to)?;
    Ok((text, content))
}

fn copy(from: &Path, to: &Path, file: &ContextFile) -> Result<()> {
    const ACT: &str = "could not copy the build context";
    let target = to.join(&file.path);
    match &file.kind {
        ContextFileKind::Folder => fs_err::create_dir(&target)
            .and_then(|()| fs_err::set_permissions(&target, std::fs::Permissions::from_mode(0o755)))
            .doing(|| ACT.to_owned()),
        ContextFileKind::Link { target: at } => {
            fs_err::os::unix::fs::symlink(at, &target).doing(|| ACT.to_owned())
        }
        ContextFileKind::File { content, executable } => {
            let copied = || {
                let mut source = fs_err::File::open(from.join(&file.path))?;
                let mut out = fs_err::File::create_new(&target)?;
                let mut hasher = Hasher::new();
                let mut piece = vec![0; 256 << 10];
                loop {
                    let read = source.read(&mut piece)?;
                    if read == 0 {
                        break;
                    }
                    hasher.update(&piece[..read]);
                    out.write_all(&piece[..read])?;
                }
                let mode = if *executable { 0o755 } else { 0o644 };
                out.set_permissions(std::fs::Permissions::from_mode(mode))?;
                std::io::Result::Ok(hasher.finish())
            };
            let actual = copied().doing(|| ACT.to_owned())?;
            if actual != *content {
                return Err(DockerfileError::ContextChanged { folder: shown(from) }.into());
            }
            Ok(())
        }
    }
}

fn set_time(path: &Path) -> Result<()> {
    let time = TimeSpec::new(TIME, 0);
    utimensat(AT_FDCWD, path, &time, &time, UtimensatFlags::NoFollowSymlink)
        .map_err(std::io::Error::from)
        .doing(|| format!("could not set the time of `{}`", path.display()))
}

/// A git repository, and what of it is the context: `https://host/team/repository.git#branch:folder`.
struct GitUrl {
    /// Without fragment, variables not yet put in.
    url: Url,
    /// A branch, a tag or a commit; the repository's own branch otherwise.
    reference: Option<String>,
    folder: PathBuf,
}

impl GitUrl {
    /// `None` where it is an archive, as Docker tells them apart: a repository's URL ends with `.git`, has a fragment or a scheme
    /// of git's own.
    fn of(url: &SafeUrl) -> Option<Self> {
        let mut url = url.as_url().clone();
        let web = matches!(url.scheme(), "http" | "https");
        let is_repository = url.path().rsplit_once('.').is_some_and(|(_, ending)| ending == "git");
        if web && !is_repository && url.fragment().is_none() {
            return None;
        }
        let fragment = url.fragment().unwrap_or_default().to_owned();
        url.set_fragment(None);
        if let Some(inner) = url.as_str().strip_prefix("git+") {
            url = Url::parse(inner).ok()?;
        }
        let (reference, folder) = fragment.split_once(':').unwrap_or((&fragment, ""));
        // Relative, and without `..`: where links lead is seen when it is fetched.
        let folder = folder.split('/').filter(|part| !matches!(*part, "" | "." | "..")).collect();
        let reference = Some(reference.to_owned()).filter(|reference| !reference.is_empty());
        Some(Self { url, reference, folder })
    }

    /// Fetches into the empty folder `to`; gives the commit.
    fn fetch(&self, commit: Option<&str>, to: &Path) -> Result<String> {
        if engine::program("git").is_none() {
            let what = format!("{} is a git repository, and there is no `git` on this machine", self.shown());
            return Err(context(what, "install it: `apt-get install git`"));
        }
        let wanted = commit.or(self.reference.as_deref()).unwrap_or("HEAD");
        if wanted.starts_with('-') {
            return Err(context(
                format!("cannot be of the git reference `{wanted}`"),
                "name a branch, a tag or a commit",
            ));
        }
        self.must(to, &["init", "--quiet", "."])?;
        // Some servers give no single commits, and some no parts of a history.
        let shallow = self.git(to, &["fetch", "--quiet", "--depth=1", "--no-tags", "origin", wanted])?;
        let whole =
            |refs: &[&str]| self.git(to, &[&["fetch", "--quiet", "--no-tags", "origin"], refs].concat());
        let name = if shallow.code == 0 || whole(&[wanted])?.code == 0 {
            "FETCH_HEAD".to_owned()
        } else {
            let refs = ["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"];
            let said = whole(&refs)?;
            if said.code != 0 {
                return Err(self.failed(wanted, &said));
            }
            wanted.to_owned()
        };
        let parsed = self.git(to, &["rev-parse", "--verify", "--quiet", &format!("{name}^{{commit}}")])?;
        let found = parsed.lines.last().filter(|line| {
            matches!(line.len(), 40 | 64) && line.bytes().all(|byte| byte.is_ascii_hexdigit())
        });
        let found = found.ok_or_else(|| self.failed(wanted, &shallow))?.clone();
        if commit.is_some_and(|commit| commit != found) {
            return Err(context(
                format!("{} gave the commit {found} for {wanted}", self.shown()),
                "the repository cannot be trusted",
            ));
        }
        self.must(to, &["checkout", "--quiet", "--detach", &found])?;
        if to.join(".gitmodules").exists() {
            self.must(to, &["submodule", "update", "--quiet", "--init", "--recursive"])?;
        }
        // As BuildKit has it: what the repository keeps of itself is none of the context.
        fs_err::remove_dir_all(to.join(".git")).doing(|| "could not prepare the build context".to_owned())?;
        Ok(found)
    }

    /// The folder of the context in the repository that lies in `root`. Links in a repository are whoever wrote it's: one that leads
    /// out of it would send files of this machine into the image.
    fn folder_in(&self, root: &Path) -> Result<PathBuf> {
        const ACT: &str = "could not prepare the build context";
        if self.folder.as_os_str().is_empty() {
            return Ok(root.to_owned());
        }
        let root = fs_err::canonicalize(root).doing(|| ACT.to_owned())?;
        let (shown, name) = (self.shown(), self.folder.display());
        // Nobody writes to it by now: what is looked at is what is read.
        match fs_err::canonicalize(root.join(&self.folder)) {
            Ok(folder) if !folder.starts_with(&root) => Err(context(
                format!("`{name}` of {shown} leads out of the repository"),
                "a context is of the repository's own files: name the folder itself, and copy into it what it lacks",
            )),
            Ok(folder) if folder.is_dir() => Ok(folder),
            Ok(_) => Err(context(
                format!("`{name}` of {shown} is not a folder"),
                "name the folder, and the Dockerfile in it by `dockerfile_path`",
            )),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(context(
                format!("{shown} has no folder `{name}`"),
                "check URL, branch and folder: `URL#BRANCH:FOLDER`",
            )),
            Err(error) => Err(error).doing(|| ACT.to_owned()),
        }
    }

    fn must(&self, folder: &Path, arguments: &[&str]) -> Result<()> {
        let said = self.git(folder, arguments)?;
        if said.code == 0 { Ok(()) } else { Err(self.failed(arguments[0], &said)) }
    }

    /// Runs git in `folder`. The URL is on no command line: it may hold a token.
    fn git(&self, folder: &Path, arguments: &[&str]) -> Result<Said> {
        let mut env = environment(folder.parent().unwrap_or(folder));
        let url = with_variables(self.url.as_str());
        let settings = [
            ("remote.origin.url", url.as_str()),
            ("core.autocrlf", "false"),
            ("advice.detachedHead", "false"),
            // As gits since 2.38.1 have it: a submodule is no repository of this machine.
            ("protocol.file.allow", "user"),
        ];
        env.push(("GIT_CONFIG_COUNT".to_owned(), settings.len().to_string()));
        for (at, (key, value)) in settings.iter().enumerate() {
            env.push((format!("GIT_CONFIG_KEY_{at}"), (*key).to_owned()));
            env.push((format!("GIT_CONFIG_VALUE_{at}"), (*value).to_owned()));
        }
        // Nobody is there to be asked.
        env.push(("GIT_TERMINAL_PROMPT".to_owned(), "0".to_owned()));
        env.push(("GIT_SSH_COMMAND".to_owned(), "ssh -o BatchMode=yes".to_owned()));
        let command = ["git"].iter().chain(arguments).map(|&word| word.to_owned()).collect();
        listen(&HostProcess { command, env, cwd: folder.to_owned(), network: true }, &mut |_| ())
    }

    fn failed(&self, wanted: &str, said: &Said) -> Error {
        let last =
            said.lines.last().map(|line| format!(": {}", self.without_values(line))).unwrap_or_default();
        context(
            format!("{} cannot be had (`{wanted}`){last}", self.shown()),
            "check URL, branch and folder; git takes logins from its credential helpers and from netrc",
        )
    }

    fn shown(&self) -> SafeUrl {
        SafeUrl::new(self.url.clone())
    }

    /// A line of git's, which names the URL as it was given to it, with the variables in the place of their values.
    fn without_values(&self, line: &str) -> String {
        let mut line = line.to_owned();
        with_each(self.url.as_str(), |name| {
            let value = std::env::var(name).unwrap_or_default();
            if !value.is_empty() {
                line = line.replace(&value, &format!("${{{name}}}"));
            }
            value
        });
        line
    }
}

fn context(what: String, hint: &str) -> Error {
    DockerfileError::Context { what, hint: Some(hint.to_owned()) }.into()
}

/// A URL with the values of the variables that it names, as the fetcher puts them in.
fn with_variables(url: &str) -> String {
    with_each(url, |name| std::env::var(name).unwrap_or_default())
}

/// A URL with what `value` says in the place of each variable.
fn with_each(url: &str, mut value: impl FnMut(&str) -> String) -> String {
    let url = url.replace("$%7B", "${").replace("%7D", "}");
    let mut filled = String::new();
    let mut rest = url.as_str();
    while let Some((before, inner)) = rest.split_once("${") {
        let Some((name, after)) = inner.split_once('}') else { break };
        filled.push_str(before);
        filled.push_str(&value(name));
        rest = after;
    }
    filled + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_and_archives_are_told_apart_as_docker_does() {
        for (text, expected) in [
            ("https://host/team/repo.git", Some(("https://host/team/repo.git", None, ""))),
            (
                "https://host/repo.git#main:docker/app",
                Some(("https://host/repo.git", Some("main"), "docker/app")),
            ),
            ("https://host/repo#:app", Some(("https://host/repo", None, "app"))),
            ("https://host/repo.git#v1:../../etc", Some(("https://host/repo.git", Some("v1"), "etc"))),
            ("git+https://host/repo", Some(("https://host/repo", None, ""))),
            ("ssh://git@host/repo", Some(("ssh://git@host/repo", None, ""))),
            ("https://host/context.tar.gz", None),
        ] {
            let found = GitUrl::of(&SafeUrl::new(Url::parse(text).unwrap()));
            let found = found
                .as_ref()
                .map(|git| (git.url.as_str(), git.reference.as_deref(), git.folder.to_str().unwrap()));
            assert_eq!(found, expected, "{text}");
        }
    }
}
