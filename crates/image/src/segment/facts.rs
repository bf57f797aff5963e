//! What a `.deb`'s control archive says.

use super::model::{Alternative, DebFacts};

/// Scripts that dpkg would have run.
const SCRIPTS: [&str; 5] = ["config", "postinst", "postrm", "preinst", "prerm"];

impl DebFacts {
    /// Takes in a file of the control archive.
    pub(crate) fn add_control_file(&mut self, name: &str, bytes: &[u8]) {
        let text = || String::from_utf8_lossy(bytes).into_owned();
        match name {
            "control" => self.control = text(),
            "md5sums" => self.md5sums = Some(text()),
            "conffiles" => self.conffiles = text().lines().map(|line| line.trim().to_owned()).collect(),
            _ if SCRIPTS.contains(&name) => {
                if let Err(at) = self.maintainer_scripts.binary_search_by(|known| known.as_str().cmp(name)) {
                    self.maintainer_scripts.insert(at, name.to_owned());
                }
                if name == "postinst" {
                    self.alternatives = alternatives(&text());
                }
            }
            _ => {}
        }
    }
}

/// The alternatives that a script registers with literal words. Commands with variables in them are left out: what they
/// would do cannot be known without running the script.
fn alternatives(script: &str) -> Vec<Alternative> {
    let mut found = Vec::new();
    for line in script.replace("\\\n", " ").lines() {
        for command in line.split([';', '&', '|']) {
            let words: Vec<&str> =
                command.split_whitespace().map(|word| word.trim_matches(['"', '\''])).collect();
            let Some(at) = words.iter().position(|word| word.ends_with("update-alternatives")) else {
                continue;
            };
            if words[..at].iter().any(|word| word.starts_with('#')) {
                continue;
            }
            let words = &words[at + 1..];
            let words = &words[words.iter().position(|word| *word == "--install").unwrap_or(words.len())..];
            found.extend(alternative(words));
        }
    }
    found
}

fn alternative(words: &[&str]) -> Option<Alternative> {
    let ["--install", link, name, path, priority, rest @ ..] = words else { return None };
    let mut slaves = Vec::new();
    let mut rest = rest;
    while let ["--slave", link, name, path, behind @ ..] = rest {
        slaves.push(((*link).to_owned(), (*name).to_owned(), (*path).to_owned()));
        rest = behind;
    }
    let literal = |word: &&str| !word.contains(['$', '`', '*']);
    let slave_words = slaves.iter().flat_map(|slave| [&*slave.0, &*slave.1, &*slave.2]);
    if ![*link, *name, *path].iter().all(literal) || !slave_words.into_iter().all(|word| literal(&word)) {
        return None;
    }
    Some(Alternative {
        link: (*link).to_owned(),
        name: (*name).to_owned(),
        path: (*path).to_owned(),
        priority: priority.parse().ok()?,
        slaves,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mawks_and_libblas3s_scripts_are_understood() {
        let mawk = "set -e\nif [ \"$1\" = \"configure\" ]; then\n    update-alternatives --install /usr/bin/awk awk \
                    /usr/bin/mawk 5 \\\n        --slave /usr/share/man/man1/awk.1.gz awk.1.gz \
                    /usr/share/man/man1/mawk.1.gz \\\n        --slave /usr/bin/nawk nawk /usr/bin/mawk\nfi\n";
        let [awk] = &alternatives(mawk)[..] else { panic!() };
        assert_eq!(
            (&*awk.link, &*awk.name, &*awk.path, awk.priority),
            ("/usr/bin/awk", "awk", "/usr/bin/mawk", 5)
        );
        assert_eq!(awk.slaves.len(), 2);
        let blas = "update-alternatives --install /usr/lib/x86_64-linux-gnu/libblas.so.3 \\\n   \
                    libblas.so.3-x86_64-linux-gnu /usr/lib/x86_64-linux-gnu/blas/libblas.so.3 10\n";
        assert_eq!(alternatives(blas)[0].priority, 10);
    }

    #[test]
    fn what_only_a_shell_could_know_is_left_out() {
        for script in [
            "update-alternatives --install \"$LINK\" awk /usr/bin/mawk 5",
            "update-alternatives --install /usr/bin/awk awk /usr/bin/mawk $PRIORITY",
            "# update-alternatives --install /usr/bin/awk awk /usr/bin/mawk 5",
            "update-alternatives --remove awk /usr/bin/mawk",
            "update-alternatives --install /usr/bin/awk awk /usr/bin/mawk 5 --slave $a b c",
        ] {
            assert_eq!(alternatives(script), [], "{script}");
        }
    }
}
