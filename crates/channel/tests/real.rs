//! The real channel is one: py-rattler solves and installs from it, and what is installed works wherever it lies.

use std::path::Path;
use std::process::{Command, Output};

use crate::support::{Peer, names};

fn python(prefix: &Path, code: &str) -> Output {
    Command::new(prefix.join("bin/python")).env_clear().args(["-c", code]).output().unwrap()
}

#[track_caller]
fn said(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn scikit_learn_works_in_a_prefix_of_its_own() {
    let Some(channel) = provenv_channel::real() else { return };
    let Some(peer) = Peer::on(channel.subdir()) else { return };
    let server = channel.serve();
    let prefix = peer.folder().join("somewhere/else");
    let specs = ["python=3.11", "scikit-learn", "pandas", "requests", "pip"];
    let records = peer.solve(&server.at("/real"), "shards", Some(&prefix), &specs);
    let names = names(&records);
    for wanted in ["openssl-3", "python_abi-3.11", "numpy-", "setuptools-", "python-tzdata-", "libstdcxx-"] {
        assert!(names.iter().any(|name| name.starts_with(wanted)), "{wanted}: {names:?}");
    }

    let code = "import sys, sklearn, pandas, requests; from sklearn.linear_model import LinearRegression as R; \
                print(sys.prefix, R().fit([[0], [1]], [0, 2]).predict([[2]])[0].round(6))";
    assert_eq!(said(&python(&prefix, code)), format!("{} 4.0\n", prefix.display()));

    // Every compiled module of the standard library can be imported, and all libraries but glibc's come from the prefix.
    let code = "import importlib, os, pkgutil, sys, sysconfig
folder = os.path.join(sysconfig.get_path('stdlib'), 'lib-dynload')
for module in pkgutil.iter_modules([folder]): importlib.import_module(module.name)
import sklearn.ensemble, pandas
foreign = {line.split()[-1] for line in open('/proc/self/maps') if '.so' in line}
foreign = {path for path in foreign if not path.startswith(sys.prefix)}
print(sorted({os.path.basename(path).split('.so')[0].split('-')[0] for path in foreign}))";
    let foreign = said(&python(&prefix, code));
    let glibc = ["ld", "libc", "libm", "libdl", "libpthread", "librt", "libutil", "libresolv"];
    for library in foreign.trim().trim_matches(['[', ']']).split(", ") {
        assert!(glibc.contains(&library.trim_matches('\'')), "{foreign}");
    }

    let pip = Command::new(prefix.join("bin/pip"))
        .env_clear()
        .args(["list", "--format", "freeze"])
        .output()
        .unwrap();
    let listed = said(&pip);
    for wanted in ["scikit-learn==1.9.1\n", "requests==2.34.2\n", "tzdata==2026.6\n"] {
        assert!(listed.contains(wanted), "{listed}");
    }
    let check = Command::new(prefix.join("bin/pip")).env_clear().arg("check").output().unwrap();
    assert_eq!(said(&check), "No broken requirements found.\n");
    let scheme = "import sysconfig; print(sysconfig.get_path('purelib'), sysconfig.get_config_var('prefix'), \
                  sysconfig.get_config_var('LIBDIR'))";
    let scheme = said(&python(&prefix, scheme));
    let site = prefix.join("lib/python3.11/site-packages");
    assert!(
        scheme.starts_with(&format!("{} {} {}/lib", site.display(), prefix.display(), prefix.display())),
        "{scheme}"
    );
}

#[test]
fn an_older_version_can_be_asked_for() {
    let Some(channel) = provenv_channel::real() else { return };
    let Some(peer) = Peer::on(channel.subdir()) else { return };
    let server = channel.serve();
    for form in ["json", "zst", "shards"] {
        let records = peer.solve(&server.at("/real"), form, None, &["requests <2.32"]);
        assert!(names(&records).iter().any(|name| name.starts_with("requests-2.31.0-pyh")), "{form}");
    }
}
