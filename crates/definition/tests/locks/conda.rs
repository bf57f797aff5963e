//! Locks of pixi and conda-lock.

use provenv_definition::{Format, Platform};

use super::{locked, pins, sample};

#[test]
fn conda_locks_are_read() {
    for (name, format, platforms, specs, pypi, codes) in [
        (
            "conda-lock/conda-lock.yml",
            Format::CondaLock,
            1,
            2,
            vec!["six==1.16.0 #1"],
            vec!["PV033", "PV033"],
        ),
        (
            "pixi/pixi-v4.lock",
            Format::PixiLock,
            1,
            2,
            vec!["six==1.16.0 #1", "minimal-project @ file:///here/pixi/minimal_project #0 -e"],
            vec!["PV034"],
        ),
        (
            "pixi/pixi-v6.lock",
            Format::PixiLock,
            2,
            2,
            vec![
                "six==1.17.0 #1",
                "torch==2.5.1+cpu ; platform_machine == 'x86_64' #1",
                "tool @ git+https://github.com/example/tool.git@0106aced5faa299e6ede89d1230bd6784f2c3660 \
                 ; platform_machine == 'x86_64' #0",
                "mine @ file:///here/pixi ; platform_machine == 'x86_64' #0 -e",
                "click @ https://example.com/click-8.1.7-py3-none-any.whl \
                 ; platform_machine == 'aarch64' #1",
            ],
            vec!["PV033", "PV033"],
        ),
        (
            "pixi/pixi-v7.lock",
            Format::PixiLock,
            1,
            1,
            vec!["requests==2.31.0 #1", "local-pkg @ file:///here/pixi/local-pkg #0"],
            vec![],
        ),
    ] {
        let found = sample(name);
        assert_eq!(found.format, format, "{name}");
        let definition = &found.environment.definition;
        assert_eq!(definition.platforms.len(), platforms, "{name}");
        assert_eq!(definition.conda.packages.len(), specs, "{name}");
        assert_eq!(definition.conda.channels.len(), 1, "{name}");
        assert_eq!(pins(&found), pypi, "{name}");
        assert_eq!(found.warnings.iter().map(|warning| warning.code).collect::<Vec<_>>(), codes, "{name}");
    }
    let found = sample("pixi/pixi-v6.lock");
    let locked = locked(&found);
    let mutex = &locked.conda[&Platform::LinuxAmd64][0];
    assert_eq!((&*mutex.name, &*mutex.version, &*mutex.build), ("_openmp_mutex", "4.5", "20_gnu"));
    assert_eq!(mutex.size, Some(28948));
    assert_eq!(mutex.md5.as_deref(), Some("a9f577daf3de00bca7c3c76c0ecbd1de"));
    assert_eq!(mutex.depends.as_ref().unwrap().len(), 2);
    assert_eq!(mutex.constrains, ["openmp_impl <0.0a0"]);
    assert_eq!(locked.conda[&Platform::LinuxArm64].len(), 1);
    let spec = &found.environment.definition.conda.packages[0];
    assert_eq!(spec.platforms, [Platform::LinuxAmd64]);
    assert!(spec.spec.contains("sha256='1dd3fffd"), "{}", spec.spec);
    let torch = locked.pypi.iter().find(|package| package.name == "torch").unwrap();
    assert_eq!(torch.wheels[0].name, "torch-2.5.1+cpu-cp311-cp311-linux_x86_64.whl");
    assert_eq!(torch.index.as_ref().unwrap().to_string(), "https://download.pytorch.org/whl/cpu");
    let pip = &found.environment.definition.pip;
    assert_eq!((pip.index_url.is_none(), pip.extra_index_urls.len()), (true, 1));
    let pip = &sample("pixi/pixi-v7.lock").environment.definition.pip;
    assert_eq!(pip.index_url.as_ref().unwrap().to_string(), "https://my-custom-index.example.com/simple");
}
