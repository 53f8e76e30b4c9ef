//! The recovery phrase, and the account key that it stands for (PHRASE-001 to PHRASE-005).
//!
//! ```text
//! entropy, 16 or 32 bytes ──┬── HKDF "account-key" ── 48 bytes ── mod (n - 1), + 1 ──► account key
//!                           └── ‖ check, 4 or 3 bytes ── base32, groups of four ──► K7QF-2M9X-…
//! ```

use std::fmt;

use zeroize::Zeroizing;

use crate::{SigningKey, derive::derive, label};

/// Crockford's alphabet: no I, L, O and U.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Symbols of a group.
const GROUP: usize = 4;
/// PHRASE-004: longer texts are no phrase, whatever is in them.
const MAX_TEXT_BYTES: usize = 512;

/// How much entropy a phrase holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strength {
    /// 128 bits: 8 groups. As strong as the account key, a P-256 key.
    Bits128,
    /// 256 bits: 14 groups.
    Bits256,
}

impl Strength {
    const ALL: [Self; 2] = [Self::Bits128, Self::Bits256];

    const fn entropy_bytes(self) -> usize {
        match self {
            Self::Bits128 => 16,
            Self::Bits256 => 32,
        }
    }

    /// As many as make the whole a multiple of 5 bytes, which base32 encodes without padding.
    const fn check_bytes(self) -> usize {
        match self {
            Self::Bits128 => 4,
            Self::Bits256 => 3,
        }
    }

    const fn symbols(self) -> usize {
        (self.entropy_bytes() + self.check_bytes()) * 8 / 5
    }
}

/// Why a text is no recovery phrase; groups are counted from 1, so that a user can look there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PhraseError {
    /// A character that is neither a symbol nor ignored.
    #[error("{character:?} in group {group} is no letter or digit of a recovery phrase")]
    Character {
        /// What stands there.
        character: char,
        /// In which group.
        group: usize,
    },
    /// Another number of symbols than 32 or 56.
    #[error(
        "a recovery phrase has 8 or 14 groups of four, 32 or 56 letters and digits: here are {0}"
    )]
    Length(usize),
    /// The check does not fit. If one symbol is wrong, or two neighbours have changed places, it is in `group`.
    #[error("the recovery phrase has a mistake{}", suspicion(*.group))]
    Check {
        /// Where the mistake is, if it is a single one.
        group: Option<usize>,
    },
    /// More than any phrase.
    #[error("the text is far too long for a recovery phrase")]
    TooLong,
}

fn suspicion(group: Option<usize>) -> String {
    group.map_or_else(String::new, |group| format!(", it seems in group {group}"))
}

/// The entropy that the account key is derived from, as its user writes it down. Wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct RecoveryPhrase {
    strength: Strength,
    entropy: Zeroizing<Vec<u8>>,
}

impl RecoveryPhrase {
    /// A new phrase. `random` fills a slice from a cryptographic random source.
    pub fn generate(strength: Strength, random: &mut dyn FnMut(&mut [u8])) -> Self {
        let mut entropy = Zeroizing::new(vec![0; strength.entropy_bytes()]);
        random(&mut entropy);
        Self { strength, entropy }
    }

    /// Reads what a user typed: spaces, line ends and hyphens are ignored, small letters are as good as capitals, O is 0, I and L
    /// are 1 (PHRASE-004).
    ///
    /// # Errors
    /// [`PhraseError`], with the group to look at.
    pub fn parse(text: &str) -> Result<Self, PhraseError> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(PhraseError::TooLong);
        }
        let mut symbols = Zeroizing::new(Vec::with_capacity(text.len()));
        for character in text.chars().filter(|c| !is_ignored(*c)) {
            let group = symbols.len() / GROUP + 1;
            symbols.push(value(character).ok_or(PhraseError::Character { character, group })?);
        }
        let strength = Strength::ALL
            .into_iter()
            .find(|strength| strength.symbols() == symbols.len())
            .ok_or(PhraseError::Length(symbols.len()))?;
        checked(strength, &symbols)
            .map(|entropy| Self { strength, entropy })
            .ok_or_else(|| PhraseError::Check { group: mistaken_group(strength, &mut symbols) })
    }

    /// Whether a phrase stands in a text, alone or between other words, in any way that [`Self::parse`] reads: such a text is to be
    /// said to nobody.
    #[must_use]
    pub fn is_in(text: &str) -> bool {
        text.split(|c| !is_ignored(c) && value(c).is_none()).any(has_phrase)
    }

    /// How much entropy it holds.
    #[must_use]
    pub const fn strength(&self) -> Strength {
        self.strength
    }

    /// The phrase in groups of four, joined by hyphens: for the user's eyes alone, wiped when dropped.
    #[must_use]
    pub fn reveal(&self) -> Zeroizing<String> {
        let check = check(self.strength, &self.entropy);
        let whole = Zeroizing::new([&self.entropy[..], &check].concat());
        let symbols = Zeroizing::new(to_symbols(&whole));
        let mut text = Zeroizing::new(String::with_capacity(symbols.len() * 5 / 4));
        for (index, symbol) in symbols.iter().enumerate() {
            if index > 0 && index % GROUP == 0 {
                text.push('-');
            }
            text.push(char::from(ALPHABET[usize::from(*symbol)]));
        }
        text
    }

    /// The account key (PHRASE-001). No device keeps it: it is used and dropped (PHRASE-005).
    #[must_use]
    pub fn account_key(&self) -> SigningKey {
        SigningKey::from_wide(&derive(&self.entropy, label::ACCOUNT_KEY, &[]))
    }
}

