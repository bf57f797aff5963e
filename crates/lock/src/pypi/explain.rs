//! What uv means when it fails. Its words are kept; their kind decides what we say besides.

use std::fmt;
use std::path::PathBuf;

use super::Error;

/// uv's words, its hints apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// What is wrong, in one or more lines.
    pub text: String,
    /// What uv says besides, without its label.
    pub hints: Vec<String>,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<String> for Explanation {
    fn from(text: String) -> Self {
        Self { text, hints: Vec::new() }
    }
}

/// How much of a build's log is shown.
const LOG_LINES: usize = 30;

/// Signs of a missing program, and the program.
const MISSING: &[(&str, &str)] = &[
    ("command 'gcc' failed", "gcc"),
    ("gcc' failed: No such file", "gcc"),
    ("unable to execute 'gcc'", "gcc"),
    ("unable to execute 'x86_64-linux-gnu-gcc'", "gcc"),
    ("unable to execute 'aarch64-linux-gnu-gcc'", "gcc"),
    ("gcc: command not found", "gcc"),
    ("gcc: not found", "gcc"),
    ("cc: not found", "cc"),
    ("'cc': No such file", "cc"),
    ("linker `cc` not found", "cc"),
    ("Unknown compiler(s)", "cc"),
    ("No CMAKE_C_COMPILER could be found", "cc"),
    ("No CMAKE_CXX_COMPILER could be found", "c++"),
    ("g++: not found", "g++"),
    ("g++: command not found", "g++"),
    ("command 'g++' failed", "g++"),
    ("make: not found", "make"),
    ("make: command not found", "make"),
    ("Python.h: No such file", "Python.h"),
    ("cargo: not found", "cargo"),
    ("Rust toolchain", "cargo"),
    ("is Cargo, the Rust package manager", "cargo"),
    ("gfortran: not found", "gfortran"),
];

/// Programs that builds call.
const PROGRAMS: &[&str] = &["gcc", "cc", "g++", "c++", "make", "cargo", "gfortran", "cmake", "rustc", "swig"];

/// What `build-essential` and `python3-dev` bring.
const BUILD_ESSENTIAL: &[&str] = &["gcc", "cc", "c++", "g++", "make", "Python.h"];

/// Signs of a missing network.
const NO_NETWORK: &[&str] = &[
    "Temporary failure in name resolution",
    "Name or service not known",
    "Network is unreachable",
    "Could not resolve host",
    "Couldn't resolve host",
    "unable to resolve host",
    "Failed to establish a new connection",
    "network was disabled",
];

/// A program that the log of a build says is missing.
fn missing_program(log: &str) -> Option<&'static str> {
    // Python's own words: `[Errno 2] No such file or directory: 'x86_64-linux-gnu-gcc'`.
    let not_found = log.lines().filter_map(|line| line.split_once("No such file or directory: '"));
    let not_found = not_found.filter_map(|(_, rest)| rest.split('\'').next()).filter_map(|path| {
        let name = path.rsplit('/').next().unwrap_or(path);
        PROGRAMS.iter().find(|program| {
            // Debian's compilers have names such as `x86_64-linux-gnu-gcc-12`.
            name == **program || name.contains(&format!("-{program}"))
        })
    });
    let sign = || MISSING.iter().find(|(sign, _)| log.contains(sign)).map(|(_, program)| *program);
    not_found.copied().next().or_else(sign)
}

