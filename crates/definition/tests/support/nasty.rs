//! Texts of a megabyte that have cost parsers their time, memory or stack.

#![allow(clippy::format_collect, reason = "short in tests")]

/// The length of a text: a megabyte, or so much less as code without optimisation is slower.
pub const MEBIBYTE: usize = if cfg!(debug_assertions) { 1 << 18 } else { 1 << 20 };

fn fill(piece: &str) -> String {
    piece.repeat(MEBIBYTE / piece.len())
}

/// Each `line(i)` once, until it is a megabyte.
fn lines(line: impl Fn(usize) -> String) -> String {
    let mut text = String::new();
    for i in 0.. {
        text += &line(i);
        if text.len() >= MEBIBYTE {
            break;
        }
    }
    text
}

fn deep(open: &str, close: &str) -> String {
    let depth = MEBIBYTE / (open.len() + close.len()).max(1);
    open.repeat(depth) + &close.repeat(depth)
}

/// Names that a file is recognised by, one for each format.
pub const FILES: &[&str] = &[
    "requirements.txt",
    "environment.yaml",
    "conda.yml",
    "explicit.txt",
    "list.txt",
    "pyproject.toml",
    "pylock.toml",
    "uv.lock",
    "poetry.lock",
    "pixi.toml",
    "pixi.lock",
    "conda-lock.yml",
    "azureml_environment.json",
    "deployment.yaml",
    "python_env.yaml",
    "Dockerfile",
];

/// Whatever format a text is taken for.
pub fn for_any_format() -> Vec<(&'static str, String)> {
    vec![
        ("nothing", String::new()),
        ("spaces", fill(" ")),
        ("line breaks", fill("\n")),
        ("carriage returns", fill("\r")),
        ("tabs", fill("\t")),
        ("one word", fill("a")),
        ("one word of others", fill("é")),
        ("digits", fill("9")),
        ("quotes", fill("\"")),
        ("single quotes", fill("'")),
        ("backslashes", fill("\\")),
        ("continued lines", fill("a\\\n")),
        ("comments", fill("# x\n")),
        ("a comment", format!("# {}", fill("x "))),
        ("brackets", fill("[")),
        ("closing brackets", fill("]")),
        ("nested brackets", deep("[", "]")),
        ("braces", fill("{")),
        ("nested braces", deep("{a: ", "}")),
        ("nested quoted braces", deep("{\"a\":", "}")),
        ("parentheses", fill("(")),
        ("dashes", fill("- ")),
        ("colons", fill("a: ")),
        ("question marks", fill("? ")),
        ("anchors", fill("&a ")),
        ("aliases", fill("*a ")),
        ("tags", fill("!!str ")),
        ("templates", fill("{{ x }}\n")),
        ("variables", fill("${A}")),
        ("URLs", fill("https://a:b@c/ ")),
        ("URLs on lines", fill("https://a:b@c/d\n")),
        ("at signs", fill("a@")),
        ("equals", fill("=")),
        ("commas", fill(",")),
        ("semicolons", fill(";")),
        ("documents", fill("---\n")),
        ("percents", fill("%41")),
        ("different keys", lines(|i| format!("key-{i}: x\n"))),
        ("different TOML keys", lines(|i| format!("key-{i} = 1\n"))),
        ("one TOML key", fill("k = 1\n")),
        ("TOML tables", lines(|i| format!("[table-{i}]\n"))),
        ("one TOML table", fill("[[package]]\n")),
        ("dotted TOML key", format!("{}a = 1", fill("a."))),
        ("dotted TOML table", format!("[{}a]", fill("a."))),
        ("one key", fill("k: x\n")),
        ("a long number", format!("version: {}", fill("1"))),
        ("a long TOML number", format!("version = {}", fill("1"))),
    ]
}

