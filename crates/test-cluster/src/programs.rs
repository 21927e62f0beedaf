//! Where PostgreSQL's programs are on this machine.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The programs that are needed; they lie in one directory.
const NEEDED: [&str; 3] = ["initdb", "postgres", "psql"];

/// PostgreSQL as it is installed.
#[derive(Debug)]
pub(crate) struct Programs {
    directory: PathBuf,
}

impl Programs {
    /// Finds them: Debian's newest version, else those on the path, else where `pg_config` says.
    pub(crate) fn find() -> Self {
        let candidates = of_debian(Path::new("/usr/lib/postgresql"))
            .into_iter()
            .chain(on_path())
            .chain(of_pg_config());
        let found = candidates.into_iter().find(|directory| is_whole(directory));
        let directory = found.expect(
            "these tests need PostgreSQL (initdb, postgres and psql, version 14 or later), and \
             this machine has none; install it with: apt-get install postgresql",
        );
        Self { directory }
    }

    /// Where they lie.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// One of them, which hears nothing of what the environment says about databases.
    pub(crate) fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.directory.join(name));
        for (variable, _) in env::vars_os() {
            if variable.as_encoded_bytes().starts_with(b"PG") {
                command.env_remove(variable);
            }
        }
        command
    }
}

/// Debian keeps the programs of each version apart, as in `/usr/lib/postgresql/15/bin`.
fn of_debian(root: &Path) -> Vec<PathBuf> {
    let mut versions: Vec<_> = fs::read_dir(root)
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version: u32 = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    versions.sort_unstable();
    versions.into_iter().rev().map(|(_, path)| path).collect()
}

fn on_path() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).collect()
}

fn of_pg_config() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(PathBuf::from(text.trim()))
}

fn is_whole(directory: &Path) -> bool {
    NEEDED.iter().all(|name| directory.join(name).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_comes_first() {
        let root = env::temp_dir().join(format!("tidings-programs-{}", std::process::id()));
        for version in ["9", "17", "15", "unrelated"] {
            fs::create_dir_all(root.join(version).join("bin")).unwrap();
        }
        let found = of_debian(&root);
        fs::remove_dir_all(&root).unwrap();
        let expected = ["17", "15", "9"].map(|version| root.join(version).join("bin"));
        assert_eq!(found, expected);
        assert!(!is_whole(&root));
    }
}
