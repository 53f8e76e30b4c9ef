//! The name and the color of a GROUP: said in it, encrypted, by those who may.

use aside_proto::v1::{self, Role};
use unicode_normalization::UnicodeNormalization as _;

use super::{Body, MAX_GROUP_NAME_BYTES};

/// The greatest color: 0xRRGGBB (CONT-017).
const MAX_COLOR: u32 = 0xff_ff_ff;

/// What a GROUP is called, and its color (CONT-017).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Profile {
    name: String,
    color: u32,
}

/// Why a GROUP can't be called so; the sentence is for the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// Nothing is left of it.
    #[error("a group's name is not empty")]
    Empty,
    /// It is longer than the limit.
    #[error("a group's name has at most {MAX_GROUP_NAME_BYTES} bytes")]
    TooLong,
    /// It has a line feed, a tab, or another control character.
    #[error("a group's name has no control characters")]
    Control,
    /// It is more than 24 bits.
    #[error("a color is 0xRRGGBB")]
    Color,
}

impl Profile {
    /// One to be sent: its name is normalised, and has no white space around it.
    ///
    /// # Errors
    /// [`ProfileError`]: which rule of CONT-017 it breaks.
    pub fn new(name: &str, color: u32) -> Result<Self, ProfileError> {
        let name: String = name.trim().nfc().collect();
        Self::check(&name, color)?;
        Ok(Self { name, color })
    }

    /// One that came; none if CONT-018 has it not understood.
    pub(super) fn read(name: String, color: u32) -> Option<Self> {
        Self::check(&name, color).ok().map(|()| Self { name, color })
    }

    fn check(name: &str, color: u32) -> Result<(), ProfileError> {
        if name.is_empty() {
            return Err(ProfileError::Empty);
        }
        if name.len() > MAX_GROUP_NAME_BYTES {
            return Err(ProfileError::TooLong);
        }
        if name.contains(char::is_control) {
            return Err(ProfileError::Control);
        }
        if color > MAX_COLOR {
            return Err(ProfileError::Color);
        }
        Ok(())
    }

    /// What it is called. To be neutralised before it is displayed (MSG-010).
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// 0xRRGGBB.
    #[must_use]
    pub const fn color(&self) -> u32 {
        self.color
    }
}

impl From<Profile> for v1::GroupProfile {
    fn from(Profile { name, color }: Profile) -> Self {
        Self { name, color }
    }
}

/// Whether who has this role says what a GROUP is called (PRIV-017).
#[must_use]
pub const fn may_name(role: Role) -> bool {
    matches!(role, Role::Owner | Role::Admin)
}

/// What a GROUP is called, by the profiles that were read: in whatever order, the same (PRIV-017).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Naming(Option<(u64, Profile)>);

impl Naming {
    /// What the entry at `seq` says, and the role that its sender had there. Whether the name is that of this entry since.
    pub fn insert(&mut self, seq: u64, role: Role, body: &Body) -> bool {
        let Body::Profile(profile) = body else { return false };
        let is_newer = self.0.as_ref().is_none_or(|(newest, _)| seq > *newest);
        let counts = may_name(role) && is_newer;
        if counts {
            self.0 = Some((seq, profile.clone()));
        }
        counts
    }

    /// The profile that counts, and its entry.
    #[must_use]
    pub fn current(&self) -> Option<(u64, &Profile)> {
        self.0.as_ref().map(|(seq, profile)| (*seq, profile))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // cites: CONT-017
    #[test]
    fn a_name_that_is_sent_is_normalised_and_within_its_limits() {
        let name = |name: &str| Profile::new(name, 0).map(|profile| profile.name);
        assert_eq!(name(" Jose\u{301} "), Ok("Jos\u{e9}".to_owned()));
        // Its bytes are counted once it is normalised: 64, of 96.
        assert_eq!(name(&"e\u{301}".repeat(32)), Ok("\u{e9}".repeat(32)));
        assert_eq!(name(&"x".repeat(65)), Err(ProfileError::TooLong));
        assert_eq!(name(" \u{2003} "), Err(ProfileError::Empty));
        assert_eq!(name("a\nb"), Err(ProfileError::Control));
        assert_eq!(Profile::new("x", 0x100_0000), Err(ProfileError::Color));
        let profile = Profile::new("tea", 0xff_ff_ff).map(v1::GroupProfile::from);
        assert_eq!(profile, Ok(v1::GroupProfile { name: "tea".into(), color: 0xff_ff_ff }));
    }
}
