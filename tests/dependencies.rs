//! `eyeline-proto` builds without any C library: read from what cargo says of its dependencies and theirs, without a network.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Packages that bind what is not Rust and are wanted all the same.
const ALLOWED: [(&str, &str); 1] =
    [("ring", "its C and assembly are its own and come with it: a C compiler is needed, no library")];

/// What cargo says of this workspace, for this machine.
fn metadata() -> Value {
    let cargo = |args: &[&str]| {
        let output = Command::new(env!("CARGO")).args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
        assert!(output.status.success(), "cargo {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let version = cargo(&["-vV"]);
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("cargo says for what it builds");
    let args = ["metadata", "--offline", "--locked", "--format-version", "1", "--filter-platform", host];
    serde_json::from_str(&cargo(&args)).expect("JSON")
}

/// The ids of all that this package is built with, its own among them; what is for its tests aside.
fn built_with<'a>(metadata: &'a Value, root: &'a str) -> BTreeSet<&'a str> {
    let nodes: BTreeMap<&str, &Vec<Value>> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| (node["id"].as_str().unwrap(), node["deps"].as_array().unwrap()))
        .collect();
    let (mut found, mut open) = (BTreeSet::new(), vec![root]);
    while let Some(id) = open.pop() {
        if found.insert(id) {
            let is_built = |kind: &Value| kind["kind"] != "dev";
            let built = nodes[id].iter().filter(|dep| dep["dep_kinds"].as_array().unwrap().iter().any(is_built));
            open.extend(built.map(|dep| dep["pkg"].as_str().unwrap()));
        }
    }
    found
}

/// The names of those packages that `package` is built with and that bind what is not Rust.
fn foreign<'a>(metadata: &'a Value, package: &str) -> BTreeSet<&'a str> {
    let packages = metadata["packages"].as_array().unwrap();
    let id = |package: &'a Value| package["id"].as_str().unwrap();
    let root = packages.iter().find(|it| it["name"] == package).map(id).expect("it is of this workspace");
    let all = built_with(metadata, root);
    let binds = |it: &Value| !it["links"].is_null() || it["name"].as_str().unwrap().ends_with("-sys");
    packages.iter().filter(|it| all.contains(id(it)) && binds(it)).map(|it| it["name"].as_str().unwrap()).collect()
}

#[test]
fn what_is_decided_is_built_without_any_c_library_and_the_programs_are_not() {
    let metadata = metadata();
    let allowed: BTreeSet<&str> = ALLOWED.iter().map(|(name, _)| *name).collect();
    assert_eq!(foreign(&metadata, "eyeline-proto"), allowed, "name it with its reason, or do without");
    let programs = foreign(&metadata, "eyeline");
    assert!(
        ["alsa-sys", "turbojpeg-sys"].iter().all(|name| programs.contains(name)),
        "what is looked for is found: {programs:?}"
    );
}
