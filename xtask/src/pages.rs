//! Man pages and completions of all programs, made of their flags. They are committed, and a test fails when they are not
//! current.
//!
//! The programs are installed as `eyeline-send` and so on, and as `send` beside it where that name is free: completions know both
//! names. There is no page called `send` or `recv`: those of the system calls are looked for more often.

use std::path::Path;

use anyhow::{Context, Result};
use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;

/// A file: where below the root of the repository, and what is in it.
pub struct Page {
    pub path: String,
    pub text: String,
}

/// Writes all of them.
pub fn write(root: &Path) -> Result<()> {
    for folder in ["man", "completions"] {
        std::fs::create_dir_all(root.join(folder))?;
    }
    for Page { path, text } in all()? {
        std::fs::write(root.join(&path), text).with_context(|| path.clone())?;
        println!("{path}");
    }
    Ok(())
}

/// Man page and completions of each program.
pub fn all() -> Result<Vec<Page>> {
    let mut pages = Vec::new();
    for command in eyeline::app::args::commands() {
        let short = command.get_name().to_string();
        // clap wants names that live as long as the program.
        let long: &'static str = format!("eyeline-{short}").leak();
        let command = command.name(long).bin_name(long);
        pages.push(Page { path: format!("man/{long}.1"), text: man(&command, &short)? });
        for (shell, path) in [
            (Shell::Bash, format!("completions/{long}.bash")),
            (Shell::Zsh, format!("completions/_{long}")),
            (Shell::Fish, format!("completions/{long}.fish")),
        ] {
            pages.push(Page { path, text: completion(shell, command.clone(), long, &short)? });
        }
    }
    Ok(pages)
}

fn man(command: &Command, short: &str) -> Result<String> {
    let page = Man::new(command.clone()).manual("Eyeline");
    let mut bytes = Vec::new();
    page.render_title(&mut bytes)?;
    page.render_name_section(&mut bytes)?;
    page.render_synopsis_section(&mut bytes)?;
    page.render_description_section(&mut bytes)?;
    let mut text = String::from_utf8(bytes)?;
    text.push_str(&format!(".PP\nIt is installed as \\fB{short}\\fR, too, where no other program is called so.\n"));
    let mut options = Vec::new();
    page.render_options_section(&mut options)?;
    text.push_str(&String::from_utf8(options)?);
    // As they stand in the help, line by line.
    let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let examples = examples.strip_prefix("Examples:\n").unwrap_or(&examples);
    text.push_str(&format!(".SH EXAMPLES\n.nf\n{}\n.fi\n", escaped(examples)));
    text.push_str(
        ".SH FILES\n.TP\n~/.config/eyeline/config.toml\nLong flags by their names, below [send], [recv] and [call] or above them for \
         all; $XDG_CONFIG_HOME is heeded. What is typed goes before it.\n\
         .SH ENVIRONMENT\n.TP\nEYELINE_KEY\nThe key, where no flag names one.\n.TP\nNO_COLOR\nNo colours, where it is set.\n",
    );
    let others: Vec<String> = ["send", "recv", "call"]
        .iter()
        .filter(|name| **name != short)
        .map(|name| format!("\\fBeyeline\\-{name}\\fR(1)"))
        .collect();
    text.push_str(&format!(".SH \"SEE ALSO\"\n{}\n", others.join(", ")));
    Ok(text)
}

/// Text that roff takes as it is.
fn escaped(text: &str) -> String {
    let line = |line: &str| {
        let line = line.replace('\\', "\\e").replace('-', "\\-");
        if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line }
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

/// A completion that is also for the short name.
fn completion(shell: Shell, mut command: Command, long: &str, short: &str) -> Result<String> {
    let mut bytes = Vec::new();
    clap_complete::generate(shell, &mut command, long, &mut bytes);
    let text = String::from_utf8(bytes)?;
    let both = |line: &str| match shell {
        Shell::Bash if line.trim_start().starts_with("complete -F ") => format!("{line} {short}"),
        Shell::Zsh if line.starts_with("#compdef ") || line.trim_start().starts_with("compdef ") => format!("{line} {short}"),
        _ => line.to_string(),
    };
    let mut text = text.lines().map(|line| both(line) + "\n").collect::<String>();
    if shell == Shell::Zsh {
        // A colon parts what a value is called from what completes it; clap_complete leaves those within names as they are.
        for name in command.get_arguments().filter_map(|arg| arg.get_value_names()).flatten().filter(|name| name.contains(':')) {
            text = text.replace(&format!(":{name}:"), &format!(":{}:", name.replace(':', "\\:")));
        }
    }
    if shell == Shell::Fish {
        text.push_str(&format!("complete -c {short} -w {long}\n"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_pages_and_completions_that_are_committed_are_made_of_the_flags_there_are() {
        let (root, pages) = (crate::root(), all().unwrap());
        for page in &pages {
            let committed = std::fs::read_to_string(root.join(&page.path)).unwrap_or_default();
            assert!(committed == page.text, "{} is not current: cargo run -p xtask -- pages", page.path);
        }
        let names = |folder: &str| {
            let files = std::fs::read_dir(root.join(folder)).unwrap();
            files.map(|file| format!("{folder}/{}", file.unwrap().file_name().into_string().unwrap())).collect::<Vec<_>>()
        };
        let there: BTreeSet<String> = [names("man"), names("completions")].concat().into_iter().collect();
        let made: BTreeSet<String> = pages.into_iter().map(|page| page.path).collect();
        assert_eq!(there, made, "no other files are there");
    }

    #[test]
    fn each_page_names_every_long_flag_and_each_completion_both_names() {
        let pages = all().unwrap();
        for command in eyeline::app::args::commands() {
            let name = command.get_name();
            let of = |path: String| &pages.iter().find(|page| page.path == path).unwrap().text;
            let page = of(format!("man/eyeline-{name}.1"));
            for flag in command.get_arguments().filter_map(clap::Arg::get_long) {
                assert!(page.contains(&format!("\\-\\-{}", flag.replace('-', "\\-"))), "{name}: --{flag}");
            }
            assert!(of(format!("completions/eyeline-{name}.bash")).contains(&format!(" eyeline-{name} {name}\n")));
            assert!(of(format!("completions/_eyeline-{name}")).starts_with(&format!("#compdef eyeline-{name} {name}\n")));
            assert!(of(format!("completions/eyeline-{name}.fish")).ends_with(&format!("complete -c {name} -w eyeline-{name}\n")));
            // `'--flag=[help]:value:action'`, `::` where the value may be left out: another colon would be an action, which zsh runs.
            let values = of(format!("completions/_eyeline-{name}")).lines().filter_map(|line| line.split_once("]:"));
            let colons = |value: &str| value.trim_start_matches(':').replace("\\:", "").matches(':').count();
            let bad: Vec<_> = values.filter(|(_, value)| !value.contains("((") && colons(value) > 1).collect();
            assert!(bad.is_empty(), "{name}: {bad:?}");
        }
    }
}
