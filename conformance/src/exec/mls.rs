//! What an actor does as a client of MLS.

use std::{collections::BTreeSet, slice};

use aside_mls::{Owner, Suite};
use aside_proto::id::ConversationId;

use crate::{
    actor::{
        Actor, Issued, Stop, failed, literal,
        mls::{CommitPlan, EstablishPlan, Made, MessagePlan, Outcome, owner_of},
        request,
    },
    script::{
        Action, GroupSpec,
        expr::Expr,
        frames::Request,
        functions::{ScriptError, fault},
        mls::{Agree, Commit, Establish, Join, KeyPackages, Mls, Read, Send},
    },
    value::{Val, record},
};

use super::Run;

impl Run<'_> {
    /// Does what the verb says. The request that was sent, if `expect` is about its reply.
    pub(super) async fn mls(
        &self,
        actor: &mut Actor,
        action: &Action,
        verb: &Mls,
    ) -> Result<Vec<Issued>, Stop> {
        match verb {
            Mls::KeyPackages(verb) => {
                let request = self.key_packages(actor, verb)?;
                return self.ask(actor, action, request).await;
            }
            Mls::Establish(verb) => {
                let made = self.establish(actor, verb).await?;
                return self.submit(actor, action, made, verb.submit, &verb.name).await;
            }
            Mls::Commit(verb) => {
                let made = self.commit(actor, verb).await?;
                return self.submit(actor, action, made, verb.submit, &verb.name).await;
            }
            Mls::Send(verb) => {
                let made = self.message(actor, verb).await?;
                return self.submit(actor, action, made, verb.submit, &verb.name).await;
            }
            Mls::Join(verb) => self.join(actor, action, verb).await?,
            Mls::Follow(verb) => {
                let id = self.conversation(actor, &verb.conversation)?;
                actor.follow(&self.world, id).await?;
            }
            Mls::Read(verb) => self.read(actor, action, verb).await?,
            Mls::Agree(verb) => self.agree(actor, action, verb).await?,
        }
        Ok(Vec::new())
    }

    /// After the server's word on a commit or a group: it is followed, or it never was.
    pub(super) async fn settle(&self, actor: &mut Actor, verb: &Mls) -> Result<(), Stop> {
        let conversation = match verb {
            Mls::Establish(verb) if verb.submit => &verb.conversation,
            Mls::Commit(verb) if verb.submit => &verb.conversation,
            _ => return Ok(()),
        };
        let id = self.conversation(actor, conversation)?;
        match actor.matched.field("error") {
            Some(_) => actor.discard(id),
            None => actor.follow(&self.world, id).await,
        }
    }

    /// Begins the group of a conversation that was made before the first step. The leaves find their Welcomes.
    pub(super) async fn begin_with_mls(
        &self,
        owner: &mut Actor,
        id: &Val,
        group: &GroupSpec,
    ) -> Result<(), Stop> {
        for leaf in &group.leaves {
            let mut leaf = self.actor(leaf).await?;
            let request = self.key_packages(&mut leaf, &KeyPackages::default())?;
            leaf.call(&self.world, &request).await?;
        }
        let verb = Establish {
            conversation: literal(id.clone()),
            with: group.leaves.clone(),
            claimed: None,
            suite: None,
            header: None,
            submit: true,
            name: None,
        };
        let made = self.establish(owner, &verb).await?;
        owner.call(&self.world, &made.request(None)).await?;
        let id = self.conversation(owner, &verb.conversation)?;
        owner.follow(&self.world, id).await
    }

    /// Joins by the Welcome that was made before the first step.
    pub(super) async fn welcome(&self, actor: &mut Actor, id: &Val) -> Result<(), Stop> {
        let id = self.conversation(actor, &literal(id.clone()))?;
        match actor.join(&self.world, id).await? {
            Some(Ok(_)) => Ok(()),
            Some(Err(reason)) => failed("a Welcome that leads into the group", reason.to_string()),
            None => failed("a Welcome to the conversation in the inbox", "none"),
        }
    }

    fn key_packages(&self, actor: &mut Actor, verb: &KeyPackages) -> Result<Request, Stop> {
        let suite = self.suite(actor, verb.suite.as_ref())?;
        let count = verb.count.as_ref().map(|count| actor.eval(&self.world).count(count));
        let many = actor.key_packages(suite, count.transpose()?.unwrap_or(1))?;
        let last_resort = match verb.last_resort {
            true => actor.last_resort(suite)?,
            false => Val::Null,
        };
        let mut request = request(
            "publish_key_packages",
            [
                ("suite", literal(Val::Int(suite.number().into()))),
                ("key_packages", literal(Val::List(many))),
                ("last_resort", literal(last_resort)),
            ],
        );
        request.name.clone_from(&verb.name);
        Ok(request)
    }

    async fn establish(&self, actor: &mut Actor, verb: &Establish) -> Result<Made, Stop> {
        let conversation = self.conversation(actor, &verb.conversation)?;
        let suite = self.suite(actor, verb.suite.as_ref())?;
        let mut key_packages = self.claim(actor, &verb.with, suite).await?;
        key_packages.extend(self.claimed(actor, verb.claimed.as_ref())?);
        let id = || literal(&conversation.as_bytes()[..]);
        let head = request("get_head", [("conversation_id", id())]);
        let head = actor.call(&self.world, &head).await?;
        let info = request("get_group_info", [("conversation_id", id())]);
        let info = actor.call(&self.world, &info).await?;
        let int = |of: &Val, name| of.field(name).and_then(Val::as_int).unwrap_or(0);
        let plan = EstablishPlan {
            conversation,
            suite,
            generation: int(&info, "generation") + 1,
            head_seq: int(head.field("signed_head").unwrap_or(&Val::Null), "head_seq"),
            key_packages,
            header: self.replaced(actor, verb.header.as_ref())?,
        };
        actor.make_group(&self.world, &plan).await
    }

    async fn commit(&self, actor: &mut Actor, verb: &Commit) -> Result<Made, Stop> {
        let conversation = self.conversation(actor, &verb.conversation)?;
        let suite = actor.suite(conversation)?;
        let mut key_packages = match verb.by_hand {
            true => self.by_hand(actor, &verb.add, suite).await?,
            false => self.claim(actor, &verb.add, suite).await?,
        };
        key_packages.extend(self.claimed(actor, verb.claimed.as_ref())?);
        let remove = verb.remove.iter().map(|name| self.owner(name));
        let plan = CommitPlan {
            conversation,
            key_packages,
            remove: remove.collect::<Result<BTreeSet<_>, Stop>>()?,
            message_id: self.message_id(actor, verb.message_id.as_ref())?,
            header: self.replaced(actor, verb.header.as_ref())?,
        };
        match verb.external {
            true => actor.make_external(&self.world, &plan).await,
            false => actor.make_commit(&self.world, &plan).await,
        }
    }

    async fn message(&self, actor: &mut Actor, verb: &Send) -> Result<Made, Stop> {
        let plan = MessagePlan {
            conversation: self.conversation(actor, &verb.conversation)?,
            text: actor.eval(&self.world).text(&verb.text)?,
            message_id: self.message_id(actor, verb.message_id.as_ref())?,
            header: self.replaced(actor, verb.header.as_ref())?,
        };
        actor.make_message(&self.world, &plan).await
    }

    /// Sends what was made, or keeps it.
    async fn submit(
        &self,
        actor: &mut Actor,
        action: &Action,
        made: Made,
        submit: bool,
        name: &Option<String>,
    ) -> Result<Vec<Issued>, Stop> {
        if submit {
            return self.ask(actor, action, made.request(name.clone())).await;
        }
        if let Some(name) = name {
            self.world.variables.set(name, made.shown());
        }
        Ok(Vec::new())
    }

    /// Sends a request. Where nothing is expected beside it, it has to succeed.
    async fn ask(
        &self,
        actor: &mut Actor,
        action: &Action,
        request: Request,
    ) -> Result<Vec<Issued>, Stop> {
        if action.expect.is_some() || !action.expect_one_of.is_empty() {
            return self.send_requests(actor, action, slice::from_ref(&request)).await;
        }
        let rule = request.fields.iter().find_map(|(name, _)| crate::proto::request(name));
        let reply = rule.map(|rule| &*rule.reply);
        let body = actor.call(&self.world, &request).await?;
        actor.matched = record([(reply.unwrap_or_default(), body)]);
        self.passed(&action.cites);
        Ok(Vec::new())
    }

    async fn join(&self, actor: &mut Actor, action: &Action, verb: &Join) -> Result<(), Stop> {
        let id = self.conversation(actor, &verb.conversation)?;
        let Some(joined) = actor.join(&self.world, id).await? else {
            if verb.if_any {
                return Ok(());
            }
            return failed("a Welcome to the conversation in the inbox", "none");
        };
        let epoch = verb.epoch.as_ref().map(|epoch| actor.eval(&self.world).int(epoch));
        let epoch = epoch.transpose()?;
        match (joined, verb.refused) {
            (Ok(came), None) if epoch.is_none_or(|epoch| epoch == i128::from(came)) => {}
            (Err(reason), Some(refused)) if refused == reason.into() => {}
            (Ok(came), refused) => {
                let wanted = match (refused, epoch) {
                    (Some(refused), _) => format!("a Welcome that is refused ({refused:?})"),
                    (None, Some(epoch)) => format!("a Welcome into epoch {epoch}"),
                    (None, None) => "a Welcome".into(),
                };
                return failed(wanted, format!("a Welcome into epoch {came}"));
            }
            (Err(reason), refused) => {
                let wanted = refused
                    .map_or("a Welcome that leads into the group".into(), |refused| {
                        format!("a Welcome that is refused ({refused:?})")
                    });
                return failed(wanted, format!("a Welcome that is refused: {reason} ({reason:?})"));
            }
        }
        self.passed(&action.cites);
        Ok(())
    }

    async fn read(&self, actor: &mut Actor, action: &Action, verb: &Read) -> Result<(), Stop> {
        let id = self.conversation(actor, &verb.conversation)?;
        let outcome = match (&verb.entry, &verb.seq) {
            (Some(entry), _) => {
                let entry = actor.eval(&self.world).value(entry)?;
                actor.take_in(&self.world, id, &entry).await?
            }
            (None, Some(seq)) => {
                let seq = actor.eval(&self.world).int(seq)?;
                actor.follow(&self.world, id).await?;
                actor.outcome(id, seq)?
            }
            (None, None) => None,
        };
        let Some(outcome) = outcome else {
            return failed("an entry with a message or a commit", "none, or one of another kind");
        };
        if let Some(wanted) = self.unread(actor, verb, &outcome)? {
            return failed(wanted, self.shown(&outcome));
        }
        self.passed(&action.cites);
        Ok(())
    }

    /// What was wanted of an entry, if it is something else.
    fn unread(
        &self,
        actor: &Actor,
        verb: &Read,
        outcome: &Outcome,
    ) -> Result<Option<String>, Stop> {
        let eval = actor.eval(&self.world);
        let (sender, epoch, text) = match (outcome, verb.refused) {
            (Outcome::Refused(reason), Some(refused)) if refused == (*reason).into() => {
                return Ok(None);
            }
            (_, Some(refused)) => {
                return Ok(Some(format!("an entry that is refused ({refused:?})")));
            }
            (Outcome::Taken { sender, epoch, text }, None) => (sender, epoch, text),
            (_, None) => return Ok(Some("an entry that is read or followed".into())),
        };
        if let Some(wanted) = &verb.text {
            let wanted = eval.text(wanted)?;
            if text.as_ref() != Some(&wanted) {
                return Ok(Some(format!("the text {wanted:?}")));
            }
        }
        if let Some(from) = &verb.from
            && self.owner(from)? != *sender
        {
            return Ok(Some(format!("{from}'s leaf")));
        }
        if let Some(wanted) = &verb.epoch {
            let wanted = eval.int(wanted)?;
            if wanted != i128::from(*epoch) {
                return Ok(Some(format!("epoch {wanted}")));
            }
        }
        Ok(None)
    }

    fn shown(&self, outcome: &Outcome) -> String {
        match outcome {
            Outcome::Taken { sender, epoch, text } => {
                let what = text.as_ref().map_or("no text".into(), |text| format!("{text:?}"));
                let is_theirs = |name: &&String| self.owner(name).ok().as_ref() == Some(sender);
                let whose =
                    self.script.script.actors.0.iter().map(|(name, _)| name).find(is_theirs);
                let whose = whose.map_or("somebody", String::as_str);
                format!("{what} of {whose}'s leaf at epoch {epoch}")
            }
            Outcome::Refused(reason) => format!("it is refused: {reason} ({reason:?})"),
            Outcome::Damaged(why) => format!("it is damaged: {why}"),
        }
    }

    async fn agree(&self, actor: &mut Actor, action: &Action, verb: &Agree) -> Result<(), Stop> {
        let id = self.conversation(actor, &verb.conversation)?;
        actor.follow(&self.world, id).await?;
        let state = actor.state(id)?;
        let wanted = |wanted: &Option<Expr>| {
            wanted.as_ref().map(|wanted| actor.eval(&self.world).int(wanted)).transpose()
        };
        let (generation, epoch) = (wanted(&verb.generation)?, wanted(&verb.epoch)?);
        let is = |wanted: Option<i128>, came: i128| wanted.is_none_or(|wanted| wanted == came);
        let place = |name: &str, state: &crate::actor::mls::State| {
            format!("{name} at generation {}, epoch {}", state.generation, state.epoch)
        };
        if !is(generation, state.generation.into()) || !is(epoch, state.epoch.into()) {
            let generation = generation.unwrap_or(state.generation.into());
            let epoch = epoch.unwrap_or(state.epoch.into());
            let wanted = format!("{} at generation {generation}, epoch {epoch}", actor.name);
            return failed(wanted, place(&actor.name, &state));
        }
        for name in &verb.with {
            let mut other = self.actor(name).await?;
            other.follow(&self.world, id).await?;
            let theirs = other.state(id)?;
            if theirs != state {
                let came = format!("{}, {}", place(&actor.name, &state), place(name, &theirs));
                return failed(format!("{} and {name} in one state", actor.name), came);
            }
        }
        actor.matched = record([
            ("generation", Val::Int(state.generation.into())),
            ("epoch", Val::Int(state.epoch.into())),
            ("fork_check", Val::from(&state.fork_check[..])),
        ]);
        self.passed(&action.cites);
        Ok(())
    }

    /// One KeyPackage of each of these actors' devices.
    async fn claim(
        &self,
        actor: &mut Actor,
        names: &[String],
        suite: Suite,
    ) -> Result<Vec<Vec<u8>>, Stop> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let target = |name: &String| {
            let owner = self.owner(name)?;
            Ok(record([
                ("user_id", Val::from(&owner.user.as_bytes()[..])),
                ("device_id", Val::from(&owner.device.as_bytes()[..])),
            ]))
        };
        let targets = names.iter().map(target).collect::<Result<_, Stop>>()?;
        let suite = literal(Val::Int(suite.number().into()));
        let fields = [("suite", suite), ("targets", literal(Val::List(targets)))];
        let claimed = actor.call(&self.world, &request("claim_key_packages", fields)).await?;
        key_packages(claimed.field("claimed").unwrap_or(&Val::Null))
    }

    /// KeyPackages that the script claimed.
    fn claimed(&self, actor: &Actor, claimed: Option<&Expr>) -> Result<Vec<Vec<u8>>, Stop> {
        match claimed {
            Some(claimed) => key_packages(&actor.eval(&self.world).value(claimed)?),
            None => Ok(Vec::new()),
        }
    }

    /// KeyPackages that never saw a server.
    async fn by_hand(
        &self,
        actor: &mut Actor,
        names: &[String],
        suite: Suite,
    ) -> Result<Vec<Vec<u8>>, Stop> {
        let mut all = Vec::new();
        for name in names {
            let (key_package, certificate) = self.actor(name).await?.key_package_by_hand(suite)?;
            actor.believe(certificate)?;
            all.push(key_package);
        }
        Ok(all)
    }

    fn owner(&self, name: &str) -> Result<Owner, Stop> {
        let known = self.world.variables.value(name);
        let owner = known.as_ref().and_then(owner_of);
        Ok(owner.ok_or_else(|| ScriptError(format!("{name} has no device yet")))?)
    }

    fn conversation(&self, actor: &Actor, id: &Expr) -> Result<ConversationId, Stop> {
        let id = actor.eval(&self.world).bytes(id)?;
        let id = ConversationId::try_from(&id[..]);
        Ok(id.map_err(|error| ScriptError(format!("conversation: {error}")))?)
    }

    fn suite(&self, actor: &Actor, suite: Option<&Expr>) -> Result<Suite, Stop> {
        let Some(suite) = suite else { return Ok(Suite::P256Aes128) };
        let number = actor.eval(&self.world).int(suite)?;
        let suite = u16::try_from(number).ok().and_then(Suite::from_number);
        Ok(suite.ok_or_else(|| ScriptError(format!("no suite has the number {number}")))?)
    }

    fn message_id(&self, actor: &Actor, given: Option<&Expr>) -> Result<Vec<u8>, Stop> {
        match given {
            Some(given) => Ok(actor.eval(&self.world).bytes(given)?),
            None => Ok(Actor::fresh_id()),
        }
    }

    fn replaced(&self, actor: &Actor, header: Option<&Expr>) -> Result<Vec<(String, Val)>, Stop> {
        match header.map(|header| actor.eval(&self.world).value(header)).transpose()? {
            None => Ok(Vec::new()),
            Some(Val::Map(fields)) => Ok(fields),
            Some(other) => Ok(fault(format!("header: takes fields, not {}", other.kind()))?),
        }
    }
}

/// The KeyPackages of claims. One that gives none is a failure.
fn key_packages(claimed: &Val) -> Result<Vec<Vec<u8>>, Stop> {
    let mut all = Vec::new();
    for one in claimed.as_list().unwrap_or_default() {
        match one.field("key_package").and_then(Val::as_bytes) {
            Some(bytes) if !bytes.is_empty() => all.push(bytes.to_vec()),
            _ => return failed("a KeyPackage of each device that is asked for", one.to_string()),
        }
    }
    Ok(all)
}
