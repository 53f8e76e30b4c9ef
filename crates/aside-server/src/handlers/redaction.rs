//! Redaction.

use std::sync::Arc;

use aside_proto::v1::server_frame::Body;
use aside_store::Redact;

use super::{PLAIN, refusal};
use crate::app::{Answer, App};

impl App {
    pub(crate) async fn redact(self: Arc<Self>, redact: Redact) -> Answer {
        let redacted = self.store.redact(redact).await.map_err(|r| refusal(r, PLAIN))?;
        metrics::counter!("aside_redactions_total").increment(1);
        Ok(Body::Redacted(redacted))
    }
}
