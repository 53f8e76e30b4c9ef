//! The script language: what the YAML files hold. README.md describes it for those who write scripts.

pub(crate) mod expr;
mod forms;
pub(crate) mod frames;
pub(crate) mod functions;
pub(crate) mod load;
pub(crate) mod mls;
pub(crate) mod pattern;
pub(crate) mod private;
pub(crate) mod proofs;
mod verbs;

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};

use expr::Expr;
use pattern::Pattern;

pub(crate) use forms::{Named, OneOrMany};
pub(crate) use verbs::{
    Absence, Action, Closed, Disconnect, Mutation, Refusal, Verify, VerifyChain, VerifyEarlyData,
    VerifyHead, VerifyLog, VerifyMessage, WsSend,
};

/// One script of the conformance suite.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Script {
    /// The file's name without .yaml.
    pub(crate) id: String,
    /// What holds if the script passes.
    pub(crate) title: String,
    /// Ids of the specification that the script as a whole checks.
    #[serde(default)]
    pub(crate) requirements: Vec<String>,
    /// Capabilities, websocket, control.settings, control.restart, control.kill, control.notice.
    #[serde(default)]
    pub(crate) needs: Vec<String>,
    /// Settings of the server to run against.
    #[serde(default)]
    pub(crate) settings: serde_json::Map<String, serde_json::Value>,
    /// Overrules the guess whether the script does what a client must not do.
    pub(crate) negative: Option<bool>,
    /// Who must still be served after a negative script.
    pub(crate) bystander: Option<Bystander>,
    /// The clients, by name.
    #[serde(default)]
    pub(crate) actors: Named<ActorSpec>,
    /// Rooms made before the first step, by name.
    #[serde(default)]
    pub(crate) rooms: Named<RoomSpec>,
    /// Private conversations made before the first step, by name.
    #[serde(default)]
    pub(crate) groups: Named<GroupSpec>,
    /// What happens, in order.
    pub(crate) steps: Vec<Step>,
    /// Why the script is known to fail.
    pub(crate) xfail: Option<String>,
}

/// Who must still be served after a negative script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Bystander {
    /// A connection that stood before, and a fresh one that logs in.
    Full,
    /// A fresh connection gets Greeted and a Pong.
    Fresh,
    /// Neither is looked at.
    None,
}

/// A client, or how it connects.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ActorSpec {
    /// How far it goes; default authenticated.
    pub(crate) state: Option<State>,
    /// The actor whose account it shares.
    pub(crate) of: Option<String>,
    /// tls (default) or websocket.
    pub(crate) transport: Option<Transport>,
    /// What its proofs are bound to; default exporter.
    pub(crate) binding: Option<Binding>,
    /// The device's name; default "conformance".
    pub(crate) device_name: Option<String>,
    /// In `connect`: how it logs in; default by device key, if it has an account.
    pub(crate) login: Option<Login>,
    /// Fields that replace those of its Hello.
    pub(crate) hello: Option<Expr>,
    /// What is unusual about its TLS.
    pub(crate) tls: Option<TlsSpec>,
    /// What is unusual about its WebSocket.
    pub(crate) ws: Option<WsSpec>,
    /// Bytes of kernel buffer for reading.
    pub(crate) receive_buffer: Option<u32>,
    /// Whether its device is in its user's device log when the script begins.
    #[serde(default)]
    pub(crate) approved: bool,
}

impl ActorSpec {
    /// This one, with what the other says replaced.
    pub(crate) fn with(&self, other: &Self) -> Self {
        Self {
            state: other.state.or(match self.state {
                Some(State::Absent | State::Offline) => None,
                own => own,
            }),
            of: self.of.clone(),
            transport: other.transport.or(self.transport),
            binding: other.binding.or(self.binding),
            device_name: other.device_name.clone().or_else(|| self.device_name.clone()),
            login: other.login,
            hello: other.hello.clone().or_else(|| self.hello.clone()),
            tls: other.tls.clone().or_else(|| self.tls.clone()),
            ws: other.ws.clone().or_else(|| self.ws.clone()),
            receive_buffer: other.receive_buffer.or(self.receive_buffer),
            approved: self.approved,
        }
    }
}

