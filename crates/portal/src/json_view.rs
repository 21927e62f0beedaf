//! Bodies as a page shows them: JSON with its lines broken and coloured, everything else as it
//! came; escaped either way, and never more than a page has room for.
//!
//! It reads the text token by token and keeps each as it is: a number of thirty digits stays one.
//! Nothing recurses, so nesting costs no stack, and both end where their room does.

use serde::de::IgnoredAny;

/// Spaces for one level of nesting.
const INDENT: &str = "  ";
/// Deeper levels are not indented any further.
const INDENT_LEVELS_MAX: usize = 100;

/// A text as markup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    /// Escaped text with spans of our own: the one markup that a template takes with `|safe`.
    pub(crate) html: String,
    /// Whether there was more than there is room for.
    pub(crate) cut: bool,
}

/// What stands between two places of a JSON text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Opening,
    Closing,
    Comma,
    Colon,
    Text,
    Bare,
}

/// JSON with line breaks and colours, in at most about `html_bytes_max` bytes of markup; none where
/// the text is no JSON object or array. `partial` says that the text is the beginning of a longer
/// one, and so need not end well.
pub(crate) fn json(text: &str, partial: bool, html_bytes_max: usize) -> Option<Shown> {
    let text = text.trim_ascii();
    if !text.starts_with(['{', '[']) || !(partial || is_json(text)) {
        return None;
    }
    Layout::new(text, html_bytes_max).lay_out(partial)
}

/// Any text, escaped, in at most about `html_bytes_max` bytes of markup.
pub(crate) fn plain(text: &str, html_bytes_max: usize) -> Shown {
    let mut html = String::with_capacity(text.len().min(html_bytes_max));
    let cut = !escape(text, html_bytes_max, &mut html, control_picture);
    Shown { html, cut }
}

/// Whether a text is JSON; `serde_json` skips over values without recursion.
fn is_json(text: &str) -> bool {
    serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok()
}

struct Layout<'t> {
    text: &'t str,
    html_bytes_max: usize,
    html: String,
    depth: usize,
}

impl<'t> Layout<'t> {
    fn new(text: &'t str, html_bytes_max: usize) -> Self {
        Self {
            text,
            html_bytes_max,
            html: String::with_capacity((2 * text.len()).min(html_bytes_max)),
            depth: 0,
        }
    }

    fn lay_out(mut self, partial: bool) -> Option<Shown> {
        let mut place = 0;
        while let Some((token, start, end)) = self.next(place) {
            if self.html.len() >= self.html_bytes_max {
                return Some(self.shown(true));
            }
            let piece = &self.text[start..end];
            if token == Token::Bare && !is_scalar(piece) && !(partial && end == self.text.len()) {
                return None;
            }
            if !self.write(token, piece, end) {
                return Some(self.shown(true));
            }
            place = match token {
                Token::Opening if self.closes_at_once(end) => self.close_at_once(end),
                _ => end,
            };
        }
        Some(self.shown(false))
    }

    fn shown(self, cut: bool) -> Shown {
        Shown {
            html: self.html,
            cut,
        }
    }

    /// The token at or after a place, and where it begins and ends.
    fn next(&self, place: usize) -> Option<(Token, usize, usize)> {
        let bytes = self.text.as_bytes();
        let start = place + spaces(&bytes[place..]);
        let token = match bytes.get(start)? {
            b'{' | b'[' => Token::Opening,
            b'}' | b']' => Token::Closing,
            b',' => Token::Comma,
            b':' => Token::Colon,
            b'"' => Token::Text,
            _ => Token::Bare,
        };
        let end = match token {
            Token::Text => start + string_bytes(&bytes[start..]),
            Token::Bare => start + bare_bytes(&bytes[start..]),
            _ => start + 1,
        };
        Some((token, start, end))
    }

    /// Whether nothing but space is between an opening bracket that ends here and its closing one.
    fn closes_at_once(&self, end: usize) -> bool {
        matches!(self.next(end), Some((Token::Closing, ..)))
    }

    fn close_at_once(&mut self, end: usize) -> usize {
        match self.next(end) {
            Some((Token::Closing, start, end)) => {
                self.html.push_str(&self.text[start..end]);
                end
            }
            _ => end,
        }
    }

