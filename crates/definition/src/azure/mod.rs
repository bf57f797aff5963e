//! Azure ML: the v1 environment, and what stands inline in v2 jobs and deployments.

pub(crate) mod inline;
pub(crate) mod v1;
