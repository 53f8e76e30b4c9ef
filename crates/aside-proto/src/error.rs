//! Error codes as the registry has them: scope, whether to retry, and the remedy.

pub use crate::error_table::info;
use crate::v1;

/// How far an error reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The server closes the connection after it (ERR-003).
    Connection,
    /// The request failed; the connection goes on (ERR-002).
    Request,
}

/// Whether the same request may succeed later, unchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// It will fail again.
    No,
    /// It may be sent again at once.
    Yes,
    /// It may be sent again after `retry_after_ms` (ERR-004).
    After,
}

/// What the registry says of a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorInfo {
    /// How far it reaches.
    pub scope: Scope,
    /// Whether to try again.
    pub retry: Retry,
    /// When a server sends it.
    pub trigger: &'static str,
    /// What a client does.
    pub remedy: &'static str,
}

/// The scope of any code, known or not (ERR-007).
#[must_use]
pub fn scope_of(code: i32) -> Scope {
    if (1..100).contains(&code) { Scope::Connection } else { Scope::Request }
}

/// Whether to retry after any code, known or not (ERR-007).
#[must_use]
pub fn retry_of(code: i32) -> Retry {
    v1::ErrorCode::try_from(code).map_or(Retry::No, |code| info(code).retry)
}

#[cfg(test)]
mod tests {
    use super::*;

    // cites: ERR-007
    #[test]
    fn unknown_codes_are_judged_by_their_range() {
        assert_eq!((scope_of(99), retry_of(99)), (Scope::Connection, Retry::No));
        assert_eq!((scope_of(999), retry_of(999)), (Scope::Request, Retry::No));
    }

    #[test]
    fn the_range_agrees_with_the_registry() {
        for code in (0..1000).filter_map(|n| v1::ErrorCode::try_from(n).ok()) {
            if code != v1::ErrorCode::Unspecified {
                assert_eq!(info(code).scope, scope_of(code as i32), "{code:?}");
            }
        }
    }
}
