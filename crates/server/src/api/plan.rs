//! What a definition would come to, before it is registered.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use provenv_definition::{Digest, Environment, Platform};
use provenv_workspace::{PackageSummary, Plan, PlatformPlan};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::environments::{SentFile, given};
use super::sent::{At, Sent};
use crate::apart::apart;
use crate::problem::{Problem, Result};
use crate::state::Server;

/// What is to be planned: an environment in JSON, the text of a file, or a registered version.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Proposal {
    /// The environment, as `version` shows it.
    #[schema(value_type = Option<Object>)]
    environment: Option<Environment>,
    /// A file of any format that Provenv reads and that names no other file.
    file: Option<SentFile>,
    /// A registered version instead: `NAME:VERSION` or `NAME@LABEL`.
    #[schema(example = json!(null))]
    version: Option<String>,
    /// Its name, over the one that the definition gives.
    #[schema(example = "digits")]
    name: Option<String>,
}

/// What building a definition would come to.
#[derive(Serialize, ToSchema)]
#[schema(as = Plan)]
pub struct PlanBody {
    /// Digest of the definition.
    #[schema(value_type = String)]
    definition: Digest,
    /// Its lock here.
    #[schema(value_type = String)]
    lock: Digest,
    /// Whether it was locked just now.
    fresh: bool,
    /// Registered versions that have this lock already, as `name:version`.
    #[schema(example = json!(["digits:1"]))]
    environments: Vec<String>,
    /// What there is to do, per platform.
    platforms: Vec<PlatformPlanBody>,
}

/// What there is to do for one platform.
#[derive(Serialize, ToSchema)]
#[schema(as = PlatformPlan)]
pub struct PlatformPlanBody {
    /// The platform.
    #[schema(value_type = String, example = "linux/amd64")]
    platform: Platform,
    /// What was chosen for it.
    chosen: ChosenBody,
    /// The image, where it is there already.
    #[schema(value_type = Option<String>)]
    image: Option<Digest>,
    /// How many packages are not in the store.
    to_fetch: usize,
    /// Their bytes, as far as the indexes said.
    bytes_to_fetch: u64,
}

/// What a lock holds for one platform.
#[derive(Serialize, ToSchema)]
#[schema(as = Chosen)]
pub struct ChosenBody {
    /// What it stands on.
    #[schema(example = "debian/bookworm")]
    base: String,
    /// The Python inside.
    #[schema(example = "3.11")]
    python: Option<String>,
    /// Its packages, by ecosystem and name.
    packages: Vec<ChosenPackage>,
}

/// A package of a lock.
#[derive(Serialize, ToSchema)]
pub struct ChosenPackage {
    /// `deb`, `conda` or `pypi`.
    ecosystem: String,
    /// Its name.
    name: String,
    /// Its version.
    version: String,
    /// Bytes of the artifact; 0 where no index said.
    size: u64,
    /// Digest of the artifact.
    #[schema(value_type = String)]
    sha256: Digest,
}

impl From<Plan> for PlanBody {
    fn from(plan: Plan) -> Self {
        Self {
            definition: plan.definition,
            lock: plan.lock,
            fresh: plan.fresh,
            environments: plan.environments,
            platforms: plan.platforms.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<PlatformPlan> for PlatformPlanBody {
    fn from(plan: PlatformPlan) -> Self {
        let chosen = plan.chosen;
        let packages = chosen.packages.into_iter().map(Into::into).collect();
        Self {
            platform: plan.platform,
            chosen: ChosenBody { base: chosen.base, python: chosen.python, packages },
            image: plan.image,
            to_fetch: plan.to_fetch,
            bytes_to_fetch: plan.bytes_to_fetch,
        }
    }
}

impl From<PackageSummary> for ChosenPackage {
    fn from(package: PackageSummary) -> Self {
        Self {
            ecosystem: package.ecosystem.into_owned(),
            name: package.name,
            version: package.version,
            size: package.size,
            sha256: package.sha256,
        }
    }
}

/// Says what building a definition or a version would come to: what would be chosen, fetched and built. It is locked for that
/// where nobody did it before, which may take minutes; nothing is registered, and nothing is built.
#[utoipa::path(post, path = "/api/v1/workspaces/{workspace}/plan", tag = "environments",
    params(("workspace" = String, Path)),
    request_body = Proposal,
    extensions(("x-provenv-role" = json!("contributor"))),
    responses((status = 200, body = PlanBody),
        (status = "4XX", body = Problem, content_type = "application/problem+json")))]
pub async fn plan(
    State(server): State<Arc<Server>>,
    At(workspace): At<String>,
    Sent(proposal): Sent<Proposal>,
) -> Result<Json<PlanBody>> {
    let opened = server.workspace(&workspace).await?;
    if let (Some(reference), None, None) = (&proposal.version, &proposal.environment, &proposal.file) {
        let (name, version) = version_of(reference)?;
        let name = name.to_owned();
        let work = move || async move { opened.workspace.plan_version(&name, &version).await };
        return Ok(Json(apart(work).await??.into()));
    }
    if proposal.version.is_some() {
        return Err(Problem::bad("body-invalid", "give one of `environment`, `file` and `version`"));
    }
    let mut sent = given(proposal.environment, proposal.file)?;
    sent.environment.name = proposal.name.or(sent.environment.name);
    let _turn = server.resolving.acquire().await.map_err(|error| Problem::fault(&error))?;
    server.hold_secrets(&workspace, &opened).await?;
    let plan = apart(move || async move { opened.workspace.plan_sent(&sent).await }).await??;
    Ok(Json(plan.into()))
}

/// Name, and version or `@LABEL`.
fn version_of(reference: &str) -> Result<(&str, String)> {
    match (reference.rsplit_once(':'), reference.split_once('@')) {
        (Some((name, version)), _) => Ok((name, version.to_owned())),
        (None, Some((name, label))) => Ok((name, format!("@{label}"))),
        (None, None) => Err(Problem::bad(
            "body-invalid",
            format!("`{reference}` is no version: write NAME:VERSION or NAME@LABEL"),
        )),
    }
}
