//! `tidings users`: who may sign in to the portal.

use std::process::{Output, Stdio};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    process::{ChildStdout, Command},
    time::timeout,
};

use crate::{
    home::{Home, on_both},
    program::{clean, run, text},
    scratch::{PATIENCE, Scratch, until},
};

const PASSWORD: &[u8] = b"correct horse battery\n";

async fn users(home: &Home, args: &[&str], input: &[u8]) -> Output {
    let mut command = home.command(&["users"]);
    command.args(args);
    run(command, input).await
}

/// What a command said that did what it was told.
async fn done(home: &Home, args: &[&str], input: &[u8]) -> String {
    let output = users(home, args, input).await;
    let said = text(&output.stderr);
    assert!(output.status.success(), "{args:?}: {said}");
    text(&output.stdout)
}

/// Why a command did nothing.
async fn refused(home: &Home, args: &[&str], input: &[u8]) -> String {
    let output = users(home, args, input).await;
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
    assert!(!said.contains("horse"), "{said}");
    said
}

async fn create(home: &Home, email: &str) -> String {
    let email = format!("--email={email}");
    let id = done(home, &["create", &email, "--password-stdin"], PASSWORD).await;
    assert!(id.starts_with("usr_") && id.lines().count() == 1, "{id}");
    id.trim().to_owned()
}

on_both!(users_come_and_go_without_a_server);

async fn users_come_and_go_without_a_server(home: Home) {
    assert_eq!(done(&home, &["list"], b"").await, "");
    let ada = create(&home, "Ada@Example.com").await;
    let bob = create(&home, "bob@example.com").await;
    let listed = done(&home, &["list"], b"").await;
    let lines: Vec<_> = listed.lines().collect();
    assert_eq!(lines.len(), 2, "{listed}");
    assert!(
        lines[0].starts_with(&format!("{ada}  ada@example.com")),
        "{listed}"
    );
    assert!(
        lines[1].starts_with(&format!("{bob}  bob@example.com")),
        "{listed}"
    );
    assert!(lines[0].ends_with("last here never"), "{listed}");

    let again = ["create", "--email=ADA@example.com", "--password-stdin"];
    let said = refused(&home, &again, PASSWORD).await;
    assert!(said.contains("ada@example.com is a user already"), "{said}");
    let nobody = [
        "set-password",
        "--email=eve@example.com",
        "--password-stdin",
    ];
    let said = refused(&home, &nobody, PASSWORD).await;
    assert!(said.contains("eve@example.com is no user"), "{said}");
    let said = refused(&home, &["delete", "--email=eve@example.com"], b"").await;
    assert!(said.contains("eve@example.com is no user"), "{said}");

    let other = [
        "set-password",
        "--email=ada@example.com",
        "--password-stdin",
    ];
    done(&home, &other, b"another horse battery").await;
    done(&home, &["delete", "--email=bob@example.com"], b"").await;
    let said = refused(&home, &["delete", "--email=ada@example.com"], b"").await;
    assert!(said.contains("last user"), "{said}");
    let listed = done(&home, &["list"], b"").await;
    assert!(
        listed.starts_with(&ada) && listed.lines().count() == 1,
        "{listed}"
    );
}

on_both!(users_come_and_go_beside_a_running_server);

async fn users_come_and_go_beside_a_running_server(home: Home) {
    let server = home.start(&[]).await;
    create(&home, "ada@example.com").await;
    create(&home, "bob@example.com").await;
    done(&home, &["delete", "--email=ada@example.com"], b"").await;
    let listed = done(&home, &["list"], b"").await;
    assert!(
        listed.contains("bob@example.com") && !listed.contains("ada@"),
        "{listed}"
    );
    let log = server.stop().await;
    assert!(!log.contains("horse"), "{log}");
}