/// Programs and headers that builds look for, and the Debian packages that have them.
const DEBIAN: &[(&str, &str)] = &[
    ("pg_config", "libpq-dev"),
    ("libpq-fe.h", "libpq-dev"),
    ("mysql_config", "default-libmysqlclient-dev"),
    ("mysql.h", "default-libmysqlclient-dev"),
    ("curl-config", "libcurl4-openssl-dev"),
    ("curl/curl.h", "libcurl4-openssl-dev"),
    ("xslt-config", "libxslt1-dev"),
    ("libxml/xmlversion.h", "libxml2-dev"),
    ("gdal-config", "libgdal-dev"),
    ("ffi.h", "libffi-dev"),
    ("gmp.h", "libgmp-dev"),
    ("hdf5.h", "libhdf5-dev"),
    ("jpeglib.h", "libjpeg-dev"),
    ("lber.h", "libldap-dev"),
    ("ldap.h", "libldap-dev"),
    ("openssl/ssl.h", "libssl-dev"),
    ("openssl/opensslv.h", "libssl-dev"),
    ("portaudio.h", "portaudio19-dev"),
    ("sasl/sasl.h", "libsasl2-dev"),
    ("sql.h", "unixodbc-dev"),
    ("sqlite3.h", "libsqlite3-dev"),
    ("zlib.h", "zlib1g-dev"),
    ("cmake", "cmake"),
    ("swig", "swig"),
    ("gfortran", "gfortran"),
    ("cargo", "cargo"),
    ("rustc", "rustc"),
    ("pkg-config", "pkg-config"),
];

/// What a build says where it does not find one of these: `fatal error: ffi.h: No such file or directory`.
const NOT_FOUND: &[&str] =
    &["not found", "No such file", "unable to find", "could not find", "command not found"];

/// The Debian package with what the log of a build says is missing; `lib…-dev` where nobody knows its name.
fn debian_package(log: &str) -> Option<String> {
    let missing = || {
        log.lines()
            .filter(|line| NOT_FOUND.iter().any(|sign| line.to_lowercase().contains(&sign.to_lowercase())))
    };
    let part_of_name = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    let names = |line: &str, what: &str| {
        line.split(|c| !part_of_name(c))
            .any(|word| word == what || (word.starts_with('/') && word.rsplit('/').next() == Some(what)))
    };
    let known = DEBIAN.iter().find(|(what, _)| missing().any(|line| names(line, what)));
    if let Some((_, package)) = known {
        return Some(format!("`{package}`"));
    }
    let header = missing().find_map(|line| {
        let header = line.split(": No such file").next()?.rsplit(' ').next()?;
        (line.contains("fatal error: ") && header != "Python.h").then_some(header)
    });
    header.map(|header| format!("the `-dev` package that has `{header}`"))
}

/// Whether trying again with a compiler, and the perl that comes with it, is worthwhile.
pub(super) fn wants_compiler(log: &str) -> bool {
    let script = || {
        log.lines().any(|line| {
            (line.contains("_config") || line.contains("-config")) && debian_package(line).is_some()
        })
    };
    let perl = || log.contains("/usr/bin/perl") || log.contains("perl: not found");
    missing_program(log).is_some_and(|program| BUILD_ESSENTIAL.contains(&program)) || script() || perl()
}

/// Warnings that uv gives on its way, without their label.
pub(super) fn warnings(stderr: &str) -> impl Iterator<Item = &str> {
    stderr.lines().filter_map(|line| line.strip_prefix("warning: "))
}

