//! What an actor does and expects, and what is verified: the verbs of scripts.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de::Error as _};

use super::{
    ActorSpec, Named, OneOrMany,
    expr::Expr,
    forms::SavePath,
    frames::{FramePattern, Request},
    mls::Mls,
};

/// What one actor does and expects.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Action {
    /// Connects anew, as the actor is described but for what is given.
    pub(crate) connect: Option<ActorSpec>,
    /// With connect: the server refuses.
    pub(crate) expect_refused: Option<Refusal>,
    /// Stops reading from the socket.
    #[serde(default)]
    pub(crate) pause: bool,
    /// Reads from the socket again.
    #[serde(default)]
    pub(crate) resume: bool,
    /// A request, or several in one write.
    pub(crate) send: Option<OneOrMany<Request>>,
    /// Writes in pieces of so many bytes.
    pub(crate) chunks: Option<Expr>,
    /// Spoils the frame of `send`.
    pub(crate) mutate: Option<Mutation>,
    /// Bytes as they are.
    pub(crate) send_raw: Option<Expr>,
    /// A WebSocket message of any form.
    pub(crate) ws_send: Option<WsSend>,
    /// What it does as a client of MLS.
    pub(crate) mls: Option<Mls>,
    /// The request (its `as`) that `expect` is about.
    pub(crate) to: Option<String>,
    /// The reply, or an event.
    pub(crate) expect: Option<OneOrMany<FramePattern>>,
    /// Any of these.
    #[serde(default)]
    pub(crate) expect_one_of: Vec<FramePattern>,
    /// The next events, exactly.
    #[serde(default)]
    pub(crate) expect_events: Vec<FramePattern>,
    /// Events in any order.
    #[serde(default)]
    pub(crate) expect_all: Vec<FramePattern>,
    /// No such event before a barrier.
    pub(crate) expect_none_until: Option<Absence>,
    /// The connection ends with this error.
    pub(crate) expect_closed: Option<Closed>,
    /// Keeps parts of the frame matched last.
    #[serde(default)]
    pub(crate) save: Named<SavePath>,
    /// Sends close_notify and reads on.
    #[serde(default)]
    pub(crate) half_close: bool,
    /// Ends the connection.
    pub(crate) disconnect: Option<Disconnect>,
    /// What is broken if the step fails.
    #[serde(default)]
    pub(crate) cites: Vec<String>,
}

/// How a handshake is refused.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refusal {
    /// By a TLS alert: its name as in RFC 8446, or any.
    pub(crate) tls: Option<String>,
    /// By an HTTP status.
    pub(crate) http: Option<u16>,
}

/// How a frame is spoilt.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mutation {
    /// Bytes of the body to invert; negative from the end.
    pub(crate) flip: Option<OneOrMany<i64>>,
    /// Bytes to put into the body.
    pub(crate) insert: Option<Insertion>,
    /// Bytes to put behind the body.
    pub(crate) append: Option<Expr>,
    /// How many bytes to drop from the end of the body.
    pub(crate) truncate: Option<Expr>,
    /// The length field: "+1", "-1" or a number.
    pub(crate) length: Option<Expr>,
}

/// Bytes put into a body.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Insertion {
    /// Before which byte.
    pub(crate) at: Expr,
    /// What.
    pub(crate) bytes: Expr,
}

/// A WebSocket message of any form.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WsSend {
    /// A text message.
    pub(crate) text: Option<Expr>,
    /// A binary message.
    pub(crate) binary: Option<Expr>,
    /// A binary message in these fragments.
    pub(crate) fragments: Option<Vec<Expr>>,
    /// A binary message, cut into fragments.
    pub(crate) split: Option<Expr>,
    /// How many fragments `split` makes.
    pub(crate) into: Option<usize>,
    /// A ping of the WebSocket protocol.
    pub(crate) ping: Option<Expr>,
    /// A Close frame with this status.
    pub(crate) close: Option<u16>,
}

