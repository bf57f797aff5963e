"""The definition digest, made from docs/reference/digest.md alone, with nothing but Python's standard library.

Reads definitions from standard input, one JSON object a line, in the form that `Definition` has as JSON: its texts
are in normal form already. Writes for each its canonical bytes in hexadecimal, a space, and its digest.
"""

import hashlib
import json
import re
import struct
import sys

# Values: a str is a text, a list is a list, a dict is a record.


def number(n):
    return struct.pack(">Q", n)


def encode(value):
    if isinstance(value, str):
        data = value.encode()
        return b"T" + number(len(data)) + data
    if isinstance(value, list):
        return b"L" + number(len(value)) + b"".join(map(encode, value))
    fields = {name.encode(): field for name, field in value.items() if field}
    return b"R" + number(len(fields)) + b"".join(
        number(len(name)) + name + encode(fields[name]) for name in sorted(fields))


def set_of(items):
    # A record that is empty but for fields left out encodes as one without them, so bytes tell items apart.
    return [item for _, item in sorted({encode(item): item for item in items}.items())]


def first_of_each(texts):
    return list(dict.fromkeys(texts))


def flag(value):
    return "true" if value else ""


def index(url):
    return (url or "").rstrip("/")


def base(value):
    (kind, fields), = value.items()
    if kind == "debian":
        return {"kind": kind, "suite": fields.get("suite") or ""}
    if kind == "image":
        reference = fields["reference"]
        tagged = any(mark in reference.rsplit("/", 1)[-1] for mark in ":@")
        return {"kind": kind, "reference": reference if tagged else reference + ":latest"}
    if kind == "dockerfile":
        return {"kind": kind, "text": fields["text"]}
    location = fields["location"]
    content = location["folder"]["content"] if "folder" in location else ""
    return {"kind": kind, "dockerfile": fields["dockerfile"], "content": content, "url": location.get("url", "")}


SPECIFIER = re.compile(r"(===|==|!=|~=|<=|>=|<|>)(.*)")
VERSION = re.compile(r"((?:\d+!)?\d+)((?:\.\d+)*)(.*)", re.DOTALL)


def specifier(text):
    operator, version = SPECIFIER.fullmatch(text).groups()
    if operator in ("~=", "===") or version.endswith(".*"):
        return text
    first, release, rest = VERSION.fullmatch(version).groups()
    return operator + first + re.sub(r"(\.0+)+$", "", release) + rest


def requirement(entry):
    text, _, marker = entry["requirement"].partition(" ; ")
    name, extras, specifiers, url = "", "", "", ""
    named = re.fullmatch(r"([a-z0-9](?:[a-z0-9-]*[a-z0-9])?)(?:\[([^]]*)\])?(?: @ (\S+)|([<>=!~]\S*))?", text)
    if named:
        name, extras, url, specifiers = (group or "" for group in named.groups())
    else:
        url, extras = re.fullmatch(r"(.*?)(?:\[([^][/]*)\])?", text).groups()
    return {
        "editable": flag(entry.get("editable")),
        "extras": set_of(extra for extra in (extras or "").split(",") if extra),
        "hashes": set_of(entry.get("hashes", [])),
        "marker": marker,
        "name": name,
        "specifiers": set_of(specifier(bound) for bound in specifiers.split(",") if bound),
        "url": url,
    }


def pip(value):
    return {
        "constraints": set_of(map(requirement, value.get("constraints", []))),
        "extra_index_urls": first_of_each(map(index, value.get("extra_index_urls", []))),
        "find_links": first_of_each(value.get("find_links", [])),
        "index_url": index(value.get("index_url")),
        "no_binary": set_of(value.get("no_binary", [])),
        "no_index": flag(value.get("no_index")),
        "only_binary": set_of(value.get("only_binary", [])),
        "pre": flag(value.get("pre")),
        "require_hashes": flag(value.get("require_hashes")),
        "requirements": set_of(map(requirement, value.get("requirements", []))),
    }


# Conda specs: what is written in normal form becomes what counts.

CONDITION = re.compile(r"(==|!=|<=|>=|~=|<|>|=)?(.*)")
ONE = re.compile(r"(?:==|!=|<=|>=|~=|<|>|=)[^=,|()\[\]]+|=\*")
FIELD = re.compile(r"""([a-z0-9_]+)=(?:'([^']*)'|"([^"]*)")(?:,|$)""")


def conda_part(part, counted):
    """A part of a version: numbers and words; zeros at its end, and all of it at the end, may say nothing."""
    atoms = re.findall(r"\d+|\D+", part)
    if atoms and not atoms[0][0].isdigit():
        atoms.insert(0, "0")
    while not counted and len(atoms) > 1 and atoms[-1] == "0":
        atoms.pop()
    return "".join(atoms)


def conda_parts(text, counted):
    underscore = "_" if text.endswith("_") else ""
    parts = re.split(r"[._-]", text[:len(text) - len(underscore)])
    parts = [conda_part(part, counted) for part in parts]
    if underscore:
        parts[-1] += "_"
    while not counted and len(parts) > 1 and parts[-1] == "0":
        parts.pop()
    return ".".join(parts)