/// YAML whose tree is larger than its text, or expensive to build.
pub fn yaml() -> Vec<(&'static str, String)> {
    let laughs = (0..12).map(|i| match i {
        0 => "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned(),
        i => format!("a{i}: &a{i} [{}]\n", vec![format!("*a{}", i - 1); 10].join(",")),
    });
    let items = "x,".repeat(150_000);
    vec![
        ("a billion laughs", laughs.collect()),
        ("nested anchors over a long list", {
            let anchors: String = (0..60).map(|i| format!("&a{i} [")).collect();
            format!("a: {anchors}{items}{}", "]".repeat(60))
        }),
        ("anchors on everything", format!("a: [{}]", lines(|i| format!("&a{i} x,")))),
        ("aliases of one list", format!("a: &a [{}]\nb: [{}]", "x,".repeat(1000), fill("*a,"))),
        (
            "aliases of one text",
            format!("a: &a {}\nb: [{}]", &fill("x")[..MEBIBYTE / 2], &fill("*a,")[..MEBIBYTE / 2]),
        ),
        ("one anchor again and again", fill("- &a [*a]\n")),
        ("a block", format!("name: |\n{}", fill("  x\n"))),
        ("a folded text", format!("name: >\n{}", fill("  x\n\n"))),
        ("a text with escapes", format!("name: \"{}\"", fill("\\n"))),
        ("a long plain text", format!("name: a{}", fill("\n  b"))),
        ("deeper with every line", (0..1400).map(|i| format!("{}a:\n", " ".repeat(i))).collect()),
        ("deeper with every item", (0..1400).map(|i| format!("{}-\n", " ".repeat(i))).collect()),
        ("inline items", fill("- - - - - - - - a\n")),
        ("merge keys", fill("<<: {a: b}\n")),
    ]
}

