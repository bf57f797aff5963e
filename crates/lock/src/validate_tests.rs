use provenv_definition::Digest;
use serde_json::{Value, json};

use super::*;

fn artifact(url: &str) -> Value {
    json!({ "url": url, "size": 1, "sha256": Digest::of(url.as_bytes()) })
}

fn good() -> Value {
    let deb = |name: &str| {
        json!({ "name": name, "version": "1:2.0~rc1-3+b1", "architecture": "amd64",
                "artifact": artifact("http://a.invalid/x.deb") })
    };
    json!({
        "format": 1,
        "definition": Digest::of(b""),
        "platforms": { "linux/amd64": {
            "base": { "debian": { "suite": "bookworm" } },
            "debian": [deb("libc6"), deb("libstdc++6")],
            "python": { "version": "3.11.2", "executable": "/usr/bin/python3.11", "glibc": "2.36" },
            "pypi": [
                { "name": "some-name", "version": "2.1.0+cpu", "wheel": "Some_Name-2.1.0+cpu-1-py3-none-any.whl",
                  "source": { "wheel": artifact("https://a.invalid/x.whl") } },
            ],
        } }
    })
}

fn validate(lock: &Value) -> Result {
    Lock::from_bytes(lock.to_string().as_bytes()).unwrap().validate()
}

#[test]
fn only_what_is_what_it_says_is_taken() {
    assert_eq!(validate(&good()), Ok(()));
    for (field, bad) in [
        ("/debian/0/name", json!("")),
        ("/debian/0/name", json!("../../x")),
        ("/debian/0/name", json!(" libc6")),
        ("/debian/0/name", json!("libstdc++6")),
        ("/debian/0/name", json!("zlib1g")),
        ("/debian/0/version", json!("1\n2")),
        ("/debian/0/architecture", json!("../../x")),
        ("/debian/0/architecture", json!("arm64")),
        ("/debian/0/artifact/size", json!(u64::MAX)),
        ("/debian/0/artifact/url", json!("ftp://a.invalid/x.deb")),
        ("/base/debian/suite", json!("evil\nRUN x")),
        ("/python/executable", json!("/usr/bin/python3.11\nhome = /evil")),
        ("/python/executable", json!("/usr/bin/python3.12")),
        ("/python/executable", json!("../../etc/shadow")),
        ("/python/version", json!("3.4294967296.1")),
        ("/python/version", json!("3.11.2\n")),
        ("/python/glibc", json!("x")),
        ("/pypi/0/name", json!("../x\n")),
        ("/pypi/0/name", json!("Some-Name")),
        ("/pypi/0/version", json!("9.9.9; rm -rf /")),
        ("/pypi/0/version", json!("2.1.0")),
        ("/pypi/0/wheel", json!("../Some_Name-2.1.0+cpu-py3-none-any.whl")),
        ("/pypi/0/wheel", json!("some_name-2.1.0+cpu-py3-../-any.whl")),
        ("/pypi/0/wheel", json!("other-2.1.0+cpu-py3-none-any.whl")),
    ] {
        let mut lock = good();
        *lock["platforms"]["linux/amd64"].pointer_mut(field).unwrap() = bad.clone();
        let error = validate(&lock).expect_err(&format!("{field} {bad}"));
        assert!(!error.to_string().contains('\n'), "{error}");
    }
    let layer = |size: u64| {
        let digest = Digest::of(b"");
        json!({ "run": { "layer": { "sha256": digest, "size": size, "diff_id": digest, "tar_size": 1024 } } })
    };
    let package = json!({
        "name": "demo", "version": "1.0", "build": "h0_0", "build_number": 0, "subdir": "linux-64",
        "artifact": artifact("https://a.invalid/linux-64/demo-1.0-h0_0.conda"),
    });
    for (conda, post_link, good_one) in [
        (json!([package]), layer(100), true),
        (json!([package]), json!("skip"), true),
        (json!([package]), layer(u64::MAX), false),
        (json!([]), layer(100), false),
        (json!([]), json!("skip"), false),
    ] {
        let mut lock = good();
        lock["platforms"]["linux/amd64"]["conda"] = conda;
        lock["platforms"]["linux/amd64"]["post_link"] = post_link.clone();
        assert_eq!(validate(&lock).is_ok(), good_one, "{post_link} {:?}", validate(&lock));
    }
    let mut lock = good();
    lock["format"] = json!(0);
    assert!(validate(&lock).is_err());
}

#[test]
fn a_url_leads_only_where_the_definition_does() {
    let own: Definition = serde_json::from_value(json!({
        "base": { "debian": { "suite": null } },
        "pip": {
            "requirements": [{ "requirement": "x @ file:///wheels/x-1-py3-none-any.whl" }],
            "index_url": "https://${TOKEN}@a.invalid/${TEAM}/simple",
            "find_links": ["file:///links"],
        },
    }))
    .unwrap();
    let own = Places::of(&own);
    let check = |url: &str| {
        let mut lock = good();
        lock["platforms"]["linux/amd64"]["pypi"][0]["source"]["wheel"]["url"] = json!(url);
        Lock::from_bytes(lock.to_string().as_bytes()).unwrap().check_urls(&own, |_| false)
    };
    for url in [
        "https://files.invalid/x.whl",
        "https://a.invalid/${TEAM}/x.whl",
        "https://${TOKEN}@a.invalid/x.whl",
        "file:///links/x.whl",
        "file:///wheels/x-1-py3-none-any.whl",
    ] {
        assert_eq!(check(url), Ok(()), "{url}");
    }
    for url in [
        "https://b.invalid/${TEAM}/x.whl",
        "http://a.invalid/${TEAM}/x.whl",
        "https://a.invalid/${AWS_SECRET}/x.whl",
        "https://a.invalid/%24%7BAWS_SECRET%7d/x.whl",
        "https://a.invalid/$%7bAWS_SECRET}/x.whl",
        "https://a.invalid/${TEAM}/${AWS_SECRET}/x.whl",
        "https://${AWS_SECRET}@a.invalid/x.whl",
        "https://u:${AWS_SECRET}@b.invalid/x.whl",
        "file:///etc/shadow",
        "file:///links/..%2fetc/shadow",
        "file:///links2/x.whl",
    ] {
        let error = check(url).expect_err(url).to_string();
        assert!(error.starts_with("some-name ") && !error.contains("AWS"), "{error}");
    }
    let lock = Lock::from_bytes(good().to_string().as_bytes()).unwrap();
    let strange: Vec<&str> = lock.strange_urls(&own).map(Url::as_str).collect();
    assert_eq!(strange, ["http://a.invalid/x.deb"; 2]);
}
