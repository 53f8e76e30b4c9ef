//! Tokens: the server keeps a hash of the secret that they log in by, and is never sent the secret before (TOKEN-002).

use subtle::ConstantTimeEq as _;

use crate::{Hash, label};

/// What the server keeps of a token's secret. The secret is 32 random bytes, so a hash that is quick to compute hides it.
#[must_use]
pub fn token_hash(secret: &[u8; 32]) -> Hash {
    label::hash(label::TOKEN, &[secret])
}

/// Whether this secret has this hash; takes as long whether it has or not (TOKEN-006).
#[must_use]
pub fn verify_token(secret: &[u8; 32], hash: &Hash) -> bool {
    token_hash(secret).ct_eq(hash).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    // cites: TOKEN-002
    #[test]
    fn only_the_secret_has_its_hash() {
        let hash = token_hash(&[1; 32]);
        assert_eq!(hash, label::hash("token", &[&[1; 32]]));
        assert!(verify_token(&[1; 32], &hash));
        assert!(!verify_token(&[2; 32], &hash));
        assert!(!verify_token(&hash, &hash), "what the server keeps does not log in");
    }
}
