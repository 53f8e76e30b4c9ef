//! What private messages refer to: kept under a pseudonym, for not even the server is told (STORE-006). Rooms have the seq itself.

use std::collections::{BTreeMap, BTreeSet};

use aside_proto::id::ConversationId;
use sqlx::{QueryBuilder, Row as _, Sqlite};

use super::{StateError, Store, array, data_key, unsigned};

impl Store {
    /// Those of these private messages that others refer to.
    pub(super) async fn referred(
        &self,
        conversation: ConversationId,
        seqs: Vec<u64>,
    ) -> Result<BTreeSet<u64>, StateError> {
        let seqs = seqs.into_iter().map(|seq| (self.sealer.reference(conversation, seq), seq));
        let seqs: BTreeMap<i64, u64> = seqs.collect();
        let mut query = QueryBuilder::<Sqlite>::new(
            "SELECT DISTINCT refers FROM entries WHERE conversation = (SELECT id FROM conversations WHERE conversation_id = ",
        );
        query.push_bind(conversation.as_bytes().to_vec()).push(") AND refers IN (");
        let mut references = query.separated(", ");
        for reference in seqs.keys() {
            references.push_bind(*reference);
        }
        query.push(")");
        let mut referred = BTreeSet::new();
        for row in query.build().fetch_all(&self.pool).await? {
            referred.extend(seqs.get(&row.try_get::<i64, _>("refers")?).copied());
        }
        Ok(referred)
    }

    /// Puts pseudonyms where earlier versions have left the seqs themselves.
    pub(super) async fn hide_references(&self) -> Result<(), StateError> {
        let sql = "SELECT p.conversation_id, e.conversation, e.seq, e.refers FROM private_conversations p \
                   JOIN conversations c ON c.conversation_id = p.conversation_id \
                   JOIN entries e ON e.conversation = c.id AND e.refers >= 0 \
                   JOIN private_readings r ON r.conversation = p.id AND r.seq = e.seq";
        let rows = sqlx::query(sql).fetch_all(&self.pool).await?;
        if rows.is_empty() {
            return Ok(());
        }
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await?;
        for row in rows {
            let id = ConversationId::new(array(row.try_get("conversation_id")?, "an id")?);
            let sql = "UPDATE entries SET refers = ? WHERE conversation = ? AND seq = ?";
            sqlx::query(sql)
                .bind(self.sealer.reference(id, unsigned(row.try_get("refers")?)))
                .bind(row.try_get::<i64, _>("conversation")?)
                .bind(row.try_get::<i64, _>("seq")?)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        data_key::wipe_log(&self.pool).await
    }
}
