//! Text by and for people: descriptions, names.

/// Why a text is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPeopleText {
    /// More characters than there is room for.
    #[error("must be at most {0} characters")]
    TooLong(usize),
    /// A character that not every database can keep.
    #[error("must not contain the character NUL")]
    Nul,
}

/// Checks a text of at most `chars_max` characters.
pub fn check_people_text(text: &str, chars_max: usize) -> Result<(), InvalidPeopleText> {
    if text.chars().nth(chars_max).is_some() {
        return Err(InvalidPeopleText::TooLong(chars_max));
    }
    if text.contains('\0') {
        return Err(InvalidPeopleText::Nul);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_counted_not_bytes() {
        assert_eq!(check_people_text("", 0), Ok(()));
        assert_eq!(check_people_text("ééé", 3), Ok(()));
        assert_eq!(
            check_people_text("éééé", 3),
            Err(InvalidPeopleText::TooLong(3))
        );
        assert_eq!(check_people_text("a\0", 3), Err(InvalidPeopleText::Nul));
    }
}
