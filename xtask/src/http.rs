//! One HTTP request over one connection: enough to speak to a server on this machine.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};

/// How long a server on this machine may take to answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Status and body of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: u16,
    /// The header fields' lines.
    head: String,
    /// The body's text.
    pub(crate) body: String,
}

impl Answer {
    /// The value of a header field, by its name in small letters.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// Sends a request and reads the whole answer.
pub(crate) fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> anyhow::Result<Answer> {
    let mut stream = TcpStream::connect(address)
        .with_context(|| format!("cannot connect to http://{address}"))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let mut text = Vec::new();
    write!(
        text,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n"
    )?;
    for (name, value) in headers {
        write!(text, "{name}: {value}\r\n")?;
    }
    if !body.is_empty() {
        write!(text, "Content-Type: application/json\r\n")?;
    }
    write!(text, "Content-Length: {}\r\n\r\n{body}", body.len())?;
    stream.write_all(&text)?;
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .with_context(|| format!("no whole answer to {method} {path}"))?;
    parse(&answer).with_context(|| format!("the answer to {method} {path} is no HTTP"))
}

/// An address of this machine on which nobody listens.
pub(crate) fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").context("no port is free")?;
    Ok(listener.local_addr()?)
}

fn parse(answer: &str) -> anyhow::Result<Answer> {
    let (head, body) = answer.split_once("\r\n\r\n").context("it has no head")?;
    let mut lines = head.lines();
    let mut status_line = lines.next().unwrap_or_default().split(' ');
    let version = status_line.next().unwrap_or_default();
    ensure!(version.starts_with("HTTP/1."), "it begins with {version:?}");
    let status = status_line.next().context("it has no status")?.parse()?;
    if lines.any(|line| line.to_ascii_lowercase().starts_with("transfer-encoding:")) {
        bail!("it is chunked, which is not understood here");
    }
    Ok(Answer {
        status,
        head: head.to_owned(),
        body: body.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_apart() {
        let answer = parse("HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}").unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (201, "{}"));
        assert_eq!(answer.header("content-length"), Some("2"));
        assert_eq!(answer.header("etag"), None);
        let answer = parse("HTTP/1.0 204 No Content\r\n\r\n").unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (204, ""));
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        assert!(parse("").is_err());
        assert!(parse("SSH-2.0\r\n\r\n").is_err());
        assert!(parse("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n").is_err());
    }
}
