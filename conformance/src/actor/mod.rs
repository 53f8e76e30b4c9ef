//! Actors: the clients that scripts speak through.

mod inbox;
mod login;
pub(crate) mod mls;
mod numbers;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::{
    conn::{ConnectError, Connection, End, Endpoint, Resumption},
    script::{
        ActorSpec, Binding,
        functions::{Eval, Names, ScriptError, Variables, uuid7},
    },
    truth::Key,
    value::{Val, record},
    watch::{Violation, Watch},
};

pub(crate) use login::{conversation, literal, request};
pub(crate) use numbers::{Issued, Numbers};

/// Frames of an actor that a failure shows.
const SHOWN_FRAMES: usize = 12;
/// Characters of each.
const SHOWN_CHARS: usize = 600;

/// Why a script does not go on.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The server did what it must not.
    Fail(Box<Failure>),
    /// The script asks for what can't be done.
    Script(ScriptError),
    /// The target can't be brought into the state.
    Untestable(String),
}

/// What the server did, and what it should have.
#[derive(Debug, Default)]
pub(crate) struct Failure {
    /// Requirements that are broken for certain; else those that the step or the script cites.
    pub(crate) requirements: Vec<String>,
    pub(crate) permitted: String,
    pub(crate) came: String,
    /// Nothing came, and we stopped waiting.
    pub(crate) by_deadline: bool,
}

impl From<ScriptError> for Stop {
    fn from(error: ScriptError) -> Self {
        Self::Script(error)
    }
}

impl From<Violation> for Stop {
    fn from(violation: Violation) -> Self {
        Self::Fail(Box::new(Failure {
            requirements: vec![violation.requirement.to_owned()],
            permitted: "what the requirement says".into(),
            came: violation.what,
            by_deadline: false,
        }))
    }
}

/// A failure of the server.
pub(crate) fn failed<T>(permitted: impl Into<String>, came: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::Fail(Box::new(Failure {
        permitted: permitted.into(),
        came: came.into(),
        ..Failure::default()
    })))
}

/// What all actors of a script share.
pub(crate) struct World {
    pub(crate) variables: Variables,
    pub(crate) names: Arc<Names>,
    /// How long to wait for what should come at once.
    pub(crate) deadline: Duration,
    /// Capabilities that clients say they know.
    pub(crate) capabilities: Vec<String>,
    /// Rooms made for sentinels: what is pushed of them is no event of the script.
    pub(crate) sentinel_rooms: Mutex<BTreeSet<Vec<u8>>>,
}

impl World {
    /// Whether an event is the runner's own doing.
    fn is_own(&self, event: &Val) -> bool {
        let rooms = self.sentinel_rooms.lock().unwrap_or_else(PoisonError::into_inner);
        conversation(event).is_some_and(|id| rooms.contains(id))
    }
}

/// A client.
pub(crate) struct Actor {
    pub(crate) name: String,
    pub(crate) spec: ActorSpec,
    key: Arc<Key>,
    pub(crate) handle: String,
    pub(crate) password: String,
    pub(crate) user_id: Option<Vec<u8>>,
    pub(crate) device_id: Option<Vec<u8>>,
    /// Whether an account with this handle exists, as far as we know.
    pub(crate) has_account: bool,
    pub(crate) connection: Option<Connection>,
    pub(crate) numbers: Arc<Numbers>,
    watch: Watch,
    pub(crate) violations: Vec<Violation>,
    pub(crate) replies: VecDeque<Val>,
    pub(crate) events: VecDeque<Val>,
    /// Requests whose reply nothing has expected yet.
    pub(crate) unexpected: VecDeque<u64>,
    /// The error of scope connection that came.
    pub(crate) fatal: Option<Val>,
    pub(crate) end: Option<End>,
    /// What the script matched last.
    pub(crate) matched: Val,
    transcript: VecDeque<String>,
    /// What Hello and the connection gave.
    session: BTreeMap<&'static str, Val>,
    /// The Hello that waits for its answer.
    hello: Val,
    /// A room of its own, for sentinels.
    pub(crate) own_room: Option<Vec<u8>>,
    /// What it has for MLS, once its device has a certificate.
    mls: Option<Box<mls::Mls>>,
}

impl Actor {
    pub(crate) fn new(name: &str, spec: &ActorSpec, world: &World) -> Self {
        let handle = world.names.fresh();
        Self {
            name: name.to_owned(),
            spec: spec.clone(),
            key: Arc::new(Key::generate()),
            password: format!("correct horse {handle}"),
            handle,
            user_id: None,
            device_id: None,
            has_account: false,
            connection: None,
            numbers: Arc::default(),
            watch: Watch::default(),
            violations: Vec::new(),
            replies: VecDeque::new(),
            events: VecDeque::new(),
            unexpected: VecDeque::new(),
            fatal: None,
            end: None,
            matched: Val::Null,
            transcript: VecDeque::new(),
            session: BTreeMap::new(),
            hello: Val::Null,
            own_room: None,
            mls: None,
        }
    }

