//! A conversation with a server through `psql`, which stays open: for locks that are held, and
//! where starting a program for each statement would be slow.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Stdio},
};

use crate::programs::Programs;

/// What is printed after each answer; no answer has such a line.
const END: &str = "-- end of the answer --";

/// An open session. Dropping it ends it, which rolls back what it did not commit.
#[derive(Debug)]
pub struct Session {
    child: Child,
    statements: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Session {
    pub(crate) fn open(programs: &Programs, url: &str) -> Self {
        let mut command = programs.command("psql");
        command
            .args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", url])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        Self {
            statements: child.stdin.take(),
            answers: BufReader::new(child.stdout.take().expect("a pipe was asked for")),
            child,
        }
    }

    /// Runs statements and returns what they select: a row per line, columns separated by `|`.
    /// Panics where one fails; what the server says about it is on standard error.
    pub fn run(&mut self, sql: &str) -> String {
        let statements = self.statements.as_mut().expect("it is open until the end");
        let _ = statements.write_all(format!("{sql}\n;\n\\echo {END}\n").as_bytes());
        let mut answer = String::new();
        loop {
            let before = answer.len();
            match self.answers.read_line(&mut answer) {
                Ok(1..) if answer[before..].trim_end() == END => break,
                Ok(1..) => {}
                ended => panic!("the session ended ({ended:?}) at: {sql}"),
            }
        }
        let rows = answer.trim_end().strip_suffix(END);
        rows.expect("it ended the loop").trim_end().to_owned()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.statements.take());
        // Whatever it waits for, it is not worth waiting for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