#[tokio::test]
async fn passwords_are_neither_short_nor_long_nor_in_flags() {
    let home = Home::sqlite();
    let args = ["create", "--email=ada@example.com", "--password-stdin"];
    let long = [b'x'; 1025];
    for (input, reason) in [
        (&b""[..], "at least 12 characters"),
        (b"\n", "at least 12 characters"),
        (b"short horse\n", "at least 12 characters"),
        ("ä".repeat(11).as_bytes(), "at least 12 characters"),
        (&long, "at most 1024 bytes"),
        (b"two horses\nin two lines", "one line"),
        (b"not \xff UTF-8 at all", "cannot read the password"),
    ] {
        let said = refused(&home, &args, input).await;
        assert!(said.contains(reason), "{reason}: {said}");
    }
    assert_eq!(done(&home, &["list"], b"").await, "");
    done(&home, &args, &[&[b'x'; 1024][..], b"\r\n"].concat()).await;

    for args in [
        &["create", "--email=ada"][..],
        &["create"],
        &["create", "--email=eve@example.com", "--password=horse"],
    ] {
        let output = users(&home, args, b"").await;
        assert_eq!(output.status.code(), Some(2), "{args:?}");
    }
}

#[tokio::test]
async fn without_a_terminal_it_says_what_to_do() {
    let home = Home::sqlite();
    let program = home.command(&[]);
    // A session of its own has no terminal, also where the tests are run at one.
    let mut command = clean(Command::new("setsid"), home.path());
    command.arg("--wait").arg(program.as_std().get_program());
    command.args(["users", "create", "--email=ada@example.com"]);
    let output = run(command, PASSWORD).await;
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("--password-stdin"), "{said}");
}

/// A terminal of its own for `tidings users create`, at which somebody answers two prompts; gives
/// all that was to be seen there, and whether it went well.
async fn at_terminal(scratch: &Scratch, first: &str, again: &str) -> (String, bool) {
    let program = crate::program::tidings(scratch.path());
    let program = program
        .as_std()
        .get_program()
        .to_string_lossy()
        .into_owned();
    let mut command = clean(Command::new("script"), scratch.path());
    let line = format!("'{program}' users create --email=ada@example.com");
    command
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (mut keys, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut seen = String::new();
    for (prompt, answer) in [("characters: ", first), ("once more: ", again)] {
        read_until(&mut screen, &mut seen, prompt).await;
        until_hidden(child.id().unwrap()).await;
        keys.write_all(format!("{answer}\n").as_bytes())
            .await
            .unwrap();
    }
    let rest = screen.read_to_string(&mut seen);
    timeout(PATIENCE, rest).await.unwrap().unwrap();
    let status = timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
    (seen, status.success())
}

async fn read_until(screen: &mut ChildStdout, seen: &mut String, prompt: &str) {
    let reading = async {
        while !seen.contains(prompt) {
            let byte = screen.read_u8().await.expect("it asks for the password");
            seen.push(char::from(byte));
        }
    };
    timeout(PATIENCE, reading).await.unwrap();
}

/// The prompt comes a moment before the terminal is told to show nothing of what is typed; nobody
/// types so fast, but a test would.
async fn until_hidden(script: u32) {
    until("the terminal's hiding of what is typed", async || {
        let terminal = format!("/proc/{}/fd/0", child_of(script)?);
        let settings = Command::new("stty").args(["-a", "-F", &terminal]).output();
        let settings = text(&settings.await.ok()?.stdout);
        settings.contains(" -echo ").then_some(())
    })
    .await;
}

fn child_of(parent: u32) -> Option<String> {
    let processes = std::fs::read_dir("/proc").ok()?;
    processes.flatten().find_map(|process| {
        let id = process.file_name().into_string().ok()?;
        let line = std::fs::read_to_string(process.path().join("stat")).ok()?;
        // After the name, which is in brackets: the state, and the parent.
        let (_, rest) = line.rsplit_once(')')?;
        let found = rest.split_whitespace().nth(1)?;
        (found == parent.to_string()).then_some(id)
    })
}

#[tokio::test]
async fn a_password_is_typed_twice_and_not_shown() {
    let scratch = Scratch::new();
    let (seen, well) = at_terminal(&scratch, "correct horse battery", "correct horse batery").await;
    assert!(!well && seen.contains("not the same"), "{seen}");
    assert!(!seen.contains("horse"), "{seen}");
    let (seen, well) =
        at_terminal(&scratch, "correct horse battery", "correct horse battery").await;
    assert!(well && seen.contains("usr_"), "{seen}");
    assert!(!seen.contains("horse"), "{seen}");
}