def conda_version(text, counted):
    epoch, _, rest = text.rpartition("!")
    version, plus, local = rest.partition("+")
    version = conda_parts(version, counted)
    local = conda_parts(local, counted) if plus else ""
    local = "" if local == "0" and not counted else local
    return (epoch + "!" if epoch else "") + version + ("+" + local if local else "")


def conditions(text):
    """Alternatives of conditions that hold together: the operands of `|`, each a set of the operands of `,`."""
    alternatives = split(text, "|")
    if len(alternatives) > 1:
        return "|".join(sorted(set(map(conditions, alternatives))))
    operands = split(text, ",")
    if len(operands) > 1:
        return ",".join(sorted({conditions(operand) for operand in operands}))
    if text.startswith("("):
        return "(" + conditions(text[1:-1]) + ")"
    operator, version = CONDITION.fullmatch(text).groups()
    if operator == "=":
        version, operator = version.removesuffix(".*") + ".*", None
    if version.endswith(".*"):
        return (operator or "") + conda_version(version[:-2], True) + ".*"
    return operator + conda_version(version, operator == "~=")


def split(text, separator):
    parts, depth = [""], 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if character == separator and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def conda_spec(text):
    head, _, brackets = text.partition("[")
    channel, colons, rest = head.rpartition("::")
    name = re.match(r"[^\s=<>!~]+", rest).group()
    rest = rest[len(name):].strip()
    fields = {key: one or other for key, one, other in FIELD.findall(brackets.removesuffix("]"))}
    if rest:
        version = ONE.match(rest)
        if version and rest[version.end():].startswith("="):
            fields = {"version": version.group(), "build": rest[version.end() + 1:]}
        else:
            fields = {"version": rest}
    version = "" if fields.get("version", "=*") == "=*" else conditions(fields["version"])
    build = fields.get("build", "")
    for key in ("license", "license_family"):
        if key in fields:
            fields[key] = fields[key].lower()
    further = [key for key in fields if key not in ("version", "build")]
    several = bool(re.search("[,|]", version))
    text = channel + colons + name
    if further or "(" in version or build and (several or not re.fullmatch(r"[A-Za-z0-9_.*+]+", build)):
        fields = {"version": version, "build": build} | {key: fields[key] for key in further}
        quote = {key: '"' if "'" in value else "'" for key, value in fields.items()}
        return text + "[" + ",".join(f"{k}={quote[k]}{v}{quote[k]}" for k, v in fields.items() if v) + "]"
    bare = version[:1].isalnum()
    if build:
        return text + ("=" if bare or not version else "") + (version or "*") + "=" + build
    if bare and not several:
        return text + "=" + version.removesuffix(".*")
    return text + (" " if bare else "") + version


def conda(value):
    return {
        "channels": first_of_each(map(index, value.get("channels", []))),
        "packages": set_of({"platforms": set_of(package.get("platforms", [])), "spec": conda_spec(package["spec"])}
                           for package in value.get("packages", [])),
        "virtual_packages": set_of(conda_spec(text.replace("=", "==", 1)) for text in value.get("virtual_packages", [])),
    }


def spark(value):
    packages = set_of(f"{p['group']}:{p['artifact']}:{p['version']}" for p in value.get("packages", []))
    return {
        "no_precache": flag(value.get("no_precache") and packages),
        "packages": packages,
        "repositories": first_of_each(map(index, value.get("repositories", []))),
    }


def r(value):
    return {
        "bioconductor": set_of(value.get("bioconductor", [])),
        "cran": set_of({"name": p["name"], "repository": index(p.get("repository")), "version": p.get("version") or ""}
                       for p in value.get("cran", [])),
        "github": set_of(value.get("github", [])),
        "rscript_path": value.get("rscript_path", ""),
        "snapshot_date": value.get("snapshot_date", ""),
        "urls": set_of(value.get("urls", [])),
        "user_managed": flag(value.get("user_managed")),
        "version": value.get("version", ""),
    }


def nonempty(fields):
    return {name: value for name, value in fields.items() if value}


def definition(value):
    installed = not value.get("user_managed")
    platforms = set_of(value.get("platforms", []))
    return {
        "base": nonempty(base(value["base"])),
        "conda": nonempty(conda(value.get("conda", {}))) if installed else {},
        "pip": nonempty(pip(value.get("pip", {}))) if installed else {},
        "platforms": [] if platforms == ["linux/amd64"] else platforms,
        "python": value.get("python", "") if installed else "",
        "r": nonempty(r(value.get("r", {}))),
        "spark": nonempty(spark(value.get("spark", {}))),
        "system_packages": set_of(value.get("system_packages", [])),
        "user_managed": flag(value.get("user_managed")),
    }


def canonical(value):
    return b"provenv definition\0" + number(2 if value.get("user_managed") else 1) + encode(definition(value))


if __name__ == "__main__":
    for line in sys.stdin:
        data = canonical(json.loads(line))
        print(data.hex(), "sha256:" + hashlib.sha256(data).hexdigest())