/// What a failed resolution means.
pub(super) fn failure(code: i32, stderr: &str, python: &str, target: &str) -> Error {
    let explanation = explanation(stderr);
    // Some of what tells the kinds apart stands in the hints.
    let says = |text: &str| stderr.contains(text);
    let headline = explanation.text.lines().next().unwrap_or_default();
    if says("Git operation failed") {
        return Error::Git { explanation };
    }
    if says("The build backend returned")
        || says("Failed to resolve requirements from")
        || says("Failed to build")
    {
        let package = quoted(headline).unwrap_or("a package").to_owned();
        return build_failure(&package, "", stderr, None);
    }
    if says("network was disabled") || says("Network connectivity is disabled") {
        return Error::Offline { explanation };
    }
    if says("401 Unauthorized") || says("403 Forbidden") || says("authentication credentials") {
        return Error::Unauthorized { explanation };
    }
    if says("No solution found") {
        // Only where it is the whole reason: in a longer explanation it may be an aside.
        let missing = cause(&explanation.text).and_then(|cause| {
            let (package, rest) = cause.strip_prefix("Because ")?.split_once(" was not found in the ")?;
            let aside = rest.contains(" depends on ") || rest.contains(" depend on ");
            (!package.contains(' ') && !aside).then(|| package.to_owned())
        });
        let missing = missing.or_else(|| {
            let (before, _) = explanation.text.split_once(" was not found in the ")?;
            Some(before.rsplit(' ').next()?.to_owned())
        });
        return if let Some(package) = missing {
            // What uv says where it may ask no index.
            if says("was not found in the provided package locations") {
                return Error::NotLinked { package, explanation };
            }
            Error::NoPackage { package, explanation }
        } else if says("requires Python") || says("depends on Python") || says("Python version") {
            Error::Python { python: python.to_owned(), explanation }
        } else if says("no wheels with a matching")
            || says("no usable wheels")
            || says("no source distribution")
        {
            Error::NoFile { target: target.to_owned(), explanation }
        } else {
            Error::Conflict { explanation }
        };
    }
    let network =
        ["Request failed after", "error sending request", "dns error", "Failed to fetch", "connection"];
    if network.iter().any(|sign| says(sign)) {
        return Error::Network { explanation };
    }
    Error::Uv { code, explanation }
}

/// What a failed build means: the last lines that it printed, those of stderr before those of stdout. All of it is `kept`
/// in a file.
pub(super) fn build_failure(package: &str, stdout: &str, stderr: &str, kept: Option<PathBuf>) -> Error {
    // uv's hint says that the build failed.
    let told = |line: &&str| !line.trim().is_empty() && !line.starts_with("hint: ");
    let end = |text: &str, most: usize| -> Vec<String> {
        let mut lines: Vec<String> = text.lines().rev().filter(told).take(most).map(str::to_owned).collect();
        lines.reverse();
        lines
    };
    let errors = end(stderr, LOG_LINES);
    let mut lines = end(stdout, LOG_LINES - errors.len());
    lines.extend(errors);
    let all = format!("{stderr}\n{stdout}");
    Error::Build {
        package: package.to_owned(),
        log: lines.join("\n"),
        kept,
        missing: missing_program(&all),
        debian: debian_package(&all),
        network: NO_NETWORK.iter().any(|sign| all.contains(sign)),
    }
}

/// The requirement whose package uv could not ask what it needs, if it has a name.
pub(super) fn unbuilt(stderr: &str) -> Option<&str> {
    stderr.lines().find(|line| line.contains("Failed to ") && line.contains("build `")).and_then(quoted)
}

/// The package that is asked for at two places.
pub(super) fn two_places(stderr: &str) -> Option<&str> {
    stderr.lines().find(|line| line.contains("conflicting URLs for package")).and_then(quoted)
}

/// uv's words from its `error:` on, without that label; all of them where there is none. Its hints come last.
fn explanation(stderr: &str) -> Explanation {
    let lines: Vec<&str> = stderr.lines().collect();
    let start = lines.iter().position(|line| line.starts_with("error: ")).unwrap_or(0);
    let text = lines[start..].join("\n");
    let mut parts = text.split("\nhint: ");
    let first = parts.next().unwrap_or_default();
    Explanation {
        text: first.strip_prefix("error: ").unwrap_or(first).trim_end().to_owned(),
        hints: parts.filter_map(our_hint).collect(),
    }
}

/// One of uv's hints, as it is right for our users: uv's own options are not theirs.
fn our_hint(hint: &str) -> Option<String> {
    // The one we set ourselves; of the other our own hint says more.
    if hint.contains("`--python-version`") || hint.contains("index lookups were disabled") {
        return None;
    }
    // Our own hint says what there is instead.
    let hint = hint.split(" By default, uv will only consider").next().unwrap_or(hint);
    let words: Vec<&str> = hint.split_whitespace().collect();
    let hint = words.join(" ").replace("`--prerelease=allow`", "`--pre`");
    Some(hint.trim_end_matches('.').to_owned()).filter(|hint| !hint.is_empty())
}

