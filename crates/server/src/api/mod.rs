//! The API, version 1. Every operation says in its description who may call it: `x-provenv-role` is `anybody`, `user` (any
//! token that holds), or the role that is needed.
#![expect(unused_qualifications, reason = "utoipa's macros write paths in full")]

mod about;
mod audit;
mod changes;
mod environments;
mod jobs;
mod logs;
mod members;
mod plan;
mod record;
mod runs;
mod secrets;
mod sent;
mod shares;
mod sign_in;
mod tokens;
mod upgrades;
mod workspaces;

use std::sync::Arc;

use axum::Router;
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) use members::check_user;
pub(crate) use sent::has_tag;

use crate::problem::Problem;
use crate::state::Server;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Provenv",
        description = "Machine-learning environments of a team. Each operation says in `x-provenv-role` who may call it: \
            `anybody`, a `user` (any token that holds), or whoever has the role `reader`, `contributor` or `owner` in the \
            workspace that the path names, or on the server where it names none. Problems are RFC 9457's; `code` never \
            changes its meaning.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    components(schemas(Problem)),
    modifiers(&Tokens),
    security(("token" = [])),
)]
struct Description;

struct Tokens;

impl utoipa::Modify for Tokens {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("pvt_…").build();
        openapi
            .components
            .get_or_insert_with(utoipa::openapi::Components::default)
            .add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// The routes, and their description.
pub(crate) fn routes() -> (Router<Arc<Server>>, utoipa::openapi::OpenApi) {
    OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(about::healthz))
        .routes(routes!(about::readyz))
        .routes(routes!(about::metrics))
        .routes(routes!(about::description))
        .routes(routes!(about::whoami))
        .routes(routes!(workspaces::list, workspaces::make))
        .routes(routes!(members::list))
        .routes(routes!(members::set, members::remove))
        .routes(routes!(tokens::list, tokens::make))
        .routes(routes!(tokens::revoke))
        .routes(routes!(sign_in::ways))
        .routes(routes!(sign_in::begin))
        .routes(routes!(sign_in::end))
        .routes(routes!(sign_in::begin_device))
        .routes(routes!(sign_in::poll_device))
        .routes(routes!(sign_in::sign_out))
        .routes(routes!(sign_in::list))
        .routes(routes!(sign_in::revoke))
        .routes(routes!(environments::list, environments::register))
        .routes(routes!(plan::plan))
        .routes(routes!(environments::versions, record::delete_all))
        .routes(routes!(upgrades::upgrade))
        .routes(routes!(shares::list))
        .routes(routes!(shares::decline))
        .routes(routes!(shares::share, shares::unshare))
        .routes(routes!(record::archive_all))
        .routes(routes!(record::restore_all))
        .routes(routes!(environments::version, changes::update, record::delete))
        .routes(routes!(changes::labels))
        .routes(routes!(changes::label, changes::unlabel))
        .routes(routes!(changes::archive))
        .routes(routes!(changes::restore))
        .routes(routes!(changes::history))
        .routes(routes!(environments::lock))
        .routes(routes!(environments::receipt))
        .routes(routes!(environments::image))
        .routes(routes!(record::told_images))
        .routes(routes!(record::uses))
        .routes(routes!(record::copy))
        .routes(routes!(record::import))
        .routes(routes!(record::lineage))
        .routes(routes!(record::images))
        .routes(routes!(record::image))
        .routes(routes!(record::definition))
        .routes(routes!(runs::list, runs::begin))
        .routes(routes!(runs::run, runs::tell))
        .routes(routes!(runs::log, runs::keep_log))
        .routes(routes!(jobs::build))
        .routes(routes!(jobs::list))
        .routes(routes!(jobs::job))
        .routes(routes!(jobs::cancel))
        .routes(routes!(secrets::list))
        .routes(routes!(secrets::set, secrets::remove))
        .routes(routes!(secrets::rekey))
        .routes(routes!(audit::key))
        .routes(routes!(audit::checkpoint))
        .routes(routes!(audit::entries))
        .routes(routes!(audit::inclusion))
        .routes(routes!(audit::consistency))
        .routes(routes!(audit::tile))
        .routes(routes!(audit::far_tile))
        .routes(routes!(audit::farther_tile))
        .routes(routes!(audit::bundle))
        .routes(routes!(audit::far_bundle))
        .routes(routes!(audit::farther_bundle))
        .routes(routes!(audit::of_workspace))
        .routes(routes!(jobs::retry))
        .routes(routes!(logs::log))
        .routes(routes!(logs::events))
        .split_for_parts()
}

/// The description of the API, as it is served and kept in the documentation.
pub fn description() -> String {
    let mut text = routes().1.to_pretty_json().unwrap_or_default();
    text.push('\n');
    text
}
