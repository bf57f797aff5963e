//! What a definition says of the machine that it is for, as conda's virtual packages.

use std::fmt;
use std::str::FromStr;

use rattler_conda_types::Version;
use rattler_conda_types::package::BuildString;
use serde::{Deserialize, Serialize};

use crate::CondaSpec;
use crate::secrets::shown;

/// Something that the target has: `__cuda=12.4`, `__archspec=1=x86_64_v3`. Its name begins with `__`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct VirtualPackage {
    /// In lower case.
    pub name: String,
    /// As it was given.
    pub version: String,
    /// What conda keeps in place of a build string: of `__archspec`, the architecture.
    pub build: Option<String>,
}

impl VirtualPackage {
    /// The text that counts for the definition digest: that of the spec that asks for just this.
    pub(crate) fn canonical(&self) -> String {
        let build = self.build.as_ref().map(|build| format!("={build}")).unwrap_or_default();
        let spec = format!("{}=={}{build}", self.name, self.version);
        spec.parse::<CondaSpec>().map_or(spec, |spec| spec.canonical())
    }
}

impl fmt::Display for VirtualPackage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.version)?;
        self.build.as_ref().map_or(Ok(()), |build| write!(f, "={build}"))
    }
}

impl From<VirtualPackage> for String {
    fn from(package: VirtualPackage) -> Self {
        package.to_string()
    }
}

impl TryFrom<String> for VirtualPackage {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl FromStr for VirtualPackage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.trim().splitn(3, '=').map(str::trim);
        let name = parts.next().unwrap_or_default().to_lowercase();
        let letters = name.strip_prefix("__").unwrap_or_default();
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if letters.is_empty() || !letters.chars().all(is_word) {
            return Err(format!("`{}` is no virtual package: their names begin with `__`", shown(text)));
        }
        let version = parts.next().filter(|version| !version.starts_with('=')).unwrap_or_default();
        if version.parse::<Version>().is_err() {
            return Err(format!("`{}` has no version such as in `__cuda=12.4`", shown(text)));
        }
        let build = parts.next().map(str::to_owned);
        if build.as_ref().is_some_and(|build| build.is_empty() || build.parse::<BuildString>().is_err()) {
            return Err(format!("`{}` ends with what is no build string", shown(text)));
        }
        Ok(Self { name, version: version.to_owned(), build })
    }
}

#[cfg(test)]
mod tests {
    use super::VirtualPackage;

    #[test]
    fn a_name_and_a_version_are_needed() {
        for (text, kept, counts) in [
            ("__cuda=12.4", "__cuda=12.4", "__cuda==12.4"),
            (" __CUDA = 12.0 ", "__cuda=12.0", "__cuda==12"),
            ("__archspec=1=x86_64_v3", "__archspec=1=x86_64_v3", "__archspec==1=x86_64_v3"),
        ] {
            let package: VirtualPackage = text.parse().unwrap();
            assert_eq!((package.to_string().as_str(), package.canonical().as_str()), (kept, counts));
        }
        for text in
            ["", "cuda=12", "__", "__cuda", "__cuda==12", "__cuda>=12", "__cuda=12=", "__a b=1", "__cuda=x y"]
        {
            assert!(text.parse::<VirtualPackage>().is_err(), "{text}");
        }
    }
}
