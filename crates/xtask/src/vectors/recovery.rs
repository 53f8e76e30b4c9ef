//! recovery.json.

use aside_crypto::{RecoveryPhrase, Strength};
use serde_json::Value;

use super::{
    file::{File, Vector},
    material::counting,
};

const DESCRIPTION: &str = "Recovery phrases as a user types them, and the entropy and account key that they stand for. phrase is \
    how a client writes it. Reasons: character, length, check.";

pub(super) fn file() -> File {
    File::new("recovery", DESCRIPTION, valid().into_iter().chain(invalid()).collect())
}

fn phrase(entropy: &[u8]) -> RecoveryPhrase {
    let strength = if entropy.len() == 16 { Strength::Bits128 } else { Strength::Bits256 };
    RecoveryPhrase::generate(strength, &mut |out| out.copy_from_slice(entropy))
}

fn usual() -> String {
    phrase(&counting::<16>(0)).reveal().to_string()
}

fn valid() -> Vec<Value> {
    let read = |id: &str, requirements: &[&str], typed: &str, entropy: &[u8]| {
        let phrase = phrase(entropy);
        let key = phrase.account_key();
        Vector::new(id, requirements)
            .with("typed", typed)
            .with("phrase", phrase.reveal().as_str())
            .bytes("entropy", entropy)
            .bytes("private_key", *key.to_bytes())
            .bytes("public_key", key.public_key().as_bytes())
            .valid()
    };
    let written = |id: &str, entropy: &[u8]| {
        read(id, &["PHRASE-001", "PHRASE-002"], &phrase(entropy).reveal(), entropy)
    };
    let small: [u8; 16] = counting(0);
    let typed = |id: &str, typed: &str| read(id, &["PHRASE-004"], typed, &small);
    let lower = usual().to_lowercase();
    let alike: String = usual().chars().map(look_alike).collect();
    vec![
        written("128-bits", &small),
        written("128-bits-zero", &[0; 16]),
        written("128-bits-one", &[0xff; 16]),
        written("256-bits", &counting::<32>(0)),
        written("256-bits-zero", &[0; 32]),
        written("256-bits-one", &[0xff; 32]),
        typed("small-letters", &lower),
        typed("without-hyphens", &usual().replace('-', "")),
        typed("on-two-lines", &usual().replacen('-', "\r\n\t", 4).replace('-', "  ")),
        typed("other-hyphens", &usual().replace('-', "\u{a0}\u{2013}\u{2010}")),
        typed("letters-that-look-like-digits", &alike),
    ]
}

/// O for 0, and I and L for 1, in turns of case.
fn look_alike(symbol: char) -> char {
    match symbol {
        '0' => 'o',
        '1' => 'L',
        other => other,
    }
}

fn invalid() -> Vec<Value> {
    let refuse = |id: &str, requirement: &str, typed: &str, reason: &str| {
        Vector::new(id, &[requirement]).with("typed", typed).invalid(reason)
    };
    let usual = usual();
    let with = |at: usize, symbol: char| {
        let mut symbols: Vec<char> = usual.chars().collect();
        assert_ne!(symbols[at], symbol, "the symbol is changed");
        symbols[at] = symbol;
        symbols.into_iter().collect::<String>()
    };
    let mut swapped: Vec<char> = usual.chars().collect();
    swapped.swap(10, 11);
    assert_ne!(swapped[10], swapped[11], "the symbols differ");
    let swapped: String = swapped.into_iter().collect();
    let last = usual.len() - 1;
    vec![
        refuse("one-symbol-changed", "PHRASE-003", &with(0, 'Z'), "check"),
        refuse("check-changed", "PHRASE-003", &with(last, 'Z'), "check"),
        refuse("neighbours-swapped", "PHRASE-003", &swapped, "check"),
        refuse("letter-u", "PHRASE-004", &with(1, 'U'), "character"),
        refuse("beyond-ascii", "PHRASE-004", &with(1, '\u{ff10}'), "character"),
        refuse("comma", "PHRASE-004", &usual.replace('-', ","), "character"),
        refuse("too-short", "PHRASE-003", &usual[..last], "length"),
        refuse("too-long", "PHRASE-003", &format!("{usual}0"), "length"),
        refuse("empty", "PHRASE-003", "", "length"),
    ]
}
