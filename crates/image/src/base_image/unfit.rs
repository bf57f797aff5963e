//! What is put on a base must find what it stands on there.

use super::BaseFacts;

/// No base of more layers has room for packages: docker takes 127 in all.
const MOST_LAYERS: usize = 100;

/// Why something cannot be put on a base.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Packages are made for glibc.
    #[error("the base has {} and no glibc, which packages of Python and conda are made for", if *musl { "musl" } else { "no C library" })]
    NoGlibc {
        /// Whether there is musl.
        musl: bool,
    },
    /// There are files where packages are installed.
    #[error(
        "the base has files at /opt/provenv, where packages are installed: it is an image of an environment"
    )]
    Prefix,
    /// There would be more layers than containers can have.
    #[error("the base has {0} layers, which leaves no room for those of packages")]
    Layers(usize),
    /// Debian's packages need what a Debian has.
    #[error(
        "Debian packages cannot be added to a base of {os}: its dpkg says of no package that it is installed"
    )]
    NoDpkg {
        /// What it is.
        os: String,
    },
    /// Debian's packages are laid out for a merged `/usr`.
    #[error("Debian packages cannot be added to a base whose /bin, /sbin and /lib are no links into /usr")]
    SplitUsr,
    /// Which packages fit is not known.
    #[error(
        "Debian packages cannot be added to a base of {os}: it does not name the suite that they are to be from"
    )]
    NoSuite {
        /// What it is.
        os: String,
    },
}

impl Unfit {
    /// What the user can do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::NoGlibc { musl: true } => {
                "take the variant of the image that stands on Debian or another system with glibc, such as `-slim`"
            }
            Self::NoGlibc { musl: false } => {
                "take an image with a system in it, or set `user_managed: true` to use this one as it is"
            }
            Self::Prefix => {
                "name the image that it stands on itself, or set `user_managed: true` to use it as it is"
            }
            Self::Layers(_) => "squash the image before it is pushed, or set `user_managed: true`",
            Self::NoDpkg { .. } | Self::NoSuite { .. } => {
                "take an image of Debian or Ubuntu, or leave `system_packages` out: conda has many of them"
            }
            Self::SplitUsr => {
                "take a newer release of the image (Debian's and Ubuntu's have the links since bookworm and 20.04)"
            }
        }
        .to_owned()
    }
}

impl BaseFacts {
    /// Whether packages of conda and Python can be put on this base of so many layers.
    pub fn takes_packages(&self, layers: usize) -> Result<(), Unfit> {
        if self.glibc.is_none() {
            return Err(Unfit::NoGlibc { musl: self.musl });
        }
        if self.has_prefix {
            return Err(Unfit::Prefix);
        }
        takes_layers(layers)
    }

    /// Whether Debian packages can be put on this base of so many layers; the suite that they must be from.
    pub fn takes_debs(&self, layers: usize) -> Result<&str, Unfit> {
        let os = || self.os.pretty_name.clone().unwrap_or_else(|| "an unknown system".to_owned());
        if self.debian.is_empty() {
            return Err(Unfit::NoDpkg { os: os() });
        }
        if !self.merged_usr {
            return Err(Unfit::SplitUsr);
        }
        takes_layers(layers)?;
        self.os.codename.as_deref().ok_or_else(|| Unfit::NoSuite { os: os() })
    }
}

fn takes_layers(layers: usize) -> Result<(), Unfit> {
    if layers > MOST_LAYERS { Err(Unfit::Layers(layers)) } else { Ok(()) }
}
