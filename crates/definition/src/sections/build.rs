//! Build contexts: a folder, or the URL of a repository or archive.

use url::Url;

use super::{Sections, folder_of};
use crate::dockerfile::{DockerfileBase, of_folder};
use crate::document::Node;
use crate::secrets::{shown, url_credentials};
use crate::{Base, BuildContext, ContextLocation, SafeUrl, codes};

/// The build context that `location` at `node` names, whose Dockerfile is `dockerfile` at `dockerfile_node`.
pub(crate) fn build_context(
    sections: &mut Sections<'_, '_>,
    location: &str,
    node: &Node,
    dockerfile: Option<(String, &Node)>,
) -> DockerfileBase {
    let (dockerfile, dockerfile_node) = match dockerfile {
        Some((text, node)) => (text, node),
        None => ("Dockerfile".to_owned(), node),
    };
    let Some(dockerfile) = relative(&dockerfile) else {
        let message = format!("`{}` is not in the build context", shown(&dockerfile));
        let hint = "name the Dockerfile relative to the folder of the build context";
        sections.report(codes::INVALID_CONTEXT, dockerfile_node, message, Some(hint));
        return DockerfileBase::default();
    };
    let location = location.trim();
    if location.is_empty() {
        sections.report(codes::INVALID_CONTEXT, node, "the build context has no path", None);
        return DockerfileBase::default();
    }
    let url = if let Some((host, path)) = location.strip_prefix("git@").and_then(|rest| rest.split_once(':'))
    {
        // As git itself writes it for a secure shell.
        Some(format!("ssh://git@{host}/{}", path.trim_start_matches('/')))
    } else {
        (location.contains("://") && !location.starts_with("file:")).then(|| location.to_owned())
    };
    if let Some(url) = url {
        let base = remote(sections, &url, node)
            .map(|url| Base::Context(BuildContext { location: ContextLocation::Url(url), dockerfile }));
        return DockerfileBase { base, ..DockerfileBase::default() };
    }
    let folder = if location.starts_with("file:") {
        let path = Url::parse(location).ok().and_then(|url| url.to_file_path().ok());
        let Some(path) = path else {
            sections.report(codes::INVALID_URL, node, "not a `file:` URL of this machine", None);
            return DockerfileBase::default();
        };
        path
    } else {
        folder_of(sections.source).join(location)
    };
    if !folder.is_dir() {
        let message = format!("the build context `{}` is not a folder", shown(location));
        let hint = "folders are named relative to the file that names them";
        sections.report(codes::INVALID_CONTEXT, node, message, Some(hint));
        return DockerfileBase::default();
    }
    of_folder(&folder, &dockerfile, sections.source.place(node.span))
}

/// A relative path without `.` and `..`, and with `/`.
fn relative(path: &str) -> Option<String> {
    let mut parts = Vec::new();
    for part in path.trim().split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    (!parts.is_empty() && !path.trim().starts_with('/')).then(|| parts.join("/"))
}

fn remote(sections: &mut Sections<'_, '_>, text: &str, node: &Node) -> Option<SafeUrl> {
    if url_credentials(text).is_some() {
        let hint = "write a variable, `https://${TOKEN}@host/…`, or keep them in netrc or the keyring";
        sections.report(codes::CREDENTIALS, node, "credentials in a URL", Some(hint));
        return None;
    }
    let url = match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https" | "git" | "ssh" | "git+https" | "git+ssh") => url,
        Ok(url) => {
            let message = format!("a build context cannot be fetched by `{}`", shown(url.scheme()));
            sections.report(codes::INVALID_URL, node, message, Some("use https, ssh or a folder"));
            return None;
        }
        Err(error) => {
            sections.report(codes::INVALID_URL, node, format!("not a URL: {error}"), None);
            return None;
        }
    };
    if url_credentials(url.as_str()).is_some() {
        sections.report(codes::CREDENTIALS, node, "credentials in a URL", None);
        return None;
    }
    if url.query().is_some() {
        let message = "the URL of a build context with a query is not supported";
        let hint = "keep credentials in netrc, the keyring or `${NAME}` before the host";
        sections.report(codes::NOT_SUPPORTED, node, message, Some(hint));
        return None;
    }
    Some(SafeUrl::new(url))
}
