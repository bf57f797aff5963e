//! What Azure ML refuses of a v1 environment and Provenv takes.

use std::path::Path;

use provenv_definition::read_str;

/// The codes and messages of the checks that are Azure ML's own.
fn azure_checks(json: &str) -> Vec<String> {
    let found =
        read_str(json, Path::new("/project/definition.json")).unwrap_or_else(|e| panic!("{json}: {e:?}"));
    let own = ["PV117", "PV136"];
    let remarks = found.check().into_iter().filter(|remark| own.contains(&remark.code));
    remarks.map(|remark| format!("{} {}", remark.code, remark.message)).collect()
}

#[test]
fn what_azure_ml_refuses_is_said_by_the_checks() {
    let python = "\"python\": {\"userManagedDependencies\": true}";
    let image = |rest: &str| format!("{{\"docker\": {{\"baseImage\": \"a:1\"{rest}}}, {python}}}");
    let registry = |inner: &str| image(&format!(", \"baseImageRegistry\": {{{inner}}}"));
    let context = |inner: &str| format!("{{\"docker\": {{\"buildContext\": {{{inner}}}}}, {python}}}");
    let conda = |inner: &str| {
        format!("{{\"docker\": {{\"baseImage\": \"a:1\"}}, \"python\": {{\"condaDependencies\": {inner}}}}}")
    };
    let location = "\"location\": \"https://h.test/a.git\"";
    let identity = "\"registryIdentity\": {\"resourceId\": \"r\", \"clientId\": \"c\"}";
    for (json, expected) in [
        (image(""), &[][..]),
        ("{\"docker\": {\"baseImage\": \"a:1\"}}".to_owned(), &["PV136 Azure ML wants a `python` section"]),
        (
            "{\"docker\": {\"baseImage\": \"a:1\"}, \"python\": {}}".to_owned(),
            &["PV136 Azure ML wants conda packages: `userManagedDependencies` is not set"],
        ),
        (conda("{\"dependencies\": [\"python=3.11\"], \"channels\": [\"c\"]}"), &[]),
        (
            conda("{\"dependencies\": [\"numpy\"], \"channels\": [\"c\"]}"),
            &["PV117 nothing says which Python the packages are for"],
        ),
        (
            conda("{\"dependencies\": [\"pip\", {\"pip\": [\"numpy\"]}], \"channels\": [\"c\"]}"),
            &["PV117 nothing says which Python the packages are for"],
        ),
        (registry("\"username\": \"u\", \"password\": \"p\""), &[]),
        (registry(identity), &[]),
        (registry("\"username\": \"u\""), &["PV136 Azure ML refuses a `username` without its `password`"]),
        (registry("\"password\": \"p\""), &["PV136 Azure ML refuses a `password` without its `username`"]),
        (
            registry(&format!("\"username\": \"u\", \"password\": \"p\", {identity}")),
            &["PV136 Azure ML refuses credentials of two kinds: a user's and an identity"],
        ),
        (
            registry("\"registryIdentity\": {\"resourceId\": \"r\"}"),
            &["PV136 Azure ML refuses an identity without `resourceId` and `clientId`"],
        ),
        (context(&format!("\"locationType\": \"Git\", {location}, \"dockerfilePath\": \"d\"")), &[]),
        (
            context(&format!("\"locationType\": \"ftp\", {location}, \"dockerfilePath\": \"d\"")),
            &["PV136 Azure ML knows no `locationType` `ftp`"],
        ),
        (
            context(location),
            &[
                "PV136 Azure ML wants the `locationType` of a build context",
                "PV136 Azure ML wants the `dockerfilePath` of a build context",
            ],
        ),
    ] {
        assert_eq!(azure_checks(&json), expected, "{json}");
        // Whoever builds the environment is not told what another service wants.
        let found = read_str(&json, Path::new("/project/definition.json")).unwrap();
        assert!(found.warnings.iter().all(|remark| remark.code != "PV136"), "{json}");
    }
}
