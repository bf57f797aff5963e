//! Who a provider's claims are about: the user here, and the roles that their groups have.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::StatusCode;
use serde_json::{Map, Value};

use crate::api::check_user;
use crate::database::Role;
use crate::problem::{Problem, Result};
use crate::state::Server;

/// Whoever is in every group.
const EVERYBODY: &str = "*";

/// The user that signed in, with the roles of their groups.
pub(super) async fn user(server: &Server, issuer: &str, claims: &Map<String, Value>) -> Result<String> {
    let settings = &server.admission.oidc;
    let claim = settings.name_claim.as_deref().unwrap_or("preferred_username");
    let refused = |code, detail: String| Problem::new(StatusCode::FORBIDDEN, code, detail);
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let subject = text("sub").unwrap_or_default();
    let name = text(claim).ok_or_else(|| {
        refused("name-missing", format!("the provider does not say your name: there is no claim `{claim}`"))
            .hint("`oidc.scopes` asks for more, `oidc.name_claim` names another claim")
    })?;
    if claim == "email" && claims.get("email_verified") != Some(&Value::Bool(true)) {
        return Err(refused(
            "name-unverified",
            format!("the provider has not verified that {name} is yours"),
        ));
    }
    check_user(name)?;
    // The first owner is of this server alone, whatever somebody is called elsewhere.
    if name == crate::OWNER {
        return Err(refused("name-reserved", format!("`{name}` is a name that nobody signs in by")));
    }
    let may_be_adopted = settings.adopt.iter().any(|adopted| adopted == name);
    let Some(user) = server.database.identify(issuer, subject, name, may_be_adopted).await? else {
        return Err(refused(
            "name-taken",
            format!("`{name}` is somebody else here: a user of this server, or the provider gave the name to another before"),
        )
        .hint(
            "whoever runs the server may name a user that is yours in `oidc.adopt`; otherwise have the provider give you another \
             name, or take a claim that names nobody twice (`oidc.name_claim`)",
        ));
    };
    let claim = settings.groups_claim.as_deref().unwrap_or("groups");
    let groups: BTreeSet<&str> = match claims.get(claim) {
        Some(Value::Array(groups)) => groups.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(group)) => [&**group].into(),
        _ => BTreeSet::new(),
    };
    let mut roles: BTreeMap<Option<String>, Role> = BTreeMap::new();
    for given in &settings.roles {
        let is_in = given.group == EVERYBODY || groups.contains(&*given.group);
        if let (true, Ok(role)) = (is_in, given.role.parse::<Role>()) {
            let known = roles.entry(given.workspace.clone()).or_insert(role);
            *known = role.max(*known);
        }
    }
    for (workspace, before, now) in server.database.set_group_roles(&user, &roles).await? {
        let workspace = workspace.unwrap_or_else(|| "all".to_owned());
        tracing::info!(user, workspace, ?before, ?now, "changed a role by groups");
    }
    Ok(user)
}
