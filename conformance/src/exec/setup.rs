//! What scripts find when they begin: actors, accounts and rooms.

use crate::{
    actor::{Actor, Failure, Stop, conversation, failed, literal, request},
    script::{ActorSpec, GroupSpec, RoomSpec, State, expr::Expr},
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
        for (name, group) in &self.script.script.groups.0 {
            let made = self.set_up_group(name, group).await;
            made.map_err(|stop| during(stop, &format!("group {name}")))?;
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
        let during = |stop| during(stop, &format!("actor {name}"));
        actor.connect(&self.world, &endpoint, spec).await.map_err(during)?;
        if spec.approved {
            match &spec.of {
                None => actor.begin_device_log(&self.world).await.map_err(during)?,
                Some(of) => {
                    let mut parent = self.actor(of).await?;
                    parent.approve(&mut actor, &self.world).await.map_err(during)?;
                }
            }
        }
        Ok(())
    }

    /// Makes a private conversation with its group, at epoch 1.
    async fn set_up_group(&self, name: &str, group: &GroupSpec) -> Result<(), Stop> {
        let variable = |name: &str| self.world.variables.value(name).unwrap_or(Val::Null);
        let mut leaves = vec![variable(&group.owner)];
        leaves.extend(group.leaves.iter().map(|leaf| variable(leaf)));
        let made = match group.direct {
            false => request("create_group", []),
            true => {
                let peer = leaves.get(1).and_then(|leaf| leaf.field("user_id")).cloned();
                request("open_direct", [("user_id", literal(peer.unwrap_or(Val::Null)))])
            }
        };
        let mut owner = self.actor(&group.owner).await?;
        let made = owner.call(&self.world, &made).await?;
        let Some(id) = made.field("conversation").and_then(|c| c.field("conversation_id")) else {
            return failed("a conversation", made.to_string());
        };
        match group.mls {
            true => self.begin_with_mls(&mut owner, id, group).await?,
            false => self.begin_with_random_bytes(&mut owner, id, leaves).await?,
        }
        let head = Val::Int(2);
        self.consume(&mut owner, id, &head).await?;
        drop(owner);
        for leaf in &group.leaves {
            let mut leaf = self.actor(leaf).await?;
            self.consume(&mut leaf, id, &head).await?;
            leaf.event(&self.world, "the Welcome in the inbox").await?;
            if group.mls {
                self.welcome(&mut leaf, id).await?;
            }
        }
        self.world.variables.set(name, id.clone());
        self.world.variables.set(&format!("{name}_head"), head);
        Ok(())
    }

    async fn begin_with_random_bytes(
        &self,
        owner: &mut Actor,
        id: &Val,
        leaves: Vec<Val>,
    ) -> Result<(), Stop> {
        let header = vec![
            ("conversation_id".to_owned(), literal(id.clone())),
            ("leaves".to_owned(), literal(Val::List(leaves))),
        ];
        let establish = request("establish_group", [("$establish", Expr::Map(header))]);
        owner.call(&self.world, &establish).await.map(drop)
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
            let aside = ["device_log_changed", "key_packages_low"];
            if aside.iter().any(|kind| event.field(kind).is_some()) {
                continue;
            }
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
