//! The commands that a wheel brings: entry points (PyPA specifications, "Entry points") and `.data/scripts`. The texts are
//! uv's, byte for byte.

use super::error::Fault;
use crate::path;

/// The interpreter that scripts are run by.
const PYTHON: &str = "/opt/provenv/bin/python";

/// No package has more commands.
const MOST: usize = 4096;

/// A command made from an entry point: its name and text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Script {
    pub name: String,
    pub text: String,
}

/// The commands of an `entry_points.txt`, those of a terminal before those of a window system.
///
/// pip's own wheel names the Python it was built by: as every installer does, `pip` is given the names of this one.
pub(crate) fn entry_points(text: &str, (major, minor): (u32, u32)) -> Result<Vec<Script>, Fault> {
    let mut scripts: Vec<Script> = Vec::new();
    let mut lines = 0;
    for wanted in ["console_scripts", "gui_scripts"] {
        let mut section = "";
        for line in text.lines().map(str::trim) {
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                section = name.trim();
            } else if section == wanted {
                lines += 1;
                if lines > MOST {
                    return Err(Fault::malformed(format!(
                        "entry_points.txt names more than {MOST} commands"
                    )));
                }
                let script = script(line)?;
                if scripts.iter().all(|other| other.name != script.name) {
                    scripts.push(script);
                }
            }
        }
    }
    if let Some(pip) = scripts.iter().find(|script| script.name == "pip").map(|script| script.text.clone()) {
        let versioned = |name: &str| {
            name.strip_prefix("pip").is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '.'))
        };
        scripts.retain(|script| !versioned(&script.name));
        let names = ["pip".to_owned(), format!("pip{major}"), format!("pip{major}.{minor}")];
        scripts.extend(names.map(|name| Script { name, text: pip.clone() }));
    }
    Ok(scripts)
}

/// The command of a line of a conda package's `link.json`. Its text is conda's, byte for byte.
pub(crate) fn conda_entry_point(line: &str, (major, minor): (u32, u32)) -> Result<Script, Fault> {
    let Reference { name, module, function, import } = reference(line, "link.json")?;
    let text = format!(
        "#!{PYTHON}{major}.{minor}\n# -*- coding: utf-8 -*-\nimport re\nimport sys\n\nfrom {module} import {import}\n\n\
         if __name__ == '__main__':\n\tsys.argv[0] = re.sub(r'(-script\\.pyw?|\\.exe)?$', '', sys.argv[0])\n\
         \tsys.exit({function}())\n"
    );
    Ok(Script { name: name.to_owned(), text })
}

/// `name = module:function`.
struct Reference<'l> {
    name: &'l str,
    module: &'l str,
    function: &'l str,
    /// What is imported of the module.
    import: &'l str,
}

fn reference<'l>(line: &'l str, file: &str) -> Result<Reference<'l>, Fault> {
    let wrong = || Fault::malformed(format!("{file} has the line `{}`", line.escape_debug()));
    let (name, value) = line.split_once('=').ok_or_else(wrong)?;
    let name = name.trim();
    // Extras behind the reference were for a time when commands could depend on them; installers ignore them.
    let reference = value.split('[').next().unwrap_or_default();
    let (module, function) = reference.split_once(':').ok_or_else(wrong)?;
    let (module, function) = (module.trim(), function.trim());
    let dotted = |text: &str| {
        text.split('.').all(|part| {
            part.starts_with(|c: char| c == '_' || c.is_alphabetic())
                && part.chars().all(|c| c == '_' || c.is_alphanumeric())
        })
    };
    if path::problem(name).is_some() || name.contains('/') || !dotted(module) || !dotted(function) {
        return Err(wrong());
    }
    let import = function.split('.').next().unwrap_or(function);
    Ok(Reference { name, module, function, import })
}

fn script(line: &str) -> Result<Script, Fault> {
    let Reference { name, module, function, import } = reference(line, "entry_points.txt")?;
    let text = format!(
        r#"#!{PYTHON}
# -*- coding: utf-8 -*-
import sys
from {module} import {import}
if __name__ == "__main__":
    if sys.argv[0].endswith("-script.pyw"):
        sys.argv[0] = sys.argv[0][:-11]
    elif sys.argv[0].endswith(".exe"):
        sys.argv[0] = sys.argv[0][:-4]
    sys.exit({function}())
"#
    );
    Ok(Script { name: name.to_owned(), text })
}

/// A script of `.data/scripts` for this interpreter, or `None` where it is to be installed as it is.
pub(crate) fn rewritten(bytes: &[u8]) -> Option<Vec<u8>> {
    if !bytes.starts_with(b"#!python") {
        return None;
    }
    let rest = bytes.iter().position(|&byte| byte == b'\n').map_or(&[][..], |at| &bytes[at + 1..]);
    Some([b"#!", PYTHON.as_bytes(), b"\n", rest].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_comments_extras_and_attributes_are_understood() {
        let text = "[other]\nx = not.a:script\n[console_scripts]\n# comment\nrun = pkg.sub:Class.main [extra]\n\
                    run-2=pkg:main\n[gui_scripts]\nrun = pkg:other\nwin = pkg:gui\n";
        let scripts = entry_points(text, (3, 11)).unwrap();
        assert_eq!(
            scripts.iter().map(|script| script.name.as_str()).collect::<Vec<_>>(),
            ["run", "run-2", "win"]
        );
        assert!(scripts[0].text.contains("from pkg.sub import Class\n"));
        assert!(scripts[0].text.contains("    sys.exit(Class.main())\n"));
    }

    #[test]
    fn names_and_references_cannot_carry_anything_else() {
        for line in ["../x = a:b", "a/b = a:b", "x = a", "x = a:b; import os", "x = a b:c", "= a:b", "x"] {
            assert!(entry_points(&format!("[console_scripts]\n{line}\n"), (3, 11)).is_err(), "{line}");
        }
    }

    #[test]
    fn pip_is_named_after_this_python() {
        let text =
            "[console_scripts]\npip = pip:main\npip3 = pip:main\npip3.9 = pip:main\npipx = other:main\n";
        let scripts = entry_points(text, (3, 11)).unwrap();
        assert_eq!(
            scripts.iter().map(|script| script.name.as_str()).collect::<Vec<_>>(),
            ["pipx", "pip", "pip3", "pip3.11"]
        );
    }

    #[test]
    fn only_pythons_own_mark_is_rewritten() {
        assert_eq!(rewritten(b"#!pythonw -u\nx\n").unwrap(), b"#!/opt/provenv/bin/python\nx\n");
        assert_eq!(rewritten(b"#!python").unwrap(), b"#!/opt/provenv/bin/python\n");
        assert_eq!(rewritten(b"#!/usr/bin/env python\n"), None);
    }
}
