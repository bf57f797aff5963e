//! Which variables of the server's own process a build gets. All others may hold what is the server's alone: its database, its
//! client secret, tokens of a cloud, whatever was set for another program.

/// What processes need to find and say things: programs, folders, languages.
const OF_PROCESSES: &[&str] = &[
    "COLORTERM",
    "HOME",
    "LANG",
    "LANGUAGE",
    "LOGNAME",
    "NO_COLOR",
    "PATH",
    "RUST_BACKTRACE",
    "TEMP",
    "TERM",
    "TMP",
    "TMPDIR",
    "TZ",
    "USER",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "XDG_STATE_HOME",
];

/// How to get out of the building, and whom to trust there.
const OF_NETWORKS: &[&str] = &[
    "ALL_PROXY",
    "CURL_CA_BUNDLE",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "PIP_CERT",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// What the server was told of where things come from and how they are made, as settings are.
const OF_BUILDS: &[&str] = &[
    "PROVENV_ALLOW_UNCONFINED",
    "PROVENV_BUILDER",
    "PROVENV_CACHE_PUSH",
    "PROVENV_CACHE_REGISTRY",
    "PROVENV_CONFIG",
    "PROVENV_DEBIAN_IGNORE_VALID_UNTIL",
    "PROVENV_DEBIAN_KEYRING",
    "PROVENV_DEBIAN_MIRROR",
    "PROVENV_DEBIAN_SECURITY_MIRROR",
    "PROVENV_LOG",
    "PROVENV_OFFLINE",
    "PROVENV_PYPI_INDEX",
    "PROVENV_SANDBOX_HELPER",
    "PROVENV_UBUNTU_KEYRING",
    "PROVENV_UBUNTU_MIRROR",
    "PROVENV_UV_WHEEL",
    "PIP_CONFIG_FILE",
    "PIP_INDEX_URL",
    "UV_CONCURRENT_DOWNLOADS",
    "UV_CONFIG_FILE",
    "UV_DEFAULT_INDEX",
    "UV_HTTP_CONNECT_TIMEOUT",
    "UV_HTTP_RETRIES",
    "UV_HTTP_TIMEOUT",
    "UV_INDEX_URL",
    "UV_INSECURE_HOST",
];

/// How engines for Dockerfiles, and the registry of the shared cache, are reached. Files with logins are named, and not given: a
/// base or an index never gets them, because `PROVENV_CREDENTIALS` is set.
const OF_ENGINES: &[&str] = &[
    "BUILDAH_ISOLATION",
    "BUILDAH_RUNTIME",
    "BUILDKIT_HOST",
    "CONTAINERS_CONF",
    "CONTAINERS_REGISTRIES_CONF",
    "CONTAINERS_STORAGE_CONF",
    "DOCKER_API_VERSION",
    "DOCKER_CERT_PATH",
    "DOCKER_CONFIG",
    "DOCKER_CONTEXT",
    "DOCKER_HOST",
    "DOCKER_TLS",
    "DOCKER_TLS_VERIFY",
    "REGISTRY_AUTH_FILE",
    "STORAGE_DRIVER",
    "STORAGE_OPTS",
];

/// Whether a build gets the variable of this name.
pub(crate) fn is_for_builds(name: &str) -> bool {
    // Where traces go; the headers that say who sends them are the server's.
    let of_traces = name.starts_with("OTEL_") && !name.ends_with("_HEADERS");
    let of_language = name.starts_with("LC_");
    of_traces
        || of_language
        || [OF_PROCESSES, OF_NETWORKS, OF_BUILDS, OF_ENGINES].iter().any(|names| names.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::is_for_builds;

    #[test]
    fn what_is_the_servers_alone_is_not_handed_to_a_build() {
        for name in [
            "PROVENV_OIDC_CLIENT_SECRET",
            "PROVENV_SERVER_DATABASE",
            "PROVENV_SERVER_SECRETS_KEY",
            "PROVENV_CATALOGUE",
            "PROVENV_INDEX_A_USERNAME",
            "UV_INDEX_A_PASSWORD",
            "PROVENV_TOKEN",
            "AWS_PROFILE",
            "GITHUB_TOKEN",
            "GH_PAT",
            "PGPASSWORD",
            "SSH_AUTH_SOCK",
            "SIGNING_KEY",
            "OTEL_EXPORTER_OTLP_HEADERS",
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
            "NETRC",
            "RATTLER_AUTH_FILE",
            "LD_PRELOAD",
        ] {
            assert!(!is_for_builds(name), "{name}");
        }
        for name in [
            "PATH",
            "HOME",
            "TMPDIR",
            "HTTPS_PROXY",
            "SSL_CERT_FILE",
            "LC_ALL",
            "PROVENV_LOG",
            "OTEL_EXPORTER_OTLP_ENDPOINT",
        ] {
            assert!(is_for_builds(name), "{name}");
        }
    }
}
