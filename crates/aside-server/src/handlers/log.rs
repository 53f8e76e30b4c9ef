//! Messages, history and signed heads.

use std::sync::Arc;

use aside_crypto::sign_head;
use aside_proto::{
    id::{ConversationId, UserId},
    v1::{self, server_frame::Body},
};
use aside_session::server::Refusal;
use aside_store::{Append, Reader, Refused};
use prost::Message as _;

use super::{PLAIN, refusal};
use crate::app::{Answer, App};

/// What a Fetched adds to its entries in a frame, at most: numbers, chain value, signed head, field keys.
const FETCHED_OVERHEAD_BYTES: usize = 1024;

impl App {
    pub(crate) async fn send_message(self: Arc<Self>, append: Append) -> Answer {
        let sent = self.say(append.user, append.conversation, self.store.append(append)).await?;
        metrics::counter!("aside_messages_total").increment(1);
        Ok(Body::Sent(sent))
    }

    /// A message ends its sender's writing, unless it is refused.
    pub(super) async fn say(
        &self,
        user: UserId,
        conversation: ConversationId,
        sending: impl Future<Output = Result<v1::Sent, Refused>>,
    ) -> Result<v1::Sent, Refusal> {
        let wrote = self.hub.end_typing(user, conversation);
        let sent = sending.await;
        if let (Err(_), Some(told_ms)) = (&sent, wrote) {
            self.hub.go_on_typing(user, conversation, told_ms);
        }
        sent.map_err(|r| refusal(r, PLAIN))
    }

    pub(crate) async fn fetch(
        self: Arc<Self>,
        reader: Reader,
        conversation: ConversationId,
        from_seq: u64,
        max_entries: u32,
        signed_head: bool,
    ) -> Answer {
        let max_bytes = self.config.limits.max_frame_bytes as usize - FETCHED_OVERHEAD_BYTES;
        let mut fetched = self
            .store
            .fetch(reader, conversation, from_seq, max_entries, max_bytes)
            .await
            .map_err(|r| refusal(r, PLAIN))?;
        if signed_head {
            // Read after the entries, so it is at least as new (HEAD-003).
            fetched.signed_head = Some(self.signed_head(reader, conversation).await?);
        }
        Ok(Body::Fetched(fetched))
    }

    pub(crate) async fn get_head(
        self: Arc<Self>,
        reader: Reader,
        conversation: ConversationId,
    ) -> Answer {
        let signed_head = Some(self.signed_head(reader, conversation).await?);
        Ok(Body::Head(v1::Head { signed_head }))
    }

    async fn signed_head(
        &self,
        reader: Reader,
        conversation: ConversationId,
    ) -> Result<v1::SignedHead, Refusal> {
        let head = self.store.head(reader, conversation).await.map_err(|r| refusal(r, PLAIN))?;
        let statement = v1::HeadStatement {
            conversation_id: conversation.to_bytes(),
            first_seq: head.first_seq,
            anchor: head.anchor.to_vec().into(),
            head_seq: head.head_seq,
            chain: head.chain.to_vec().into(),
            time_ms: self.now().unix_ms,
        }
        .encode_to_vec();
        let signature = sign_head(&self.log_key, &statement);
        Ok(v1::SignedHead {
            statement: statement.into(),
            signature: signature.as_bytes().to_vec().into(),
        })
    }
}
