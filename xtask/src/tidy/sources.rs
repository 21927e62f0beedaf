//! Rules about single Rust files.

use super::{Finding, TextFile};

/// A longer file has more than one subject.
const FILE_LINES_MAX: usize = 600;
/// Names that say nothing and so collect everything.
const BANNED_NAMES: [&str; 7] = [
    "util", "utils", "common", "types", "helper", "helpers", "misc",
];
/// Marks of work that was left undone, taken apart so that this file has none of them.
const UNFINISHED: [&str; 6] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("HA", "CK"),
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
];

/// Every breach in one file; nothing where it is no Rust.
pub(super) fn check(file: &TextFile) -> Vec<Finding> {
    if !file.ends_with(".rs") {
        return Vec::new();
    }
    let mut findings = Vec::new();
    findings.extend(check_name(file));
    findings.extend(check_length(file));
    findings.extend(check_header(file));
    findings.extend(check_unfinished(file));
    findings.extend(check_sleeps(file));
    findings
}

fn check_name(file: &TextFile) -> Option<Finding> {
    let banned = file
        .path
        .trim_end_matches(".rs")
        .split('/')
        .find(|part| BANNED_NAMES.contains(part))?;
    let complaint = format!("`{banned}` says nothing; name it after its part on the data's way");
    Some(Finding::new(file, None, complaint))
}

fn check_length(file: &TextFile) -> Option<Finding> {
    let lines = file.text.lines().count();
    (lines > FILE_LINES_MAX).then(|| {
        let complaint = format!("{lines} lines, at most {FILE_LINES_MAX}: one subject per file");
        Finding::new(file, None, complaint)
    })
}

/// Sample programs of the documentation are as short as their readers need, so they go without.
fn check_header(file: &TextFile) -> Option<Finding> {
    let needs = !file.path.starts_with("docs/");
    (needs && !file.text.starts_with("//!")).then(|| {
        let complaint = "begin with `//!`: its part, its neighbours, what it leaves to others";
        Finding::new(file, Some(1), complaint)
    })
}

fn check_unfinished(file: &TextFile) -> impl Iterator<Item = Finding> {
    file.lines().filter_map(move |(number, line)| {
        let mark = UNFINISHED.iter().find(|mark| has_word(line, mark))?;
        let complaint = format!("`{mark}`: finish it, or leave it out and say so in the docs");
        Some(Finding::new(file, Some(number), complaint))
    })
}

/// Whether `word` stands in `line` and is not the end of a longer word.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let before = line[..at].chars().next_back().is_some_and(is_part);
        let after = line[at + word.len()..].chars().next().is_some_and(is_part);
        !before && (word.ends_with('(') || !after)
    })
}

fn check_sleeps(file: &TextFile) -> impl Iterator<Item = Finding> {
    let mut in_tests = is_test_file(file);
    let mut after_attribute = false;
    file.lines().filter_map(move |(number, line)| {
        let code = line.trim();
        in_tests |= after_attribute && code.starts_with("mod ") && code.ends_with('{');
        after_attribute = code == "#[cfg(test)]" || (after_attribute && code.starts_with("#["));
        (in_tests && !code.starts_with("//") && code.contains(concat!("sleep", "("))).then(|| {
            let complaint = "a test that sleeps is slow or flaky: tick, drain, or await a signal";
            Finding::new(file, Some(number), complaint)
        })
    })
}

fn is_test_file(file: &TextFile) -> bool {
    file.path.split('/').any(|part| {
        matches!(part, "tests" | "tests.rs" | "store-conformance") || part.ends_with("_tests.rs")
    })
}

#[cfg(test)]
mod tests {
    use super::{super::file, *};

    fn complaints(path: &str, text: &str) -> Vec<(Option<usize>, String)> {
        let findings = check(&file(path, text)).into_iter();
        findings
            .map(|finding| (finding.line, finding.complaint))
            .collect()
    }

    #[test]
    fn a_good_file_has_no_finding() {
        assert_eq!(
            complaints("crates/api/src/publish.rs", "//! Publishes.\n"),
            []
        );
        assert_eq!(
            complaints("docs/receivers/rust/src/main.rs", "fn main() {}\n"),
            []
        );
        assert_eq!(complaints("README.md", "no header\n"), []);
    }

    #[test]
    fn names_that_say_nothing_are_found_anywhere_in_the_path() {
        for path in [
            "a/src/util.rs",
            "a/src/common/mod.rs",
            "crates/helpers/src/lib.rs",
        ] {
            assert_eq!(complaints(path, "//! Here.\n").len(), 1, "{path}");
        }
        assert_eq!(complaints("a/src/event_type.rs", "//! Here.\n"), []);
    }

    #[test]
    fn headers_and_length_are_asked_for() {
        assert_eq!(complaints("a/src/b.rs", "use std::fs;\n")[0].0, Some(1));
        let long = format!("//! Long.\n{}", "// line\n".repeat(FILE_LINES_MAX));
        assert!(
            complaints("a/src/b.rs", &long)[0]
                .1
                .starts_with("601 lines")
        );
    }

    #[test]
    fn unfinished_work_is_found_as_a_word() {
        let mark = UNFINISHED[0];
        let found = complaints("a/src/b.rs", &format!("//! B.\n// {mark}: later\n"));
        assert_eq!(found[0].0, Some(2));
        let call = format!("//! B.\n{}later\")\n", UNFINISHED[4]);
        assert_eq!(complaints("a/src/b.rs", &call).len(), 1);
        assert_eq!(
            complaints("a/src/b.rs", &format!("//! B.\nlet {mark}S = 1;\n")),
            []
        );
    }

    #[test]
    fn sleeps_are_found_in_tests_alone() {
        let nap = concat!("    sl", "eep(TIME);\n");
        let outside = format!("//! B.\nfn f() {{\n{nap}}}\n");
        assert_eq!(complaints("a/src/b.rs", &outside), []);
        let inside = format!("{outside}#[cfg(test)]\nmod tests {{\n{nap}}}\n");
        assert_eq!(complaints("a/src/b.rs", &inside)[0].0, Some(7));
        assert_eq!(complaints("a/tests/b.rs", &outside)[0].0, Some(3));
    }
}
