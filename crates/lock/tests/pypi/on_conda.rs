//! pip on top of conda: what conda has installed counts as installed.

use provenv_definition::{CondaRequirement, CondaRequirements, Digest};
use provenv_lock::pypi::{Distribution, Error, Installed, installed};
use provenv_lock::{Artifact, CondaPackage, Upgrade};
use provenv_testing::pypi::{Index, Sdist, Wheel};

use super::support::{Machine, pip};
use crate::{golden, golden_error};

fn package(name: &str, version: &str, depends: &[&str]) -> CondaPackage {
    let url = format!("https://conda.test/c/linux-64/{name}-{version}-py311_0.conda").parse().unwrap();
    CondaPackage {
        name: name.to_owned(),
        version: version.to_owned(),
        build: "py311_0".to_owned(),
        build_number: 0,
        subdir: "linux-64".to_owned(),
        artifact: Artifact { url, size: 1, sha256: Digest::of(name.as_bytes()) },
        md5: None,
        depends: depends.iter().map(|&text| text.to_owned()).collect(),
        constrains: Vec::new(),
        requested: false,
    }
}

fn distribution(package: &str, metadata: &str) -> Distribution {
    Distribution { package: package.to_owned(), metadata: format!("Metadata-Version: 2.1\n{metadata}\n") }
}

/// What conda has installed for `pytorch=2.1` and `scikit-learn`.
fn conda() -> Vec<Installed> {
    let packages = [
        package("numpy", "1.26.4", &["python >=3.11,<3.12.0a0"]),
        package("scipy", "1.11.0", &["numpy >=1.22,<2"]),
        package("scikit-learn", "1.3.0", &["scipy", "numpy"]),
        package("pytorch", "2.1.0", &[]),
        package("tzdata", "2023c", &[]),
        package("requests", "2.31.0", &[]),
    ];
    let specs = ["pytorch=2.1", "scikit-learn", "tzdata", "requests"];
    let packages_asked =
        specs.map(|spec| CondaRequirement { spec: spec.to_owned(), platforms: Vec::new() }).to_vec();
    let asked = CondaRequirements { packages: packages_asked, ..CondaRequirements::default() };
    let distributions = [
        distribution("numpy", "Name: numpy\nVersion: 1.26.4\nRequires-Python: >=3.99"),
        distribution(
            "scipy",
            "Name: scipy\nVersion: 1.11.0\nRequires-Dist: numpy<2,>=1.22\nRequires-Dist: nowhere",
        ),
        distribution("scikit-learn", "Name: scikit_learn\nVersion: 1.3.0"),
        distribution("pytorch", "Name: torch\nVersion: 2.1.0+cu118"),
        distribution("tzdata", "Name: tzdata\nVersion: two thousand"),
        distribution("tzdata", "Summary: nameless"),
        distribution(
            "requests",
            "Name: requests\nVersion: 2.31.0\nRequires-Dist: PySocks!=1.5.7 ; extra == 'socks'\nProvides-Extra: socks\n\
             Requires-Dist: -r /etc/passwd\nRequires-Dist: requests[socks] ; extra == 'all'\nProvides-Extra: all",
        ),
    ];
    installed(&distributions, &packages, &asked)
}

async fn machine(index: Index) -> Option<Machine> {
    let mut machine = Machine::new(index).await?;
    machine.installed = conda();
    Some(machine)
}

fn names(packages: &[provenv_lock::PypiPackage]) -> Vec<String> {
    packages.iter().map(|package| format!("{} {}", package.name, package.version)).collect()
}

#[tokio::test]
async fn what_conda_has_is_not_installed_again() {
    let index = Index::new()
        .add(Wheel::new("numpy", "2.0"))
        .add(Wheel::new("torch", "2.3"))
        // The newest cannot go with conda's numpy.
        .add(Wheel::new("extra", "2.0").requires("numpy>=2"))
        .add(
            Wheel::new("extra", "1.0")
                .requires("numpy>=1.20")
                .requires("torch==2.1.0")
                .requires("scikit-learn"),
        );
    let Some(machine) = machine(index).await else { return };
    let packages = machine.resolve(&pip(&["extra", "numpy<2", "scipy ; python_version < '3'"])).await;
    assert_eq!(names(&packages), ["extra 1.0"]);
    let notes = machine.notes();
    // Both scipy and scikit-learn need it; the shorter way counts.
    let note = "pip installs nothing for `numpy<2`: there is conda's numpy 1.26.4, which is needed as `numpy` by \
                scikit-learn, asked for as `scikit-learn`";
    assert!(notes.iter().any(|said| said == note), "{notes:?}");
    assert!(!notes.iter().any(|note| note.contains("shadows")), "{notes:?}");
    // Asked again, nothing moves, and nothing is left of the stubs.
    assert_eq!(
        machine.upgrade(&pip(&["extra"]), &packages, Upgrade::All).await,
        machine.resolve(&pip(&["extra"])).await
    );
}

