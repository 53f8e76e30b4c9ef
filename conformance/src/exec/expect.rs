//! What an actor expects.

use crate::{
    actor::{Actor, Failure, Issued, Stop, failed},
    conn::End,
    proto,
    script::{Absence, Action, Closed, OneOrMany, frames::FramePattern},
    value::{Val, record},
};

use super::Run;

impl Run<'_> {
    pub(super) async fn expect(
        &self,
        actor: &mut Actor,
        action: &Action,
        sent: &[Issued],
    ) -> Result<(), Stop> {
        match &action.expect {
            Some(OneOrMany::Many(patterns)) => {
                self.expect_replies(actor, action, sent, patterns).await?
            }
            Some(OneOrMany::One(pattern)) => {
                self.expect_one(actor, action, sent, std::slice::from_ref(pattern)).await?;
            }
            None => {}
        }
        if !action.expect_one_of.is_empty() {
            self.expect_one(actor, action, sent, &action.expect_one_of).await?;
        }
        if !action.expect_events.is_empty() {
            self.expect_events(actor, action).await?;
        }
        if !action.expect_all.is_empty() {
            self.expect_all(actor, action).await?;
        }
        if let Some(absence) = &action.expect_none_until {
            self.expect_none(actor, action, absence).await?;
        }
        if let Some(closed) = &action.expect_closed {
            self.expect_closed(actor, action, closed).await?;
        }
        Ok(())
    }

    /// One reply or one event that matches any of the patterns.
    async fn expect_one(
        &self,
        actor: &mut Actor,
        action: &Action,
        sent: &[Issued],
        patterns: &[FramePattern],
    ) -> Result<(), Stop> {
        let wanted = permitted(patterns);
        if patterns.iter().all(|pattern| pattern.is_event) {
            let mut skipped = Vec::new();
            loop {
                let event = match actor.event(&self.world, &wanted).await {
                    Ok(event) => event,
                    Err(stop) => return Err(with_skipped(stop, &skipped)),
                };
                match self.mismatch(actor, patterns, &event)? {
                    None => {
                        actor.matched = record([("event", flattened(event))]);
                        self.passed(&action.cites);
                        // Other requests of this step are left for later steps.
                        actor.unexpected.extend(sent.iter().map(|request| request.id));
                        return Ok(());
                    }
                    Some(why) => skipped.push(format!("{event} ({why})")),
                }
            }
        }
        let id = self.awaited(actor, action, sent)?;
        let reply = actor.reply(&self.world, id, &wanted).await?;
        actor.unexpected.extend(sent.iter().skip(1).map(|request| request.id));
        self.matches(actor, patterns, &reply)?;
        actor.matched = reply;
        self.passed(&action.cites);
        Ok(())
    }

    /// Replies to several requests, in order.
    async fn expect_replies(
        &self,
        actor: &mut Actor,
        action: &Action,
        sent: &[Issued],
        patterns: &[FramePattern],
    ) -> Result<(), Stop> {
        let mut replies = Vec::new();
        for (index, pattern) in patterns.iter().enumerate() {
            let id = match sent.get(index) {
                Some(request) => Some(request.id),
                None => actor.unexpected.pop_front(),
            };
            let reply = actor.reply(&self.world, id, &pattern.source).await?;
            self.matches(actor, std::slice::from_ref(pattern), &reply)?;
            self.passed(&action.cites);
            replies.push(reply);
        }
        actor.matched = Val::List(replies);
        Ok(())
    }

    /// The id of the request whose reply is expected.
    fn awaited(
        &self,
        actor: &mut Actor,
        action: &Action,
        sent: &[Issued],
    ) -> Result<Option<u64>, Stop> {
        let Some(name) = &action.to else {
            return Ok(sent
                .first()
                .map(|request| request.id)
                .or_else(|| actor.unexpected.pop_front()));
        };
        let id = self
            .world
            .variables
            .value(name)
            .and_then(|request| request.field("request_id")?.as_int());
        let id = id.and_then(|id| u64::try_from(id).ok());
        actor.unexpected.retain(|other| Some(*other) != id);
        match id {
            Some(id) => Ok(Some(id)),
            None => Err(Stop::Script(crate::script::functions::ScriptError(format!(
                "to: {name} is no request"
            )))),
        }
    }

    fn mismatch(
        &self,
        actor: &Actor,
        patterns: &[FramePattern],
        frame: &Val,
    ) -> Result<Option<String>, Stop> {
        let mut whys = Vec::new();
        for pattern in patterns {
            match pattern.pattern.mismatch(frame, &actor.eval(&self.world))? {
                None => return Ok(None),
                Some(why) => whys.push(why),
            }
        }
        Ok(Some(whys.join("; ")))
    }

    fn matches(&self, actor: &Actor, patterns: &[FramePattern], frame: &Val) -> Result<(), Stop> {
        match self.mismatch(actor, patterns, frame)? {
            None => Ok(()),
            Some(why) => failed(permitted(patterns), format!("{frame}\n            {why}")),
        }
    }

    /// The next events, in this order and no other between.
    async fn expect_events(&self, actor: &mut Actor, action: &Action) -> Result<(), Stop> {
        let mut events = Vec::new();
        for pattern in &action.expect_events {
            let event = actor.event(&self.world, &pattern.source).await?;
            self.matches(actor, std::slice::from_ref(pattern), &event)?;
            self.passed(&action.cites);
            events.push(record([("event", flattened(event))]));
        }
        actor.matched = Val::List(events);
        Ok(())
    }

    /// Events in any order.
    async fn expect_all(&self, actor: &mut Actor, action: &Action) -> Result<(), Stop> {
        let mut open: Vec<&FramePattern> = action.expect_all.iter().collect();
        let mut skipped = Vec::new();
        while !open.is_empty() {
            let wanted =
                open.iter().map(|pattern| &*pattern.source).collect::<Vec<_>>().join(" and ");
            let event = match actor.event(&self.world, &wanted).await {
                Ok(event) => event,
                Err(stop) => return Err(with_skipped(stop, &skipped)),
            };
            let mut found = None;
            for (place, pattern) in open.iter().enumerate() {
                if pattern.pattern.mismatch(&event, &actor.eval(&self.world))?.is_none() {
                    found = Some(place);
                    break;
                }
            }
            match found {
                Some(place) => {
                    open.remove(place);
                    self.passed(&action.cites);
                }
                None => skipped.push(event.to_string()),
            }
        }
        Ok(())
    }

    /// No event matches before a sentinel comes.
    async fn expect_none(
        &self,
        actor: &mut Actor,
        action: &Action,
        absence: &Absence,
    ) -> Result<(), Stop> {
        let before = match (&absence.room, &absence.by) {
            (None, None) => actor.own_barrier(&self.world).await?,
            (Some(room), by) => {
                let room = actor.eval(&self.world).bytes(room)?;
                let id = match by {
                    Some(by) if *by != actor.name => {
                        self.actor(by).await?.send_sentinel(&self.world, &room).await?
                    }
                    _ => actor.send_sentinel(&self.world, &room).await?,
                };
                actor.await_sentinel(&self.world, &id).await?
            }
            (None, Some(_)) => {
                let why = "expect_none_until: `by` needs `room`".to_owned();
                return Err(Stop::Script(crate::script::functions::ScriptError(why)));
            }
        };
        for event in before {
            if absence.event.pattern.mismatch(&event, &actor.eval(&self.world))?.is_none() {
                return failed(format!("no {}", absence.event.source), event.to_string());
            }
        }
        self.passed(&action.cites);
        Ok(())
    }

    /// The connection ends with one of these codes, in good order.
    async fn expect_closed(
        &self,
        actor: &mut Actor,
        action: &Action,
        closed: &Closed,
    ) -> Result<(), Stop> {
        let wanted =
            format!("an Error frame ({}), then an orderly close", closed.codes.join(" or "));
        let end = actor.read_out(&self.world, &wanted).await?;
        let error = actor.fatal.as_ref().and_then(|frame| frame.field("error"));
        let code = error.and_then(|error| error.field("code")).and_then(Val::as_int);
        let code = code.and_then(|code| i32::try_from(code).ok());
        let permitted = closed.codes.iter().any(|name| match (name.as_str(), code) {
            ("none", None) => true,
            (name, Some(code)) => proto::error_code(name) == Some(code),
            _ => false,
        });
        if !permitted {
            return failed(wanted, actor.how_it_ended());
        }
        self.closed_in_order(actor, closed, code, &end)?;
        if let (Some(expr), Some(frame)) = (&closed.reply_to, &actor.fatal) {
            let reply_to = actor.eval(&self.world).value(expr)?;
            if frame.field("reply_to") != Some(&reply_to) {
                return failed(format!("reply_to {reply_to}"), frame.to_string());
            }
        }
        if let Some(event) = actor.events.front().filter(|_| closed.without_events) {
            return failed("no event", event.to_string());
        }
        actor.matched = actor.fatal.clone().unwrap_or(Val::Null);
        self.passed(&action.cites);
        Ok(())
    }

    fn closed_in_order(
        &self,
        actor: &Actor,
        closed: &Closed,
        code: Option<i32>,
        end: &End,
    ) -> Result<(), Stop> {
        let broken = |requirement: &str, permitted: String| {
            Err(Stop::Fail(Box::new(Failure {
                requirements: vec![requirement.to_owned()],
                permitted,
                came: actor.how_it_ended(),
                by_deadline: false,
            })))
        };
        let websocket =
            actor.connection.as_ref().is_some_and(crate::conn::Connection::is_websocket);
        let status = closed.ws_status.unwrap_or_else(|| close_status(code));
        match end {
            End::CloseNotify if !websocket => Ok(()),
            End::WebSocket(Some(came)) if *came == status => Ok(()),
            _ if websocket => broken("WS-009", format!("a Close frame with status {status}")),
            _ => broken("CLOSE-001", "close_notify after the last frame".into()),
        }
    }
}

