//! Rules about what the crates depend on: the arrows of ARCHITECTURE.md, and a word for each
//! dependency.

use anyhow::Context as _;
use serde_json::Value;

use super::{Finding, TextFile};
use crate::step::{cargo, output_of};

/// Which crates of ours a crate may name. A crate that is not listed is a finding: a new one is a
/// change of the design.
const ARROWS: &[(&str, &[&str])] = &[
    ("tidings-domain", &[]),
    ("tidings-store", &["tidings-domain"]),
    ("tidings-store-sqlite", &["tidings-domain", "tidings-store"]),
    (
        "tidings-store-postgres",
        &["tidings-domain", "tidings-store"],
    ),
    (
        "tidings-store-conformance",
        &["tidings-domain", "tidings-store"],
    ),
    ("tidings-delivery", &["tidings-domain", "tidings-store"]),
    ("tidings-api", &["tidings-domain", "tidings-store"]),
    ("tidings-portal", &["tidings-domain", "tidings-store"]),
    (
        "tidings",
        &[
            "tidings-domain",
            "tidings-store",
            "tidings-store-sqlite",
            "tidings-store-postgres",
            "tidings-delivery",
            "tidings-api",
            "tidings-portal",
        ],
    ),
    ("tidings-test-cluster", &[]),
    (
        "tidings-guard",
        &[
            "tidings-domain",
            "tidings-store",
            "tidings-store-sqlite",
            "tidings-delivery",
        ],
    ),
    ("tidings-bench", &[]),
    ("receiver-example", &[]),
    ("xtask", &["tidings-test-cluster"]),
];
/// What tests may name besides: a real store, and the suite that every store must pass.
const TEST_ARROWS: &[&str] = &[
    "tidings-store-sqlite",
    "tidings-store-postgres",
    "tidings-store-conformance",
    "tidings-test-cluster",
];
/// Crates that speak to a database, and the crates of ours that may name them.
const DRIVERS: &[(&str, &[&str])] = &[
    ("rusqlite", &["tidings-store-sqlite"]),
    ("tokio-postgres", &["tidings-store-postgres"]),
    ("deadpool-postgres", &["tidings-store-postgres"]),
];
/// What the domain does without: it is pure.
const IMPURE: &[&str] = &["tokio", "hyper", "axum", "async-trait", "tracing"];

/// What a crate needs another one for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Program,
    Tests,
}

/// Every breach in all manifests.
pub(super) fn check(files: &[TextFile]) -> anyhow::Result<Vec<Finding>> {
    let mut findings = check_defences(files);
    let metadata = output_of(&mut cargo([
        "metadata",
        "--no-deps",
        "--format-version=1",
        "--locked",
        "--offline",
    ]))?;
    let metadata: Value = serde_json::from_str(&metadata).context("what cargo metadata says")?;
    for package in metadata["packages"].as_array().into_iter().flatten() {
        findings.extend(check_package(package));
    }
    Ok(findings)
}

fn check_package(package: &Value) -> Vec<Finding> {
    let from = package["name"].as_str().unwrap_or_default();
    let dependencies = package["dependencies"].as_array().into_iter().flatten();
    let complaints = dependencies.filter_map(|dependency| {
        let kind = match dependency["kind"].as_str() {
            Some("dev") => Kind::Tests,
            _ => Kind::Program,
        };
        let to = dependency["name"].as_str().unwrap_or_default();
        complain(from, to, dependency["path"].is_string(), kind)
    });
    complaints
        .map(|complaint| Finding {
            path: format!("Cargo.toml of {from}"),
            line: None,
            complaint,
        })
        .collect()
}

/// What is wrong with `from` depending on `to`, which is one of ours or not.
fn complain(from: &str, to: &str, is_ours: bool, kind: Kind) -> Option<String> {
    let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == from) else {
        return Some("a new crate: say in xtask/src/tidy/manifests.rs what it may name".to_owned());
    };
    let in_tests = kind == Kind::Tests;
    if is_ours && !allowed.contains(&to) && !(in_tests && TEST_ARROWS.contains(&to)) {
        return Some(format!(
            "{from} must not name {to} (the map in ARCHITECTURE.md)"
        ));
    }
    let driver = DRIVERS.iter().find(|(driver, _)| *driver == to);
    if let Some((_, allowed)) = driver
        && !in_tests
        && !allowed.contains(&from)
    {
        return Some(format!("{to} is for {} alone", allowed.join(", ")));
    }
    (from == "tidings-domain" && !in_tests && IMPURE.contains(&to))
        .then(|| format!("the domain is pure: no {to}"))
}