/// How far an actor's set-up goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// No account and no connection.
    Absent,
    /// TLS, and WebSocket, stand.
    Connected,
    /// Hello is done.
    Greeted,
    /// Logged in.
    Authenticated,
    /// Account and device exist, the connection is closed again.
    Offline,
}

/// What carries the frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Transport {
    /// Frames on the TLS stream.
    Tls,
    /// WebSocket messages.
    Websocket,
}

/// Channel binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Binding {
    /// The TLS exporter.
    Exporter,
    /// The hash of the server's certificate.
    CertSha256,
    /// Nothing.
    None,
}

impl Binding {
    /// As scripts write it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Exporter => "exporter",
            Self::CertSha256 => "cert_sha256",
            Self::None => "none",
        }
    }
}

/// How an actor that has an account logs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Login {
    /// By its device's key.
    Device,
    /// By the account's password.
    Password,
}

/// What is unusual about a TLS connection.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TlsSpec {
    /// "1.2" or "1.3".
    pub(crate) max_version: Option<TlsVersion>,
    /// Application protocols offered.
    pub(crate) alpn: Option<Vec<String>>,
    /// The name sent by SNI (and verified).
    pub(crate) sni: Option<String>,
}

/// The greatest version of TLS offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub(crate) enum TlsVersion {
    /// TLS 1.2 alone.
    #[serde(rename = "1.2")]
    V12,
    /// TLS 1.3 alone.
    #[serde(rename = "1.3")]
    V13,
}

/// What is unusual about a WebSocket.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WsSpec {
    /// Default /aside/v1.
    pub(crate) path: Option<String>,
    /// Default [aside.v1].
    pub(crate) subprotocols: Option<Vec<String>>,
    /// The Origin header; none by default.
    pub(crate) origin: Option<String>,
    /// Further headers.
    #[serde(default)]
    pub(crate) headers: std::collections::BTreeMap<String, String>,
}

/// A room made before the first step.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoomSpec {
    /// The actor who makes it.
    pub(crate) owner: String,
    /// Actors who join it, in order.
    #[serde(default)]
    pub(crate) members: Vec<String>,
}

/// A private conversation made before the first step, with its MLS group.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GroupSpec {
    /// The actor who makes it.
    pub(crate) owner: String,
    /// The other leaves, actors that are approved.
    #[serde(default)]
    pub(crate) leaves: Vec<String>,
    /// Whether it is the DIRECT of the owner and the first of the leaves, instead of a GROUP.
    #[serde(default)]
    pub(crate) direct: bool,
    /// Whether its group is one of MLS, that all of them are in, instead of random bytes.
    #[serde(default)]
    pub(crate) mls: bool,
}

/// A step, with its line.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) line: u64,
    pub(crate) body: StepBody,
}

/// What a step does.
#[derive(Debug)]
pub(crate) enum StepBody {
    Act(String, Box<Action>),
    Let(Named<Expr>),
    Check(Check),
    Parallel(Vec<Vec<Step>>),
    Repeat(Repeat),
    Verify(Box<Verify>),
    Barrier(Barrier),
    Wait(Wait),
    Server(ServerControl),
}

/// A value that must match a pattern.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Check {
    /// The value.
    pub(crate) that: Expr,
    /// What it must be like.
    pub(crate) is: Pattern,
    /// What is broken if it is not.
    #[serde(default)]
    pub(crate) cites: Vec<String>,
}

/// Steps done several times.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Repeat {
    /// How often.
    pub(crate) times: Option<Expr>,
    /// A variable that counts from 1.
    #[serde(rename = "as")]
    pub(crate) name: Option<String>,
    /// Until this variable is empty after a round.
    pub(crate) until_empty: Option<String>,
    /// The most rounds of until_empty; default 100.
    pub(crate) at_most: Option<usize>,
    /// What is repeated.
    pub(crate) steps: Vec<Step>,
}

