//! The forms in which every database keeps what has no column type of its own: lists as JSON,
//! outcomes as words. A store chooses its columns; what is in them is the same everywhere.

use tidings_domain::{
    api_key::Scope,
    attempt::{AttemptError, AttemptOutcome},
    audit::FieldChange,
    event_type::EventTypePattern,
    signing::Signatures,
    subscription::EventTypes,
};

use crate::SealingError;

/// Why a stored value is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoredFormError {
    /// It is not what was written; holds what it should be.
    #[error("a stored {0} does not read back")]
    Unreadable(&'static str),
    /// It was sealed under another key.
    #[error(transparent)]
    Sealed(#[from] SealingError),
}

/// The stored form of a list of patterns.
#[must_use]
pub fn types_to_json(types: &EventTypes) -> String {
    serde_json::to_string(types).expect("a list of strings always has a JSON form")
}

/// Reads a list of patterns back.
pub fn types_from_json(json: &str) -> Result<EventTypes, StoredFormError> {
    let unreadable = StoredFormError::Unreadable("list of event types");
    let words: Vec<String> = serde_json::from_str(json).map_err(|_| unreadable)?;
    let patterns: Result<Vec<_>, _> = words
        .iter()
        .map(|word| EventTypePattern::parse(word))
        .collect();
    EventTypes::new(patterns.map_err(|_| unreadable)?).map_err(|_| unreadable)
}

/// The stored form of a key's scopes.
#[must_use]
pub fn scopes_to_json(scopes: &[Scope]) -> String {
    serde_json::to_string(scopes).expect("a list of words always has a JSON form")
}

/// Reads a key's scopes back.
pub fn scopes_from_json(json: &str) -> Result<Vec<Scope>, StoredFormError> {
    let unreadable = StoredFormError::Unreadable("list of scopes");
    let words: Vec<String> = serde_json::from_str(json).map_err(|_| unreadable)?;
    let scopes: Option<Vec<_>> = words.iter().map(|word| Scope::parse(word)).collect();
    scopes.ok_or(unreadable)
}

/// The stored form of header fields; none for none.
#[must_use]
pub fn headers_to_json(headers: &[(String, String)]) -> Option<String> {
    let json = || serde_json::to_string(headers);
    (!headers.is_empty()).then(|| json().expect("pairs of strings always have a JSON form"))
}

/// Reads header fields back.
pub fn headers_from_json(json: Option<&str>) -> Result<Vec<(String, String)>, StoredFormError> {
    match json {
        None => Ok(Vec::new()),
        Some(json) => serde_json::from_str(json)
            .map_err(|_| StoredFormError::Unreadable("list of header fields")),
    }
}

/// The stored form of an outcome: the error's word, and none for success.
#[must_use]
pub fn outcome_to_word(outcome: AttemptOutcome) -> Option<&'static str> {
    match outcome {
        AttemptOutcome::Succeeded => None,
        AttemptOutcome::Failed(error) => Some(error.as_str()),
    }
}

/// Reads an outcome back.
pub fn outcome_from_word(word: Option<&str>) -> Result<AttemptOutcome, StoredFormError> {
    match word {
        None => Ok(AttemptOutcome::Succeeded),
        Some(word) => AttemptError::parse(word)
            .map(AttemptOutcome::Failed)
            .ok_or(StoredFormError::Unreadable("outcome of an attempt")),
    }
}

/// Reads back what [`Signatures::to_bytes`] gave.
pub fn signatures_from_bytes(bytes: Option<&[u8]>) -> Result<Option<Signatures>, StoredFormError> {
    bytes
        .map(|bytes| {
            Signatures::from_bytes(bytes)
                .ok_or(StoredFormError::Unreadable("signature of an attempt"))
        })
        .transpose()
}

/// The stored form of what an audit line says was changed.
#[must_use]
pub fn changes_to_json(changes: &[FieldChange]) -> String {
    serde_json::to_string(changes).expect("a list of texts always has a JSON form")
}

/// Reads it back.
pub fn changes_from_json(json: &str) -> Result<Vec<FieldChange>, StoredFormError> {
    serde_json::from_str(json).map_err(|_| StoredFormError::Unreadable("list of changes"))
}
