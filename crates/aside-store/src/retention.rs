//! Which logs have more than retention keeps: asked of the readers, so that the writer is bothered only with those.

use aside_proto::retention::{exceeds, stricter};

use crate::{
    db::{Columns as _, Pool, Row},
    journal::Surroundings,
    rooms,
    write::time_ms,
};

/// Logs that are looked at by one statement.
const AT_ONCE: i64 = 256;
/// Logs with their limits, their first entry and where they end.
pub(crate) const LOGS: &str = "SELECT c.id, c.max_age_s, c.max_entries, c.first_seq, e.header,
         (SELECT MAX(seq) FROM entries l WHERE l.conversation = c.id)
     FROM conversations c LEFT JOIN entries e ON e.conversation = c.id AND e.seq = c.first_seq
     WHERE c.id > ? ORDER BY c.id LIMIT ?";

/// Some of the logs.
pub(crate) struct Page {
    /// Those that have more than is to be kept: surrogate keys.
    pub(crate) due: Vec<i64>,
    /// The last that was looked at; none if there are no more.
    pub(crate) last: Option<i64>,
}

/// The logs after one of them.
pub(crate) async fn due(
    pool: &Pool,
    surroundings: &Surroundings,
    after: Option<i64>,
) -> Result<Page, sqlx::Error> {
    let now = (surroundings.clock)();
    let rows =
        sqlx::query(LOGS).bind(after.unwrap_or(i64::MIN)).bind(AT_ONCE).fetch_all(pool).await?;
    let mut due = Vec::new();
    for row in &rows {
        if is_due(row, surroundings, now) {
            due.push(row.key(0)?);
        }
    }
    let last = rows.last().filter(|_| rows.len() as i64 == AT_ONCE);
    Ok(Page { due, last: last.map(|row| row.key(0)).transpose()? })
}

/// Whether a row of [`LOGS`] has more than is to be kept. One that can't be read keeps no other from its turn.
fn is_due(row: &Row, surroundings: &Surroundings, now: u64) -> bool {
    let judge = || {
        let in_force = stricter(rooms::limits(row, 1)?, surroundings.retention);
        let age_ms = now.saturating_sub(time_ms(row.bytes(4)?)?);
        Ok::<_, sqlx::Error>(exceeds(
            &in_force,
            age_ms,
            row.number(5)?.saturating_sub(row.number(3)?),
        ))
    };
    judge().unwrap_or_else(|error| {
        tracing::warn!(%error, "a log's first entry can't be read; nothing of it is removed");
        false
    })
}
