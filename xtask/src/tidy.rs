//! The house rules of STYLE.md that a program can check.
//!
//! [`sources`] looks at Rust files one by one, [`manifests`] at what the crates depend on,
//! [`documents`] at the Markdown files. Each finding says where it is and what to do.

mod documents;
mod manifests;
mod sources;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};

use crate::step::project_root;

/// Directories that hold nothing of ours to look at.
const SKIPPED_DIRECTORIES: [&str; 5] = [".git", "target", "node_modules", "__pycache__", ".venv"];

/// One breach of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    /// The file, from the project's root.
    path: String,
    /// The line from 1, where it is about one.
    line: Option<usize>,
    /// What is wrong and what to do.
    complaint: String,
}

/// A text file of the project.
#[derive(Clone, Debug)]
struct TextFile {
    /// From the project's root, with `/`.
    path: String,
    text: String,
}

/// Checks everything, prints each finding, and fails where there is one.
pub(crate) fn check() -> anyhow::Result<()> {
    let files = text_files(&project_root())?;
    let mut findings: Vec<_> = files.iter().flat_map(sources::check).collect();
    findings.extend(manifests::check(&files)?);
    findings.extend(files.iter().flat_map(documents::check));
    for finding in &findings {
        let line = finding.line.map(|line| format!(":{line}"));
        eprintln!(
            "  {}{}: {}",
            finding.path,
            line.unwrap_or_default(),
            finding.complaint
        );
    }
    if !findings.is_empty() {
        bail!("tidy has {} findings", findings.len());
    }
    eprintln!("  {} files are tidy", files.len());
    Ok(())
}

impl Finding {
    fn new(file: &TextFile, line: Option<usize>, complaint: impl Into<String>) -> Self {
        Self {
            path: file.path.clone(),
            line,
            complaint: complaint.into(),
        }
    }
}

impl TextFile {
    /// The file's name without its directory.
    fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// Whether the name ends so, as in `.rs`.
    fn ends_with(&self, ending: &str) -> bool {
        self.path.ends_with(ending)
    }

    /// The lines with their numbers, from 1.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(at, line)| (at + 1, line))
    }
}

/// Every Rust, TOML and Markdown file, sorted.
fn text_files(root: &Path) -> anyhow::Result<Vec<TextFile>> {
    const ENDINGS: [&str; 3] = ["rs", "toml", "md"];
    let mut paths = Vec::new();
    collect(root, &mut paths)?;
    paths.sort();
    let wanted = paths.into_iter().filter(|path| {
        path.extension()
            .is_some_and(|ending| ENDINGS.iter().any(|wanted| ending == *wanted))
    });
    wanted
        .map(|path| {
            let text = fs::read_to_string(&path);
            let text = text.with_context(|| format!("cannot read {}", path.display()))?;
            let path = path
                .strip_prefix(root)?
                .to_string_lossy()
                .replace('\\', "/");
            Ok(TextFile { path, text })
        })
        .collect()
}

fn collect(directory: &Path, paths: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = fs::read_dir(directory);
    let entries = entries.with_context(|| format!("cannot read {}", directory.display()))?;
    for entry in entries {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_file() {
            paths.push(entry.path());
        } else if kind.is_dir()
            && !SKIPPED_DIRECTORIES
                .iter()
                .any(|skipped| entry.file_name() == *skipped)
        {
            collect(&entry.path(), paths)?;
        }
    }
    Ok(())
}

#[cfg(test)]
fn file(path: &str, text: &str) -> TextFile {
    TextFile {
        path: path.to_owned(),
        text: text.to_owned(),
    }
}
