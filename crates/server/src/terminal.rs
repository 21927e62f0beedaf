//! Whether to paint, and how: colours for people at a terminal, none for files and pipes.
//!
//! Source: <https://no-color.org>: a `NO_COLOR` that is set and not empty turns colours off.

use std::{fmt, io::IsTerminal};

/// Whether `stream` is a terminal that should be painted.
pub(crate) fn colours_on(stream: &impl IsTerminal) -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    stream.is_terminal() && !refused && !dumb
}

/// Paints, or leaves text as it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint {
    on: bool,
}

/// A text in a colour.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Painted<T> {
    text: T,
    code: Option<&'static str>,
}

impl Paint {
    /// Paints where `on`.
    pub(crate) fn new(on: bool) -> Self {
        Self { on }
    }

    /// For headings.
    pub(crate) fn bold<T>(self, text: T) -> Painted<T> {
        self.paint("1", text)
    }

    /// For what one may skip.
    pub(crate) fn dim<T>(self, text: T) -> Painted<T> {
        self.paint("2", text)
    }

    /// For what went well.
    pub(crate) fn green<T>(self, text: T) -> Painted<T> {
        self.paint("32", text)
    }

    /// For what failed.
    pub(crate) fn red<T>(self, text: T) -> Painted<T> {
        self.paint("31", text)
    }

    /// For what waits.
    pub(crate) fn yellow<T>(self, text: T) -> Painted<T> {
        self.paint("33", text)
    }

    /// For what one may copy.
    pub(crate) fn cyan<T>(self, text: T) -> Painted<T> {
        self.paint("36", text)
    }

    fn paint<T>(self, code: &'static str, text: T) -> Painted<T> {
        Painted {
            text,
            code: self.on.then_some(code),
        }
    }
}

impl<T: fmt::Display> fmt::Display for Painted<T> {
    /// Width and alignment are the text's; the colour's own characters do not count.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(code) = self.code else {
            return self.text.fmt(f);
        };
        write!(f, "\x1b[{code}m")?;
        self.text.fmt(f)?;
        f.write_str("\x1b[0m")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_do_not_count_as_width() {
        assert_eq!(format!("{:<4}|", Paint::new(false).red("ab")), "ab  |");
        assert_eq!(
            format!("{:<4}|", Paint::new(true).red("ab")),
            "\x1b[31mab  \x1b[0m|"
        );
    }
}
