//! Whoever does nothing wrong must be served, whatever others do.

use crate::{
    actor::{Actor, Stop, World, literal, request},
    conn::Endpoint,
    script::{ActorSpec, Bystander, State, functions::ScriptError},
    value::Val,
};

/// One that was connected before the script began.
pub(crate) struct Witness {
    actor: Actor,
    room: Vec<u8>,
}

impl Witness {
    /// Registers, and makes a room of its own.
    pub(crate) async fn arrive(world: &World, endpoint: &Endpoint) -> Result<Self, Stop> {
        let spec = ActorSpec::default();
        let mut actor = Actor::new("bystander", &spec, world);
        actor.connect(world, endpoint, &spec).await?;
        let room = actor.make_room(world, &world.names.fresh()).await?;
        Ok(Self { actor, room: room.as_bytes().unwrap_or_default().to_vec() })
    }

    /// Sends, is pushed its message, and logs in on a fresh connection.
    pub(crate) async fn testify(mut self, world: &World, endpoint: &Endpoint) -> Result<(), Stop> {
        let sentinel = self.actor.send_sentinel(world, &self.room).await?;
        self.actor.await_sentinel(world, &sentinel).await?;
        self.actor.connect(world, endpoint, &ActorSpec::default()).await
    }
}

/// A fresh connection gets Greeted and a Pong.
pub(crate) async fn fresh(world: &World, endpoint: &Endpoint) -> Result<(), Stop> {
    let spec = ActorSpec { state: Some(State::Greeted), ..ActorSpec::default() };
    let mut actor = Actor::new("newcomer", &spec, world);
    actor.connect(world, endpoint, &spec).await?;
    let pong = actor.call(world, &request("ping", [("data", literal("still there?"))])).await?;
    match pong.field("data") == Some(&Val::from("still there?")) {
        true => Ok(()),
        false => crate::actor::failed("a Pong with the data of the Ping", pong.to_string()),
    }
}

/// What a failure of these says first.
pub(crate) fn blamed(stop: Stop, kind: Bystander) -> Stop {
    match stop {
        Stop::Fail(mut failure) => {
            let who = if kind == Bystander::Full { "a bystander" } else { "a fresh connection" };
            failure.permitted =
                format!("after this script, {who} is served as before: {}", failure.permitted);
            Stop::Fail(failure)
        }
        Stop::Script(error) => Stop::Script(ScriptError(format!("the bystander: {error}"))),
        other => other,
    }
}
