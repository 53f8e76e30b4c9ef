//! Hello, registration and log-in, rooms and sentinels: what the runner does for scripts.

use std::sync::{Arc, PoisonError};

use crate::{
    conn::{End, Endpoint},
    script::{
        ActorSpec, Binding, Login, State,
        expr::{Args, Expr},
        frames::Request,
        functions::ScriptError,
        private,
    },
    truth::{self, Key},
    value::{Val, record},
};

use super::{Actor, Failure, Stop, World, failed};

/// A request made by the runner.
pub(crate) fn request<const N: usize>(kind: &str, fields: [(&str, Expr); N]) -> Request {
    let fields = fields.into_iter().map(|(name, expr)| (name.to_owned(), expr)).collect();
    Request { fields: vec![(kind.to_owned(), Expr::Map(fields))], name: None }
}

/// A value that is known.
pub(crate) fn literal(value: impl Into<Val>) -> Expr {
    Expr::Literal(value.into())
}

impl Actor {
    /// Connects, and goes as far as `spec` says.
    pub(crate) async fn connect(
        &mut self,
        world: &World,
        endpoint: &Endpoint,
        spec: &ActorSpec,
    ) -> Result<(), Stop> {
        let goal = spec.state.unwrap_or(State::Authenticated);
        if let Err(error) = self.open(world, endpoint, spec, None).await {
            return failed("a connection", error.to_string());
        }
        if goal >= State::Greeted {
            self.hello(world, spec).await?;
        }
        if goal >= State::Authenticated {
            self.log_in(world, spec).await?;
        }
        if goal == State::Offline {
            self.leave(world).await?;
        }
        Ok(())
    }

    /// Hello, on a connection that stands.
    pub(crate) async fn hello(&mut self, world: &World, spec: &ActorSpec) -> Result<(), Stop> {
        let nonce = truth::random(32);
        let server_name = self.session.get("server_name").cloned().unwrap_or(Val::Null);
        let capabilities = world.capabilities.iter().map(|name| Val::from(&**name)).collect();
        let mut fields = vec![
            ("versions".to_owned(), Val::List(vec![Val::Int(1)])),
            ("capabilities".to_owned(), Val::List(capabilities)),
            ("client_nonce".to_owned(), Val::from(&nonce[..])),
            ("server_name".to_owned(), server_name),
            ("user_agent".to_owned(), "aside-conformance".into()),
        ];
        if let Some(replaced) = &spec.hello {
            let Val::Map(replaced) = self.eval(world).value(replaced)? else {
                return Err(Stop::Script(ScriptError("hello: takes fields of Hello".into())));
            };
            fields.retain(|(name, _)| !replaced.iter().any(|(other, _)| other == name));
            fields.extend(replaced);
        }
        let hello =
            Request { fields: vec![("hello".to_owned(), literal(Val::Map(fields)))], name: None };
        self.call(world, &hello).await.map(drop)
    }

    async fn log_in(&mut self, world: &World, spec: &ActorSpec) -> Result<(), Stop> {
        let binding = spec.binding.unwrap_or(Binding::Exporter);
        let proof = |name: &str| {
            let named = vec![("binding".to_owned(), literal(binding.name()))];
            Expr::Call(name.to_owned(), Args::Named(named))
        };
        let proven = vec![("proof".to_owned(), proof("bind_proof"))];
        let device = || Expr::Call("device".to_owned(), Args::Named(proven.clone()));
        let (handle, password) = (literal(&*self.handle), literal(&*self.password));
        let request = match (&self.device_id, spec.login) {
            (Some(device_id), None | Some(Login::Device)) => {
                let device_id = literal(&device_id[..]);
                request("device_login", [("device_id", device_id), ("proof", proof("login_proof"))])
            }
            _ if self.has_account => request(
                "password_login",
                [("handle", handle), ("password", password), ("device", device())],
            ),
            _ => request(
                "register",
                [("handle", handle), ("password", password), ("device", device())],
            ),
        };
        self.call(world, &request).await.map(drop)
    }

    /// Begins its user's device log, with its own device.
    pub(crate) async fn begin_device_log(&mut self, world: &World) -> Result<(), Stop> {
        let account = Arc::new(Key::generate());
        let user = self.user();
        let certificate = self.certificate()?;
        let (entry, hash) = private::genesis(&account, &user, certificate)?;
        self.publish_entry(world, 0, entry).await?;
        let public_key = Val::from(account.public_key());
        self.session
            .insert("account", record([("public_key", public_key), ("key", Val::Key(account))]));
        self.note_log(world, 1, hash);
        Ok(())
    }

