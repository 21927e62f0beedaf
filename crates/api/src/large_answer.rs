//! Large answers. A page may have megabytes, and whoever asked for it may read it slowly, or never:
//! what their connections have not written yet counts against a budget, as request bodies do.
//!
//! Handlers whose work cannot be taken back, and those that gather their answer in several steps,
//! take room for it beforehand and pin it to the response. For all others the front door takes it.

use std::sync::Arc;

use axum::{
    body::{self, Body, HttpBody as _},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use http::Method;
use tidings_domain::company::CompanyId;

use crate::{
    overload::{AnswerRoom, Overload, is_counted},
    problem::Problem,
};

/// Room that came with a response. Extensions have to be `Clone`; nobody clones it.
#[derive(Clone)]
struct Pinned(Arc<AnswerRoom>);

/// An answer's bytes, and the room that they take. The connection holds them until they are
/// written, longer than it holds the response's body.
struct Counted {
    bytes: Bytes,
    _room: AnswerRoom,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Leaves room that was taken with the answer that it is for.
pub(crate) fn pin(mut response: Response, room: AnswerRoom) -> Response {
    response.extensions_mut().insert(Pinned(Arc::new(room)));
    response
}

/// Counts an answer, where it is large, until it is written or its connection is gone. Refuses it
/// where too many wait already; but not where the request changed something, which stays done.
pub(crate) async fn count(
    overload: &Overload,
    method: &Method,
    company: Option<&CompanyId>,
    mut response: Response,
) -> Response {
    let pinned = response.extensions_mut().remove::<Pinned>();
    // A stream's size is not known; it has bounds of its own.
    let bytes = response.body().size_hint().exact().unwrap_or(0);
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    if !is_counted(bytes) {
        return response;
    }
    let pinned = pinned.and_then(|Pinned(room)| Arc::into_inner(room));
    let mut room = pinned.unwrap_or_else(|| AnswerRoom::none_yet(company));
    if let Err(problem) = room.grow_to(overload, bytes)
        && method.is_safe()
    {
        return problem.into_response();
    }
    let (parts, body) = response.into_parts();
    // It is one piece that is in memory already, so this copies nothing.
    match body::to_bytes(body, bytes).await {
        Ok(bytes) => {
            let counted = Bytes::from_owner(Counted { bytes, _room: room });
            Response::from_parts(parts, Body::from(counted))
        }
        Err(error) => Problem::internal(format!("an answer broke off: {error}")).into_response(),
    }
}
