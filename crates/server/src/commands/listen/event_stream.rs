//! Reading server-sent events (WHATWG HTML, section 9.2.6), as far as this program's own server
//! writes them: chunks of bytes in, messages out.

use std::collections::VecDeque;

/// What a block of the stream says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    /// The place behind it, where it tells one.
    pub(super) id: Option<String>,
    /// The event's data; none in a block that only tells a place.
    pub(super) data: Option<Vec<u8>>,
}

/// Puts chunks together.
#[derive(Debug, Default)]
pub(super) struct Parser {
    line: Vec<u8>,
    message: Message,
    messages: VecDeque<Message>,
}

impl Parser {
    /// Takes the next chunk, which may end anywhere.
    pub(super) fn take(&mut self, chunk: &[u8]) {
        for &byte in chunk {
            match byte {
                b'\n' => {
                    let line = std::mem::take(&mut self.line);
                    self.take_line(&line);
                }
                other => self.line.push(other),
            }
        }
    }

    /// The next message that is complete.
    pub(super) fn next_message(&mut self) -> Option<Message> {
        self.messages.pop_front()
    }

    fn take_line(&mut self, line: &[u8]) {
        if line.is_empty() {
            let message = std::mem::take(&mut self.message);
            if message != Message::default() {
                self.messages.push_back(message);
            }
        } else if let Some(id) = field(line, b"id") {
            self.message.id = Some(String::from_utf8_lossy(id).into_owned());
        } else if let Some(data) = field(line, b"data") {
            match &mut self.message.data {
                Some(before) => {
                    before.push(b'\n');
                    before.extend_from_slice(data);
                }
                none => *none = Some(data.to_vec()),
            }
        }
    }
}

/// The value of a line with this field.
fn field<'l>(line: &'l [u8], name: &[u8]) -> Option<&'l [u8]> {
    let value = line.strip_prefix(name)?.strip_prefix(b":")?;
    Some(value.strip_prefix(b" ").unwrap_or(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = ": hello\nretry: 1000\nid: A\n\nid: B\nevent: a.b\ndata: {\ndata: \"id\": 1}\n\n\
                          : still here\n\n: still here\nid: C\n\n";

    fn expected() -> Vec<Message> {
        let message = |id: &str, data: Option<&str>| Message {
            id: Some(id.to_owned()),
            data: data.map(|data| data.as_bytes().to_vec()),
        };
        vec![
            message("A", None),
            message("B", Some("{\n\"id\": 1}")),
            message("C", None),
        ]
    }

    #[test]
    fn chunks_may_end_anywhere() {
        for size in 1..STREAM.len() {
            let mut parser = Parser::default();
            let mut messages = Vec::new();
            for chunk in STREAM.as_bytes().chunks(size) {
                parser.take(chunk);
                messages.extend(std::iter::from_fn(|| parser.next_message()));
            }
            assert_eq!(messages, expected(), "chunks of {size}");
        }
    }

    #[test]
    fn what_is_cut_off_is_no_message() {
        let mut parser = Parser::default();
        parser.take(b"id: A\ndata: {}\n");
        assert_eq!(parser.next_message(), None);
    }
}
