//! Rules about Markdown: links to files lead somewhere.

use super::{Finding, TextFile};
use crate::step::project_root;

/// Every breach in one file; nothing where it is no Markdown.
pub(super) fn check(file: &TextFile) -> Vec<Finding> {
    if file.ends_with(".md") {
        check_links(file)
    } else {
        Vec::new()
    }
}

fn check_links(file: &TextFile) -> Vec<Finding> {
    let directory = file
        .path
        .rsplit_once('/')
        .map_or("", |(directory, _)| directory);
    let base = project_root().join(directory);
    let links = file
        .lines()
        .flat_map(|(number, line)| targets(line).map(move |target| (number, target)));
    links
        .filter(|(_, target)| !base.join(target).exists())
        .map(|(number, target)| {
            Finding::new(
                file,
                Some(number),
                format!("the link to {target} leads nowhere"),
            )
        })
        .collect()
}

/// The files that a line links to, without anchors; links to elsewhere are not looked at.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    let links = line.split("](").skip(1);
    links
        .filter_map(|rest| rest.split_once(')'))
        .filter_map(|(target, _)| target.split('#').next())
        .filter(|target| !target.is_empty() && !target.contains(':'))
}

#[cfg(test)]
mod tests {
    use super::{super::file, *};

    #[test]
    fn links_to_files_are_found_and_others_are_not() {
        let line = "[a](docs/a.md), [b](https://x.y/z), [c](#here), ![d](i/d.svg#x) (no link)";
        assert_eq!(targets(line).collect::<Vec<_>>(), ["docs/a.md", "i/d.svg"]);
    }

    #[test]
    fn a_link_that_leads_nowhere_is_a_finding() {
        let text = "see\n[this](does-not-exist.md) and [that](Cargo.toml)\n";
        let findings = check_links(&file("README.md", text));
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].line, Some(2));
    }
}
