//! Bodies on their way in: the right type, not too large, not too slow, and counted while they are
//! in memory.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body_util::BodyExt as _;
use tokio::{sync::OwnedSemaphorePermit, time::timeout};

use crate::{
    problem::{Code, Problem},
    state::Api,
};

/// The largest body of a request that publishes nothing, in bytes.
pub(crate) const SMALL_BODY_BYTES_MAX: usize = 256 << 10;
/// How much of a body that nobody wants is read and thrown away, in bytes. Closing a connection
/// that still sends resets it, and the caller would never read why.
const DISCARDED_BYTES_MAX: usize = 32 << 20;
/// How long that may take.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(5);

/// Which media types a body may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Accepts {
    /// `application/json`.
    Json,
    /// That, or `application/merge-patch+json` (RFC 7396).
    JsonOrMergePatch,
}

/// A body in memory, and its share of the memory for bodies.
pub(crate) struct ReadBody {
    /// The bytes.
    pub(crate) bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

/// Reads a body of at most `bytes_max`.
pub(crate) async fn read(
    api: &Api,
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
    accepts: Accepts,
) -> Result<ReadBody, Problem> {
    let typed = match check_type(headers, accepts) {
        Ok(typed) => typed,
        Err(problem) => {
            discard(headers, body).await;
            return Err(problem);
        }
    };
    if announced_bytes(headers).is_some_and(|bytes| bytes > bytes_max as u64) {
        discard(headers, body).await;
        return Err(too_large(bytes_max));
    }
    let limit = Duration::from_millis(api.limits.body_timeout_ms);
    let Ok(read) = timeout(limit, collect(api, headers, body, bytes_max)).await else {
        let detail = "the body did not arrive in time";
        return Err(Problem::new(Code::RequestTimeout, detail));
    };
    let read = read?;
    if typed || read.bytes.is_empty() {
        Ok(read)
    } else {
        Err(unsupported(accepts))
    }
}

/// Reads a body on its way to nowhere, within bounds, so that the caller gets to read the answer.
/// One that waits for `100 Continue` has not sent it yet, and will not.
pub(crate) async fn discard(headers: &HeaderMap, mut body: Body) {
    if headers.contains_key(header::EXPECT) {
        return;
    }
    let reading = async {
        let mut bytes = 0;
        while let Some(Ok(frame)) = body.frame().await {
            bytes += frame.data_ref().map_or(0, Bytes::len);
            if bytes > DISCARDED_BYTES_MAX {
                return;
            }
        }
    };
    // Either way the answer is the same; only whether it can be read differs.
    let _ = timeout(DISCARD_TIMEOUT, reading).await;
}

async fn collect(
    api: &Api,
    headers: &HeaderMap,
    mut body: Body,
    bytes_max: usize,
) -> Result<ReadBody, Problem> {
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    let mut room: Option<OwnedSemaphorePermit> = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| {
            Problem::new(Code::MalformedJson, "the body ended before it was complete")
        })?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if first.len() + whole.len() + data.len() > bytes_max {
            drop((first, whole, room));
            discard(headers, body).await;
            return Err(too_large(bytes_max));
        }
        let more = api.overload.admit_body(data.len())?;
        match &mut room {
            Some(room) => room.merge(more),
            None => room = Some(more),
        }
        if first.is_empty() && whole.is_empty() {
            first = data;
        } else {
            whole.extend_from_slice(&std::mem::take(&mut first));
            whole.extend_from_slice(&data);
        }
    }
    let bytes = if whole.is_empty() {
        first
    } else {
        whole.freeze()
    };
    Ok(ReadBody { bytes, _room: room })
}

/// Whether the body's type is named, and allowed. A body without one is refused once it turns out
/// not to be empty.
fn check_type(headers: &HeaderMap, accepts: Accepts) -> Result<bool, Problem> {
    let encoding = headers.get(header::CONTENT_ENCODING);
    if encoding.is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        let detail = "send the body without Content-Encoding";
        return Err(Problem::new(Code::UnsupportedMediaType, detail));
    }
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Ok(false);
    };
    let essence = value.as_bytes().split(|&byte| byte == b';').next();
    let essence = essence.unwrap_or_default().trim_ascii();
    let allowed = essence.eq_ignore_ascii_case(b"application/json")
        || (accepts == Accepts::JsonOrMergePatch
            && essence.eq_ignore_ascii_case(b"application/merge-patch+json"));
    if allowed {
        Ok(true)
    } else {
        Err(unsupported(accepts))
    }
}

fn unsupported(accepts: Accepts) -> Problem {
    let detail = match accepts {
        Accepts::Json => "send the body as application/json",
        Accepts::JsonOrMergePatch => {
            "send the body as application/merge-patch+json or application/json"
        }
    };
    Problem::new(Code::UnsupportedMediaType, detail)
}

fn too_large(bytes_max: usize) -> Problem {
    Problem::new(
        Code::BodyTooLarge,
        format!("the body must be at most {bytes_max} bytes"),
    )
}

fn announced_bytes(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}
