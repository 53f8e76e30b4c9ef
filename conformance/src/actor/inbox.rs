//! What comes to an actor, and waiting for it.

use tokio::time::timeout;

use crate::{
    conn::{End, Incoming},
    proto,
    script::frames::Request,
    value::Val,
    view,
    watch::Violation,
};

use super::{Actor, Failure, Stop, World, failed};

impl Actor {
    /// Waits for the next thing that comes and files it. False once the connection has ended.
    pub(crate) async fn pump(&mut self, world: &World, wanted: &str) -> Result<bool, Stop> {
        if self.end.is_some() {
            return Ok(false);
        }
        let incoming = &mut self.connected()?.incoming;
        match timeout(world.deadline, incoming.recv()).await {
            Ok(Some(incoming)) => {
                self.file(incoming, world);
                Ok(self.end.is_none())
            }
            Ok(None) => {
                self.end = Some(End::Bare("the reader stopped".into()));
                Ok(false)
            }
            Err(_) => Err(Stop::Fail(Box::new(Failure {
                permitted: wanted.to_owned(),
                came: format!(
                    "nothing, within the deadline of {} ms (a last resort)",
                    world.deadline.as_millis()
                ),
                by_deadline: true,
                ..Failure::default()
            }))),
        }
    }

    /// Files what has come already, without waiting.
    pub(crate) fn pump_ready(&mut self, world: &World) {
        while let Some(incoming) = self.connection.as_mut().and_then(|c| c.incoming.try_recv().ok())
        {
            self.file(incoming, world);
        }
    }

    fn file(&mut self, incoming: Incoming, world: &World) {
        match incoming {
            Incoming::End(end) => {
                self.note(format!("← {end}"));
                self.end = Some(end);
            }
            Incoming::Fault(what) => self.violate("FRAME-001", what),
            Incoming::Body(body) => match view::server_frame(&body) {
                Err(error) => {
                    let shown = Val::Bytes(body);
                    self.violate(
                        "FRAME-001",
                        format!("a body that is no ServerFrame ({error}): {shown}"),
                    );
                }
                Ok(frame) => self.file_frame(frame, world),
            },
        }
    }

    fn violate(&mut self, requirement: &'static str, what: String) {
        self.note(format!("← {what}"));
        self.violations.push(Violation { requirement, what });
    }

    fn file_frame(&mut self, frame: Val, world: &World) {
        self.note(format!("← {frame}"));
        self.learn(&frame, world);
        let violation = self.watch.came(&frame, self.user_id.as_deref(), self.device_id.as_deref());
        self.violations.extend(violation);
        let code = frame.field("error").and_then(|error| error.field("code")).and_then(Val::as_int);
        if code.is_some_and(|code| (1..100).contains(&code)) {
            self.fatal.get_or_insert(frame);
        } else if frame.field("reply_to").is_some_and(|id| !id.is_default()) {
            self.replies.push_back(frame);
        } else {
            self.events.push_back(frame);
        }
    }

    /// Takes from replies what `$alice.…` shows.
    fn learn(&mut self, frame: &Val, world: &World) {
        if let Some(authenticated) = frame.field("authenticated") {
            let bytes =
                |name| authenticated.field(name).and_then(Val::as_bytes).map(<[u8]>::to_vec);
            self.user_id = bytes("user_id");
            self.device_id = bytes("device_id");
            self.has_account = true;
            if let Some(handle) = authenticated.field("handle").and_then(Val::as_text) {
                self.handle = handle.to_owned();
            }
        } else if let Some(renamed) =
            frame.field("renamed").and_then(|renamed| renamed.field("handle"))
        {
            self.handle = renamed.as_text().unwrap_or_default().to_owned();
        } else if let Some(greeted) = frame.field("greeted") {
            let part = |name: &str| greeted.field(name).cloned().unwrap_or(Val::Null);
            let log_key = greeted.field("log_key").and_then(|key| key.field("public_key"));
            for name in ["client_nonce", "server_name"] {
                self.session.insert(name, self.hello.field(name).cloned().unwrap_or(Val::Null));
            }
            self.session.insert("server_nonce", part("server_nonce"));
            self.session.insert("limits", part("limits"));
            self.session.insert("log_key", log_key.cloned().unwrap_or(Val::Null));
            self.session.insert("greeted", greeted.clone());
        } else {
            return;
        }
        self.publish(world);
    }

