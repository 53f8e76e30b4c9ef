//! Who is in a conversation, as far as is known here: whom `@handle` in a text means.

use aside_proto::id::{ConversationId, UserId};
use sqlx::{Row as _, sqlite::SqliteRow};

use super::{StateError, Store, array};

impl Store {
    /// Somebody came or left; or was listed as a member.
    pub(crate) async fn set_members(
        &self,
        conversation: ConversationId,
        changes: &[(UserId, bool)],
    ) -> Result<(), StateError> {
        let mut transaction = self.pool.begin().await?;
        for (user, joined) in changes {
            let sql = match joined {
                true => {
                    "INSERT INTO members (conversation, user_id) SELECT id, ?2 FROM conversations \
                     WHERE conversation_id = ?1 ON CONFLICT DO NOTHING"
                }
                false => {
                    "DELETE FROM members WHERE user_id = ?2 AND conversation = \
                     (SELECT id FROM conversations WHERE conversation_id = ?1)"
                }
            };
            sqlx::query(sql)
                .bind(&conversation.as_bytes()[..])
                .bind(&user.as_bytes()[..])
                .execute(&mut *transaction)
                .await?;
        }
        Ok(transaction.commit().await?)
    }

    /// The members that are known, with the handles they were last known by.
    pub(crate) async fn member_handles(
        &self,
        conversation: ConversationId,
    ) -> Result<Vec<(String, UserId)>, StateError> {
        let sql = "SELECT handle, p.user_id FROM people p JOIN members m ON m.user_id = p.user_id \
                   JOIN conversations c ON c.id = m.conversation WHERE conversation_id = ?";
        let rows =
            sqlx::query(sql).bind(&conversation.as_bytes()[..]).fetch_all(&self.pool).await?;
        let member = |row: &SqliteRow| {
            let user = UserId::new(array(row.try_get("user_id")?, "a user id")?);
            Ok((row.try_get("handle")?, user))
        };
        rows.iter().map(member).collect()
    }
}