/// Each dependency of the workspace has a sentence above it; each crate takes it from there.
fn check_defences(files: &[TextFile]) -> Vec<Finding> {
    let manifests = files.iter().filter(|file| file.name() == "Cargo.toml");
    let checks = manifests.flat_map(|file| {
        if file.path == "Cargo.toml" {
            check_comments(file)
        } else {
            check_inheritance(file)
        }
    });
    checks.collect()
}

/// The project's own crates share one comment; everything else has its own.
fn check_comments(file: &TextFile) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut defended = false;
    for (number, line) in section(file, |name| name == "workspace.dependencies") {
        if line.starts_with('#') {
            defended = true;
        } else if let Some((name, _)) = line.split_once('=') {
            if !defended && !line.contains("path =") {
                let complaint = format!("{} needs a sentence above it", name.trim());
                findings.push(Finding::new(file, Some(number), complaint));
            }
            defended = false;
        }
    }
    findings
}

fn check_inheritance(file: &TextFile) -> Vec<Finding> {
    let dependencies = section(file, |name| name.ends_with("dependencies"));
    let strays = dependencies.filter(|(_, line)| {
        !line.is_empty()
            && !line.starts_with('#')
            && line.contains('=')
            && !line.contains("workspace = true")
    });
    let complaint = "take it from the workspace, where it is defended: NAME.workspace = true";
    strays
        .map(|(number, _)| Finding::new(file, Some(number), complaint))
        .collect()
}

/// The lines of every section whose name is wanted, trimmed.
fn section(file: &TextFile, wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = (usize, &str)> {
    let mut inside = false;
    file.lines().filter_map(move |(number, line)| {
        let line = line.trim();
        if let Some(name) = line
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            inside = wanted(name);
            return None;
        }
        inside.then_some((number, line))
    })
}

#[cfg(test)]
mod tests {
    use super::{super::file, *};

    #[test]
    fn arrows_point_down() {
        let ours = |from, to| complain(from, to, true, Kind::Program);
        assert_eq!(ours("tidings-api", "tidings-store"), None);
        assert_eq!(ours("tidings", "tidings-store-sqlite"), None);
        assert!(ours("tidings-api", "tidings-delivery").is_some());
        assert!(ours("tidings-delivery", "tidings-api").is_some());
        assert!(ours("tidings-api", "tidings-store-sqlite").is_some());
        assert!(ours("tidings-domain", "tidings-store").is_some());
    }

    #[test]
    fn tests_may_name_a_store() {
        let tests = |to| complain("tidings-api", to, true, Kind::Tests);
        assert_eq!(tests("tidings-store-sqlite"), None);
        assert!(tests("tidings-delivery").is_some());
    }

    #[test]
    fn drivers_and_runtimes_have_their_place() {
        let others = |from, to| complain(from, to, false, Kind::Program);
        assert_eq!(others("tidings-store-sqlite", "rusqlite"), None);
        assert!(others("tidings", "rusqlite").is_some());
        assert_eq!(others("tidings-store", "tokio"), None);
        assert!(others("tidings-domain", "tokio").is_some());
    }

    #[test]
    fn a_new_crate_needs_its_place() {
        assert!(complain("tidings-new", "serde", false, Kind::Program).is_some());
    }

    #[test]
    fn each_dependency_needs_its_own_sentence() {
        let text = "[workspace.dependencies]\n# Ours.\na = { path = \"a\" }\nb = { path = \"b\" }\n\
                    # Why c.\nc = \"1\"\nd = \"1\"\n[profile.dev]\nopt-level = 1\n";
        let findings = check_comments(&file("Cargo.toml", text));
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].line, Some(7));
    }

    #[test]
    fn crates_take_dependencies_from_the_workspace() {
        let text = "[package]\nname = \"a\"\n[dependencies]\nb.workspace = true\n\
                    c = { workspace = true, features = [\"d\"] }\n[dev-dependencies]\ne = \"1\"\n";
        let findings = check_inheritance(&file("crates/a/Cargo.toml", text));
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].line, Some(7));
    }
}
