//! What scripts find when they begin: actors, accounts and rooms.

use crate::{
    actor::{Actor, Failure, Stop, conversation, failed, literal, request},
    script::{ActorSpec, RoomSpec, State},
    value::Val,
};

use super::Run;

impl Run<'_> {
    /// Makes actors and rooms. A server that can't be brought so far fails the script.
    pub(crate) async fn set_up(&self) -> Result<(), Stop> {
        let actors = &self.script.script.actors.0;
        let (own, shared): (Vec<_>, Vec<_>) =
            actors.iter().partition(|(_, spec)| spec.of.is_none());
        for group in [own, shared] {
            let joining = group.into_iter().map(|(name, spec)| self.set_up_actor(name, spec));
            futures_util::future::try_join_all(joining).await?;
        }
        for (name, room) in &self.script.script.rooms.0 {
            self.set_up_room(name, room)
                .await
                .map_err(|stop| during(stop, &format!("room {name}")))?;
        }
        Ok(())
    }

    async fn set_up_actor(&self, name: &str, spec: &ActorSpec) -> Result<(), Stop> {
        let mut actor = self.actor(name).await?;
        if let Some(of) = &spec.of {
            let parent = self.actor(of).await?;
            actor.handle.clone_from(&parent.handle);
            actor.password.clone_from(&parent.password);
            actor.has_account = true;
        }
        actor.publish(&self.world);
        if spec.state == Some(State::Absent) {
            return Ok(());
        }
        let endpoint = self.endpoint()?;
        let set_up = actor.connect(&self.world, &endpoint, spec).await;
        set_up.map_err(|stop| during(stop, &format!("actor {name}")))
    }

    async fn set_up_room(&self, name: &str, room: &RoomSpec) -> Result<(), Stop> {
        let fresh = self.world.names.fresh();
        let id = self.actor(&room.owner).await?.make_room(&self.world, &fresh).await?;
        let mut head = Val::Int(2);
        for member in &room.members {
            let mut actor = self.actor(member).await?;
            let join = request("join", [("conversation_id", literal(id.clone()))]);
            let joined = actor.call(&self.world, &join).await?;
            head = joined
                .field("room")
                .and_then(|room| room.field("head_seq"))
                .cloned()
                .unwrap_or(Val::Null);
        }
        for actor in room.members.iter().chain([&room.owner]) {
            let mut actor = self.actor(actor).await?;
            self.consume(&mut actor, &id, &head).await?;
        }
        self.world.variables.set(name, id);
        self.world.variables.set(&format!("{name}_name"), Val::Text(fresh));
        self.world.variables.set(&format!("{name}_head"), head);
        Ok(())
    }

    /// Takes in the pushes of a room up to an entry.
    async fn consume(&self, actor: &mut Actor, room: &Val, head: &Val) -> Result<(), Stop> {
        loop {
            let event = actor
                .event(&self.world, "the entries that making and joining the room pushed")
                .await?;
            if conversation(&event) != room.as_bytes() {
                return failed("entries of the room that was made", event.to_string());
            }
            let entry = event.field("entry_appended").and_then(|event| event.field("entry"));
            if entry.and_then(|entry| entry.field("seq")) == Some(head) {
                return Ok(());
            }
        }
    }
}

/// Says that it happened before the first step.
fn during(stop: Stop, what: &str) -> Stop {
    match stop {
        Stop::Fail(failure) => {
            let Failure { requirements, permitted, came, by_deadline } = *failure;
            let permitted = format!("(setting up {what}) {permitted}");
            Stop::Fail(Box::new(Failure { requirements, permitted, came, by_deadline }))
        }
        other => other,
    }
}
