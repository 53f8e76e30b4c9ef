//! The id of the one private conversation that two users have.

use aside_proto::id::{ConversationId, UserId, uuid_v8};

use crate::label;

/// The id of the DIRECT of two users, whichever of them comes first (PRIV-003).
#[must_use]
pub fn direct_id(one: UserId, other: UserId) -> ConversationId {
    let (lower, higher) = if one < other { (one, other) } else { (other, one) };
    ConversationId::new(uuid_v8(&label::hash(
        label::DIRECT,
        &[lower.as_bytes(), higher.as_bytes()],
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    // cites: PRIV-003
    #[test]
    fn two_users_have_one_id_and_other_two_another() {
        let [a, b, c] = [1, 2, 3].map(|n| UserId::new([n; 16]));
        assert_eq!(direct_id(a, b), direct_id(b, a));
        assert_ne!(direct_id(a, b), direct_id(a, c));
        assert_eq!(direct_id(a, b).to_string(), "649dbb1f-da07-8a66-8496-35c0297093ba");
    }
}
