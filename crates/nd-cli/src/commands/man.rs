//! `man`: the manual, made of the same tree of commands that reads the command line.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Command;
use clap_mangen::Man;

use super::Outcome;
use crate::args::{self, GLOBAL_FLAGS, ManArgs, examples};
use crate::failure::{Exit, Failure};
use crate::output::Output;
use crate::session;

/// Columns of the reference.
const WIDTH: usize = 100;

pub(super) fn run(program: &'static str, args: &ManArgs, output: &Output) -> Outcome {
    let mut tree = args::command(program);
    if args.install {
        let dir =
            directory().ok_or_else(|| Failure::usage("HOME is not set, so there is no place for it"))?;
        let failed = |error| Failure::failed(format!("write the manual into {}: {error}", dir.display()));
        std::fs::create_dir_all(&dir).map_err(failed)?;
        clap_mangen::generate_to(tree, &dir).map_err(failed)?;
        output.result(&dir.display().to_string());
        output.note(&format!("read it: man {program}"));
        return Ok(Exit::Ok);
    }
    tree.build();
    if args.markdown {
        output.result(markdown(&tree).trim_end());
        return Ok(Exit::Ok);
    }
    let mut chosen = &tree;
    for word in &args.command {
        chosen = chosen.find_subcommand(word).ok_or_else(|| {
            Failure::new(Exit::NotFound, format!("there is no command `{}`", args.command.join(" ")))
                .fix(format!("{program} --help"))
        })?;
    }
    let mut page = Vec::new();
    Man::new(chosen.clone())
        .render(&mut page)
        .map_err(|error| Failure::failed(format!("write the page: {error}")))?;
    output.result(String::from_utf8_lossy(&page).trim_end());
    Ok(Exit::Ok)
}

/// Where man(1) looks without being told: for all users, or for this one.
fn directory() -> Option<PathBuf> {
    if rustix::process::geteuid().is_root() {
        return Some(PathBuf::from("/usr/local/share/man/man1"));
    }
    Some(session::data_home()?.join("man/man1"))
}

/// Every command with its examples and its flags. The flags that all of them take stand once, at the end.
fn markdown(tree: &Command) -> String {
    let about = tree.get_about().map(ToString::to_string).unwrap_or_default();
    let mut text = format!("# {}\n\n{about}\n", tree.get_name());
    for verb in tree.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        section(tree.get_name(), verb, &mut text);
    }
    let whole =
        tree.clone().mut_subcommands(|verb| verb.hide(true)).term_width(WIDTH).render_help().to_string();
    let flags = whole.split_once(GLOBAL_FLAGS).map_or("", |(_, flags)| flags.trim_start_matches([':', '\n']));
    let flags = flags.split("\n\n").next().unwrap_or_default();
    text + &format!("\n## {GLOBAL_FLAGS}\n\n```text\n{flags}\n```\n")
}

fn section(program: &str, command: &Command, text: &mut String) {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let path = name.strip_prefix(program).unwrap_or(name).trim_start();
    let examples: Vec<String> = examples::of(path, program).collect();
    let own = command.clone().mut_args(|arg| if arg.is_global_set() { arg.hide(true) } else { arg });
    let help = own.term_width(WIDTH).render_help().to_string();
    let (about, flags) = help.split_once("\n\n").unwrap_or((&help, ""));
    let (examples, flags) = (examples.join("\n"), flags.trim_end());
    // Writing to a String does not fail.
    write!(text, "\n## {name}\n\n{about}\n\n```sh\n{examples}\n```\n\n```text\n{flags}\n```\n").ok();
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        section(program, verb, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole command line in one golden file: a change of it is seen, and is meant.
    #[test]
    fn the_reference_names_every_command_and_flag() {
        let mut tree = args::command("nextdeploy");
        tree.build();
        insta::assert_snapshot!(markdown(&tree));
    }

    #[test]
    fn every_page_of_the_manual_can_be_written() {
        let dir = tempfile::tempdir().unwrap();
        clap_mangen::generate_to(args::command("nextdeploy"), dir.path()).unwrap();
        let page = std::fs::read_to_string(dir.path().join("nextdeploy-deployments-show.1")).unwrap();
        assert!(page.contains("Examples:"), "{page}");
    }
}
