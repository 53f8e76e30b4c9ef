//! Summaries and watermarks.

use std::sync::Arc;

use aside_proto::v1::{self, server_frame::Body};
use aside_store::{ListSummaries, ListWatermarks, Mark, Reader};
use bytes::Bytes;

use super::{PLAIN, Request, refusal};
use crate::app::{Answer, App};

const LIST_SUMMARIES: Request = Request { page_token: "list_summaries.page_token", ..PLAIN };
const LIST_WATERMARKS: Request = Request { page_token: "list_watermarks.page_token", ..PLAIN };

impl App {
    pub(crate) async fn list_summaries(
        self: Arc<Self>,
        reader: Reader,
        page_token: Bytes,
        page_size: u32,
    ) -> Answer {
        let max_bytes = self.max_reply_bytes();
        let private = reader.is_approved;
        let list = ListSummaries { private, page_token, page_size, max_bytes };
        let summaries = self.store.list_summaries(reader.user, &list).await;
        summaries.map(Body::Summaries).map_err(|r| refusal(r, LIST_SUMMARIES))
    }

    pub(crate) async fn mark(self: Arc<Self>, mark: Mark) -> Answer {
        let watermark = self.store.mark(mark).await.map_err(|r| refusal(r, PLAIN))?;
        Ok(Body::Marked(v1::Marked { watermark: Some(watermark) }))
    }

    pub(crate) async fn list_watermarks(
        self: Arc<Self>,
        reader: Reader,
        list: ListWatermarks,
    ) -> Answer {
        let watermarks = self.store.list_watermarks(reader, &list).await;
        watermarks.map(Body::Watermarks).map_err(|r| refusal(r, LIST_WATERMARKS))
    }
}