    /// The reply to a request, or to any if the id is not known.
    pub(crate) async fn reply(
        &mut self,
        world: &World,
        id: Option<u64>,
        wanted: &str,
    ) -> Result<Val, Stop> {
        loop {
            let is_it = |reply: &Val| {
                id.is_none_or(|id| reply.field("reply_to").and_then(Val::as_int) == Some(id.into()))
            };
            if let Some(place) = self.replies.iter().position(is_it) {
                return Ok(self.replies.remove(place).unwrap_or(Val::Null));
            }
            if !self.pump(world, wanted).await? && !self.replies.iter().any(is_it) {
                return failed(wanted, self.how_it_ended());
            }
        }
    }

    /// The next event; none of rooms that were made for sentinels.
    pub(crate) async fn event(&mut self, world: &World, wanted: &str) -> Result<Val, Stop> {
        loop {
            let event = self.any_event(world, wanted).await?;
            if !world.is_own(&event) {
                return Ok(event);
            }
        }
    }

    /// The next event, sentinels too.
    pub(crate) async fn any_event(&mut self, world: &World, wanted: &str) -> Result<Val, Stop> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            if !self.pump(world, wanted).await? && self.events.is_empty() {
                return failed(wanted, self.how_it_ended());
            }
        }
    }

    /// Reads to the end of the connection.
    pub(crate) async fn read_out(&mut self, world: &World, wanted: &str) -> Result<End, Stop> {
        while self.pump(world, wanted).await? {}
        // As a client does that is told goodbye. Not to wait for: the end has come.
        if let Some(connection) = &mut self.connection {
            let _ = timeout(world.deadline, connection.hang_up()).await;
        }
        Ok(self.end.clone().unwrap_or(End::Bare("unknown".into())))
    }

    /// The error and the end of a connection that has ended.
    pub(crate) fn how_it_ended(&self) -> String {
        let end = self.end.as_ref().map_or_else(String::new, End::to_string);
        match self.fatal.as_ref().and_then(|frame| frame.field("error")) {
            Some(error) => {
                let code = error.field("code").and_then(Val::as_int).unwrap_or(0);
                format!("{}, then {end}", proto::error_name(i32::try_from(code).unwrap_or(0)))
            }
            None => end,
        }
    }

    /// Sends a request and waits for its reply, for the runner's own purposes. A reply of another kind is a failure.
    pub(crate) async fn call(&mut self, world: &World, request: &Request) -> Result<Val, Stop> {
        let kind = request.fields.first().map(|(name, _)| name.as_str()).unwrap_or_default();
        let reply = proto::request(kind).map_or("", |rule| rule.reply.as_str());
        let frame = self.send_one(world, request).await?;
        let wanted = format!("the reply {reply} to {kind}");
        let frame = self.reply(world, Some(frame), &wanted).await?;
        match frame.field(reply) {
            Some(body) => Ok(body.clone()),
            None => failed(wanted, frame.to_string()),
        }
    }

    /// Sends a request; its id is given back.
    pub(crate) async fn send_one(&mut self, world: &World, request: &Request) -> Result<u64, Stop> {
        let body = self.numbers.make(&self.eval(world), request)?;
        let issued = self.numbers.take_issued();
        self.issue(&issued, world);
        self.write(&[body], world).await?;
        Ok(issued.last().map_or(0, |issued| issued.id))
    }

    /// Writes bodies. A server that closes meanwhile shows in what is read.
    pub(crate) async fn write(&mut self, bodies: &[Vec<u8>], world: &World) -> Result<(), Stop> {
        let written = timeout(world.deadline, self.connected()?.send_bodies(bodies)).await;
        self.wrote(written)
    }

    /// Judges a write: errors show in what is read, but a server that does not read is a failure.
    pub(crate) fn wrote(
        &mut self,
        written: Result<std::io::Result<()>, tokio::time::error::Elapsed>,
    ) -> Result<(), Stop> {
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                self.note(format!("→ (could not be sent: {error})"));
                Ok(())
            }
            Err(_) => Err(Stop::Fail(Box::new(Failure {
                permitted: "a server that reads".into(),
                came: "nothing was read within the deadline (a last resort)".into(),
                by_deadline: true,
                ..Failure::default()
            }))),
        }
    }
}