    /// Adds another device of its user to the device log.
    pub(crate) async fn approve(&mut self, other: &mut Self, world: &World) -> Result<(), Stop> {
        let (user, own) = (self.user(), self.device());
        let certificate = other.certificate()?;
        let position = self.session.get("log_length").and_then(Val::as_int).unwrap_or(0);
        let previous = self.session.get("log_hash").cloned().unwrap_or(Val::Null);
        let place = (position, previous);
        let (entry, hash) = private::add((&self.key, &own), &user, place, certificate)?;
        self.publish_entry(world, position, entry).await?;
        self.note_log(world, position + 1, hash);
        Ok(())
    }

    async fn publish_entry(
        &mut self,
        world: &World,
        position: i128,
        entry: Val,
    ) -> Result<(), Stop> {
        let entries = literal(Val::List(vec![entry]));
        let position = literal(Val::Int(position));
        let fields = [("from_position", position), ("entries", entries)];
        self.call(world, &request("publish_device_log", fields)).await.map(drop)
    }

    fn note_log(&mut self, world: &World, length: i128, hash: truth::Hash) {
        self.session.insert("log_length", Val::Int(length));
        self.session.insert("log_hash", Val::from(&hash[..]));
        self.publish(world);
    }

    pub(super) fn user(&self) -> Vec<u8> {
        self.user_id.clone().unwrap_or_default()
    }

    pub(super) fn device(&self) -> Vec<u8> {
        self.device_id.clone().unwrap_or_default()
    }

    /// Ends the connection in good order.
    pub(crate) async fn leave(&mut self, world: &World) -> Result<(), Stop> {
        if self.end.is_none() {
            let finishing = tokio::time::timeout(world.deadline, self.connected()?.finish()).await;
            self.note("→ close");
            self.wrote(finishing)?;
            let wanted = "an orderly close after ours (CLOSE-002)";
            if let End::Bare(_) = self.read_out(world, wanted).await? {
                return Err(Stop::Fail(Box::new(Failure {
                    requirements: vec!["CLOSE-002".into()],
                    permitted: wanted.into(),
                    came: self.how_it_ended(),
                    by_deadline: false,
                })));
            }
        }
        self.forget();
        Ok(())
    }

    /// Makes a room. Its id is given back.
    pub(crate) async fn make_room(&mut self, world: &World, name: &str) -> Result<Val, Stop> {
        let created = self.call(world, &request("create_room", [("name", literal(name))])).await?;
        let id = created.field("room").and_then(|room| room.field("conversation_id"));
        match id.filter(|id| id.as_bytes().is_some_and(|id| id.len() == 16)) {
            Some(id) => Ok(id.clone()),
            None => failed("a conversation_id of 16 bytes", created.to_string()),
        }
    }

    /// Sends a sentinel message to a room. Its message_id is given back.
    pub(crate) async fn send_sentinel(
        &mut self,
        world: &World,
        room: &[u8],
    ) -> Result<Vec<u8>, Stop> {
        let message_id = Self::fresh_id();
        let fields = [("conversation_id", literal(room)), ("$message", literal("sentinel"))];
        let mut request = request("send_message", fields);
        request.fields.push(("idempotency_key".to_owned(), literal(&message_id[..])));
        self.call(world, &request).await?;
        Ok(message_id)
    }

    /// Waits for a sentinel. The events before it are given back.
    pub(crate) async fn await_sentinel(
        &mut self,
        world: &World,
        id: &[u8],
    ) -> Result<Vec<Val>, Stop> {
        let mut before = Vec::new();
        loop {
            let wanted = "the sentinel message that was sent to prove an absence";
            let event = self.any_event(world, wanted).await?;
            let entry = event.field("entry_appended").and_then(|event| event.field("entry"));
            if entry.and_then(|entry| entry.field("message_id")).and_then(Val::as_bytes) == Some(id)
            {
                return Ok(before);
            }
            before.push(event);
        }
    }

    /// Sends itself a sentinel through a room of its own. The events that came before it, but for those of that room,
    /// are given back.
    pub(crate) async fn own_barrier(&mut self, world: &World) -> Result<Vec<Val>, Stop> {
        let room = match &self.own_room {
            Some(room) => room.clone(),
            None => {
                let name = world.names.fresh();
                let room = self.make_room(world, &name).await?;
                let room = room.as_bytes().unwrap_or_default().to_vec();
                self.own_room = Some(room.clone());
                let mut known = world.sentinel_rooms.lock().unwrap_or_else(PoisonError::into_inner);
                known.insert(room.clone());
                room
            }
        };
        let id = self.send_sentinel(world, &room).await?;
        let mut before = self.await_sentinel(world, &id).await?;
        before.retain(|event| !world.is_own(event));
        Ok(before)
    }
}

/// The conversation that an event is about.
pub(crate) fn conversation(event: &Val) -> Option<&[u8]> {
    let pushed = event.field("entry_appended").and_then(|event| event.field("entry"));
    pushed.or_else(|| event.field("gap"))?.field("conversation_id")?.as_bytes()
}