/// The status of the Close frame after an error (WS-009).
fn close_status(code: Option<i32>) -> u16 {
    let is = |name| code == proto::error_code(name);
    match code {
        None => 1000,
        Some(_) if is("SHUTTING_DOWN") => 1001,
        Some(_) if is("FRAME_TOO_LARGE") => 1009,
        Some(_) if is("NOT_BINARY") => 1003,
        Some(_) => 1008,
    }
}

fn permitted(patterns: &[FramePattern]) -> String {
    patterns.iter().map(|pattern| &*pattern.source).collect::<Vec<_>>().join(" or ")
}

/// An event as `save` sees it: `event.entry` is short for `event.entry_appended.entry`.
fn flattened(event: Val) -> Val {
    let entry = event.field("entry_appended").and_then(|event| event.field("entry")).cloned();
    match (event, entry) {
        (Val::Map(mut fields), Some(entry)) => {
            fields.push(("entry".to_owned(), entry));
            Val::Map(fields)
        }
        (event, _) => event,
    }
}

/// A failure that also shows the events that were passed over.
fn with_skipped(stop: Stop, skipped: &[String]) -> Stop {
    match stop {
        Stop::Fail(mut failure) if !skipped.is_empty() => {
            let skipped = skipped.join("\n              ");
            failure.came = format!("{}; before that, only\n              {skipped}", failure.came);
            Stop::Fail(failure)
        }
        other => other,
    }
}