    /// The context in which this actor's values are computed.
    pub(crate) fn eval<'a>(&'a self, world: &'a World) -> Eval<'a> {
        Eval {
            variables: &world.variables,
            names: &world.names,
            actor: Some(&self.name),
            numbering: Some(&*self.numbers),
        }
    }

    /// Puts what it knows where scripts see it: `$alice.…`.
    pub(crate) fn publish(&self, world: &World) {
        let id = |id: &Option<Vec<u8>>| id.as_deref().map_or(Val::Null, Val::from);
        let binding = self.spec.binding.unwrap_or(Binding::Exporter);
        let Val::Map(mut fields) = record([
            ("user_id", id(&self.user_id)),
            ("device_id", id(&self.device_id)),
            ("handle", Val::from(&*self.handle)),
            ("password", Val::from(&*self.password)),
            ("public_key", Val::from(self.key.public_key())),
            ("key", Val::Key(Arc::clone(&self.key))),
            ("device_name", Val::from(self.spec.device_name.as_deref().unwrap_or("conformance"))),
            ("binding", Val::from(binding.name())),
        ]) else {
            return;
        };
        fields.extend(self.session.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        world.variables.set(&self.name, Val::Map(fields));
    }

    /// Opens a connection, dropping the one before, and forgets what that one said.
    pub(crate) async fn open(
        &mut self,
        world: &World,
        endpoint: &Endpoint,
        spec: &ActorSpec,
        resumption: Option<&Resumption>,
    ) -> Result<(), ConnectError> {
        self.forget();
        self.note("— connecting");
        let opening = Connection::open(endpoint, spec, resumption);
        let connection = match tokio::time::timeout(world.deadline, opening).await {
            Ok(opened) => opened?,
            Err(_) => {
                let error = std::io::Error::new(
                    std::io::ErrorKind::TimedOut,
                    "no handshake before the deadline",
                );
                return Err(ConnectError::Io(error));
            }
        };
        self.session.insert("exporter", Val::from(&connection.exporter[..]));
        self.session.insert("cert_sha256", Val::from(&connection.cert_sha256[..]));
        self.session.insert("server_name", Val::from(&*endpoint.server_name));
        for (name, value) in &connection.facts {
            self.session.insert(if name == "tls" { "tls" } else { "ws" }, value.clone());
        }
        self.connection = Some(connection);
        self.publish(world);
        Ok(())
    }

    /// Drops the connection and whatever it said.
    pub(crate) fn forget(&mut self) {
        self.connection = None;
        self.numbers = Arc::default();
        self.watch = Watch::default();
        self.replies.clear();
        self.events.clear();
        self.unexpected.clear();
        self.fatal = None;
        self.end = None;
    }

    /// The connection, for sending.
    pub(crate) fn connected(&mut self) -> Result<&mut Connection, Stop> {
        let name = &self.name;
        self.connection
            .as_mut()
            .ok_or_else(|| Stop::Script(ScriptError(format!("{name} is not connected"))))
    }

    /// Adds a line to what a failure shows.
    pub(crate) fn note(&mut self, line: impl Into<String>) {
        if self.transcript.len() == SHOWN_FRAMES {
            self.transcript.pop_front();
        }
        let mut line: String = line.into();
        if let Some((end, _)) = line.char_indices().nth(SHOWN_CHARS) {
            line.truncate(end);
            line.push('…');
        }
        self.transcript.push_back(line);
    }

    /// The last frames.
    pub(crate) fn transcript(&self) -> Vec<String> {
        self.transcript.iter().cloned().collect()
    }

    /// Requests were made whose ids replies will carry.
    pub(crate) fn issue(&mut self, issued: &[Issued], world: &World) {
        for request in issued {
            self.watch.sent(request.id, request.kind == "ping");
            if let Some(hello) = request.shown.field("hello") {
                self.hello = hello.clone();
            }
            self.note(format!("→ {}", request.shown));
            if let Some(name) = &request.name {
                world.variables.set(name, request.shown_flat());
            }
        }
    }

    /// From now on replies may come to requests that are not known.
    pub(crate) fn sent_raw(&mut self, what: &str) {
        self.watch.raw_sent = true;
        self.note(format!("→ {what}"));
    }

    /// A fresh idempotency key.
    pub(crate) fn fresh_id() -> Vec<u8> {
        uuid7(crate::script::functions::now_ms())
    }
}
