//! How many approvals came to nothing, so that there is a pause after too many (APPROVE-010).

use aside_crypto::ApprovalAttempts;
use sqlx::Row as _;

use super::{StateError, Store, signed, unsigned};

impl Store {
    /// As they stand.
    pub(crate) async fn approval_attempts(&self) -> Result<ApprovalAttempts, StateError> {
        let sql = "SELECT failed, last_ms FROM approval_attempts";
        let Some(row) = sqlx::query(sql).fetch_optional(&self.pool).await? else {
            return Ok(ApprovalAttempts::default());
        };
        Ok(ApprovalAttempts {
            failed: row.try_get("failed")?,
            last_ms: unsigned(row.try_get("last_ms")?),
        })
    }

    /// Notes how they stand from now on, if they stand still as they `were`; whether they did. Before anything is said that decides
    /// the digits: what ends this program then counts, too.
    pub(crate) async fn note_approval_attempts(
        &self,
        were: ApprovalAttempts,
        are: ApprovalAttempts,
    ) -> Result<bool, StateError> {
        self.check_own()?;
        let sql = "INSERT INTO approval_attempts (one, failed, last_ms) VALUES (1, ?, ?) \
                   ON CONFLICT (one) DO UPDATE SET failed = excluded.failed, last_ms = excluded.last_ms \
                   WHERE approval_attempts.failed = ? AND approval_attempts.last_ms = ?";
        let noted = sqlx::query(sql)
            .bind(are.failed)
            .bind(signed(are.last_ms))
            .bind(were.failed)
            .bind(signed(were.last_ms))
            .execute(&self.pool)
            .await?;
        Ok(noted.rows_affected() > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // cites: APPROVE-010
    #[tokio::test]
    async fn attempts_are_kept_and_two_at_once_count_twice() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), &crate::Unlock::default()).await.unwrap();
        let none = store.approval_attempts().await.unwrap();
        assert_eq!(none, ApprovalAttempts::default());
        let one = ApprovalAttempts { failed: 1, last_ms: 5 };
        assert!(store.note_approval_attempts(none, one).await.unwrap());
        assert!(!store.note_approval_attempts(none, one).await.unwrap(), "another was first");
        store.close().await;
        let store = Store::open(dir.path(), &crate::Unlock::default()).await.unwrap();
        assert_eq!(store.approval_attempts().await.unwrap(), one);
        let two = ApprovalAttempts { failed: 2, last_ms: 6 };
        assert!(store.note_approval_attempts(one, two).await.unwrap());
        assert!(store.note_approval_attempts(two, none).await.unwrap(), "one was confirmed");
        assert_eq!(store.approval_attempts().await.unwrap(), none);
    }
}