/// An event that must not come before a barrier.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Absence {
    /// The event.
    #[serde(deserialize_with = "event_pattern")]
    pub(crate) event: FramePattern,
    /// The room through which the sentinel is sent.
    pub(crate) room: Option<Expr>,
    /// The actor who sends it.
    pub(crate) by: Option<String>,
}

fn event_pattern<'de, D: Deserializer<'de>>(deserializer: D) -> Result<FramePattern, D::Error> {
    let event = serde_json::Value::deserialize(deserializer)?;
    FramePattern::compile(&serde_json::json!({ "event": event })).map_err(D::Error::custom)
}

/// How a connection must end.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(from = "ClosedForm")]
#[schemars(with = "ClosedForm")]
pub(crate) struct Closed {
    /// Codes permitted; "none" for an orderly close without an error.
    pub(crate) codes: Vec<String>,
    pub(crate) reply_to: Option<Expr>,
    pub(crate) ws_status: Option<u16>,
    /// Whether no event came that nothing has expected.
    pub(crate) without_events: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum ClosedForm {
    /// With this code.
    Code(String),
    /// With this code, or one of these, and more.
    Full {
        code: Option<String>,
        #[serde(default)]
        one_of: Vec<String>,
        reply_to: Option<Expr>,
        ws_status: Option<u16>,
        #[serde(default)]
        without_events: bool,
    },
}

impl From<ClosedForm> for Closed {
    fn from(form: ClosedForm) -> Self {
        match form {
            ClosedForm::Code(code) => {
                let (reply_to, ws_status, without_events) = (None, None, false);
                Self { codes: vec![code], reply_to, ws_status, without_events }
            }
            ClosedForm::Full { code, one_of, reply_to, ws_status, without_events } => {
                let codes = code.into_iter().chain(one_of).collect();
                Self { codes, reply_to, ws_status, without_events }
            }
        }
    }
}

/// How an actor ends its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Disconnect {
    /// close_notify, read to the end, close.
    Clean,
    /// Without close_notify.
    Abrupt,
}

/// Computed truth.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Verify {
    /// The whole log of a conversation.
    pub(crate) log: Option<VerifyLog>,
    /// The chain over entries.
    pub(crate) chain: Option<VerifyChain>,
    /// A signed head.
    pub(crate) head: Option<VerifyHead>,
    /// The signature of a message.
    pub(crate) message: Option<VerifyMessage>,
    /// The path of log keys.
    pub(crate) rotations: Option<VerifyRotations>,
    /// TLS early data is not taken.
    pub(crate) no_early_data: Option<VerifyEarlyData>,
    /// What is broken if it is not true.
    #[serde(default)]
    pub(crate) cites: Vec<String>,
}

/// The whole log of a conversation, as an actor reads it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerifyLog {
    /// Who reads.
    pub(crate) actor: String,
    /// The conversation's id.
    pub(crate) conversation: Expr,
    /// Entries a page; default the server's most.
    pub(crate) page: Option<Expr>,
    /// Keeps the list of entries.
    pub(crate) save: Option<String>,
}

/// The chain over entries.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerifyChain {
    /// The conversation's id; needed without `previous`.
    pub(crate) conversation: Option<Expr>,
    /// The chain value before the first entry.
    pub(crate) previous: Option<Expr>,
    /// The entries.
    pub(crate) entries: Expr,
    /// The chain value of the last entry.
    pub(crate) equals: Option<Expr>,
    /// Keeps it.
    pub(crate) save: Option<String>,
}

/// A signed head.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerifyHead {
    /// The SignedHead.
    pub(crate) signed: Expr,
    /// The conversation it must be about.
    pub(crate) conversation: Expr,
    /// The log key.
    pub(crate) key: Expr,
    /// The chain value it must state.
    pub(crate) chain: Option<Expr>,
}

/// The signature of a message.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerifyMessage {
    /// The entry.
    pub(crate) entry: Expr,
    /// The sender device's public key.
    pub(crate) key: Expr,
}

/// The path of log keys.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerifyRotations {
    /// A LogKey.
    pub(crate) log_key: Expr,
}

/// TLS early data.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerifyEarlyData {
    /// Whose description is connected with.
    pub(crate) actor: String,
}
