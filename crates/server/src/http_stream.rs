//! An answer that may never end, read as it comes: what `listen` asks of the HTTP client.

use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, StatusCode, body::Incoming};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::task::AbortOnDropHandle;

use crate::http_client::{Call, HttpClient, Stream};

/// How long the head of an answer may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long a stream may be silent: the server gives a sign of life every 15 s.
const SILENCE_MAX: Duration = Duration::from_secs(40);
/// The largest answer that is read as a whole, in bytes.
const WHOLE_BYTES_MAX: usize = 1 << 20;

impl HttpClient {
    /// Sends one request and gives the answer as soon as its head is there; its body may never
    /// end.
    pub(crate) async fn open(&self, call: Call<'_>) -> anyhow::Result<OpenAnswer> {
        let server = self.server();
        let opened = async {
            let request = self.request(call)?;
            match self.connect().await? {
                Stream::Plain(stream) => begin(stream, request).await,
                Stream::Tls(stream) => begin(*stream, request).await,
            }
        };
        match tokio::time::timeout(TIMEOUT, opened).await {
            Ok(answer) => answer.with_context(|| format!("no answer from {server}")),
            Err(_) => bail!("no answer from {server} within {} s", TIMEOUT.as_secs()),
        }
    }
}

/// An answer whose body is still coming.
pub(crate) struct OpenAnswer {
    /// Its status.
    pub(crate) status: StatusCode,
    body: Incoming,
    /// Drives the connection until this is dropped.
    _connection: AbortOnDropHandle<()>,
}

impl OpenAnswer {
    /// The next bytes of the body; none at its end. An error after [`SILENCE_MAX`] without any.
    pub(crate) async fn next_chunk(&mut self) -> anyhow::Result<Option<Bytes>> {
        loop {
            let frame = tokio::time::timeout(SILENCE_MAX, self.body.frame()).await;
            let frame = frame.context("the server has gone silent")?;
            match frame {
                None => return Ok(None),
                Some(frame) => {
                    if let Ok(data) = frame.context("the connection broke")?.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// The whole body, as far as it comes and is not too large.
    pub(crate) async fn whole(mut self) -> Vec<u8> {
        let mut whole = Vec::new();
        while let Ok(Some(chunk)) = self.next_chunk().await {
            if whole.len() + chunk.len() > WHOLE_BYTES_MAX {
                break;
            }
            whole.extend_from_slice(&chunk);
        }
        whole
    }
}

async fn begin<S>(stream: S, request: Request<Full<Bytes>>) -> anyhow::Result<OpenAnswer>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .context("the connection was not accepted")?;
    let connection = tokio::spawn(async move {
        // How it ends is seen by who reads the body.
        let _ = connection.await;
    });
    let connection = AbortOnDropHandle::new(connection);
    let answer = sender.send_request(request).await?;
    Ok(OpenAnswer {
        status: answer.status(),
        body: answer.into_body(),
        _connection: connection,
    })
}