/// Texts of the format of `file`, with its own words again and again.
pub fn of_format(file: &str) -> Vec<(&'static str, String)> {
    match file {
        "requirements.txt" => requirements(),
        "environment.yaml" => native(),
        "conda.yml" => conda(),
        "explicit.txt" => vec![
            ("packages", format!("@EXPLICIT\n{}", lines(|i| format!("https://h.test/c/linux-64/p{i}-1-0.conda#{}\n", "a".repeat(32))))),
            ("one package", format!("@EXPLICIT\n{}", fill("https://h.test/c/linux-64/p-1-0.conda\n"))),
            ("bad lines", format!("@EXPLICIT\n{}", fill("x\n"))),
            ("markers of the format", fill("@EXPLICIT\n")),
        ],
        "list.txt" => vec![
            ("packages", format!("# This file may be used to create an environment using:\n{}", lines(|i| format!("p{i}=1.0=py_0\n")))),
            ("one package", format!("# This file may be used to create an environment using:\n{}", fill("p=1=0\n"))),
        ],
        "pyproject.toml" => vec![
            ("dependencies", format!("[project]\nname='a'\nversion='1'\ndependencies=[{}]", lines(|i| format!("'p{i}>={i}',\n")))),
            ("bad dependencies", format!("[project]\nname='a'\nversion='1'\ndependencies=[{}]", fill("'=',"))),
            ("groups", format!("[project]\nname='a'\nversion='1'\n[dependency-groups]\n{}", lines(|i| format!("g{i}=['a']\n")))),
            ("groups in a chain", format!("[project]\nname='a'\nversion='1'\n[dependency-groups]\n{}", lines(|i| format!("g{i}=[{{include-group='g{}'}}]\n", i + 1)))),
            ("groups of groups", format!("[project]\nname='a'\nversion='1'\n[dependency-groups]\n{}", (0..400).map(|i| format!("g{i}=[{}]\n", (i + 1..400).map(|j| format!("{{include-group='g{j}'}},")).collect::<String>())).collect::<String>())),
            ("extras", format!("[project]\nname='a'\nversion='1'\n[project.optional-dependencies]\n{}", lines(|i| format!("e{i}=['a']\n")))),
            ("extras in a chain", format!("[project]\nname='a'\nversion='1'\n[project.optional-dependencies]\n{}", lines(|i| format!("e{i}=['a[e{}]']\n", i + 1)))),
        ],
        "pylock.toml" => vec![
            ("packages", format!("lock-version='1.0'\ncreated-by='x'\n{}", lines(|i| format!("[[packages]]\nname='p{i}'\nversion='1'\n[[packages.wheels]]\nurl='https://h.test/p{i}-1-py3-none-any.whl'\nhashes={{sha256='{}'}}\n", "a".repeat(64))))),
            ("wheels", format!("lock-version='1.0'\ncreated-by='x'\n[[packages]]\nname='p'\nversion='1'\nwheels=[{}]", lines(|i| format!("{{url='https://h.test/p-{i}-py3-none-any.whl',hashes={{sha256='{}'}}}},\n", "a".repeat(64))))),
            ("bad packages", format!("lock-version='1.0'\ncreated-by='x'\n{}", fill("[[packages]]\n"))),
        ],
        "uv.lock" => vec![
            ("packages", format!("version = 1\nrequires-python = '>=3.9'\n{}", lines(|i| format!("[[package]]\nname='p{i}'\nversion='1'\nsource={{registry='https://pypi.org/simple'}}\ndependencies=[{{name='p{}'}}]\n", i + 1)))),
            ("everything needs everything", format!("version = 1\nrequires-python = '>=3.9'\n{}", (0..250).map(|i| format!("[[package]]\nname='p{i}'\nversion='1'\nsource={{virtual='.'}}\ndependencies=[{}]\n", (0..250).map(|j| format!("{{name='p{j}'}},")).collect::<String>())).collect::<String>())),
            ("bad packages", format!("version = 1\nrequires-python = '>=3.9'\n{}", fill("[[package]]\n"))),
        ],
        "poetry.lock" => vec![
            ("packages", format!("{}[metadata]\nlock-version='2.1'\npython-versions='*'\ncontent-hash='a'\n", lines(|i| format!("[[package]]\nname='p{i}'\nversion='1'\noptional=false\npython-versions='*'\nfiles=[]\n[package.dependencies]\np{}='*'\n", i + 1)))),
            ("bad packages", format!("{}[metadata]\nlock-version='2.1'\ncontent-hash='a'\n", fill("[[package]]\n"))),
        ],
        "pixi.toml" => vec![
            ("dependencies", format!("[workspace]\nchannels=['c']\nplatforms=['linux-64']\n[dependencies]\n{}", lines(|i| format!("p{i}='*'\n")))),
            ("features", format!("[workspace]\nchannels=['c']\nplatforms=['linux-64']\n{}", lines(|i| format!("[feature.f{i}.dependencies]\np='*'\n")))),
            ("environments", format!("[workspace]\nchannels=['c']\nplatforms=['linux-64']\n[environments]\n{}", lines(|i| format!("e{i}=['f']\n")))),
        ],
        "pixi.lock" => vec![
            ("packages", format!("version: 6\nenvironments:\n  default:\n    channels:\n    - url: https://h.test/c/\n    packages:\n      linux-64:\n{}packages:\n{}", lines(|i| format!("      - conda: https://h.test/c/linux-64/p{i}-1-0.conda\n")), lines(|i| format!("- conda: https://h.test/c/linux-64/p{i}-1-0.conda\n  sha256: {}\n", "a".repeat(64))))),
            ("bad packages", format!("version: 6\nenvironments: {{}}\npackages:\n{}", fill("- a\n"))),
        ],
        "conda-lock.yml" => vec![
            ("packages", format!("version: 1\nmetadata: {{platforms: [linux-64], channels: []}}\npackage:\n{}", lines(|i| format!("- {{name: p{i}, version: '1', manager: conda, platform: linux-64, url: 'https://h.test/c/linux-64/p{i}-1-0.conda', hash: {{md5: {}}}}}\n", "a".repeat(32))))),
            ("bad packages", format!("version: 1\nmetadata: {{}}\npackage:\n{}", fill("- a\n"))),
        ],
        "azureml_environment.json" => vec![
            ("variables", format!("{{\"name\":\"a\",\"environmentVariables\":{{{}\"z\":\"\"}}}}", lines(|i| format!("\"v{i}\":\"\",")))),
            ("packages", format!("{{\"name\":\"a\",\"python\":{{\"condaDependencies\":{{\"dependencies\":[{}\"z\"]}}}}}}", lines(|i| format!("\"p{i}\",")))),
            ("unknown keys", format!("{{\"name\":\"a\",\"python\":{{{}\"z\":1}}}}", lines(|i| format!("\"k{i}\":1,")))),
            ("Spark packages", format!("{{\"name\":\"a\",\"python\":{{}},\"spark\":{{\"packages\":[{}]}}}}", fill("{},").trim_end_matches(','))),
        ],
        "deployment.yaml" => vec![
            ("jobs", format!("jobs:\n{}", lines(|i| format!("  j{i}: {{environment: {{image: a}}}}\n")))),
            ("packages", format!("environment:\n  image: a\n  conda_file:\n    dependencies:\n{}", lines(|i| format!("    - p{i}\n")))),
        ],
        "python_env.yaml" => vec![
            ("dependencies", format!("python: '3.11'\ndependencies:\n{}", lines(|i| format!("- p{i}\n")))),
        ],
        "Dockerfile" => vec![
            ("stages", lines(|i| format!("FROM a AS s{i}\n"))),
            ("stages on stages", lines(|i| format!("FROM s{i} AS s{}\n", i + 1))),
            ("copies", format!("FROM a\n{}", fill("COPY a b\n"))),
            ("copies from stages", format!("FROM a AS a\n{}", fill("COPY --from=a a b\n"))),
            ("runs", format!("FROM a\n{}", fill("RUN pip install a b c\n"))),
            ("one run", format!("FROM a\nRUN {}", fill("a && \\\n"))),
            ("arguments", format!("{}FROM a", lines(|i| format!("ARG A{i}=$A{}\n", i.saturating_sub(1))))),
            ("arguments that double", format!("{}FROM $A39", (0..40).map(|i| format!("ARG A{}=$A{i}$A{i}\n", i + 1)).collect::<String>())),
            ("here documents", format!("FROM a\n{}", fill("RUN <<E\n"))),
            ("flags", format!("FROM a\nRUN {} a", fill("--mount=type=bind "))),
        ],
        _ => Vec::new(),
    }
}

