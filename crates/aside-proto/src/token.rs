//! What a token may do.

use crate::{
    request::Scope,
    v1::TokenScope::{self, Join, Manage, Read, Send},
};

/// Every scope there is, in order of number.
const ALL: [TokenScope; 4] = [Read, Send, Join, Manage];

/// The scopes of a token: a set, never empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenScopes(u32);

impl TokenScopes {
    /// The scopes with these numbers; none if there are none, or one that this version does not know (TOKEN-003).
    #[must_use]
    pub fn from_numbers(numbers: &[i32]) -> Option<Self> {
        let bits = numbers.iter().try_fold(0, |bits, &number| {
            let scope = ALL.into_iter().find(|&scope| scope as i32 == number)?;
            Some(bits | bit(scope))
        })?;
        Self::from_bits(bits)
    }

    /// The set as [`bits`](Self::bits) gave it.
    #[must_use]
    pub fn from_bits(bits: u32) -> Option<Self> {
        let known = ALL.into_iter().fold(0, |known, scope| known | bit(scope));
        (bits != 0 && bits & !known == 0).then_some(Self(bits))
    }

    /// The set as a number: the bit `1 << n` for the scope with the number n.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether this scope is among them.
    #[must_use]
    pub const fn contains(self, scope: TokenScope) -> bool {
        self.0 & bit(scope) != 0
    }

    /// Whether they are enough for a request that needs this.
    #[must_use]
    pub const fn allow(self, needed: Scope) -> bool {
        match needed {
            Scope::Any => true,
            Scope::Read => self.contains(Read),
            Scope::Send => self.contains(Send),
            Scope::Join => self.contains(Join),
            Scope::Manage => self.contains(Manage),
        }
    }

    /// Each of them, in order of number.
    pub fn iter(self) -> impl Iterator<Item = TokenScope> {
        ALL.into_iter().filter(move |&scope| self.contains(scope))
    }
}

const fn bit(scope: TokenScope) -> u32 {
    1 << scope as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    // cites: TOKEN-003
    #[test]
    fn a_set_is_what_it_was_made_of() {
        let scopes = TokenScopes::from_numbers(&[2, 1, 2]).unwrap();
        assert_eq!(scopes.iter().collect::<Vec<_>>(), [Read, Send]);
        assert_eq!(TokenScopes::from_bits(scopes.bits()), Some(scopes));
        for broken in [&[][..], &[0], &[5], &[1, -1], &[1, 9999]] {
            assert_eq!(TokenScopes::from_numbers(broken), None, "{broken:?}");
        }
        assert_eq!([0, 1, 32, 33].map(TokenScopes::from_bits), [None; 4]);
    }

    // cites: TOKEN-008
    #[test]
    fn each_scope_allows_its_own_requests_alone() {
        let needs = [Scope::Read, Scope::Send, Scope::Join, Scope::Manage];
        for (scope, own) in ALL.into_iter().zip(needs) {
            let scopes = TokenScopes::from_numbers(&[scope.into()]).unwrap();
            assert!(scopes.allow(Scope::Any));
            for needed in needs {
                assert_eq!(scopes.allow(needed), needed == own, "{scope:?} {needed:?}");
            }
        }
    }
}
