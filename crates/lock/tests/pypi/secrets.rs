//! Packages that want the credentials of the definition's indexes for themselves.

use base64::Engine as _;
use provenv_testing::pypi::{Index, Sdist, Wheel};
use provenv_testing::server::{FileTree, Server};

use super::support::{Machine, pip};

const SECRET: &str = "hunter2";
const VARIABLES: &[(&str, &str)] = &[
    ("PROVENV_INDEX_127_0_0_1_USERNAME", "anna"),
    ("PROVENV_INDEX_127_0_0_1_PASSWORD", SECRET),
    ("INDEX_TOKEN", "token-of-anna"),
];

/// What they might be called where uv runs, and what the definition calls them.
const NAMES: &[&str] = &[
    "UV_INDEX_PROVENV_DEFAULT_PASSWORD",
    "UV_DEFAULT_INDEX",
    "UV_FIND_LINKS",
    "PROVENV_PASSWORD_0",
    "PROVENV_PASSWORD_1",
    "PROVENV_INDEX_127_0_0_1_PASSWORD",
    "GIT_CONFIG_VALUE_0",
    "GIT_CONFIG_VALUE_1",
    "HTTP_PROXY",
    "INDEX_TOKEN",
];

/// A stranger's server. By another name than the index's, whose credentials are for a host.
struct Stranger(Server);

impl Stranger {
    fn start() -> Self {
        Self(Server::start(FileTree::new()))
    }

    fn at(&self, path: &str) -> String {
        self.0.at(path).replace("127.0.0.1", "localhost")
    }

    /// A requirement that carries every variable there.
    fn lure(&self) -> String {
        let names = format!("${{{}}}", NAMES.join("}/${"));
        format!("bb @ {}", self.at(&format!("/lure/{names}/bb-1.0-py3-none-any.whl")))
    }

    /// A wheel with the lure, at a URL.
    fn wheel(&self) -> String {
        let wheel = Wheel::new("dirty", "1.0").requires(&self.lure());
        self.0.put("/dirty-1.0-py3-none-any.whl", wheel.build());
        format!("dirty @ {}", self.at("/dirty-1.0-py3-none-any.whl"))
    }

    /// Somebody went for the lure, and brought nothing.
    fn assert_learnt_nothing(&self, machine: &Machine) {
        let requests = format!("{:?}", self.0.requests());
        assert!(requests.contains("/lure/"), "{requests}");
        for (_, secret) in &VARIABLES[1..] {
            assert!(!requests.contains(secret), "{requests}");
        }
        assert_none_in_environments(machine);
    }
}

fn assert_none_in_environments(machine: &Machine) {
    for command in machine.runner.commands.lock().unwrap().iter() {
        for (name, value) in &command.env {
            let pair = base64::engine::general_purpose::STANDARD.encode(format!("anna:{SECRET}"));
            for secret in [SECRET, "token-of-anna", "proxys-own", &pair] {
                assert!(!value.contains(secret), "{name}={value}");
            }
        }
    }
}

async fn machine(index: Index) -> Option<Machine> {
    let machine = Machine::with(index, VARIABLES).await?;
    machine.server.require_auth("anna", SECRET);
    Some(machine)
}

#[tokio::test]
async fn metadata_that_uv_reads_itself_names_variables_in_vain() {
    let stranger = Stranger::start();
    let index = Index::new()
        .add(Wheel::new("plain", "1.0").requires(&stranger.lure()))
        .add(Sdist::new("static", "1.0").requires(&stranger.lure()));
    let Some(machine) = machine(index).await else { return };
    let token = machine.server.at("/files/${INDEX_TOKEN}/x-1.0-py3-none-any.whl");
    for asked in ["plain", "static", &stranger.wheel()] {
        machine.fail(&pip(&[asked])).await;
        // With the definition's own variables in use.
        machine.fail(&pip(&[asked, &format!("x @ {token}")])).await;
    }
    stranger.assert_learnt_nothing(&machine);
}

#[tokio::test]
async fn what_a_build_needs_names_variables_in_vain() {
    let stranger = Stranger::start();
    let sdist = Sdist::new("far", "1.0").old_metadata().build_requires(&stranger.wheel());
    let Some(machine) = machine(Index::new().add(sdist)).await else { return };
    machine.fail(&pip(&["far"])).await;
    stranger.assert_learnt_nothing(&machine);
}

#[tokio::test]
async fn a_direct_url_keeps_its_token_a_variable() {
    let index = Index::new().below("token-of-anna").add(Wheel::new("a", "1.0"));
    let Some(machine) = machine(index).await else { return };
    let url = machine.server.at("/${INDEX_TOKEN}/files/a-1.0-py3-none-any.whl");
    let packages = machine.resolve(&pip(&[&format!("a @ {url}")])).await;
    let lock = serde_json::to_string(&packages).unwrap();
    assert!(lock.contains("/${INDEX_TOKEN}/files/a-1.0") && !lock.contains("token-of-anna"), "{lock}");
    assert_none_in_environments(&machine);
}

#[tokio::test]
async fn two_indexes_of_one_host_have_credentials_of_their_own() {
    let variables = [("ONE", "anna"), ("TWO", SECRET), ("THREE", "berta"), ("FOUR", "other")];
    let Some(machine) = Machine::with(Index::new(), &variables).await else { return };
    let mut asked = pip(&["a"]);
    let url = |path: &str, user: &str| machine.server.at(path).replace("://", &format!("://{user}@"));
    asked.index_url = Some(url("/one/", "${ONE}:${TWO}").parse().unwrap());
    asked.extra_index_urls = vec![url("/two/", "${THREE}:${FOUR}").parse().unwrap()];
    machine.fail(&asked).await;
    let encode = |pair: &str| format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair));
    for (path, pair) in [("/one/a/", "anna:hunter2"), ("/two/a/", "berta:other")] {
        let requests = machine.server.requests();
        let sent: Vec<_> = requests.iter().filter(|request| request.path == path).collect();
        assert!(!sent.is_empty());
        for request in sent {
            assert_eq!(request.header("authorization"), Some(encode(pair).as_str()), "{path}");
        }
    }
    assert_none_in_environments(&machine);
}

#[tokio::test]
async fn git_reads_credentials_from_a_file() {
    let Some(machine) = machine(Index::new()).await else { return };
    machine.fail(&pip(&[&format!("x @ git+{}", machine.server.at("/x.git"))])).await;
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("anna:{SECRET}"));
    let requests = machine.server.requests();
    let asked = requests.iter().find(|request| request.path.contains("/info/refs")).expect("git asks");
    assert_eq!(asked.header("authorization"), Some(format!("Basic {pair}").as_str()));
    assert_none_in_environments(&machine);
}

#[tokio::test]
async fn a_proxys_password_is_no_variable() {
    let proxy = Server::start(FileTree::new());
    let url = proxy.url.replace("://", "://carla:proxys-own@");
    let Some(machine) = Machine::with(Index::new(), &[("HTTP_PROXY", &url)]).await else { return };
    let mut asked = pip(&["a"]);
    asked.index_url = Some("http://index.test/simple/".parse().unwrap());
    let error = machine.fail(&asked).await.to_string();
    let pair = base64::engine::general_purpose::STANDARD.encode("carla:proxys-own");
    let requests = proxy.requests();
    assert!(!requests.is_empty(), "{error}");
    assert_eq!(requests[0].header("proxy-authorization"), Some(format!("Basic {pair}").as_str()));
    assert!(!error.contains("proxys-own"), "{error}");
    assert_none_in_environments(&machine);
}