    /// Writes a token; false where there was no room for the whole of it.
    fn write(&mut self, token: Token, piece: &str, end: usize) -> bool {
        match token {
            Token::Opening => {
                self.html.push_str(piece);
                if !self.closes_at_once(end) {
                    self.depth += 1;
                    self.new_line();
                }
            }
            Token::Closing => {
                self.depth = self.depth.saturating_sub(1);
                self.new_line();
                self.html.push_str(piece);
            }
            Token::Comma => {
                self.html.push(',');
                self.new_line();
            }
            Token::Colon => self.html.push_str(": "),
            Token::Text => {
                let is_key = matches!(self.next(end), Some((Token::Colon, ..)));
                return self.span(if is_key { "j-key" } else { "j-string" }, piece);
            }
            Token::Bare => {
                let is_word = piece.starts_with(|first: char| first.is_ascii_alphabetic());
                return self.span(if is_word { "j-word" } else { "j-number" }, piece);
            }
        }
        true
    }

    fn span(&mut self, class: &str, piece: &str) -> bool {
        self.html.push_str("<span class=\"");
        self.html.push_str(class);
        self.html.push_str("\">");
        let room = self.html_bytes_max.saturating_sub(self.html.len());
        let whole = escape(piece, room, &mut self.html, json_escape);
        self.html.push_str("</span>");
        whole
    }

    fn new_line(&mut self) {
        self.html.push('\n');
        let levels = self.depth.min(INDENT_LEVELS_MAX);
        self.html.extend(std::iter::repeat_n(INDENT, levels));
    }
}

/// How many bytes of JSON's white space a text begins with.
fn spaces(bytes: &[u8]) -> usize {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    bytes.iter().take_while(|byte| is_space(byte)).count()
}

/// How many bytes the string has that a text begins with, its quotes included.
fn string_bytes(bytes: &[u8]) -> usize {
    let mut place = 1;
    while let Some(byte) = bytes.get(place) {
        match byte {
            b'"' => return place + 1,
            b'\\' => place += 2,
            _ => place += 1,
        }
    }
    bytes.len()
}

/// How many bytes are between here and what can only be JSON's own punctuation.
fn bare_bytes(bytes: &[u8]) -> usize {
    let ends = |byte: &u8| b" \t\n\r,:{}[]\"".contains(byte);
    bytes.iter().take_while(|byte| !ends(byte)).count()
}

fn is_scalar(piece: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(piece).is_ok()
}

/// Appends a text, escaped, as far as there is room; false where there was not enough.
fn escape(
    text: &str,
    room_bytes: usize,
    html: &mut String,
    control: impl Fn(char, &mut String),
) -> bool {
    let end = html.len().saturating_add(room_bytes);
    for letter in text.chars() {
        if html.len() >= end {
            return false;
        }
        match letter {
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '&' => html.push_str("&amp;"),
            // A browser would read a line feed.
            '\r' => html.push_str("&#13;"),
            '\n' | '\t' => html.push(letter),
            _ if letter.is_control() || turns_direction(letter) => control(letter, html),
            _ => html.push(letter),
        }
    }
    true
}

