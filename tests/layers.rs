//! Imports point down the layers, and the core asks nothing of the world. Both are read from the source text itself.
//!
//! A small lexer (comments, strings and lifetimes aside) finds every path that starts at `crate`, `eyeline`, `eyeline_proto`, `self` or
//! `super`, resolves it to the module of the crate it names, and compares layers. Macros are read like any other text. Of what stands
//! in one folder it also sees whether it imports in a circle: a file and the folder of its name count as one, and tests do not count.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The crates' sources: the programs', and what is decided without devices. Their modules share one order.
const SOURCES: [&str; 2] = ["src", "proto/src"];

/// What else is read for circles: the simulator, and the bench that reads screens.
const TOOLS: [&str; 2] = ["proto/tests/sim", "benches/glass/src"];

/// From the top down. A module may import what stands in a later line: not its own line, not an earlier one.
const LAYERS: [&[&str]; 11] = [
    &["bin"],
    &["app"],
    &["pipeline"],
    &["capture", "codec", "present", "net", "relay", "web"],
    &["fit", "voice_processing"],
    &["sound_card"],
    &["session"],
    &["media"],
    &["wire", "crypto"],
    &["picture", "rate", "sound", "slot", "time", "seq"],
    &["threads"],
];

/// Told what happens and when, and asked what to do: nothing in here waits, opens or starts anything, or shares what changes (`Arc` is of
/// bytes that many read).
const SANS_IO: [&str; 4] = ["session", "media", "wire", "crypto"];

/// Names that would break that promise (tests inside a file may use them).
const WORLD: [&str; 11] =
    ["Condvar", "Mutex", "RwLock", "SystemTime", "TcpListener", "TcpStream", "UdpSocket", "fs", "mpsc", "process", "thread"];

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|names| names.contains(&module))
}

/// Words, `::`, and single marks; comments, strings, characters and lifetimes are left out.
fn tokens(source: &str) -> Vec<String> {
    let (mut tokens, mut rest) = (Vec::new(), source);
    while let Some(c) = rest.chars().next() {
        let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        let after_word = &rest[word..];
        let skip = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if matches!(&rest[..word], "r" | "br" | "cr") && after_word.trim_start_matches('#').starts_with('"') {
            let hashes = after_word.len() - after_word.trim_start_matches('#').len();
            let open = word + hashes + 1;
            rest[open..].find(&format!("\"{}", "#".repeat(hashes))).map_or(rest.len(), |at| open + at + 1 + hashes)
        } else if c == '"' {
            quoted(rest, '"')
        } else if c == '\'' {
            let mut chars = rest.chars().skip(1);
            let (first, second) = (chars.next(), chars.next());
            if first == Some('\\') || second == Some('\'') { quoted(rest, '\'') } else { 1 }
        } else if word > 0 {
            tokens.push(rest[..word].to_string());
            word
        } else if rest.starts_with("::") {
            tokens.push("::".into());
            2
        } else {
            if !c.is_whitespace() {
                tokens.push(c.to_string());
            }
            c.len_utf8()
        };
        rest = &rest[skip..];
    }
    tokens
}

fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < text.len() {
        if text[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if text[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The module a file is: `media/clock.rs` is `media::clock`.
fn module_of(path: &str) -> Vec<&str> {
    let stem = path.strip_suffix(".rs").unwrap_or(path);
    let mut module: Vec<&str> = stem.split('/').collect();
    if module.last() == Some(&"mod") || stem == "lib" {
        module.pop();
    }
    module
}

/// What is wrong with one file, one sentence each. `path` starts below `src`: `media/clock.rs`.
fn faults(path: &str, source: &str) -> Vec<String> {
    let module = module_of(path);
    let Some(&own) = module.first() else { return Vec::new() };
    let Some(own_layer) = layer(own) else { return vec![format!("{path}: `{own}` stands in no layer of tests/layers.rs")] };
    let tokens: Vec<String> = tokens(source);
    let token = |at: usize| tokens.get(at).map_or("", String::as_str);
    let mut faults = Vec::new();
    let mut braces: Vec<(bool, bool)> = Vec::new();
    for at in 0..tokens.len() {
        match token(at) {
            "{" => braces.push(opens_module(&tokens, at)),
            "}" => {
                braces.pop();
            }
            word if token(at + 1) == "::" && (at == 0 || token(at - 1) != "::") => {
                let start = match word {
                    "crate" if own != "bin" => Some(at + 2),
                    "eyeline" | "eyeline_proto" => Some(at + 2),
                    "super" | "self" => {
                        let inline = braces.iter().filter(|(inline, _)| *inline).count();
                        root(&tokens, at, if own == "bin" { usize::MAX } else { module.len() + inline })
                    }
                    _ => None,
                };
                for name in start.map_or(Vec::new(), |start| first_names(&tokens, start)) {
                    faults.extend(fault(path, own, own_layer, &name));
                }
            }
            _ => {}
        }
        let in_test = braces.iter().any(|(_, test)| *test);
        if SANS_IO.contains(&own) && !in_test && WORLD.contains(&token(at)) && in_a_path(&tokens, at) {
            faults.push(format!("{path}: the core must not use `{}`", token(at)));
        }
    }
    faults
}

/// Whether a brace opens an inline module, and whether that is a test.
fn opens_module(tokens: &[String], at: usize) -> (bool, bool) {
    let token = |at: usize| tokens.get(at).map_or("", String::as_str);
    let inline = at >= 2 && token(at - 2) == "mod";
    let attribute: Vec<&str> = (at.saturating_sub(9)..at.saturating_sub(2)).map(token).collect();
    (inline, inline && attribute.join("").ends_with("#[cfg(test)]"))
}

/// Where the path goes on after enough `super`s to reach the crate's root; `None` when it stays below.
fn root(tokens: &[String], mut at: usize, mut depth: usize) -> Option<usize> {
    while let [word, colons, ..] = &tokens[at..] {
        if colons != "::" || !matches!(word.as_str(), "super" | "self") {
            break;
        }
        depth = depth.saturating_sub(usize::from(word == "super"));
        at += 2;
    }
    (depth == 0).then_some(at)
}

/// A type or module named as such, not a variable that happens to share its name.
fn in_a_path(tokens: &[String], at: usize) -> bool {
    let near = |at: Option<usize>| at.and_then(|at| tokens.get(at)).map_or("", String::as_str);
    let capital = tokens[at].starts_with(char::is_uppercase);
    capital || near(Some(at + 1)) == "::" || near(at.checked_sub(1)) == "::"
}

/// The names right below the root: one, or those of a `{group}`.
fn first_names(tokens: &[String], start: usize) -> Vec<String> {
    if tokens.get(start).is_none_or(|token| token != "{") {
        return tokens.get(start).cloned().into_iter().collect();
    }
    let (mut names, mut depth, mut wanted) = (Vec::new(), 0, false);
    for token in &tokens[start..] {
        match token.as_str() {
            "{" => (depth, wanted) = (depth + 1, depth == 0),
            "}" if depth == 1 => break,
            "}" => depth -= 1,
            "," => wanted = depth == 1,
            name if wanted => {
                names.push(name.to_string());
                wanted = false;
            }
            _ => {}
        }
    }
    names
}

fn fault(path: &str, own: &str, own_layer: usize, name: &str) -> Option<String> {
    let Some(other) = layer(name) else {
        return Some(format!("{path}: `{name}` at the crate's root stands in no layer of tests/layers.rs"));
    };
    if own == "bin" && name != "app" {
        return Some(format!("{path}: a program imports `app` alone, not `{name}`"));
    }
    (name != own && other <= own_layer).then(|| {
        let direction = if other == own_layer { "its sibling" } else { "up to" };
        format!("{path}: `{own}` imports {direction} `{name}`")
    })
}

/// All the paths that begin here, a `{group}` spelt out.
fn paths(tokens: &[String], start: usize) -> Vec<Vec<String>> {
    let token = |at: usize| tokens.get(at).map_or("", String::as_str);
    if token(start) != "{" {
        let is_word = token(start).starts_with(|c: char| c.is_alphanumeric() || c == '_');
        if !is_word {
            return vec![Vec::new()];
        }
        let rest = if token(start + 1) == "::" { paths(tokens, start + 2) } else { vec![Vec::new()] };
        return rest.into_iter().map(|rest| [vec![token(start).to_string()], rest].concat()).collect();
    }
    let (mut all, mut depth, mut wanted) = (Vec::new(), 0, false);
    for at in start..tokens.len() {
        match token(at) {
            "{" => (depth, wanted) = (depth + 1, depth == 0),
            "}" if depth == 1 => break,
            "}" => depth -= 1,
            "," => wanted = depth == 1,
            _ if wanted => {
                all.extend(paths(tokens, at));
                wanted = false;
            }
            _ => {}
        }
    }
    all
}

/// What a file imports of its neighbours: the folder, its own name in there, and theirs. Names of types are among them.
fn neighbours(path: &str, source: &str) -> BTreeSet<(String, String, String)> {
    let module = module_of(path);
    let mut found = BTreeSet::new();
    if path.ends_with("_tests.rs") || path.ends_with("/tests.rs") || path.contains("/tests/") {
        return found;
    }
    let tokens: Vec<String> = tokens(source);
    let token = |at: usize| tokens.get(at).map_or("", String::as_str);
    let mut braces: Vec<(bool, bool)> = Vec::new();
    for at in 0..tokens.len() {
        match token(at) {
            "{" => braces.push(opens_module(&tokens, at)),
            "}" => {
                braces.pop();
            }
            word @ ("crate" | "self" | "super")
                if token(at + 1) == "::" && (at == 0 || token(at - 1) != "::") && !braces.iter().any(|(_, test)| *test) =>
            {
                let (mut depth, mut start) = (module.len() + braces.iter().filter(|(inline, _)| *inline).count(), at);
                while matches!(token(start), "super" | "self") && token(start + 1) == "::" {
                    depth = depth.saturating_sub(usize::from(token(start) == "super"));
                    start += 2;
                }
                let (base, start) = if word == "crate" { (0, at + 2) } else { (depth.min(module.len()), start) };
                for names in paths(&tokens, start) {
                    let full: Vec<&str> = module[..base].iter().copied().chain(names.iter().map(String::as_str)).collect();
                    let shared = full.iter().zip(&module).take_while(|(a, b)| a == b).count();
                    if let (Some(own), Some(other)) = (module.get(shared), full.get(shared)) {
                        found.insert((module[..shared].join("/"), own.to_string(), other.to_string()));
                    }
                }
            }
            _ => {}
        }
    }
    found
}

/// The circles among the neighbours of each folder, one sentence each. `files`: path below `src`, and text.
fn circles(files: &[(String, String)]) -> BTreeSet<String> {
    let mut imports: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for (path, source) in files {
        for (folder, own, other) in neighbours(path, source) {
            imports.entry((folder, own)).or_default().insert(other);
        }
    }
    let reaches = |folder: &str, from: &str| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from.to_string()]);
        while let Some(next) = open.pop() {
            let others = imports.get(&(folder.to_string(), next)).into_iter().flatten();
            open.extend(others.filter(|other| seen.insert((*other).clone())).cloned());
        }
        seen
    };
    let circle = |(folder, own): &(String, String)| {
        let mine = reaches(folder, own);
        let circle: Vec<&String> = mine.iter().filter(|other| reaches(folder, other).contains(own)).collect();
        (circle.len() > 1).then(|| format!("{folder}: {circle:?} import each other in a circle"))
    };
    imports.keys().filter_map(circle).collect()
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Of each of these folders, paths below it, and texts.
fn sources(folders: &[&str]) -> Vec<Vec<(String, String)>> {
    let read = |src: &str| {
        let src = Path::new(env!("CARGO_MANIFEST_DIR")).join(src);
        let mut files = Vec::new();
        rust_files(&src, &mut files);
        assert!(files.len() > 10, "only {} files found under {}", files.len(), src.display());
        let below = |file: &PathBuf| file.strip_prefix(&src).unwrap().to_str().unwrap().to_string();
        files.iter().map(|file| (below(file), std::fs::read_to_string(file).unwrap())).collect()
    };
    folders.iter().map(|folder| read(folder)).collect()
}

#[test]
fn imports_point_down_the_layers_and_the_core_leaves_the_world_alone() {
    let faults = sources(&SOURCES).concat().iter().flat_map(|(path, source)| faults(path, source)).collect::<Vec<_>>();
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn no_neighbours_import_each_other_in_a_circle() {
    let all = sources(&[SOURCES, TOOLS].concat());
    let circles: Vec<String> = all.iter().flat_map(|files| circles(files)).collect();
    assert!(circles.is_empty(), "\n{}", circles.join("\n"));
}

#[test]
fn planted_circles_are_caught() {
    let files = |all: &[(&str, &str)]| all.iter().map(|(path, text)| (path.to_string(), text.to_string())).collect::<Vec<_>>();
    for planted in [
        &[("a/b.rs", "use super::c::C;"), ("a/c.rs", "use crate::a::b;")][..],
        &[("a/b.rs", "use super::{d, c::{self, C}};"), ("a/c.rs", "fn f() { super::d::f() }"), ("a/d.rs", "use super::b::B;")],
        &[("a/b/mod.rs", "use super::c;"), ("a/c/x.rs", "use super::super::b::B;")],
        &[("a/b.rs", "use super::c;"), ("a/b/x.rs", ""), ("a/c.rs", "use crate::a::{b::x, e};")],
        &[("a/b.rs", "mod inner { use super::super::c; }"), ("a/c.rs", "use super::b;")],
        // As the simulator and the bench are: a program's own files, in no folder below its root.
        &[("main.rs", "mod b; mod c;"), ("b.rs", "use super::c::C;"), ("c.rs", "use super::b::B;")],
        &[("b.rs", "use crate::c::{self, C};"), ("c.rs", "use crate::d;"), ("d.rs", "fn f() { crate::b::f() }")],
    ] {
        assert_eq!(circles(&files(planted)).len(), 1, "{planted:?}");
    }
    for fine in [
        &[("a/b.rs", "use super::c::C;"), ("a/c.rs", "#[cfg(test)] mod tests { use crate::a::b; }")][..],
        &[("a/b.rs", "use super::c; mod x; use self::x::X;"), ("a/b/x.rs", "use super::B;"), ("a/c.rs", "use super::d;")],
        &[("a/b.rs", "use super::c;"), ("a/c_tests.rs", "use super::b;"), ("a/c.rs", "// use super::b;")],
        &[("a/b.rs", "use super::c;"), ("e/c.rs", "use crate::a::b;")],
        &[("main.rs", "mod b; mod c; use b::B;"), ("b.rs", "use super::c::C;"), ("c.rs", "fn f(b: B) {}")],
    ] {
        assert!(circles(&files(fine)).is_empty(), "{fine:?}");
    }
}

#[test]
fn planted_imports_are_caught() {
    for (path, source) in [
        ("media/clock.rs", "use crate::session::Core;"),
        ("media/mod.rs", "fn f() { crate::net::poll() }"),
        ("codec/jpeg.rs", "use crate::capture::camera;"),
        ("pipeline/encode.rs", "use crate::app::args;"),
        ("codec/jpeg.rs", "use crate::pipeline::encode;"),
        ("codec/jpeg.rs", "use crate::{picture::{Size, Body}, present::window};"),
        ("codec/jpeg.rs", "use super::super::present;"),
        ("codec/mod.rs", "use super::present;"),
        ("codec/jpeg.rs", "mod tests { use super::super::super::present; }"),
        ("codec/jpeg.rs", "use self::super::super::app;"),
        ("wire/record.rs", "use eyeline::crypto::seal;"),
        ("bin/send.rs", "use eyeline_proto::session;"),
        ("slot.rs", "use super::time::MediaTime;"),
        ("wire/record.rs", "use crate::*;"),
        ("bin/send.rs", "use eyeline::{app, session};"),
        ("misc.rs", ""),
        ("session/sender.rs", "use std::sync::{Arc, Mutex};"),
        ("session/sender.rs", "fn f() { std::thread::spawn(g); }"),
        ("session/sender.rs", "use std::fs;"),
        ("media/clock.rs", "mod tests {} fn f() { let a = std::process::id(); }"),
        ("media/clock.rs", "fn f<'a>() { let q = '\"'; crate::net::f(); let q = '\"'; }"),
        ("media/clock.rs", "let s = r#\"a\"b\"#; use crate::net; let t = \"\\\"\";"),
        ("media/clock.rs", "/* /* nested */ */ use crate::net;"),
    ] {
        assert!(!faults(path, source).is_empty(), "not caught in {path}: {source}");
    }
}

#[test]
fn what_points_down_is_left_alone() {
    for (path, source) in [
        ("lib.rs", "pub mod app; pub use crate::app::run;"),
        ("bin/recv.rs", "fn main() -> ExitCode { eyeline::app::run_recv() }"),
        ("app/send.rs", "use crate::{capture::camera, codec, slot::{self, Slot}, app::args}; use super::args::Send;"),
        ("pipeline/encode.rs", "use crate::{capture::camera, codec, net, present}; use super::source;"),
        ("media/fec.rs", "use crate::wire::Datagram; use super::clock; mod tests { use super::*; use super::super::clock; }"),
        (
            "media/fec.rs",
            "// use crate::net;\n/* use crate::net; */ const S: &str = \"use crate::net;\"; const R: &str = r#\"\"crate::net\"#;",
        ),
        ("media/fec.rs", "#[cfg(test)] mod tests { use std::sync::Arc; fn f() { std::thread::current(); } }"),
        ("media/fec.rs", "fn f(thread: u32) -> u32 { thread }"),
        ("net/mod.rs", "use std::sync::{Arc, Mutex}; use std::thread;"),
        ("net/mod.rs", "use eyeline_proto::session::Core;"),
        ("media/fec.rs", "use other::crate_like::net; fn f<'crate_>(c: char) -> bool { c == '\\'' }"),
    ] {
        assert_eq!(faults(path, source), Vec::<String>::new(), "in {path}: {source}");
    }
}