/// A time that the protocol names.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wait {
    /// Milliseconds.
    pub(crate) ms: Expr,
}

/// What happens to the server.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ServerControl {
    /// It is stopped in good order.
    Stop,
    /// It is started again on the same data.
    Start,
    /// Both.
    Restart,
    /// It is killed, and started again on the same data.
    Kill,
    /// Its operator has something to say to everyone who is connected.
    Notice(String),
}

impl ServerControl {
    /// What the target must allow.
    pub(crate) fn need(&self) -> &'static str {
        match self {
            Self::Stop | Self::Start | Self::Restart => "control.restart",
            Self::Kill => "control.kill",
            Self::Notice(_) => "control.notice",
        }
    }
}

/// Actors who make sure that all events have arrived.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(from = "BarrierForm")]
#[schemars(with = "BarrierForm")]
pub(crate) struct Barrier {
    pub(crate) actors: Vec<String>,
    pub(crate) drain: bool,
}

#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum BarrierForm {
    /// These actors.
    Actors(Vec<String>),
    /// These actors, forgetting what arrived.
    Full {
        actors: Vec<String>,
        #[serde(default)]
        drain: bool,
    },
}

impl From<BarrierForm> for Barrier {
    fn from(form: BarrierForm) -> Self {
        match form {
            BarrierForm::Actors(actors) => Self { actors, drain: false },
            BarrierForm::Full { actors, drain } => Self { actors, drain },
        }
    }
}

impl<'de> Deserialize<'de> for Step {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = serde_saphyr::Spanned::<StepBody>::deserialize(deserializer)?;
        Ok(Self { line: spanned.referenced.line(), body: spanned.value })
    }
}

impl<'de> Deserialize<'de> for StepBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneKey;

        impl<'de> Visitor<'de> for OneKey {
            type Value = StepBody;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping with one key: an actor, or let, check, parallel, repeat, verify, barrier, wait, server")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<StepBody, A::Error> {
                let Some(key) = map.next_key::<String>()? else {
                    return Err(A::Error::custom("an empty step"));
                };
                let step = match key.as_str() {
                    "let" => StepBody::Let(map.next_value()?),
                    "check" => StepBody::Check(map.next_value()?),
                    "parallel" => StepBody::Parallel(map.next_value()?),
                    "repeat" => StepBody::Repeat(map.next_value()?),
                    "verify" => StepBody::Verify(map.next_value()?),
                    "barrier" => StepBody::Barrier(map.next_value()?),
                    "wait" => StepBody::Wait(map.next_value()?),
                    "server" => StepBody::Server(map.next_value()?),
                    _ => StepBody::Act(key, map.next_value()?),
                };
                match map.next_key::<String>()? {
                    Some(second) => Err(A::Error::custom(format!(
                        "a step has one key; {second:?} is a second one"
                    ))),
                    None => Ok(step),
                }
            }
        }

        deserializer.deserialize_map(OneKey)
    }
}

/// Keys of steps that are no actors.
pub(crate) const STEP_KEYS: [&str; 8] =
    ["let", "check", "parallel", "repeat", "verify", "barrier", "wait", "server"];

impl JsonSchema for Step {
    fn schema_name() -> Cow<'static, str> {
        "Step".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let variables = generator.subschema_for::<Named<Expr>>();
        let check = generator.subschema_for::<Check>();
        let branches = generator.subschema_for::<Vec<Vec<Self>>>();
        let repeat = generator.subschema_for::<Repeat>();
        let verify = generator.subschema_for::<Verify>();
        let barrier = generator.subschema_for::<Barrier>();
        let wait = generator.subschema_for::<Wait>();
        let server = generator.subschema_for::<ServerControl>();
        let action = generator.subschema_for::<Action>();
        json_schema!({
            "type": "object",
            "minProperties": 1,
            "maxProperties": 1,
            "properties": {
                "let": variables, "check": check, "parallel": branches, "repeat": repeat, "verify": verify,
                "barrier": barrier, "wait": wait, "server": server,
            },
            "additionalProperties": action,
        })
    }
}
