//! What is read, hashed, kept and written back, and cannot be built by this version.

use super::placed;
use crate::dockerfile::Recipe;
use crate::read::Origins;
use crate::secrets::shown;
use crate::{Base, Definition, Diagnostic, Environment, Place, Remarks, codes};

/// The first reason why this version cannot lock `definition`, with what to do instead.
pub(crate) fn unlockable(definition: &Definition) -> Option<(String, &'static str)> {
    reasons(definition, &Origins::default()).into_iter().next().map(|(message, hint, _)| (message, hint))
}

pub(super) fn remarks(environment: &Environment, origins: &Origins, remarks: &mut Remarks) {
    for (message, hint, place) in reasons(&environment.definition, origins) {
        let remark = Diagnostic::new(codes::NOT_BUILDABLE, message).with_hint(hint);
        remarks.push(placed(remark, place));
    }
}

fn reasons<'a>(
    definition: &Definition,
    origins: &'a Origins,
) -> Vec<(String, &'static str, Option<&'a Place>)> {
    let mut reasons = Vec::new();
    let base = match &definition.base {
        Base::Debian { .. } | Base::Image { .. } | Base::Context(_) => None,
        Base::Dockerfile { text } => {
            let unknown = Recipe::read(text).ok().and_then(|recipe| recipe.unknown.into_iter().next());
            unknown.map(|image| {
                (
                    format!(
                        "the image `{}` depends on a variable without a value, and cannot be pinned",
                        shown(&image.name)
                    ),
                    "give it a default before the first FROM: `ARG NAME=value`",
                )
            })
        }
    };
    reasons.extend(base.map(|(message, hint)| (message, hint, origins.base.as_ref())));
    let mut unsupported = |present: bool, what: &str, hint| {
        if present {
            reasons.push((format!("{what} are not installed yet"), hint, None));
        }
    };
    unsupported(!definition.spark.packages.is_empty(), "packages of Spark", "leave `spark` out");
    unsupported(!definition.r.is_empty(), "packages of R", "leave `r` out");
    reasons
}
