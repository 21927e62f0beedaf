//! One step of a command: a program that is run, told before and after.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, bail};

use crate::machine_clock::Stopwatch;

/// The directory of the whole project.
pub(crate) fn project_root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().expect("xtask lies in the project").to_owned()
}

/// Where everything that is built or made goes.
pub(crate) fn target_directory() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(
        || project_root().join("target"),
        |directory| project_root().join(directory),
    )
}

/// A program of ours, built with optimisations.
pub(crate) fn built(program: &str) -> PathBuf {
    target_directory().join("release").join(program)
}

/// A cargo of the same toolchain, in the project's directory, with these arguments.
pub(crate) fn cargo<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(project_root()).args(args);
    command
}

/// Says that something begins.
pub(crate) fn announce(what: &str) {
    eprintln!("▸ {what}");
}

/// Runs a program to its end; what it prints is seen. An error where it does not succeed.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let line = command_line(command);
    announce(&line);
    let stopwatch = Stopwatch::start();
    let status = command
        .status()
        .with_context(|| format!("cannot start {line}"))?;
    if !status.success() {
        bail!("{line} failed ({status})");
    }
    eprintln!("  done in {}", stopwatch.told());
    Ok(())
}

/// Runs a program that prints something, and returns that, without white space around it.
pub(crate) fn output_of(command: &mut Command) -> anyhow::Result<String> {
    let line = command_line(command);
    let output = command
        .output()
        .with_context(|| format!("cannot start {line}"))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        bail!("{line} failed ({}): {}", output.status, complaint.trim());
    }
    let text = String::from_utf8(output.stdout).with_context(|| format!("what {line} printed"))?;
    Ok(text.trim().to_owned())
}

/// A command as one would type it, without the directories of its program.
pub(crate) fn command_line(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut line = program.file_name().map_or_else(
        || program.display().to_string(),
        |name| name.to_string_lossy().into_owned(),
    );
    for arg in command.get_args() {
        line.push(' ');
        line.push_str(&arg.to_string_lossy());
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_told_as_it_is_typed() {
        let mut command = Command::new("/usr/bin/cargo");
        command.args(["fmt", "--check"]);
        assert_eq!(command_line(&command), "cargo fmt --check");
    }

    #[test]
    fn a_program_that_fails_is_an_error_with_its_complaint() {
        let error = output_of(Command::new("ls").arg("/does/not/exist")).unwrap_err();
        assert!(error.to_string().contains("/does/not/exist"), "{error}");
    }
}
