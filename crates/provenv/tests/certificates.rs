//! An index whose certificate comes from an authority of the user's own: uv in the sandbox and our own fetching trust what
//! the host trusts.

use provenv_testing::pypi::{Index, Wheel};
use provenv_testing::tls::Front;

use crate::support::{Done, PYTHON, Workspace, serve};

#[test]
fn an_authority_of_ones_own_is_trusted_where_it_is_named_and_nowhere_else() {
    let Some(workspace) = Workspace::new() else { return };
    let server = serve(&Index::new().add(Wheel::new("tea", "1.0")));
    let front = Front::before(server.url.trim_start_matches("http://").parse().unwrap());
    let file = workspace.write("authority.pem", &front.authority);
    let text = |name: &str| {
        format!("name: {name}\npython: \"{PYTHON}\"\npip:\n- --index-url {}/simple/\n- tea\n", front.url)
    };
    let build = |name: &str, variable: Option<&str>| -> Done {
        let definition = workspace.write(&format!("{name}.yaml"), &text(name));
        // Each in a workspace of its own, so that nothing is there from the one before.
        let root = workspace.path().join(name);
        crate::support::fill(&root).unwrap();
        let mut command = crate::support::command(&root);
        for other in ["SSL_CERT_FILE", "SSL_CERT_DIR", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"] {
            command.env_remove(other);
        }
        // uv tries again and again otherwise.
        command.env("UV_HTTP_RETRIES", "0");
        if let Some(variable) = variable {
            command.env(variable, &file);
        }
        command.arg("build").arg(definition).output().unwrap().into()
    };
    let refused = build("unknown", None);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("certificate"), "{}", refused.stderr);
    assert!(refused.stderr.contains("hint: this machine does not trust the authority"), "{}", refused.stderr);
    assert!(refused.stderr.contains("SSL_CERT_FILE"), "{}", refused.stderr);
    for variable in ["SSL_CERT_FILE", "PIP_CERT"] {
        build(&variable.to_lowercase(), Some(variable)).ok();
    }

    // Our own fetching says it too: here for a mirror of Debian's.
    let mut command = crate::support::command(&workspace.path().join("mirror"));
    command
        .env("PROVENV_DEBIAN_MIRROR", &front.url)
        .args(["build", "-q"])
        .arg(workspace.path().join("unknown.yaml"));
    let done: Done = command.output().unwrap().into();
    assert_eq!(done.code, 1);
    assert!(done.stderr.contains("failed to trust the host of `https://localhost:"), "{}", done.stderr);
    assert!(done.stderr.contains("SSL_CERT_FILE"), "{}", done.stderr);
}