impl fmt::Debug for RecoveryPhrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecoveryPhrase(..)")
    }
}

fn is_ignored(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r' | '\u{a0}' | '-' | '\u{2010}'..='\u{2015}')
}

/// Whether symbols that nothing but what is ignored stands between hold a phrase, from the beginning of a word to the end of one.
fn has_phrase(run: &str) -> bool {
    let mut symbols = Zeroizing::new(Vec::with_capacity(run.len()));
    // Where words begin, and so where those before them end.
    let mut words = vec![0];
    for character in run.chars() {
        match value(character) {
            Some(symbol) => symbols.push(symbol),
            None => words.push(symbols.len()),
        }
    }
    words.push(symbols.len());
    words.dedup();
    let is_at = |from: usize, strength: Strength| {
        let to = from + strength.symbols();
        words.binary_search(&to).is_ok() && checked(strength, &symbols[from..to]).is_some()
    };
    words.iter().any(|from| Strength::ALL.into_iter().any(|strength| is_at(*from, strength)))
}

/// The 5 bits that a character stands for.
fn value(character: char) -> Option<u8> {
    let symbol = match character.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    ALPHABET.iter().zip(0..).find_map(|(s, value)| (char::from(*s) == symbol).then_some(value))
}

/// The entropy of as many symbols as `strength` has, if their check fits.
fn checked(strength: Strength, symbols: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(to_bytes(symbols));
    let stated = bytes.split_off(strength.entropy_bytes());
    (check(strength, &bytes) == stated).then_some(bytes)
}

fn check(strength: Strength, entropy: &[u8]) -> Vec<u8> {
    label::hash(label::RECOVERY_CHECK, &[entropy])[..strength.check_bytes()].to_vec()
}

/// The group in which one other symbol, or two neighbours in the other order, make the check fit: if there is just one such group.
fn mistaken_group(strength: Strength, symbols: &mut [u8]) -> Option<usize> {
    let mut found = None;
    for at in 0..symbols.len() {
        let fits = other_symbol_fits(strength, symbols, at) || swap_fits(strength, symbols, at);
        let group = at / GROUP + 1;
        if fits && found.is_some_and(|other| other != group) {
            return None;
        }
        if fits {
            found = Some(group);
        }
    }
    found
}

fn other_symbol_fits(strength: Strength, symbols: &mut [u8], at: usize) -> bool {
    let typed = symbols[at];
    let fits = (0..32).any(|symbol| {
        symbols[at] = symbol;
        checked(strength, symbols).is_some()
    });
    symbols[at] = typed;
    fits
}

fn swap_fits(strength: Strength, symbols: &mut [u8], at: usize) -> bool {
    if at + 1 == symbols.len() {
        return false;
    }
    symbols.swap(at, at + 1);
    let fits = checked(strength, symbols).is_some();
    symbols.swap(at, at + 1);
    fits
}

/// Five bytes as eight numbers of five bits.
fn to_symbols(bytes: &[u8]) -> Vec<u8> {
    let eight = |five: &[u8]| {
        let bits = five.iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        (0..8).rev().map(move |n| (bits >> (5 * n) & 31) as u8)
    };
    // Of the right size from the start, so that no part of a phrase is left behind where a smaller one stood.
    let mut symbols = Vec::with_capacity(bytes.len() * 8 / 5);
    symbols.extend(bytes.chunks(5).flat_map(eight));
    symbols
}

