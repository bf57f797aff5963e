//! The table of codes: every remark that this crate can make about a file, in one place.
//!
//! A code never changes its meaning and is never given again. `PV001` to `PV099` come from reading, `PV100` and
//! up from checks of what was read.

use crate::Severity;

/// One kind of remark.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// E.g. `PV004`.
    pub id: &'static str,
    /// A short name for filters and pages, e.g. `unknown-key`.
    pub name: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// One line.
    pub title: &'static str,
    /// Why it matters and what to do: the text of the code's page.
    pub explanation: &'static str,
}

macro_rules! codes {
    ($($id:literal $constant:ident $name:literal $severity:ident $title:literal $explanation:literal;)*) => {
        $(
            #[doc = $title]
            pub const $constant: &Code = &Code {
                id: $id,
                name: $name,
                severity: Severity::$severity,
                title: $title,
                explanation: $explanation,
            };
        )*

        /// All codes, in order.
        pub const ALL: &[&Code] = &[$($constant),*];
    };
}

codes! {
    "PV001" UNREADABLE "unreadable-file" Error
        "the file cannot be read"
        "The file is missing, may not be read, is a folder, or is not text. Nothing else could be checked.";
    "PV002" UNSUPPORTED_FORMAT "unsupported-format" Error
        "this kind of file is not read yet"
        "Provenv reads the kinds of files that docs/reference/formats.md lists. The file looks like something else.";
    "PV003" INVALID_YAML "invalid-yaml" Error
        "not valid YAML"
        "The text breaks a rule of YAML 1.2. Common causes are a tab used for indentation, a missing space after a \
         colon, and an unquoted text that begins with a special character.";
    "PV004" UNKNOWN_KEY "unknown-key" Error
        "unknown key"
        "A key that means nothing here is most often a misspelt one, so it is refused rather than ignored.";
    "PV005" WRONG_TYPE "wrong-type" Error
        "a value of the wrong type"
        "E.g. a list where a text belongs.";
    "PV006" DUPLICATE_KEY "duplicate-key" Error
        "a key given twice"
        "Other readers silently keep the last of the two values. One of them is not what you mean: remove it.";
    "PV007" NOT_SUPPORTED "not-supported" Error
        "a feature that is not supported yet"
        "The file asks for something that this version cannot do. It is refused, because an environment without it \
         would not be the one that was asked for.";
    "PV008" CONFLICTING_KEYS "conflicting-keys" Error
        "keys that exclude each other"
        "E.g. `image` and `base`: an image stands on one thing.";
    "PV009" TOO_LARGE "too-large" Error
        "larger or deeper than any real file"
        "Files, nesting and includes are limited, so that a hostile file cannot take all memory or time.";
    "PV010" INVALID_REQUIREMENT "invalid-requirement" Error
        "a malformed requirement"
        "The line is neither a dependency specifier (PEP 508) nor a URL nor a path. pip and uv refuse it too.";
    "PV011" INVALID_OPTION "invalid-option" Error
        "an unknown or malformed option"
        "Options of a requirements file are those that pip documents for it.";
    "PV012" NOT_HONOURED "not-honoured" Warning
        "read, and without effect"
        "The file stays usable, and this part of it changes nothing here. The message says why.";
    "PV013" INVALID_INCLUDE "invalid-include" Error
        "an included file that cannot be used"
        "`-r` and `-c` name files relative to the file they stand in. A file cannot include itself.";
    "PV014" INVALID_URL "invalid-url" Error
        "a malformed URL"
        "The text is not a URL, or of a kind that cannot be fetched.";
    "PV015" CREDENTIALS "credentials" Error
        "credentials in a URL"
        "A definition is shared, hashed and kept for ever, so it must not hold a secret. Write the name of an \
         environment variable in its place (`https://${TOKEN}@host/simple`), or leave it out and keep it in netrc \
         or in the keyring.";
    "PV016" INVALID_HASH "invalid-hash" Error
        "a malformed or unsupported hash"
        "A hash is written `--hash=sha256:` and 64 hexadecimal digits.";
    "PV017" MISSING_HASH "missing-hash" Error
        "a requirement without hash or pin in a file that requires them"
        "With `--require-hashes`, every requirement must be pinned with `==` and carry a hash.";
    "PV018" MISSING_PATH "missing-path" Warning
        "a local path that does not exist"
        "The package cannot be locked until something stands there. Paths are relative to the file they stand in.";
    "PV019" INVALID_PYTHON "invalid-python" Error
        "not a Python version"
        "Write a minor version such as `3.11`, or an exact one such as `3.11.2`.";
    "PV020" INVALID_SYSTEM_PACKAGE "invalid-system-package" Error
        "not a Debian package"
        "Write `name` or `name=version`, as for apt-get.";
    "PV021" INVALID_VALUE "invalid-value" Error
        "a value that means nothing"
        "The value has the right type and is none of those that can be used.";
    "PV022" INVALID_CONSTRAINT "invalid-constraint" Error
        "a requirement that cannot be a constraint"
        "A constraint bounds the version of a package that something else asks for: it has a name, and neither \
         extras nor `-e`. pip refuses it too.";
    "PV023" TEMPLATE "template" Error
        "a template that was not filled in"
        "The text holds `{{ … }}`. Fill the template in first: Provenv reads plain files.";
    "PV024" INVALID_TOML "invalid-toml" Error
        "not valid TOML"
        "The text breaks a rule of TOML 1.0.";
    "PV025" INVALID_CONDA_SPEC "invalid-conda-spec" Error
        "a malformed conda package specification"
        "The text is none of the spellings that conda reads: `name`, `name=1.2`, `name >=1.2,<2`, `name=1.2=build`, \
         `channel::name`, `name[version='>=1.2']`, or the URL of a package.";
    "PV026" INVALID_CHANNEL "invalid-channel" Error
        "not a conda channel"
        "A channel is a name such as `conda-forge` or a URL.";
    "PV027" INVALID_LOCK "invalid-lock" Error
        "a lock that cannot be used"
        "A part of the lock file is missing, of a wrong type, or says two things at once. Have the tool that wrote it \
         write it again.";
    "PV028" OTHER_SYSTEM "other-system" Info
        "an entry for another system"
        "Images are for Linux. What a selector (`sel(win): …`, `# [osx]`) or a platform keeps for other systems is left \
         out.";
    "PV029" UNKNOWN_SELECTOR "unknown-selector" Warning
        "a selector that is not understood"
        "A selector names systems: `linux`, `unix`, `linux64`, `aarch64`, `osx`, `win` and the like, with `not`, `and` and \
         `or`. An entry with another one counts everywhere, as for conda itself, which reads over all of them.";
    "PV030" READ_OTHERWISE "read-otherwise" Warning
        "what conda reads otherwise than it looks"
        "conda reads over a part of this, or reads less than is written. The message says what counts here.";
    "PV032" PYTHON_RANGE "python-range" Info
        "several Pythons are allowed"
        "The file bounds the version of Python and does not choose one. Which one is taken is the base's to say.";
    "PV033" LEFT_OUT "left-out" Info
        "a part that is not installed"
        "Extras, groups, features, environments and platforms that nobody asks for are not part of the environment.";
    "PV034" UNHASHED "unhashed" Warning
        "an artifact whose bytes cannot be checked"
        "The lock has no sha256 hash of it, so other bytes of the same name could not be told from those that were \
         locked. Have a newer version of the tool write the lock again.";
    "PV035" INVALID_DOCKERFILE "invalid-dockerfile" Error
        "a Dockerfile that cannot be built"
        "BuildKit refuses it too: an instruction is unknown or lacks something, a here-document does not end, or there is \
         no `FROM`.";
    "PV036" NO_BUILD_CONTEXT "no-build-context" Warning
        "a Dockerfile that takes files from a build context, and has none"
        "A Dockerfile that stands as a text inside another file has no folder to copy files from, so building it fails. \
         Put it into a folder with the files, and name the folder by `build`.";
    "PV037" INVALID_CONTEXT "invalid-context" Error
        "a build context that cannot be used"
        "The folder or its Dockerfile is missing, lies elsewhere, holds something that is neither file, folder nor link, \
         or is larger than any real one. `.dockerignore` leaves out what a build does not need.";
    "PV038" NO_AZURE_BASE "no-azure-base" Info
        "nothing that Azure ML could build on"
        "Azure ML refuses an environment without `image` and `build`. Here the base then is made of Debian packages.";
    "PV039" FOLDER_CHOICE "folder-choice" Info
        "one of several files of a folder"
        "A folder was given, and several of its files say what an environment needs. The first in a fixed order was taken; \
         a lock comes before the file that it was made from, and whether it is still up to date is not checked. Name a \
         file to take another one.";
    "PV040" NOTHING_IN_FOLDER "nothing-in-folder" Error
        "a folder without a definition"
        "A folder was given that is no environment and holds none of the files that are looked for. Name the file, or the \
         folder of the environment itself.";
    "PV041" NOT_REPRODUCIBLE "not-reproducible" Warning
        "something installed that cannot be had again as it is"
        "An environment on disk holds something that no index or channel is known to have, or that nothing on disk says \
         enough of: an editable install, a local path, a package without a record of its files, a build for another \
         system. The message says what was written down instead, or that it was left out.";
    "PV042" NOT_ON_RECORD "not-on-record" Info
        "asked for by inference"
        "An environment on disk does not say all that was asked for when it was made. What was inferred from what is there \
         may differ: look through it, or capture what is there with `--exact`.";

    "PV050" INVALID_JOB "invalid-job" Error
        "a job file that cannot be used"
        "A job says what to run in which environment. The message names the key that does not fit.";
    "PV101" RESERVED_NAME "reserved-name" Error
        "a reserved name"
        "Names that begin with `AzureML`, `Microsoft` or `curated/` belong to environments that are shipped. The `name:` of a \
         conda file is conda's own, so there it is a warning: registered from that file, the environment wants another name.";
    "PV102" INVALID_NAME "invalid-name" Error
        "a name or version that cannot be used"
        "Names and versions are parts of file names, URLs and image references: letters, digits, `-`, `_` and `.`, \
         beginning with a letter or digit, at most 255 characters.";
    "PV103" UNPINNED "unpinned" Info
        "a package without an exact version"
        "The lock pins it, and `provenv upgrade` moves it. Pin it with `==` only if the version is part of what you \
         mean.";
    "PV104" PYTHON_END_OF_LIFE "python-end-of-life" Warning
        "a Python without security fixes"
        "The Python asked for is out of support: its bugs stay.";
    "PV105" LOCAL_SOURCE "local-source" Warning
        "a package from a path of this machine"
        "A local path or an editable install cannot be resolved again on another machine. Publish the package to an \
         index, or name a repository and a commit.";
    "PV106" MOVING_TAG "moving-tag" Warning
        "an image tag that moves"
        "No tag, or `latest`, means another image tomorrow. The lock pins the digest it finds; a version in the tag \
         says what you mean.";
    "PV107" CONFLICTING_PINS "conflicting-pins" Error
        "versions that exclude each other"
        "No version satisfies all that is asked of this package, so it can never be resolved.";
    "PV108" DUPLICATE_REQUIREMENT "duplicate-requirement" Warning
        "a requirement given twice"
        "The second changes nothing.";
    "PV109" SECRET "secret" Warning
        "something that looks like a secret"
        "Environment variables of a definition are stored and shown in clear. Pass secrets when the command is run.";
    "PV110" DUPLICATE_SYSTEM_PACKAGE "duplicate-system-package" Warning
        "a system package given twice"
        "The second changes nothing; with two versions, no base can satisfy both.";
    "PV111" MOVING_REPOSITORY "moving-repository" Info
        "a repository without a commit"
        "A branch or tag may point elsewhere tomorrow. The lock pins the commit it finds.";
    "PV112" UNKNOWN_PYTHON "unknown-python" Warning
        "a Python that no known suite has"
        "The interpreter is Debian's own: 3.9 in bullseye, 3.11 in bookworm, 3.13 in trixie, and what later suites have. \
         Whether the archive in use has another can only be known when the environment is locked.";
    "PV113" NOT_BUILDABLE "not-buildable" Warning
        "a part that this version cannot build"
        "The definition is read, checked, hashed, kept and written back whole, and `lock` and `build` refuse it: an image \
         without this part would not be the one that was asked for.";
    "PV114" SEVERAL_MANAGERS "several-managers" Warning
        "one package from several package managers"
        "Conda, pip and apt know nothing of each other: the one that comes last overwrites files of the others or hides \
         them, and which version a script imports depends on the order. Provenv holds pip to what conda installs: a line \
         that conda's version satisfies installs nothing, and one that it does not is refused when the definition is \
         locked. Ask one of them.";
    "PV115" PIP_NOT_LISTED "pip-not-listed" Warning
        "a `pip` section without pip in the conda packages"
        "Provenv installs the section itself and needs no pip. Conda installs it by the pip inside the environment: it adds \
         one of its own choice where none is listed, and says so each time; other tools fail. List `pip` beside `python` \
         if this file is used with conda too.";
    "PV116" PIP_NOT_PINNED "pip-not-pinned" Info
        "pip without a version in the conda packages"
        "What pip accepts and chooses changes with its version: 20.3 has another resolver, 24.1 refuses old version \
         numbers. Name the version, such as `pip=24.2`, if this file is used with conda itself.";
    "PV117" PYTHON_MISSING "python-missing" Warning
        "Python packages without a Python"
        "Nothing says which Python the packages are for, so the newest that the rest allows is taken: another one tomorrow. \
         Azure ML refuses such a file or adds a version of its own.";
    "PV118" NO_CHANNELS "no-channels" Warning
        "conda packages without a channel"
        "Where packages are looked for is then left to the settings of the machine, so that two machines find different \
         ones. Provenv adds no channel that is not named. Name one, such as `conda-forge`.";
    "PV119" MIXED_CHANNELS "mixed-channels" Warning
        "`defaults` before `conda-forge`"
        "Packages of the two are built with different compilers and libraries. With `defaults` first, most packages come \
         from there and the rest from conda-forge, and such mixtures break when they are imported. Name conda-forge first, \
         or alone.";
    "PV120" COMMERCIAL_CHANNEL "commercial-channel" Info
        "a channel under Anaconda's terms of service"
        "`defaults`, `main`, `r`, `msys2` and `anaconda` are served under terms that ask larger organisations for a licence. \
         conda-forge has most of the packages without these terms.";
    "PV121" MISSPELT_PACKAGE "misspelt-package" Warning
        "a name that is nearly that of a well-known package"
        "Names one letter beside a well-known one are mostly slips, and some of them were registered to catch those who \
         slip. If the name is right, say so with `# provenv: ignore[PV121]` on its line.";
    "PV122" DEPRECATED_PACKAGE "deprecated-package" Warning
        "a package that was replaced or given up"
        "The name leads to an empty, old or unmaintained package, and the message names what took its place.";
    "PV123" DEPRECATED_IMAGE "deprecated-image" Warning
        "a base image out of support"
        "The image, or the distribution in it, gets no more security fixes, and its package archives are moved away \
         sooner or later, so that `apt-get update` fails.";
    "PV124" RUNTIME_VARIABLE "runtime-variable" Warning
        "a variable that the platform sets"
        "The variable is set by what runs the command, or steers how every program is loaded. Set here, it is overwritten, \
         or breaks programs in a way that is hard to see.";
    "PV125" LARGE_DOCKERFILE "large-dockerfile" Warning
        "a Dockerfile of more than 100 KB"
        "Azure ML refuses it. Put files into a build context and copy them.";
    "PV126" WILDCARD_EQUALITY "wildcard-equality" Info
        "`==` with a wildcard in a conda package"
        "`==` asks for an exact version and `.*` for all that begin so. Conda takes `==1.2.*` for `=1.2`, but before a \
         build string for `==1.2`, and stricter readers refuse it. Write what is meant.";
    "PV127" SHELL_REDIRECT "shell-redirect" Warning
        "a version bound that the shell takes for a redirection"
        "In `RUN pip install numpy>=1.2`, the shell sends the output to a file called `=1.2`, and any numpy is installed. \
         Quote it: `\"numpy>=1.2\"`.";
    "PV128" PARTIAL_HASHES "partial-hashes" Warning
        "some requirements with hashes and some without"
        "As soon as one requirement has a hash, pip wants one for all, dependencies too, and refuses the file.";
    "PV129" DEPENDENCY_CONFUSION "dependency-confusion" Info
        "a further index that any package may come from"
        "With `--extra-index-url`, pip takes the highest version of all indexes: whoever registers the name of a package of \
         yours in the public one is installed instead. Name one index that holds all (`--index-url`), or pin packages \
         and give hashes.";
    "PV130" CONTEXT_WITH_PACKAGES "context-with-packages" Warning
        "a build context with other parts beside it"
        "Azure ML takes the image of a build context as it is and refuses conda packages, variables, R and Spark beside it. \
         Put them into the Dockerfile, if the file is for Azure ML.";
    "PV131" R_SECTION "r-section" Info
        "an `r` section"
        "Azure ML has deprecated it. Install R in a Dockerfile or by conda (`r-base`).";
    "PV132" SEVERAL_PYTHONS "several-pythons" Warning
        "Python given twice"
        "All must hold at once, so one of them is superfluous, and if they contradict each other nothing can be found.";
    "PV133" PLAIN_HTTP "plain-http" Warning
        "packages over plain http"
        "Whoever stands between can put other packages in place. Use `https://`.";
    "PV134" UNQUOTED_VERSION "unquoted-version" Info
        "a version that YAML takes for a number"
        "`3.10` without quotes is the number 3.1 for most YAML readers. Provenv reads it as written; quote it for the others.";
    "PV135" NO_INTERPRETER "no-interpreter" Warning
        "a user-managed environment without its Python"
        "Nothing of `python`, `conda` and `pip` is installed in a user-managed environment: its base has to bring the Python \
         that `interpreter_path` names (`python`, if it names none). Said of a file where nothing in it brings one, and of \
         an image that was made where the interpreter cannot be started in it.";
    "PV136" AZURE_REFUSES "azure-refuses" Warning
        "a v1 environment that Azure ML refuses"
        "Azure ML checks an environment when it is registered or built: it wants a `python` section with conda packages unless \
         the packages are there already, a build context with its `dockerfilePath` and a `locationType` that it knows, and of \
         a registry's credentials one kind, whole. Provenv can do without, and the message says what is missing.";
}

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn every_code_and_name_is_given_once_and_in_order() {
        assert!(ALL.windows(2).all(|pair| pair[0].id < pair[1].id));
        let mut names: Vec<_> = ALL.iter().map(|code| code.name).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
