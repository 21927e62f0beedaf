//! Examples of the `OpenAPI` document: for each operation its request and its answers, as a server
//! gave them, in `examples.json`. The tests compare each with its schema.

use std::sync::LazyLock;

use serde_json::{Map, Value};
use utoipa::openapi::{Content, RefOr, path::Operation};

/// By operation; below that by `request`, or the status of an answer.
static EXAMPLES: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    // A part of the program; a test reads it.
    serde_json::from_str(include_str!("examples.json")).unwrap_or_default()
});

/// Puts the examples of an operation where they belong.
pub(crate) fn illustrate(operation: &mut Operation) {
    let Some(examples) = operation
        .operation_id
        .as_deref()
        .and_then(|id| EXAMPLES.get(id))
    else {
        return;
    };
    if let (Some(RefOr::T(body)), Some(example)) =
        (&mut operation.request_body, examples.get("request"))
    {
        body.content
            .values_mut()
            .for_each(|content| show(content, example));
    }
    for (status, response) in &mut operation.responses.responses {
        if let (RefOr::T(response), Some(example)) = (response, examples.get(status)) {
            response
                .content
                .values_mut()
                .for_each(|content| show(content, example));
        }
    }
}

fn show(content: &mut RefOr<Content>, example: &Value) {
    if let RefOr::T(content) = content {
        content.example.get_or_insert_with(|| example.clone());
    }
}
