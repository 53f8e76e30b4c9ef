//! Which handle an account gets (AUTH-012 to AUTH-014, ACCT-003, ACCT-007).
//!
//! No handle is ever given back, so the least number that a handle still has to give only grows. It is kept, so that
//! every number is counted once, when it is taken, however many ask for the next.

use aside_proto::{id::UserId, name::Name, v1::OnConflict};

use super::Context;
use crate::{
    db::Columns as _,
    error::{Refused, Stop},
};

/// The least number from 2 on that nobody has or had, as it was kept and as it is.
pub(crate) const UNUSED: &str = "WITH RECURSIVE n (i) AS (
         SELECT COALESCE((SELECT unused FROM suffixes WHERE stem = ?), 2)
         UNION ALL SELECT i + 1 FROM n WHERE EXISTS (
             SELECT 1 FROM handles WHERE handle = CONCAT(?, '-', i)))
     SELECT MIN(i), MAX(i) FROM n";
/// All handles that an account has or had: few, as it must wait between them (ACCT-004).
pub(crate) const OWN: &str = "SELECT handle FROM handles WHERE user_id = ?";

impl Context<'_> {
    /// The handle asked for, or with SUFFIX the first free one after it. A handle that the account itself has or had
    /// is free to it.
    pub(super) async fn choose_handle(
        &mut self,
        user: UserId,
        wanted: &Name,
        on_conflict: OnConflict,
    ) -> Result<Name, Stop> {
        let owner = sqlx::query("SELECT user_id FROM handles WHERE handle = ? AND user_id <> ?")
            .bind(wanted.as_str())
            .bind(user.as_bytes().as_slice())
            .fetch_optional(&mut *self.connection)
            .await?;
        match (owner, on_conflict) {
            (None, _) => Ok(wanted.clone()),
            (Some(_), OnConflict::Unspecified | OnConflict::Reject) => {
                Err(Refused::HandleTaken.into())
            }
            (Some(_), OnConflict::Suffix) => self.suffix(user, wanted).await,
        }
    }

    /// Marks a handle as the account's for ever.
    pub(super) async fn take_handle(
        &mut self,
        user: UserId,
        handle: &Name,
    ) -> Result<(), sqlx::Error> {
        sqlx::query(
            "INSERT INTO handles (handle, user_id) SELECT ?, ?
             WHERE NOT EXISTS (SELECT 1 FROM handles WHERE handle = ?)",
        )
        .bind(handle.as_str())
        .bind(user.as_bytes().as_slice())
        .bind(handle.as_str())
        .execute(&mut *self.connection)
        .await?;
        match numbered(handle.as_str()) {
            Some((stem, _)) => self.count_number(stem).await,
            None => Ok(()),
        }
    }

    async fn suffix(&mut self, user: UserId, wanted: &Name) -> Result<Name, Stop> {
        let (_, unused) = self.unused_number(wanted.as_str()).await?;
        let own = self.own_numbers(user, wanted.as_str()).await?;
        let number = own.into_iter().map(i64::from).fold(unused, i64::min);
        let number = u32::try_from(number).map_err(|_| Refused::HandleTaken)?;
        let suffixed = wanted.with_suffix(number);
        // Too long now, or no name: some scripts' digits may not stand beside ours (RFC 5893, section 2).
        match Name::new(suffixed.as_str(), self.surroundings.limits.max_name_chars as usize) {
            Ok(name) if name == suffixed => Ok(name),
            _ => Err(Refused::HandleTaken.into()),
        }
    }

    /// Keeps which number a handle has to give next, after one was taken.
    async fn count_number(&mut self, stem: &str) -> Result<(), sqlx::Error> {
        let (kept, unused) = self.unused_number(stem).await?;
        if kept == unused {
            return Ok(());
        }
        let kept = sqlx::query("UPDATE suffixes SET unused = ? WHERE stem = ?")
            .bind(unused)
            .bind(stem)
            .execute(&mut *self.connection)
            .await?;
        if kept.rows_affected() == 0 {
            sqlx::query("INSERT INTO suffixes (stem, unused) VALUES (?, ?)")
                .bind(stem)
                .bind(unused)
                .execute(&mut *self.connection)
                .await?;
        }
        Ok(())
    }

    /// See [`UNUSED`].
    async fn unused_number(&mut self, stem: &str) -> Result<(i64, i64), sqlx::Error> {
        let row =
            sqlx::query(UNUSED).bind(stem).bind(stem).fetch_one(&mut *self.connection).await?;
        Ok((row.key(0)?, row.key(1)?))
    }

    /// The numbers that the account itself has or had with a handle: they are free to it.
    async fn own_numbers(&mut self, user: UserId, stem: &str) -> Result<Vec<u32>, sqlx::Error> {
        let rows = sqlx::query(OWN)
            .bind(user.as_bytes().as_slice())
            .fetch_all(&mut *self.connection)
            .await?;
        let mut numbers = Vec::new();
        for row in &rows {
            let handle = row.text(0)?;
            numbers.extend(numbered(&handle).filter(|own| own.0 == stem).map(|own| own.1));
        }
        Ok(numbers)
    }
}

/// Takes a handle apart that is another with a suffix: `alice-2`, but not `alice-02` or `alice-1`.
fn numbered(handle: &str) -> Option<(&str, u32)> {
    let (stem, digits) = handle.rsplit_once('-')?;
    let number: u32 = digits.parse().ok()?;
    (number >= 2 && number.to_string() == digits).then_some((stem, number))
}

#[cfg(test)]
mod tests {
    use super::numbered;

    #[test]
    fn a_suffix_is_a_number_as_it_is_written() {
        assert_eq!(numbered("alice-2"), Some(("alice", 2)));
        assert_eq!(numbered("alice-2-30"), Some(("alice-2", 30)));
        for other in ["alice", "alice-", "alice-1", "alice-02", "alice-+2", "alice-2b", "2"] {
            assert_eq!(numbered(other), None, "{other}");
        }
        assert_eq!(numbered("alice-4294967296"), None, "more than there can be");
    }
}
