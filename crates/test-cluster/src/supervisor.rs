//! The process that holds a server and outlives the tests by a moment: it ends the server and
//! removes its directory when the pipe to it closes, which the kernel does for whoever dies.

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::{
        fs::{DirBuilderExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{self, Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use crate::programs::Programs;

const SCRIPT: &str = include_str!("supervisor.sh");

/// A running supervisor. Dropping it ends its server and removes the directory.
#[derive(Debug)]
pub(crate) struct Supervisor {
    child: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// The script's own process: the ancestor of all the server's.
    pid: u32,
    directory: PathBuf,
}

/// Somebody else to be, as a server refuses to run as root.
#[derive(Debug, PartialEq, Eq)]
struct User {
    name: String,
    uid: u32,
    gid: u32,
}

impl Supervisor {
    /// Makes a server with these settings, and starts none yet.
    pub(crate) fn make(programs: &Programs, settings: &str) -> Self {
        let user = is_root().then(unprivileged_user);
        let directory = make_directory(user.as_ref());
        fs::write(directory.join("settings"), settings)
            .unwrap_or_else(|error| panic!("cannot write into {}: {error}", directory.display()));
        let mut command = shell(user.as_ref());
        command
            .args(["-c", SCRIPT, "supervisor"])
            .args([directory.as_path(), programs.directory()])
            // What this process may see, another user may not.
            .current_dir("/")
            .env("LC_ALL", "C")
            // Interrupting the tests at a terminal must not reach it: the pipe's end does.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let commands = child.stdin.take().expect("a pipe was asked for");
        let answers = child.stdout.take().expect("a pipe was asked for");
        let mut supervisor = Self {
            child,
            commands: Some(commands),
            answers: BufReader::new(answers),
            pid: 0,
            directory,
        };
        let pid = supervisor.answer().parse();
        supervisor.pid = pid.expect("the script tells its pid first");
        assert_eq!(supervisor.ask("make"), "up", "{}", supervisor.log());
        supervisor
    }

    /// Starts the server on this port and waits until it answers; its pid, or none where it does
    /// not start.
    pub(crate) fn start(&mut self, port: u16) -> Option<u32> {
        let answer = self.ask(&format!("start {port}"));
        answer.strip_prefix("up ")?.parse().ok()
    }

    /// Stops the server at once, as a crash would, and waits until it is gone.
    pub(crate) fn stop(&mut self) {
        assert_eq!(self.ask("stop"), "down", "{}", self.log());
    }

    /// The ancestor of all the server's processes.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// What the server wrote.
    pub(crate) fn log(&self) -> String {
        let log = fs::read(self.directory.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Where the server lives.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    fn ask(&mut self, command: &str) -> String {
        let commands = self.commands.as_mut().expect("it is open until the end");
        let _ = commands.write_all(format!("{command}\n").as_bytes());
        self.answer()
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        match self.answers.read_line(&mut line) {
            Ok(1..) => line.trim().to_owned(),
            ended => panic!("the supervisor went away ({ended:?}): {}", self.log()),
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        drop(self.commands.take());
        let _ = self.child.wait();
    }
}

/// A directory of its own for one server, with a short path.
fn make_directory(user: Option<&User>) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let name = format!(
        "tidings-pg-{}-{}",
        process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    );
    let path = env::temp_dir().join(name);
    // Left by a process of the same number whose supervisor was killed too.
    let _ = fs::remove_dir_all(&path);
    let made = fs::DirBuilder::new()
        .mode(0o700)
        .create(&path)
        .and_then(|()| match user {
            Some(user) => chown(&path, Some(user.uid), Some(user.gid)),
            None => Ok(()),
        });
    made.unwrap_or_else(|error| panic!("cannot make {}: {error}", path.display()));
    path
}

/// A shell, as somebody else where one is named.
fn shell(user: Option<&User>) -> Command {
    let Some(user) = user else {
        return Command::new("sh");
    };
    let mut command = Command::new("setpriv");
    command
        .arg(format!("--reuid={}", user.uid))
        .arg(format!("--regid={}", user.gid))
        .args(["--clear-groups", "sh"]);
    if !responds("setpriv") {
        command = Command::new("runuser");
        command.args(["-u", &user.name, "--", "sh"]);
    }
    command
}

fn responds(program: &str) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdout(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// PostgreSQL's own user, whom Debian's package makes, or else nobody.
fn unprivileged_user() -> User {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let user = user_named("postgres", &passwd).or_else(|| user_named("nobody", &passwd));
    user.expect("root cannot run PostgreSQL, and there is neither a user postgres nor nobody")
}

fn user_named(name: &str, passwd: &str) -> Option<User> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next() != Some(name) {
            return None;
        }
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        let name = name.to_owned();
        Some(User { name, uid, gid })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_their_whole_name() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\n\
                      postgres2:x:1:2::/:/bin/sh\n\
                      postgres:x:101:104:PostgreSQL,,,:/var/lib/postgresql:/bin/bash\n";
        let expected = User {
            name: "postgres".to_owned(),
            uid: 101,
            gid: 104,
        };
        assert_eq!(user_named("postgres", passwd), Some(expected));
        assert_eq!(user_named("nobody", passwd), None);
    }
}
