//! What Azure ML refuses and Provenv does not.

use super::placed;
use crate::read::Origins;
use crate::{Base, Diagnostic, Environment, Remarks, codes};

/// Azure ML takes 100 KB.
const MAX_DOCKERFILE: usize = 100_000;

pub(super) fn azure(environment: &Environment, origins: &Origins, remarks: &mut Remarks) {
    let definition = &environment.definition;
    if let Base::Dockerfile { text } = &definition.base
        && text.len() > MAX_DOCKERFILE
    {
        let message = format!("the Dockerfile has {} KB", text.len() / 1000);
        let remark = Diagnostic::new(codes::LARGE_DOCKERFILE, message)
            .with_hint("put files into a build context and copy them");
        remarks.push(placed(remark, origins.base.as_ref()));
    }
    if let Base::Context(_) = &definition.base {
        for (present, what) in [
            (!definition.conda.is_empty(), "conda packages"),
            (!definition.pip.is_empty(), "pip packages"),
            (!environment.environment_variables.is_empty(), "environment variables"),
            (!definition.spark.is_empty(), "packages of Spark"),
            (!definition.r.is_empty(), "packages of R"),
        ] {
            if present {
                let message = format!("Azure ML refuses {what} beside a build context");
                let remark = Diagnostic::new(codes::CONTEXT_WITH_PACKAGES, message)
                    .with_hint("put them into the Dockerfile");
                remarks.push(placed(remark, origins.base.as_ref()));
            }
        }
    }
    if !definition.r.is_empty() {
        let remark = Diagnostic::new(codes::R_SECTION, "Azure ML has deprecated the `r` section")
            .with_hint("install R in a Dockerfile or by conda (`r-base`)");
        remarks.push(remark);
    }
}