/// Whether a character makes the text after it appear in another order (Unicode Standard Annex 9).
fn turns_direction(letter: char) -> bool {
    matches!(letter, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Inside a string of JSON an escape means the same and can be seen.
fn json_escape(letter: char, html: &mut String) {
    use std::fmt::Write as _;
    // Writing to a String cannot fail.
    let _ = write!(html, "\\u{:04x}", u32::from(letter));
}

/// What HTML cannot hold, as the picture that Unicode has for it. JSON holds none of that, so a text
/// that is JSON is still copied as it is.
fn control_picture(letter: char, html: &mut String) {
    let picture = match u32::from(letter) {
        code @ 0..=0x1f => char::from_u32(0x2400 + code),
        _ => Some(letter),
    };
    html.extend(picture);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ROOM: usize = 1 << 20;

    fn shown(text: &str) -> Shown {
        json(text, false, ROOM).unwrap()
    }

    /// The text that a browser makes of it.
    fn text_of(html: &str) -> String {
        let mut text = String::new();
        let mut rest = html;
        while let Some((before, after)) = rest.split_once('<') {
            text.push_str(before);
            rest = after.split_once('>').unwrap().1;
        }
        text.push_str(rest);
        for (entity, letter) in [
            ("&lt;", "<"),
            ("&gt;", ">"),
            ("&#13;", "\r"),
            ("&amp;", "&"),
        ] {
            text = text.replace(entity, letter);
        }
        text
    }

    #[test]
    fn json_gets_lines_and_colours() {
        let shown = shown(r#"{"a":1,"b":[],"c":{ },"d":[true,"x"]}"#);
        assert_eq!(
            text_of(&shown.html),
            "{\n  \"a\": 1,\n  \"b\": [],\n  \"c\": {},\n  \"d\": [\n    true,\n    \"x\"\n  ]\n}"
        );
        for part in [
            r#"<span class="j-key">"a"</span>: <span class="j-number">1</span>"#,
            r#"<span class="j-word">true</span>"#,
            r#"<span class="j-string">"x"</span>"#,
        ] {
            assert!(shown.html.contains(part), "{part} in {}", shown.html);
        }
    }

    #[test]
    fn digits_and_escapes_stay_as_they_came() {
        let text = r#"{"n":123456789012345678901234567890.10e+2,"s":"\u00e9\/\"}"}"#;
        let text_shown = text_of(&shown(text).html);
        assert!(text_shown.contains("123456789012345678901234567890.10e+2"));
        assert!(text_shown.contains(r#""\u00e9\/\"}""#));
    }

    #[test]
    fn markup_stays_text() {
        let text = r#"{"<script>alert(1)</script>":"</pre><img src=x onerror=alert(1)>&amp;"}"#;
        for html in [shown(text).html, plain(text, ROOM).html] {
            assert!(
                !html.contains("<script") && !html.contains("<img"),
                "{html}"
            );
            assert!(html.contains("&amp;amp;"), "{html}");
        }
        assert_eq!(text_of(&plain(text, ROOM).html), text);
    }

    #[test]
    fn what_is_no_json_is_none() {
        for text in [
            "",
            "ok",
            "<html>",
            "{",
            "{]",
            "{\"a\":1}x",
            "[1,]",
            "12",
            "\"x\"",
        ] {
            assert_eq!(json(text, false, ROOM), None, "{text}");
        }
        assert_eq!(json("{ this is no JSON", true, ROOM), None);
    }

    #[test]
    fn the_beginning_of_json_is_shown_as_far_as_it_goes() {
        for text in [
            r#"{"a":"b"#,
            r#"{"a":"b\"#,
            r#"{"a":tr"#,
            r#"{"a":[1,"#,
            r#"{"a""#,
            "{",
        ] {
            assert!(json(text, true, ROOM).is_some(), "{text}");
        }
    }

    #[test]
    fn depth_costs_neither_stack_nor_room() {
        let deep = "[".repeat(200_000) + &"]".repeat(200_000);
        let shown = json(&deep, false, 10_000).unwrap();
        assert!(shown.cut && shown.html.len() < 10_300);
    }

    #[test]
    fn there_is_never_more_than_there_is_room_for() {
        let text = format!(r#"{{"a":"{}"}}"#, "&".repeat(5000));
        let cut = json(&text, false, 1000).unwrap();
        assert!(cut.cut && cut.html.len() < 1050 && cut.html.ends_with("</span>"));
        let cut = plain(&text, 1000);
        assert!(cut.cut && cut.html.len() < 1010);
        assert!(!plain("short", 1000).cut);
    }

    #[test]
    fn what_nobody_sees_is_made_visible() {
        assert_eq!(plain("a\0b\u{1b}[31m", ROOM).html, "a␀b␛[31m");
        assert_eq!(plain("a\r\n\tb", ROOM).html, "a&#13;\n\tb");
        let html = shown("{\"a\":\"\u{202e}gpj.exe\"}").html;
        assert!(html.contains(r"\u202egpj.exe") && !html.contains('\u{202e}'));
    }

    proptest! {
        /// Whatever comes is laid out without a panic and says the same JSON.
        #[test]
        fn any_json_says_the_same(value in json_text()) {
            let text = text_of(&shown(&value).html);
            let (was, is): (serde_json::Value, serde_json::Value) =
                (serde_json::from_str(&value).unwrap(), serde_json::from_str(&text).unwrap());
            prop_assert_eq!(was, is);
        }

        #[test]
        fn any_text_is_taken(text: String, room in 0..200_usize) {
            for text in [text.clone(), format!("{{{text}"), format!("[\"{text}")] {
                for partial in [true, false] {
                    if let Some(shown) = json(&text, partial, room) {
                        prop_assert!(shown.html.len() <= room + 250, "{}", shown.html);
                    }
                }
                prop_assert!(plain(&text, room).html.len() <= room + 8);
            }
        }
    }

    fn json_text() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(serde_json::Value::from),
            any::<i64>().prop_map(serde_json::Value::from),
            any::<String>().prop_map(serde_json::Value::from),
        ];
        let value = leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
                proptest::collection::hash_map(any::<String>(), inner, 0..6)
                    .prop_map(|members| { serde_json::Value::from_iter(members) }),
            ]
        });
        value.prop_map(|value| serde_json::json!({ "value": value }).to_string())
    }
}
