//! Names: handles and room names in canonical form (NAME-001 to NAME-005), and passwords as they are hashed (PASS-001).

use std::{borrow::Cow, fmt};

use precis_profiles::{
    OpaqueString, UsernameCaseMapped, precis_core::profile::PrecisFastInvocation as _,
};

/// A handle or a room's name in canonical form. Equal names have equal bytes (NAME-004).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

/// Why a text can't be a name; the sentence is for the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// RFC 8265 UsernameCaseMapped refuses it.
    #[error("a name is made of letters, digits and punctuation, without spaces (RFC 8265)")]
    Profile,
    /// It is longer than the limit.
    #[error("a name has at most {0} characters")]
    TooLong(usize),
    /// It contains a character kept for addresses and links, or begins with `-` or `.`.
    #[error("a name contains none of @ : / # ? and does not begin with - or .")]
    Reserved,
}

impl Name {
    /// Prepares a name: RFC 8265 UsernameCaseMapped until it is stable, then the rules of NAME-002.
    ///
    /// # Errors
    /// Says which rule refuses it.
    pub fn new(text: &str, max_chars: usize) -> Result<Self, NameError> {
        let canonical = enforce(text).ok_or(NameError::Profile)?;
        if canonical.chars().count() > max_chars {
            return Err(NameError::TooLong(max_chars));
        }
        if canonical.starts_with(['-', '.']) || canonical.contains(['@', ':', '/', '#', '?']) {
            return Err(NameError::Reserved);
        }
        Ok(Self(canonical))
    }

    /// A name that is known to be canonical, such as one from the database.
    #[must_use]
    pub fn from_canonical(text: String) -> Self {
        Self(text)
    }

    /// The name with a number appended: `alice-2` (AUTH-013).
    #[must_use]
    pub fn with_suffix(&self, number: u32) -> Self {
        Self(format!("{}-{number}", self.0))
    }

    /// The canonical text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How often a name is enforced again, at most, until it stays the same (RFC 8264 section 7).
const FURTHER_ENFORCEMENTS: usize = 3;

/// Enforces the profile until it changes nothing more (NAME-005): the lower case of a letter may be a letter that it refuses.
fn enforce(text: &str) -> Option<String> {
    let mut name = UsernameCaseMapped::enforce(text).ok()?.into_owned();
    for _ in 0..FURTHER_ENFORCEMENTS {
        let again = UsernameCaseMapped::enforce(name.as_str()).ok()?.into_owned();
        if again == name {
            return Some(name);
        }
        name = again;
    }
    None
}

/// Prepares a password by RFC 8265 OpaqueString: the bytes to hash. `None` if the profile refuses it.
#[must_use]
pub fn prepare_password(text: &str) -> Option<Cow<'_, str>> {
    OpaqueString::enforce(text).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> Result<String, NameError> {
        Name::new(text, 32).map(|name| name.0)
    }

    // cites: NAME-001, NAME-002, NAME-004, NAME-005
    #[test]
    fn names_are_mapped_or_refused() {
        assert_eq!(name("Alice").as_deref(), Ok("alice"));
        assert_eq!(name("\u{ff21}lice").as_deref(), Ok("alice"), "full width");
        assert_eq!(name("Jose\u{301}").as_deref(), Ok("jos\u{e9}"), "NFC");
        for refused in ["", "al ice", "a\u{200b}b", "a\nb", "\u{2163}", "\u{13a0}"] {
            assert_eq!(name(refused), Err(NameError::Profile), "{refused:?}");
        }
        for refused in ["a@b", "#room", "-x", ".x", "a/b", "a:b", "a?b"] {
            assert_eq!(name(refused), Err(NameError::Reserved), "{refused:?}");
        }
        assert_eq!(name(&"x".repeat(32)).as_deref(), Ok(&*"x".repeat(32)));
        assert_eq!(name(&"x".repeat(33)), Err(NameError::TooLong(32)));
    }

    // cites: PASS-001
    #[test]
    fn passwords_keep_their_case_and_normalise_spaces() {
        assert_eq!(prepare_password("Pass\u{a0}word").as_deref(), Some("Pass word"));
        assert_eq!(prepare_password("").as_deref(), None);
        assert_eq!(prepare_password("bell\u{7}").as_deref(), None);
    }

    proptest! {
        // cites: NAME-005
        #[test]
        fn canonical_names_stay_as_they_are(text in "\\PC{1,40}") {
            if let Ok(once) = Name::new(&text, 64) {
                prop_assert_eq!(Name::new(once.as_str(), 64), Ok(once));
            }
        }
    }
}
