//! What the tests need beside Rust: Python and Node.js, for the receivers that the documentation
//! shows. On Debian and its like they are installed; elsewhere it is said what to install.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::bail;

use crate::step::{announce, run};

/// A program that is needed, how to see that it is there, and who has it.
#[derive(Debug)]
struct Tool {
    name: &'static str,
    /// A command that succeeds where it is there.
    probe: &'static [&'static str],
    debian_packages: &'static [&'static str],
}

const TOOLS: &[Tool] = &[
    Tool {
        name: "Python 3 with venv and pip",
        probe: &["python3", "-c", "import venv, ensurepip"],
        debian_packages: &["python3", "python3-venv"],
    },
    Tool {
        name: "Node.js 18 or later",
        probe: &[
            "node",
            "-e",
            "process.exit(process.versions.node.split('.')[0] >= 18 ? 0 : 1)",
        ],
        debian_packages: &["nodejs"],
    },
    Tool {
        name: "npm",
        probe: &["npm", "--version"],
        debian_packages: &["npm"],
    },
];

const ELSEWHERE: &str = "\
Install it and run this again:
  macOS:   brew install python node
  Fedora:  sudo dnf install python3 nodejs npm
  Arch:    sudo pacman -S python nodejs npm
  others:  https://www.python.org/downloads and https://nodejs.org";

/// Makes sure that everything is there, and installs it where it can.
pub(crate) fn ensure() -> anyhow::Result<()> {
    let lacking = lacking();
    if lacking.is_empty() {
        return Ok(());
    }
    let names = names(&lacking);
    if !Path::new("/etc/debian_version").exists() {
        bail!("the tests need {names}.\n{ELSEWHERE}");
    }
    announce(&format!("installing {names}"));
    let packages: Vec<_> = lacking
        .iter()
        .flat_map(|tool| tool.debian_packages)
        .copied()
        .collect();
    run(&mut apt(&["update", "--quiet"]))?;
    let install = ["install", "--quiet", "--yes", "--no-install-recommends"];
    run(&mut apt(&[&install, &packages[..]].concat()))?;
    let lacking = self::lacking();
    if !lacking.is_empty() {
        bail!(
            "Debian's packages do not bring {}.\n{ELSEWHERE}",
            self::names(&lacking)
        );
    }
    Ok(())
}

fn lacking() -> Vec<&'static Tool> {
    TOOLS.iter().filter(|tool| !tool.is_there()).collect()
}

fn names(tools: &[&Tool]) -> String {
    let names: Vec<_> = tools.iter().map(|tool| tool.name).collect();
    names.join(", ")
}

/// `apt-get` as root; who is not root is asked for a password, unless nobody is there to ask.
fn apt(args: &[&str]) -> Command {
    let mut command = if is_root() {
        Command::new("apt-get")
    } else {
        let mut sudo = Command::new("sudo");
        if std::env::var_os("CI").is_some() {
            sudo.arg("--non-interactive");
        }
        sudo.args(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]);
        sudo
    };
    command.env("DEBIAN_FRONTEND", "noninteractive").args(args);
    command
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

impl Tool {
    fn is_there(&self) -> bool {
        let [program, args @ ..] = self.probe else {
            return false;
        };
        Command::new(program)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_is_there_when_its_probe_succeeds() {
        let tool = |probe| Tool {
            name: "it",
            probe,
            debian_packages: &[],
        };
        assert!(tool(&["true"]).is_there());
        assert!(!tool(&["false"]).is_there());
        assert!(!tool(&["no-such-program-anywhere"]).is_there());
    }
}
