//! What the tests need beside Rust: PostgreSQL's programs, of which each test starts a server of its
//! own; faketime, for a machine whose clock is wrong; Python and Node.js, for the receivers that the
//! documentation shows; Chromium and curl, for the admin portal. On Debian and its like they are
//! installed; elsewhere it is said what to install.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::bail;

use crate::step::{announce, output_of, run};

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
        name: "PostgreSQL 14 or later",
        probe: &["sh", "-c", POSTGRESQL_PROBE],
        debian_packages: &["postgresql"],
    },
    Tool {
        name: "faketime",
        probe: &["faketime", "--version"],
        debian_packages: &["faketime"],
    },
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
    Tool {
        name: "Chromium",
        probe: &["sh", "-c", CHROMIUM_PROBE],
        debian_packages: &["chromium"],
    },
    Tool {
        name: "curl",
        probe: &["curl", "--version"],
        debian_packages: &["curl"],
    },
];

/// What taking pictures of the portal needs beside it.
const PICTURE_TOOLS: &[Tool] = &[
    Tool {
        name: "pngquant",
        probe: &["pngquant", "--version"],
        debian_packages: &["pngquant"],
    },
    Tool {
        name: "the typeface Inter",
        probe: &["sh", "-c", "fc-list :family=Inter | grep -q Inter"],
        debian_packages: &["fontconfig", "fonts-inter"],
    },
];

/// Prints where Chromium is, by the names under which systems have it.
const CHROMIUM_PROBE: &str = "
for program in chromium chromium-browser google-chrome \
    /Applications/Chromium.app/Contents/MacOS/Chromium; do
    command -v \"$program\" && exit 0
done
exit 1";

/// Looks where the tests look: Debian keeps each version apart, and none of them on the path.
const POSTGRESQL_PROBE: &str = r#"
for directory in /usr/lib/postgresql/*/bin \
    "$(dirname "$(command -v postgres)")" "$(pg_config --bindir)"; do
    version=$("$directory/postgres" --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')
    [ "${version:-0}" -ge 14 ] && [ -x "$directory/initdb" ] && [ -x "$directory/psql" ] && exit 0
done
exit 1"#;

/// Debian's package makes a server for the whole system and starts it. Nobody asked for one: the
/// tests start their own. This keeps it from doing so while it is being installed.
const NO_SYSTEM_CLUSTER: &str = "/etc/postgresql-common/createcluster.d/none-for-tidings.conf";

const ELSEWHERE: &str = "\
Install it and run this again:
  macOS:   brew install postgresql@17 libfaketime python node && brew link postgresql@17
           brew install --cask chromium
  Fedora:  sudo dnf install postgresql-server libfaketime python3 nodejs npm chromium curl
  Arch:    sudo pacman -S postgresql libfaketime python nodejs npm chromium curl
  others:  https://www.postgresql.org/download, https://github.com/wolfcw/libfaketime,
           https://www.python.org/downloads, https://nodejs.org and
           https://www.chromium.org/getting-involved/download-chromium;
           for pictures https://pngquant.org and https://rsms.me/inter";

/// Makes sure that everything is there that tests need, and installs it where it can.
pub(crate) fn ensure() -> anyhow::Result<()> {
    ensure_each(TOOLS)
}

/// Makes sure that everything is there that taking pictures needs beside it.
pub(crate) fn ensure_for_pictures() -> anyhow::Result<()> {
    ensure_each(PICTURE_TOOLS)
}

fn ensure_each(tools: &'static [Tool]) -> anyhow::Result<()> {
    let lacking = self::lacking(tools);
    if lacking.is_empty() {
        return Ok(());
    }
    let names = names(&lacking);
    if !Path::new("/etc/debian_version").exists() {
        bail!("this needs {names}.\n{ELSEWHERE}");
    }
    announce(&format!("installing {names}"));
    let packages: Vec<_> = lacking
        .iter()
        .flat_map(|tool| tool.debian_packages)
        .copied()
        .collect();
    install(&packages)?;
    let lacking = self::lacking(tools);
    if !lacking.is_empty() {
        bail!(
            "Debian's packages do not bring {}.\n{ELSEWHERE}",
            self::names(&lacking)
        );
    }
    Ok(())
}

/// Where Chromium is.
pub(crate) fn chromium() -> anyhow::Result<String> {
    output_of(Command::new("sh").args(["-c", CHROMIUM_PROBE]))
}

fn install(packages: &[&str]) -> anyhow::Result<()> {
    run(as_root("apt-get").args(["update", "--quiet"]))?;
    let forbid = "mkdir -p \"${0%/*}\" && echo create_main_cluster = false >\"$0\"";
    run(as_root("sh").args(["-c", forbid, NO_SYSTEM_CLUSTER]))?;
    let installed = run(as_root("apt-get")
        .args(["install", "--quiet", "--yes", "--no-install-recommends"])
        .args(packages));
    // Whoever installs it later for its own sake gets what Debian gives everybody.
    run(as_root("rm").args(["-f", NO_SYSTEM_CLUSTER]))?;
    installed
}

fn lacking(tools: &'static [Tool]) -> Vec<&'static Tool> {
    tools.iter().filter(|tool| !tool.is_there()).collect()
}

fn names(tools: &[&Tool]) -> String {
    let names: Vec<_> = tools.iter().map(|tool| tool.name).collect();
    names.join(", ")
}

/// A program as root; who is not root is asked for a password, unless nobody is there to ask.
fn as_root(program: &str) -> Command {
    let mut command = if is_root() {
        Command::new(program)
    } else {
        let mut sudo = Command::new("sudo");
        if std::env::var_os("CI").is_some() {
            sudo.arg("--non-interactive");
        }
        sudo.args(["env", "DEBIAN_FRONTEND=noninteractive", program]);
        sudo
    };
    command.env("DEBIAN_FRONTEND", "noninteractive");
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
