//! A token as its bot keeps it: one line of text.

use std::{fmt, str::FromStr};

use aside_crypto::{SigningKey, token_hash};
use aside_proto::id::DeviceId;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::random;

/// What the text begins with.
const PREFIX: &str = "aside-token:";
/// Bytes of token id, secret and private key.
const BYTES: usize = 16 + 32 + 32;
/// Bytes behind them by which a slip of the hand is noticed.
const CHECK: usize = 4;

/// What a bot logs in with, and signs by. Whoever has it is the bot: it is not printed unasked.
///
/// As text it is `aside-token:` and 168 hexadecimal digits: token id, secret, private key, and the first four bytes of the SHA-256
/// of these.
#[derive(Clone)]
pub struct BotToken {
    pub(crate) id: DeviceId,
    pub(crate) secret: Zeroizing<[u8; 32]>,
    pub(crate) key: SigningKey,
}

/// The text is not that of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a token is one word, \"aside-token:\" and 168 digits, as `aside tokens issue` printed it")]
pub struct BotTokenError;

impl BotToken {
    /// A secret and a key, for a token that has no id yet.
    pub(crate) fn make() -> Self {
        let secret = Zeroizing::new(random::bytes());
        let key = SigningKey::generate(&mut random::fill);
        Self { id: DeviceId::new([0; 16]), secret, key }
    }

    /// What the server is given of the secret (TOKEN-002).
    pub(crate) fn hash(&self) -> [u8; 32] {
        token_hash(&self.secret)
    }

    /// The token's id, which is also that of its device.
    #[must_use]
    pub fn id(&self) -> DeviceId {
        self.id
    }

    /// The text to give to the bot, and to nobody else.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(BYTES + CHECK));
        bytes.extend_from_slice(self.id.as_bytes());
        bytes.extend_from_slice(&self.secret[..]);
        bytes.extend_from_slice(&self.key.to_bytes()[..]);
        let check = check(&bytes);
        bytes.extend_from_slice(&check);
        let digits = Zeroizing::new(hex::encode(&bytes[..]));
        Zeroizing::new(format!("{PREFIX}{}", *digits))
    }
}

impl FromStr for BotToken {
    type Err = BotTokenError;

    fn from_str(text: &str) -> Result<Self, BotTokenError> {
        let digits = text.trim().strip_prefix(PREFIX).ok_or(BotTokenError)?;
        let mut bytes = Zeroizing::new([0; BYTES + CHECK]);
        hex::decode_to_slice(digits, &mut bytes[..]).map_err(|_| BotTokenError)?;
        let (token, given) = bytes.split_at(BYTES);
        if check(token) != *given {
            return Err(BotTokenError);
        }
        let mut id = [0; 16];
        let mut halves = [Zeroizing::new([0; 32]), Zeroizing::new([0; 32])];
        id.copy_from_slice(&token[..16]);
        halves[0].copy_from_slice(&token[16..48]);
        halves[1].copy_from_slice(&token[48..]);
        let [secret, key] = halves;
        let key = SigningKey::from_bytes(&key).map_err(|_| BotTokenError)?;
        Ok(Self { id: DeviceId::new(id), secret, key })
    }
}

impl fmt::Debug for BotToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BotToken").field("id", &self.id).finish_non_exhaustive()
    }
}

fn check(bytes: &[u8]) -> [u8; CHECK] {
    let hash = Sha256::digest(bytes);
    std::array::from_fn(|at| hash[at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_written() {
        let token = BotToken { id: DeviceId::new([7; 16]), ..BotToken::make() };
        let text = token.to_text();
        let again: BotToken = format!(" {}\n", *text).parse().unwrap();
        assert_eq!((again.id(), again.hash()), (token.id(), token.hash()));
        assert_eq!(again.key.public_key(), token.key.public_key());
        assert_eq!(text.len(), PREFIX.len() + 168);
    }

    #[test]
    fn slips_are_noticed() {
        let text = BotToken::make().to_text();
        let last = if text.ends_with('0') { "1" } else { "0" };
        let mistyped = format!("{}{last}", &text[..text.len() - 1]);
        for wrong in ["", "aside-token:", &text[1..], &text[..text.len() - 2], &mistyped] {
            assert_eq!(wrong.parse::<BotToken>().err(), Some(BotTokenError), "{}", wrong.len());
        }
    }

    #[test]
    fn nothing_secret_is_shown() {
        let token = BotToken::make();
        let shown = format!("{token:?}");
        assert_eq!(shown, "BotToken { id: DeviceId(00000000-0000-0000-0000-000000000000), .. }");
    }
}
