//! What is for one kind of processor alone has another way beside it: read from the source text, as no other processor is at
//! hand.
//!
//! Only `x86_64` has code of its own. A file with some has a branch for all others, and each function that uses an intrinsic is
//! left out elsewhere. That the other branch gives the same is tested beside it, on this processor.

use std::path::{Path, PathBuf};

const SOURCES: [&str; 4] = ["src", "proto/src", "benches", "examples"];

/// Words that only compile for x86.
const INTRINSICS: [&str; 4] = ["std::arch::", "core::arch::", "is_x86_feature_detected!", "asm!("];

const CFG: &str = "cfg(target_arch = \"x86_64\")";
const OTHERS: &str = "cfg(not(target_arch = \"x86_64\"))";

/// What is wrong with one file, one sentence each.
fn faults(path: &str, source: &str) -> Vec<String> {
    let lines: Vec<&str> = source.lines().map(str::trim).filter(|line| !line.starts_with("//")).collect();
    let mut faults = Vec::new();
    if lines.iter().any(|line| line.contains(CFG)) && !lines.iter().any(|line| line.contains(OTHERS)) {
        faults.push(format!("{path}: nothing is there for other processors"));
    }
    let other_arch = |line: &&&str| line.contains("target_arch") && !line.contains(CFG) && !line.contains(OTHERS);
    faults.extend(lines.iter().filter(other_arch).map(|line| format!("{path}: {line}: only x86_64 has code of its own")));
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| INTRINSICS.iter().any(|word| line.contains(word))) {
        let is_function = |line: &&str| line.starts_with("fn ") || line.contains(" fn ");
        let function = lines[..=at].iter().rposition(is_function).unwrap_or(at);
        let mut attributes = lines[..function].iter().rev().take_while(|line| line.starts_with("#["));
        if !attributes.any(|line| line.contains(CFG)) {
            faults.push(format!("{path}: {line}: stands in nothing that is left out elsewhere"));
        }
    }
    faults
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn what_is_for_one_processor_has_another_way_for_all_others() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    SOURCES.iter().for_each(|folder| rust_files(&root.join(folder), &mut files));
    let texts: Vec<(&PathBuf, String)> = files.iter().map(|path| (path, std::fs::read_to_string(path).unwrap())).collect();
    assert!(texts.iter().any(|(_, text)| text.contains(CFG)), "what is looked for is found");
    let faults: Vec<String> = texts.iter().flat_map(|(path, text)| faults(&path.display().to_string(), text)).collect();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn planted_faults_are_caught_and_what_is_right_is_not() {
    let both = format!("#[{CFG}]\nfn a() {{\n    use std::arch::x86_64::b;\n}}\n#[{OTHERS}]\nfn a() {{}}\n");
    assert_eq!(faults("a.rs", &both), Vec::<String>::new());
    assert_eq!(faults("a.rs", "// std::arch::x86_64\nfn a() {}\n"), Vec::<String>::new());
    for planted in [
        format!("#[{CFG}]\nfn a() {{\n    use std::arch::x86_64::b;\n}}\n"),
        "fn a() {\n    if is_x86_feature_detected!(\"avx2\") {}\n}\n".into(),
        "use core::arch::x86_64::b;\n".into(),
        both.replace(&format!("#[{CFG}]\n"), "#[inline]\n"),
        "#[cfg(target_arch = \"aarch64\")]\nfn a() {}\n".into(),
    ] {
        assert!(!faults("a.rs", &planted).is_empty(), "not caught: {planted}");
    }
}
