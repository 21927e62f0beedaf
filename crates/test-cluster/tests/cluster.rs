//! Clusters start, stop, and end with whoever made them.

#![expect(
    clippy::unwrap_used,
    reason = "a test that meets what it does not expect has failed"
)]

use std::{
    env,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::Duration,
};

use tidings_test_cluster::{Cluster, Options};

/// Set in the process that holds a cluster and is killed.
const HOLDER: &str = "TIDINGS_TEST_CLUSTER_HOLDER";

/// Looks again and again, for 20 s at most.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let (_holder, never) = mpsc::channel::<()>();
    for _ in 0..1000 {
        if is_so() {
            return;
        }
        let _ = never.recv_timeout(Duration::from_millis(20));
    }
    panic!("never came true: {what}");
}

fn is_running(pid: &str) -> bool {
    let mut kill = Command::new("kill");
    kill.args(["-0", pid]).stderr(Stdio::null());
    kill.status().unwrap().success()
}

#[test]
fn databases_are_empty_and_apart() {
    let cluster = Cluster::shared();
    let (one, other) = (cluster.database(), cluster.database());
    assert_ne!(one.url(), other.url());
    cluster.sql(one.name(), "CREATE TABLE t (a int, b text)");
    cluster.sql(one.name(), "INSERT INTO t VALUES (1, 'x'), (2, 'y')");
    assert_eq!(cluster.sql(one.name(), "TABLE t ORDER BY a"), "1|x\n2|y");
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(cluster.sql(other.name(), tables), "0");
    assert_eq!(cluster.sql(one.name(), "SHOW server_encoding"), "UTF8");
    let collation = "SELECT datcollate FROM pg_database WHERE datname = current_database()";
    assert_eq!(cluster.sql(one.name(), collation), "C");
}

#[test]
fn what_was_committed_survives_an_immediate_stop() {
    let cluster = Cluster::start(&Options {
        settings: vec![("application_name".to_owned(), "it's".to_owned())],
        ..Options::default()
    });
    let database = cluster.database();
    let (before_us, before_bytes) = (cluster.cpu_us(), cluster.wal_bytes());
    let fill = "CREATE TABLE t AS SELECT g, md5(g::text) FROM generate_series(1, 300000) g";
    cluster.sql(database.name(), fill);
    // What a session took is counted once the server has noticed that it is over.
    let worked = (0..100).any(|_| {
        cluster.sql(database.name(), "SELECT 1");
        cluster.cpu_us() > before_us
    });
    assert!(worked, "work takes time");
    assert!(cluster.wal_bytes() > before_bytes + 1_000_000);
    assert_eq!(cluster.sql(database.name(), "SHOW fsync"), "on");

    let pid = cluster.pid();
    cluster.stop_immediate();
    assert!(!is_running(&pid.to_string()));
    let used_us = cluster.cpu_us();
    assert!(used_us > before_us, "what ended is counted");
    cluster.start_again();
    assert_ne!(cluster.pid(), pid);
    let count = cluster.sql(database.name(), "SELECT count(*) FROM t");
    assert_eq!(count, "300000");
    let another = cluster.database();
    assert_eq!(cluster.sql(another.name(), "SHOW application_name"), "psql");
}

#[test]
fn a_session_holds_its_locks_until_it_is_dropped() {
    let cluster = Cluster::shared();
    let database = cluster.database();
    cluster.sql(database.name(), "CREATE TABLE t (a int)");
    let mut session = cluster.session(database.name());
    assert_eq!(session.run("BEGIN; LOCK TABLE t; SELECT 7"), "7");
    let locks = "SELECT count(*) FROM pg_locks WHERE relation = 't'::regclass";
    assert_eq!(cluster.sql(database.name(), locks), "1");
    drop(session);
    until("the lock is free", || {
        cluster.sql(database.name(), locks) == "0"
    });
}

#[test]
fn a_cluster_that_is_dropped_leaves_nothing() {
    let cluster = Cluster::start(&Options::default());
    let (directory, pid) = (cluster.directory(), cluster.pid());
    assert!(directory.exists());
    drop(cluster);
    assert!(!directory.exists() && !is_running(&pid.to_string()));
}

/// This test runs itself a second time, as the process that is killed.
#[test]
fn a_cluster_ends_with_its_process_even_where_that_is_killed() {
    if env::var_os(HOLDER).is_some() {
        hold();
    }
    let mut holder = start_holder();
    let (pid, directory) = told(&mut holder);
    assert!(is_running(&pid) && Path::new(&directory).exists());
    holder.kill().unwrap();
    holder.wait().unwrap();
    until("the server is gone", || !is_running(&pid));
    until("its directory is gone", || !Path::new(&directory).exists());
}

fn start_holder() -> Child {
    let mut holder = Command::new(env::current_exe().unwrap());
    holder
        .args(["--exact", "--nocapture"])
        .arg("a_cluster_ends_with_its_process_even_where_that_is_killed")
        .env(HOLDER, "1")
        .stdout(Stdio::piped());
    holder.spawn().unwrap()
}

/// What the holder says of its cluster, behind what the test harness says.
fn told(holder: &mut Child) -> (String, String) {
    let output = BufReader::new(holder.stdout.take().unwrap());
    let mut lines = output.lines().map(Result::unwrap);
    let told = lines.find_map(|line| {
        let (_, told) = line.split_once("cluster: ")?;
        let (pid, directory) = told.split_once(' ')?;
        Some((pid.to_owned(), directory.to_owned()))
    });
    told.expect("it tells where its cluster is")
}

/// Holds a cluster until this process is killed.
fn hold() -> ! {
    let cluster = Cluster::start(&Options::default());
    let (pid, directory) = (cluster.pid(), cluster.directory());
    println!("cluster: {pid} {}", directory.display());
    loop {
        std::thread::park();
    }
}