/// The first cause.
fn cause(explanation: &str) -> Option<&str> {
    explanation.lines().find_map(|line| line.trim_start().strip_prefix("cause: "))
}

/// What stands in the first pair of backquotes.
pub(super) fn quoted(line: &str) -> Option<&str> {
    line.split('`').nth(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(stderr: &str) -> String {
        let error = failure(1, stderr, "3.11.2", "Python 3.11 on x86_64 with glibc 2.36");
        let debug = format!("{error:?}");
        debug[..debug.find([' ', '{', '(']).unwrap_or(debug.len())].to_owned()
    }

    fn no_solution(cause: &str) -> String {
        kind(&format!("error: No solution found when resolving dependencies\n  cause: {cause}"))
    }

    /// Every text is one that uv 0.13.9 printed.
    #[test]
    fn kinds_are_told_apart() {
        assert_eq!(
            no_solution(
                "Because nope was not found in the provided package locations and you require nope, we can \
                 conclude that your requirements are unsatisfiable."
            ),
            "NotLinked"
        );
        assert_eq!(
            no_solution(
                "Because all versions of dd depend on bb>=2 and all versions of cc depend on bb<2, we can conclude \
                 that all versions of cc and all versions of dd are incompatible.\n         And because you require \
                 cc and dd, we can conclude that your requirements are unsatisfiable."
            ),
            "Conflict"
        );
        assert_eq!(
            no_solution(
                "Because newpy==1.0 requires Python >=3.99 and only newpy==1.0 is available, we can conclude that \
                 all versions of newpy cannot be used."
            ),
            "Python"
        );
        assert_eq!(
            no_solution(
                "Because the requested Python version (>=3.11.2) does not satisfy Python>=3.99 and new==1.0 depends on \
                 Python>=3.99, we can conclude that new==1.0 cannot be used."
            ),
            "Python"
        );
        assert_eq!(
            no_solution(
                "Because win==1.0 has no wheels with a matching platform tag (e.g., `manylinux_2_36_x86_64`) and \
                 only win==1.0 is available, we can conclude that all versions of win cannot be used."
            ),
            "NoFile"
        );
        assert_eq!(
            no_solution(
                "Because aa was not found in the package registry and you require aa, we can conclude that your \
                 requirements are unsatisfiable.\n\nhint: An index URL (http://h.test/) could not be queried due to \
                 a lack of valid authentication credentials (401 Unauthorized)"
            ),
            "Unauthorized"
        );
        assert_eq!(
            kind(
                "error: Request failed after 1 retry in 1.4s\n  cause: Failed to fetch: http://h.test/aa/\n  cause: \
                 error sending request for url (http://h.test/aa/)\n  cause: client error (Connect)\n  cause: dns error"
            ),
            "Network"
        );
        assert_eq!(
            kind(
                "   Building sf==1.0\nerror: Failed to build `sf==1.0`\n  cause: The build backend returned an \
                 error\n  cause: Call to `bk.build_wheel` failed (exit status: 1)\n\n         [stderr]\n         \
                 gcc: command not found"
            ),
            "Build"
        );
        assert_eq!(kind("error: Git operation failed\n  cause: failed to clone into: x"), "Git");
        assert_eq!(
            no_solution(
                "Because b was not found in the cache and you require b, we can conclude that your requirements are \
                 unsatisfiable.\n\nhint: Packages were unavailable because the network was disabled."
            ),
            "Offline"
        );
        assert_eq!(kind("error: something new"), "Uv");
    }

    #[test]
    fn a_missing_package_is_named() {
        let stderr = "error: No solution found when resolving dependencies\n  cause: Because left-pad was not found \
                      in the package registry and you require left-pad, we can conclude that your requirements are \
                      unsatisfiable.";
        let Error::NoPackage { package, explanation } = failure(1, stderr, "", "") else { panic!() };
        assert_eq!(package, "left-pad");
        let text = &explanation.text;
        assert!(text.starts_with("No solution found") && text.ends_with("unsatisfiable."));
    }

    #[test]
    fn hints_are_told_apart_and_name_no_option_of_uv() {
        let stderr = "   Updating x\nerror: No solution found when resolving dependencies\n  cause: Because a was not \
                      found in the cache.\n\nhint: Packages were unavailable because the network was disabled. When it \
                      is, wait.\n\nhint: Pre-releases are available (try: `--prerelease=allow`)\nhint: `b` was found, but \
                      not\nat that version. By default, uv will only consider the first; use `--index-strategy x`.\n\
                      hint: use `--python-version`";
        let Error::Offline { explanation } = failure(1, stderr, "", "") else { panic!() };
        assert!(explanation.text.ends_with("in the cache."), "{explanation:?}");
        assert_eq!(
            explanation.hints,
            [
                "Packages were unavailable because the network was disabled. When it is, wait",
                "Pre-releases are available (try: `--pre`)",
                "`b` was found, but not at that version"
            ]
        );
    }

    #[test]
    fn a_build_that_lacks_a_compiler_says_so() {
        let log = "error: command 'x86_64-linux-gnu-gcc' failed: No such file or directory";
        assert!(wants_compiler(log));
        let Error::Build { missing, .. } = build_failure("a", "", log, None) else { panic!() };
        assert_eq!(missing, Some("gcc"));
        assert!(wants_compiler("error: [Errno 2] No such file or directory: 'x86_64-linux-gnu-gcc'"));
        assert!(wants_compiler("FileNotFoundError: [Errno 2] No such file or directory: '/usr/bin/c++'"));
        assert!(!wants_compiler("FileNotFoundError: [Errno 2] No such file or directory: 'VERSION'"));
        assert!(!wants_compiler("This package requires Rust and Cargo: cargo: not found"));
    }

    #[test]
    fn only_the_end_of_a_log_is_kept() {
        let log = (0..1000).map(|line| format!("line {line}")).collect::<Vec<_>>().join("\n\n");
        let Error::Build { log: shown, .. } = build_failure("a", "", &log, None) else { panic!() };
        assert_eq!((shown.lines().count(), shown.lines().last()), (LOG_LINES, Some("line 999")));
        let Error::Build { log: shown, .. } = build_failure("a", &log, "fatal: x", None) else { panic!() };
        assert_eq!(shown.lines().count(), LOG_LINES);
        assert!(shown.ends_with("line 999\nfatal: x"), "{shown}");
    }

    #[test]
    fn the_debian_package_is_named() {
        for (log, package) in [
            ("Error: pg_config executable not found.", "`libpq-dev`"),
            ("/bin/sh: 1: mysql_config: not found", "`default-libmysqlclient-dev`"),
            ("./psycopg.h:36:10: fatal error: libpq-fe.h: No such file or directory", "`libpq-dev`"),
            ("c/_cffi.c:15:10: fatal error: ffi.h: No such file or directory", "`libffi-dev`"),
            ("FileNotFoundError: [Errno 2] No such file or directory: 'cmake'", "`cmake`"),
            (
                "a.c:1:10: fatal error: deep/odd.h: No such file or directory",
                "the `-dev` package that has `deep/odd.h`",
            ),
        ] {
            assert_eq!(debian_package(log).as_deref(), Some(package), "{log}");
        }
        for log in
            ["fatal error: Python.h: No such file or directory", "No such file: 'VERSION'", "cmake failed"]
        {
            assert_eq!(debian_package(log), None, "{log}");
        }
        assert!(wants_compiler("Error: pg_config executable not found."));
        assert!(!wants_compiler("a.c:1:10: fatal error: ffi.h: No such file or directory"));
    }
}
