//! How far everybody has read, and what is kept to be read.

use std::sync::Arc;

use aside_proto::{
    id::ConversationId,
    v1::{self, client_frame, server_frame::Body},
};
use bytes::Bytes;
use tokio::sync::oneshot;

use super::Client;
use crate::{
    Error, Hits, Kept, Overview, Person, Room, SearchPage, StateError, Watermark, driver::Command,
    model::is_named,
};

impl Client {
    /// Whether the server keeps watermarks: whether the capability `sync` is in force. False until the first connection stands.
    #[must_use]
    pub fn has_watermarks(&self) -> bool {
        self.status.borrow().in_force
    }

    /// The user has been shown every entry up to `seq`, which counts no further than what was taken in (MARK-001). It is kept,
    /// and sent when it may be: many calls in a row, or offline, cost one request (MARK-014). All devices of the user hear of it.
    ///
    /// # Errors
    /// [`Error::NotFollowed`], [`Error::State`].
    pub async fn mark_read(&self, conversation: ConversationId, seq: u64) -> Result<(), Error> {
        let (done, marked) = oneshot::channel();
        self.command(Command::MarkRead { conversation, seq, done }).await?;
        marked.await.map_err(|_| Error::Gone)?
    }

    /// How many messages of others the user has not read, on any device: at most 1000, which stands for "1000 or more" (SUM-005).
    /// None if the server never told how far the user has read. From what is kept, without asking the server.
    ///
    /// # Errors
    /// [`Error::State`].
    pub async fn unread(&self, conversation: ConversationId) -> Result<Option<u32>, Error> {
        Ok(self.store.unread(conversation).await?)
    }

    /// How far the other members have got, in order of id: those that are known. Asks the server if a connection stands, and
    /// from then on [`Event::WatermarkMoved`](crate::Event::WatermarkMoved) tells of moves; in conversations with more than
    /// `max_live_members` members it does not (MARK-010).
    ///
    /// # Errors
    /// NOT_A_MEMBER among others.
    pub async fn watermarks(&self, conversation: ConversationId) -> Result<Vec<Watermark>, Error> {
        if self.is_online() && self.has_watermarks() {
            self.list_watermarks(conversation).await?;
        }
        let mut watermarks = Vec::new();
        for known in self.store.watermarks(conversation).await? {
            let handle = self.store.handle_of(known.user).await?;
            let who = Person { user: known.user, handle };
            let (delivered, read) = (known.at.delivered_seq, known.at.read_seq);
            watermarks.push(Watermark { who, delivered, read });
        }
        Ok(watermarks)
    }

    /// The driver keeps each page as it comes by.
    async fn list_watermarks(&self, conversation: ConversationId) -> Result<(), Error> {
        let mut page_token = Bytes::new();
        loop {
            let conversation_id = conversation.to_bytes();
            let list = v1::ListWatermarks { conversation_id, page_token, page_size: 0 };
            let Body::Watermarks(page) =
                self.call(client_frame::Body::ListWatermarks(list)).await?
            else {
                return Err(Error::Gone);
            };
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(());
            }
        }
    }

    /// What is kept of the conversations, to be read without asking the server, and so while it is away too.
    #[must_use]
    pub fn kept(&self) -> Kept {
        Kept { store: Arc::clone(&self.store) }
    }

    /// The conversations that are followed, as a list shows them, by name: from what is kept ([`Kept::overview`]).
    ///
    /// # Errors
    /// [`Error::State`].
    pub async fn overview(&self) -> Result<Vec<Overview>, Error> {
        self.kept().overview().await
    }

    /// Searches what is kept ([`Kept::search`]).
    ///
    /// # Errors
    /// [`Error::QueryTooLong`], [`Error::State`].
    pub async fn search_local(
        &self,
        query: &str,
        conversation: Option<ConversationId>,
        page: Option<SearchPage>,
    ) -> Result<Hits, Error> {
        self.kept().search(query, conversation, page).await
    }

    /// Every page of the user's conversations with what the server counts as unread.
    pub(super) async fn summed_up(&self) -> Result<Vec<Room>, Error> {
        let mut rooms = Vec::new();
        let mut page_token = Bytes::new();
        loop {
            let list = v1::ListSummaries { page_token, page_size: 0 };
            let Body::Summaries(page) = self.call(client_frame::Body::ListSummaries(list)).await?
            else {
                return Err(Error::Gone);
            };
            for summary in page.summaries {
                let read = summary.watermark.unwrap_or_default().read_seq;
                let room = Room::try_from(summary.room.unwrap_or_default())?;
                let mut room = self.named(room).await?;
                if room.kind.is_private() && !is_named(&room) {
                    // Its log and its members say it, in a moment; but not if this client has no private conversations.
                    if self.catch_up(room.conversation).await.is_err() && room.name.is_empty() {
                        continue;
                    }
                    room = self.named(room).await?;
                }
                room.unread = self.unread_since(room.conversation, read, summary.unread).await?;
                rooms.push(room);
            }
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(rooms);
            }
        }
    }

    /// What the server counts, unless the user has read more here by now.
    async fn unread_since(
        &self,
        conversation: ConversationId,
        read: u64,
        counted: u32,
    ) -> Result<Option<u32>, StateError> {
        let progress = self.store.progress(conversation).await?;
        match progress.is_some_and(|progress| progress.read() > read) {
            true => self.store.unread(conversation).await,
            false => Ok(Some(counted)),
        }
    }
}
