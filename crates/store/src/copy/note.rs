//! The note that a target keeps of a copy: of which state of the source it is, and how far. Kept
//! as JSON, so that a person can read it.

use serde_json::{Value, json};

use super::{CopyTable, PerTable, Place, Progress};

/// A copy, as its target remembers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CopyNote {
    /// The state of the source that is being copied.
    pub state: String,
    /// How far each table is.
    pub progress: PerTable<Progress>,
}

impl CopyNote {
    /// The stored form.
    #[must_use]
    pub fn to_json(&self) -> String {
        let tables: serde_json::Map<String, Value> = CopyTable::ALL
            .iter()
            .map(|&table| {
                let Progress { place, rows, bytes } = self.progress[table];
                let value = json!({"place": place.0, "rows": rows, "bytes": bytes});
                (table.as_str().to_owned(), value)
            })
            .collect();
        json!({"state": self.state, "tables": tables}).to_string()
    }

    /// Reads it back; none where it is something else.
    #[must_use]
    pub fn from_json(json: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(json).ok()?;
        let mut note = Self {
            state: value["state"].as_str()?.to_owned(),
            progress: PerTable::default(),
        };
        for table in CopyTable::ALL {
            let stored = &value["tables"][table.as_str()];
            let place = |n: usize| stored["place"][n].as_i64();
            note.progress[table] = Progress {
                place: Place([place(0)?, place(1)?, place(2)?]),
                rows: stored["rows"].as_u64()?,
                bytes: stored["bytes"].as_u64()?,
            };
        }
        Some(note)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_reads_back() {
        let mut note = CopyNote {
            state: "events 3, \"quoted\"".to_owned(),
            progress: PerTable::default(),
        };
        for (n, table) in (1..).zip(CopyTable::ALL) {
            note.progress[table] = Progress {
                place: Place([n, i64::MAX, 2 * n]),
                rows: u64::MAX,
                bytes: 7,
            };
        }
        assert_eq!(CopyNote::from_json(&note.to_json()), Some(note));
    }

    #[test]
    fn anything_else_is_no_note() {
        for text in ["", "{}", r#"{"state": "a", "tables": {}}"#] {
            assert_eq!(CopyNote::from_json(text), None, "{text}");
        }
    }
}