fn requirements() -> Vec<(&'static str, String)> {
    vec![
        ("packages", lines(|i| format!("package-{i}==1.{i}.0\n"))),
        ("one package", fill("package-name==1.0.0\n")),
        ("one package in versions", lines(|i| format!("a=={i}\n"))),
        ("bounds", format!("a{}", fill("==1.0,"))),
        ("bounds on lines", fill("a>=1,<2,!=1.5\n")),
        ("a marker", format!("a ; {} os_name == 'a'", fill("os_name == 'a' and "))),
        ("markers", lines(|i| format!("a ; os_name == '{i}' or os_name == 'x'\n"))),
        ("markers in parentheses", format!("a ; {}", fill("("))),
        ("extras", format!("a[{}b]", fill("b,"))),
        ("options", fill("--pre ")),
        ("options on lines", fill("--pre\n")),
        ("binaries", lines(|i| format!("--no-binary p{i}\n"))),
        ("indexes", lines(|i| format!("--extra-index-url https://h{i}.test/s\n"))),
        ("hashes", format!("a==1 {}", lines(|i| format!("--hash=sha256:{i:064x} ")))),
        ("bad hashes", format!("a {}", fill("--hash=sha256:12 "))),
        ("hashes on continued lines", format!("a==1{}", lines(|i| format!(" \\\n  --hash=sha256:{i:064x}")))),
        ("includes", fill("-r nowhere.txt\n")),
        ("different includes", lines(|i| format!("-r nowhere-{i}.txt\n"))),
        ("paths", lines(|i| format!("./nowhere-{i}\n"))),
        ("mistakes", fill("=\n")),
        ("mistakes on one line", format!("a{}", fill(" --x"))),
        ("secrets", fill("https://a:secret@h.test/a.zip\n")),
    ]
}