#[tokio::test]
async fn extras_of_what_conda_has_are_pips() {
    let index = Index::new().add(Wheel::new("pysocks", "1.7")).add(Wheel::new("requests", "2.99"));
    let Some(machine) = machine(index).await else { return };
    assert_eq!(names(&machine.resolve(&pip(&["requests[all]"])).await), ["pysocks 1.7"]);
    let notes = machine.notes();
    assert!(
        notes.iter().any(|note| note.starts_with(
            "pip does not install requests itself for `requests[all]`: there is conda's requests"
        )),
        "{notes:?}"
    );
}

#[tokio::test]
async fn conda_vouches_for_what_its_packages_need() {
    // scipy says that it needs a package that no index has; conda installed it without.
    let index = Index::new().add(Wheel::new("user", "1.0").requires("scipy>=1"));
    let Some(machine) = machine(index).await else { return };
    assert_eq!(names(&machine.resolve(&pip(&["user"])).await), ["user 1.0"]);
}

#[tokio::test]
async fn the_definition_contradicts_conda() {
    let Some(machine) = machine(Index::new().add(Wheel::new("numpy", "2.0"))).await else { return };
    let asked = pip(&["requests", "numpy==2", "torch>=3"]);
    let error = machine.fail(&asked).await;
    assert_eq!(error.concerns(&asked.requirements), [1, 2]);
    golden_error!(machine, error);
}

#[tokio::test]
async fn a_package_of_pips_contradicts_conda() {
    let index = Index::new()
        .add(Wheel::new("numpy", "2.0"))
        .add(Wheel::new("deep", "1.0").requires("modern"))
        .add(Wheel::new("modern", "1.0").requires("numpy>=2"));
    let Some(machine) = machine(index).await else { return };
    let asked = pip(&["deep"]);
    let error = machine.fail(&asked).await;
    assert_eq!(error.concerns(&asked.requirements), [0]);
    golden_error!(machine, error);
}

#[tokio::test]
async fn several_versions_contradict_conda() {
    let index = (1..6).fold(Index::new().add(Wheel::new("numpy", "2.0")), |index, minor| {
        let wheel = Wheel::new("modern", &format!("1.{minor}")).requires(&format!("numpy>=2.{minor},<3"));
        index.add(wheel.requires("torch>=2.2"))
    });
    let Some(machine) = machine(index).await else { return };
    let error = machine.fail(&pip(&["modern>=1.2"])).await;
    assert!(matches!(&error, Error::Clash { .. }), "{error:?}");
    golden_error!(machine, error);
}

#[tokio::test]
async fn conflicts_of_pips_own_stay_such() {
    let index = Index::new()
        .add(Wheel::new("a", "1.0").requires("numpy"))
        .add(Wheel::new("b", "1.0").requires("a>=2"));
    let Some(machine) = machine(index).await else { return };
    let error = machine.fail(&pip(&["a", "b"])).await;
    assert!(matches!(&error, Error::Conflict { .. }), "{error:?}");
}

#[tokio::test]
async fn a_place_of_its_own_shadows_conda() {
    let Some(machine) = machine(Index::new().add(Wheel::new("user", "1.0").requires("numpy"))).await else {
        return;
    };
    let numpy = Wheel::new("numpy", "2.0");
    fs_err::write(machine.path(&numpy.file_name()), numpy.build()).unwrap();
    let url = machine.url(&numpy.file_name());
    for asked in [format!("numpy @ {url}"), url] {
        let packages = machine.resolve(&pip(&[&asked, "user"])).await;
        assert_eq!(names(&packages), ["numpy 2.0", "user 1.0"]);
        let notes = machine.notes();
        let note = notes.iter().find(|note| note.contains("shadows")).unwrap();
        assert!(note.starts_with("pip's numpy 2.0 shadows conda's numpy 1.26.4, which is needed "), "{note}");
        assert!(note.ends_with("; conda's scipy needs numpy>=1.22,<2"), "{note}");
    }
    // A source without a name, which only its build tells, does so too.
    Sdist::new("scipy", "9.0").old_metadata().write_source(&machine.path("repository")).unwrap();
    machine.commit("repository");
    let packages = machine.resolve(&pip(&[&format!("git+{}", machine.url("repository")), "scipy"])).await;
    assert_eq!(names(&packages), ["scipy 9.0"]);
}

#[tokio::test]
async fn what_a_marker_leaves_out_shadows_nothing() {
    let Some(machine) = machine(Index::new()).await else { return };
    let asked =
        pip(&["numpy @ https://h.test/numpy-2.0-py3-none-any.whl ; sys_platform == 'win32'", "numpy"]);
    assert_eq!(names(&machine.resolve(&asked).await), Vec::<String>::new());
}