/// Eight numbers of five bits as five bytes.
fn to_bytes(symbols: &[u8]) -> Vec<u8> {
    let five = |eight: &[u8]| {
        let bits = eight.iter().fold(0_u64, |bits, symbol| bits << 5 | u64::from(*symbol));
        (0..5).rev().map(move |n| (bits >> (8 * n)) as u8)
    };
    let mut bytes = Vec::with_capacity(symbols.len() * 5 / 8);
    bytes.extend(symbols.chunks(8).flat_map(five));
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn phrase(strength: Strength, byte: u8) -> RecoveryPhrase {
        RecoveryPhrase::generate(strength, &mut |out| out.fill(byte))
    }

    fn symbols(text: &str) -> Vec<char> {
        text.chars().filter(|c| *c != '-').collect()
    }

    #[test]
    fn debug_shows_no_secret() {
        insta::assert_snapshot!(format!("{:?}", phrase(Strength::Bits128, 7)), @"RecoveryPhrase(..)");
    }

    // cites: PHRASE-003
    #[test]
    fn the_mistaken_group_is_named() {
        let good = phrase(Strength::Bits128, 7).reveal();
        let mut typed: Vec<char> = good.chars().collect();
        typed[11] = if typed[11] == 'Z' { 'Y' } else { 'Z' };
        let typed: String = typed.into_iter().collect();
        let error = RecoveryPhrase::parse(&typed).map(|_| ()).unwrap_err();
        assert_eq!(error, PhraseError::Check { group: Some(3) });
        assert_eq!(error.to_string(), "the recovery phrase has a mistake, it seems in group 3");

        let short = &good[..good.len() - 1];
        assert_eq!(RecoveryPhrase::parse(short), Err(PhraseError::Length(31)));
        let strange = good.replacen(&good[5..6], "\u{fc}", 1);
        let strange = strange.replacen('-', " ", 9);
        assert!(matches!(
            RecoveryPhrase::parse(&strange),
            Err(PhraseError::Character { character: '\u{fc}', .. })
        ));
        assert_eq!(RecoveryPhrase::parse(&good.repeat(99)), Err(PhraseError::TooLong));
    }

    #[test]
    fn account_keys_differ() {
        let keys = [(Strength::Bits128, 1), (Strength::Bits128, 2), (Strength::Bits256, 1)]
            .map(|(strength, byte)| *phrase(strength, byte).account_key().to_bytes());
        assert!(keys[0] != keys[1] && keys[0] != keys[2] && keys[1] != keys[2]);
    }

    #[test]
    fn a_phrase_is_found_between_other_words() {
        for strength in Strength::ALL {
            let shown = phrase(strength, 7).reveal();
            let plain = shown.replace('-', "").to_lowercase();
            let spaced = shown.replace('-', " \n");
            for text in [
                shown.to_string(),
                format!(" /recovery use {}", *shown),
                format!("here we go again {spaced} and that is all"),
                format!("phrase:{plain}."),
            ] {
                assert!(RecoveryPhrase::is_in(&text), "{text}");
            }
            let missing = &shown[..shown.len() - 1];
            for text in ["", "hello there", &missing.replacen('-', "", 1), &format!("{plain}0")] {
                assert!(!RecoveryPhrase::is_in(text), "{text}");
            }
        }
    }

    proptest! {
        // cites: PHRASE-002, PHRASE-004
        #[test]
        fn what_is_revealed_is_read_again_however_it_is_typed(
            entropy in prop_oneof![prop::collection::vec(any::<u8>(), 16), prop::collection::vec(any::<u8>(), 32)],
            noise in prop::collection::vec((0_usize..5, any::<bool>()), 56),
        ) {
            let strength = if entropy.len() == 16 { Strength::Bits128 } else { Strength::Bits256 };
            let phrase = RecoveryPhrase::generate(strength, &mut |out| out.copy_from_slice(&entropy));
            let mut typed = String::new();
            for (symbol, (before, lower)) in symbols(&phrase.reveal()).into_iter().zip(noise) {
                typed += ["", " ", "\u{2013}", "\r\n", "\u{a0}"][before];
                let alike = match symbol {
                    '0' if lower => 'o',
                    '1' if before % 2 == 0 => 'I',
                    '1' => 'l',
                    other if lower => other.to_ascii_lowercase(),
                    other => other,
                };
                typed.push(alike);
            }
            prop_assert_eq!(RecoveryPhrase::parse(&typed), Ok(phrase));
        }

        // cites: PHRASE-003
        #[test]
        fn one_wrong_symbol_is_noticed_and_found(entropy: [u8; 16], at in 0_usize..32, by in 1_u8..32) {
            let bytes = [&entropy[..], &check(Strength::Bits128, &entropy)].concat();
            let mut symbols = to_symbols(&bytes);
            symbols[at] ^= by;
            prop_assert!(checked(Strength::Bits128, &symbols).is_none());
            let found = mistaken_group(Strength::Bits128, &mut symbols);
            prop_assert_eq!(found, Some(at / GROUP + 1));
        }

        #[test]
        fn no_text_is_too_strange(text in ".{0,80}") {
            let _ = RecoveryPhrase::parse(&text);
        }
    }
}
