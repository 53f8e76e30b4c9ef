//! Search.

use std::sync::Arc;

use aside_proto::{id::ConversationId, v1::server_frame::Body};
use aside_store::Search;
use bytes::Bytes;

use super::{PLAIN, Request, refusal};
use crate::app::{Answer, App, Identity};

const SEARCH: Request = Request { page_token: "search.page_token", ..PLAIN };

impl App {
    pub(crate) async fn search(
        self: Arc<Self>,
        who: Identity,
        conversation: Option<ConversationId>,
        query: String,
        page_token: Bytes,
        page_size: u32,
    ) -> Answer {
        let max_bytes = self.max_reply_bytes();
        let search = Search { conversation, query, page_token, page_size, max_bytes };
        let found = self.store.search(who.user, &search).await;
        found.map(Body::SearchResults).map_err(|r| refusal(r, SEARCH))
    }
}