#[tokio::test]
async fn a_place_that_pips_package_names_contradicts_conda() {
    let numpy = Wheel::new("numpy", "2.0");
    let index = Index::new().add(numpy.clone());
    let served =
        provenv_testing::server::Server::start(index.serve(provenv_testing::server::FileTree::new()));
    let url = served.at(&format!("/files/{}", numpy.file_name()));
    let Some(machine) =
        machine(Index::new().add(Wheel::new("user", "1.0").requires(&format!("numpy @ {url}")))).await
    else {
        return;
    };
    let error = machine.fail(&pip(&["user"])).await;
    let Error::Clash { clashes, .. } = &error else { panic!("{error:?}") };
    assert_eq!(
        (clashes[0].by.as_deref(), &*clashes[0].wish),
        (Some("user==1.0"), &*format!("numpy @ {url}"))
    );
    assert!(error.to_string().contains("asked for as `scikit-learn`"), "{error}");
}

#[tokio::test]
async fn a_version_that_is_none_is_no_version() {
    let Some(machine) = machine(Index::new().add(Wheel::new("tzdata", "2024.1"))).await else { return };
    // Nobody asks for it: nothing is said of it.
    assert_eq!(names(&machine.resolve(&pip(&["numpy"])).await), Vec::<String>::new());
    assert!(!machine.notes().iter().any(|note| note.contains("tzdata")));
    assert_eq!(names(&machine.resolve(&pip(&["tzdata"])).await), ["tzdata 2024.1"]);
    let notes = machine.notes();
    assert!(
        notes.iter().any(|note| note.contains(
            "tzdata 2024.1 shadows tzdata two thousand of conda's tzdata 2023c, which is asked for"
        )),
        "{notes:?}"
    );
}

#[tokio::test]
async fn hashes_are_about_what_pip_installs() {
    let wheel = Wheel::new("user", "1.0").requires("numpy");
    let Some(machine) = machine(Index::new().add(wheel.clone())).await else { return };
    let mut asked = pip(&["user==1.0"]);
    asked.requirements[0].hashes = vec![Digest::of(&wheel.build())];
    assert_eq!(names(&machine.resolve(&asked).await), ["user 1.0"]);
}

#[tokio::test]
async fn builds_have_what_they_need_to_themselves() {
    // The build needs a numpy that conda does not have.
    let index = Index::new()
        .add(Wheel::new("numpy", "2.0"))
        .add(Sdist::new("built", "1.0").requires("numpy").build_requires("numpy>=2"));
    let Some(machine) = machine(index).await else { return };
    let packages = machine.resolve(&pip(&["built"])).await;
    assert_eq!(names(&packages), ["built 1.0"]);
    golden!(machine, packages);
}

#[tokio::test]
async fn constraints_contradict_conda_only_where_it_matters() {
    let index = Index::new()
        .add(Wheel::new("numpy", "1.20"))
        .add(Wheel::new("user", "1.0").requires("numpy"))
        .add(Wheel::new("other", "1.0"));
    let Some(machine) = machine(index).await else { return };
    let mut asked = pip(&["other"]);
    asked.constraints = vec![crate::pypi::support::requirement("numpy<1.21")];
    assert_eq!(names(&machine.resolve(&asked).await), ["other 1.0"]);
    asked.requirements.push(crate::pypi::support::requirement("user"));
    let error = machine.fail(&asked).await;
    assert!(matches!(&error, Error::Clash { .. }), "{error:?}");
    assert!(error.to_string().contains("numpy<1.21"), "{error}");
}

#[tokio::test]
async fn a_long_list_of_what_conda_has_is_said_in_short() {
    let Some(machine) = machine(Index::new()).await else { return };
    let lines = [
        "numpy",
        "scipy",
        "scikit-learn",
        "torch",
        "requests",
        "numpy>=1",
        "scipy>=1",
        "what ; python_version<'3'",
    ];
    assert_eq!(names(&machine.resolve(&pip(&lines)).await), Vec::<String>::new());
    let notes = machine.notes();
    assert_eq!(notes.len(), 6, "{notes:?}");
    assert_eq!(notes[5], "pip installs nothing for 2 more lines: conda has what is asked for");
}

#[tokio::test]
async fn bounds_with_a_gap_are_one_wish() {
    let index = Index::new()
        .add(Wheel::new("numpy", "2.0"))
        .add(Wheel::new("gap", "1.0").requires("numpy>=2,!=2.1,!=2.2").requires("scipy>=1,!=1.9"))
        .add(Wheel::new("fine", "1.0").requires("numpy>=1,!=1.25,!=2.5").requires("gap"));
    let Some(machine) = machine(index).await else { return };
    let error = machine.fail(&pip(&["fine"])).await;
    let Error::Clash { clashes, explanation } = &error else { panic!("{error:?}") };
    assert_eq!(clashes.len(), 1, "{clashes:?}: {explanation}");
    let wish = "numpy>=2,<2.1 or numpy>2.1,<2.2 or numpy>2.2";
    assert_eq!((clashes[0].by.as_deref(), &*clashes[0].wish), (Some("gap"), wish));
    assert!(error.hint().unwrap().contains("a version that they can take"), "{error}");
}
