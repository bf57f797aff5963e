//! What packages are chosen for: never the machine that chooses.

use provenv_definition::{Platform, VirtualPackage};
use rattler_conda_types::package::BuildString;
use rattler_conda_types::{GenericVirtualPackage, PackageName, Version};

use super::{Error, Result};

/// The kernel that an image may count on: that of the oldest suite there is, as conda-lock assumes too.
pub const LINUX: &str = "5.10";

/// How the names of processors begin that archspec has for x86-64.
const INTEL: &[&str] = &[
    "broadwell",
    "bulldozer",
    "cannonlake",
    "cascadelake",
    "core2",
    "excavator",
    "haswell",
    "icelake",
    "ivybridge",
    "k10",
    "mic_knl",
    "nehalem",
    "nocona",
    "piledriver",
    "sandybridge",
    "sapphirerapids",
    "skylake",
    "steamroller",
    "westmere",
    "x86",
    "zen",
];
/// The same for 64-bit ARM.
const ARM: &[&str] = &["a64fx", "aarch64", "arm", "cortex", "m1", "m2", "m3", "m4", "neoverse", "thunderx"];

/// The system that packages must run on, as conda's virtual packages describe it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// The version of the base's C library, e.g. `2.36`.
    pub glibc: String,
    /// What is declared besides or instead: `__cuda=12.4`, `__archspec=1=x86_64_v3`.
    pub virtual_packages: Vec<VirtualPackage>,
}

impl Target {
    /// All virtual packages of an image for `platform` on this base.
    pub(super) fn packages(&self, platform: Platform) -> Result<Vec<GenericVirtualPackage>> {
        let given =
            ["__unix".to_owned(), format!("__linux={LINUX}"), format!("__archspec=1={}", platform.machine())];
        let glibc = (!self.glibc.is_empty()).then(|| format!("__glibc={}", self.glibc));
        let declared: Vec<String> = self
            .virtual_packages
            .iter()
            .map(ToString::to_string)
            .filter(|declared| is_for(declared, platform))
            .collect();
        let mut packages: Vec<GenericVirtualPackage> = Vec::new();
        for text in given.iter().chain(&glibc).chain(&declared) {
            let package = virtual_package(text)?;
            let same = packages.iter_mut().find(|known| known.name == package.name);
            match same {
                // What is newer than the base's library would be chosen, and then not start.
                Some(known)
                    if package.name.as_normalized() == "__glibc" && package.version > known.version =>
                {
                    return Err(Error::Glibc { declared: text.clone(), base: self.glibc.clone() });
                }
                Some(known) => *known = package,
                None => packages.push(package),
            }
        }
        Ok(packages)
    }
}

/// Whether what is declared can be true of `platform`: a processor of another kind is meant for another platform of the same
/// definition. A name that is in neither list is left to whoever declares it.
fn is_for(declared: &str, platform: Platform) -> bool {
    let Some(processor) = declared.strip_prefix("__archspec=").and_then(|rest| rest.split('=').nth(1)) else {
        return true;
    };
    let others = match platform {
        Platform::LinuxAmd64 => ARM,
        Platform::LinuxArm64 => INTEL,
    };
    !others.iter().any(|family| processor.starts_with(family))
}

/// `NAME`, `NAME=VERSION` or `NAME=VERSION=BUILD`.
fn virtual_package(text: &str) -> Result<GenericVirtualPackage> {
    let invalid = || Error::VirtualPackage { text: text.to_owned() };
    let mut parts = text.splitn(3, '=');
    let name = parts.next().unwrap_or_default();
    let (version, build) = (parts.next().unwrap_or("0"), parts.next().unwrap_or("0"));
    Ok(GenericVirtualPackage {
        name: name.parse::<PackageName>().map_err(|_| invalid())?,
        version: version.parse::<Version>().map_err(|_| invalid())?,
        build_string: build.parse::<BuildString>().map_err(|_| invalid())?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(target: &Target, platform: Platform) -> Vec<String> {
        target.packages(platform).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_host_does_not_count() {
        let target = Target { glibc: "2.36".to_owned(), virtual_packages: Vec::new() };
        assert_eq!(
            shown(&target, Platform::LinuxAmd64),
            ["__unix=0=0", "__linux=5.10=0", "__archspec=1=x86_64", "__glibc=2.36=0"]
        );
        assert_eq!(shown(&target, Platform::LinuxArm64)[2], "__archspec=1=aarch64");
    }

    #[test]
    fn what_is_declared_is_added_or_takes_its_place() {
        let declared = ["__cuda=12.4", "__archspec=1=x86_64_v3", "__linux=6.1", "__glibc=2.28"];
        let virtual_packages = declared.map(|text| text.parse().unwrap()).to_vec();
        let target = Target { glibc: "2.36".to_owned(), virtual_packages };
        assert_eq!(
            shown(&target, Platform::LinuxAmd64),
            ["__unix=0=0", "__linux=6.1=0", "__archspec=1=x86_64_v3", "__glibc=2.28=0", "__cuda=12.4=0"]
        );
        assert_eq!(
            shown(&target, Platform::LinuxArm64)[2],
            "__archspec=1=aarch64",
            "that is no such processor"
        );
        for (processor, platform) in [("neoverse_v1", Platform::LinuxArm64), ("zen4", Platform::LinuxAmd64)] {
            let virtual_packages = vec![format!("__archspec=1={processor}").parse().unwrap()];
            let target = Target { glibc: String::new(), virtual_packages };
            for one in [Platform::LinuxAmd64, Platform::LinuxArm64] {
                let expected = if one == platform { processor } else { one.machine() };
                assert_eq!(shown(&target, one)[2], format!("__archspec=1={expected}"));
            }
        }
    }

    #[test]
    fn a_library_that_the_base_does_not_have_is_refused() {
        let declared = vec!["__glibc=2.39".parse().unwrap()];
        let target = Target { glibc: "2.36".to_owned(), virtual_packages: declared };
        assert!(matches!(target.packages(Platform::LinuxAmd64), Err(Error::Glibc { .. })));
    }
}