fn native() -> Vec<(&'static str, String)> {
    vec![
        ("packages", format!("pip:\n{}", lines(|i| format!("- p{i}\n")))),
        ("one package", format!("pip:\n{}", fill("- a\n"))),
        ("bad packages", format!("pip:\n{}", fill("- '='\n"))),
        ("a package twice", format!("pip:\n{}", lines(|i| format!("- a=={i}\n")))),
        ("packages on one line", format!("pip: [{}]", lines(|i| format!("p{i},")))),
        ("bad packages on one line", format!("pip: [{}]", fill("'=',"))),
        ("system packages", format!("system_packages:\n{}", lines(|i| format!("- p{i}\n")))),
        ("system packages twice", format!("system_packages:\n{}", fill("- git\n"))),
        ("variables", format!("environment_variables:\n{}", lines(|i| format!("  V{i}: a\n")))),
        (
            "secret variables",
            format!("environment_variables:\n{}", lines(|i| format!("  PASSWORD{i}: hunter2hunter2\n"))),
        ),
        ("tags", format!("tags:\n{}", lines(|i| format!("  t{i}: a\n")))),
        ("tags on one line", format!("tags: {{{}}}", lines(|i| format!("t{i}: a,")))),
        ("unknown keys", lines(|i| format!("nonsense{i}: a\n"))),
        ("a key again and again", format!("tags:\n{}", fill("  a: b\n"))),
        ("platforms", format!("platforms: [{}]", fill("linux/amd64,"))),
    ]
}

fn conda() -> Vec<(&'static str, String)> {
    let start = "channels: [conda-forge]\ndependencies:\n";
    vec![
        ("packages", format!("{start}{}", lines(|i| format!("- p{i}=1.{i}\n")))),
        ("one package", format!("{start}{}", fill("- a\n"))),
        ("bad packages", format!("{start}{}", fill("- '=='\n"))),
        ("bad packages on one line", format!("channels: []\ndependencies: [{}]", fill("'==',"))),
        ("a package in versions", format!("{start}{}", lines(|i| format!("- a={i}\n")))),
        ("channels", format!("channels:\n{}dependencies: []", lines(|i| format!("- c{i}\n")))),
        (
            "a channel of tokens",
            format!("channels: [\"https://h.test{}\"]\ndependencies: []", fill("/t/${A}")),
        ),
        ("channels of packages", format!("{start}{}", lines(|i| format!("- c{i}::a\n")))),
        ("a long spec", format!("{start}- \"a {}\"", fill(">=1,"))),
        ("alternatives", format!("{start}- \"a {}1\"", fill("1|"))),
        ("nested alternatives", format!("{start}- \"a {}\"", deep("(1|", "2)"))),
        ("brackets in a spec", format!("{start}- \"a[{}]\"", fill("version='1',"))),
        ("a long version", format!("{start}- a={}", fill("1."))),
        ("a long glob", format!("{start}- a={}", fill("*."))),
        ("a long build", format!("{start}- a=1={}", fill("*a"))),
        ("selectors", format!("{start}{}", fill("- sel(linux): a\n"))),
        ("comment selectors", format!("{start}{}", fill("- a # [linux]\n"))),
        ("pip packages", format!("{start}- pip:\n{}", lines(|i| format!("  - p{i}==1\n")))),
        ("pip sections", format!("{start}{}", fill("- pip: [a]\n"))),
        ("variables", format!("{start}- a\nvariables:\n{}", lines(|i| format!("  V{i}: a\n")))),
    ]
}

/// Every text for `file`.
pub fn texts(file: &str) -> Vec<(&'static str, String)> {
    let mut texts = for_any_format();
    if !file.contains(".toml") && !file.contains("Dockerfile") {
        texts.extend(yaml());
    }
    texts.extend(of_format(file));
    texts
}
