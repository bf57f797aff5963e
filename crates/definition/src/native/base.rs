//! What the image stands on: `base`, `image`, `build`, `dockerfile`, `os_type`.

use super::Reader;
use crate::dockerfile::{self, DockerfileBase};
use crate::document::{Fields, Node};
use crate::secrets::shown;
use crate::sections::build_context;
use crate::suggest::nearest;
use crate::{Base, Diagnostic, Suite, codes};

/// What Azure ML says of an environment with both.
const IMAGE_AND_BUILD: &str = "Azure ML: \"Docker image or Dockerfile should be provided not both\"";

impl<'s> Reader<'s> {
    pub(super) fn base(&mut self, fields: &mut Fields<'s>) -> Base {
        let given: Vec<(&str, &'s Node)> = ["base", "image", "build", "dockerfile"]
            .into_iter()
            .filter_map(|key| fields.node(key).map(|node| (key, node)))
            .collect();
        match given[..] {
            [] => Base::default(),
            [("image", node)] => self.image(node),
            [("build", node)] => self.build(node),
            [("dockerfile", node)] => self.dockerfile(node),
            [(_, node)] => self.debian(node),
            [(first, one), (second, other), ..] => {
                let position = |node: &Node| (node.span.line, node.span.column);
                let node = if position(one) > position(other) { one } else { other };
                let message =
                    format!("`{first}` and `{second}` exclude each other: an image stands on one thing");
                let azure = (first, second) == ("image", "build");
                let hint = if azure {
                    format!("keep one of them ({IMAGE_AND_BUILD})")
                } else {
                    "keep one of them".to_owned()
                };
                self.report(codes::CONFLICTING_KEYS, node, message, Some(&hint));
                Base::default()
            }
        }
    }

    fn image(&mut self, node: &'s Node) -> Base {
        let Some(reference) = self.sections().text_of(node, "image") else { return Base::default() };
        let reference = reference.trim().to_owned();
        if !is_reference(&reference) {
            let message = "`image` must be the reference of an image, such as `python:3.12-slim`";
            // It may hold the password of a registry.
            let place = self.source.place_hidden(node.span);
            self.diagnostics.push(Diagnostic::new(codes::INVALID_VALUE, message).at(place));
            return Base::default();
        }
        self.origins.base = Some(self.place(node));
        Base::Image { reference }
    }

    fn debian(&mut self, node: &'s Node) -> Base {
        let Some(text) = self.sections().text_of(node, "base") else { return Base::default() };
        parse_base(&text).unwrap_or_else(|message| {
            let hint = "write `debian`, or `debian/` and the code name of a suite, or name an `image`";
            self.report(codes::INVALID_VALUE, node, message, Some(hint));
            Base::default()
        })
    }

    /// A folder or a URL, and the Dockerfile in it.
    fn build(&mut self, node: &'s Node) -> Base {
        let mut sections = self.sections();
        let Some(mut build) = sections.fields(node, "`build`") else { return Base::default() };
        let given = build.has("path");
        let path = sections.text(&mut build, "path");
        let dockerfile = sections.text(&mut build, "dockerfile_path");
        sections.finish(build);
        let Some((path, path_node)) = path else {
            if !given {
                let hint = "name the folder of the build context";
                self.report(codes::INVALID_VALUE, node, "`build` lacks `path`".to_owned(), Some(hint));
            }
            return Base::default();
        };
        let found = build_context(&mut sections, &path, path_node, dockerfile);
        self.take(found, path_node)
    }

    /// The text of a Dockerfile, or the path of one.
    fn dockerfile(&mut self, node: &'s Node) -> Base {
        let Some(text) = node.text() else {
            let message = format!("`dockerfile` must be a text, not {}", node.kind_name());
            self.report(codes::WRONG_TYPE, node, message, None);
            return Base::default();
        };
        if is_dockerfile_text(text) {
            let found = dockerfile::of_text(self.source, text, node.span);
            return self.take(found, node);
        }
        let Some(path) = self.sections().text_of(node, "dockerfile") else { return Base::default() };
        match self.beside(&path, node) {
            Some(source) => self.take(dockerfile::of_file(&source), node),
            None => Base::default(),
        }
    }

    fn take(&mut self, found: DockerfileBase, node: &Node) -> Base {
        self.diagnostics.extend(found.diagnostics);
        self.files.extend(found.file);
        self.origins.base = Some(self.place(node));
        self.origins.base_images = found.images;
        self.origins.base_steps = found.steps;
        found.base.unwrap_or_default()
    }

    pub(super) fn os_type(&mut self, fields: &mut Fields<'s>) {
        let Some(node) = fields.node("os_type") else { return };
        match node.text().map(str::to_ascii_lowercase).as_deref() {
            Some("linux") => {}
            Some("windows") => {
                self.report(codes::NOT_SUPPORTED, node, "only Linux images can be made".to_owned(), None);
            }
            _ => self.report(codes::INVALID_VALUE, node, "`os_type` must be `linux`".to_owned(), None),
        }
    }
}

/// Whether `text` is a Dockerfile rather than the path of one. A Dockerfile of one line can only be a `FROM`.
fn is_dockerfile_text(text: &str) -> bool {
    let mut words = text.split_whitespace();
    let first = words.next().is_some_and(|word| word.eq_ignore_ascii_case("from"));
    text.contains('\n') || (first && words.next().is_some())
}

/// Whether a text can be the reference of an image: what exactly it may hold is the registry client's to say.
pub(crate) fn is_reference(text: &str) -> bool {
    // What stands before another `@` is a user with a password, and what has `://` is a URL: neither may be kept.
    let (name, digest) = match text.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (text, None),
    };
    let is_digest = |digest: &str| {
        digest.split_once(':').is_some_and(|(algorithm, digits)| {
            matches!(algorithm, "sha256" | "sha512")
                && !digits.is_empty()
                && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
    };
    digest.is_none_or(is_digest)
        && !name.ends_with(':')
        && name.split('/').all(|part| part.starts_with(|c: char| c.is_ascii_alphanumeric()))
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-/:+".contains(c))
}

/// `debian`, `debian/bookworm` or `debian:bookworm`.
fn parse_base(text: &str) -> Result<Base, String> {
    let (name, suite) = match text.split_once(['/', ':']) {
        Some((name, suite)) => (name, Some(suite)),
        None => (text, None),
    };
    if name != "debian" {
        let suggestion =
            nearest(name, ["debian"]).map_or(String::new(), |known| format!(", did you mean `{known}`?"));
        return Err(format!("`{}` is not a base{suggestion}", shown(text)));
    }
    match suite {
        None => Ok(Base::Debian { suite: None }),
        Some(suite)
            if suite.starts_with(|c: char| c.is_ascii_lowercase())
                && suite
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c)) =>
        {
            Ok(Base::Debian { suite: Some(Suite(suite.to_owned())) })
        }
        Some(suite) => Err(format!("`{}` is not the code name of a Debian suite", shown(suite))),
    }
}
