//! What an actor does: connecting, sending, ending.

use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    },
};

use crate::{
    actor::{Actor, Issued, Stop, failed},
    codec, conn,
    conn::ConnectError,
    script::{
        Action, ActorSpec, Disconnect, Mutation, Refusal, WsSend,
        expr::Expr,
        frames::Request,
        functions::{Eval, ScriptError, fault},
    },
    value::Val,
};

use super::Run;

impl Run<'_> {
    pub(super) async fn act(&self, actor: &mut Actor, action: &Action) -> Result<(), Stop> {
        if let Some(spec) = &action.connect {
            self.connect(actor, spec, action).await?;
        }
        if action.pause || action.resume {
            actor.connected()?.pause(action.pause);
        }
        let sent = match &action.mls {
            Some(verb) => self.mls(actor, action, verb).await?,
            None => self.send(actor, action).await?,
        };
        self.expect(actor, action, &sent).await?;
        if let Some(verb) = &action.mls {
            self.settle(actor, verb).await?;
        }
        for (name, path) in &action.save.0 {
            self.save(actor, name, &path.0)?;
        }
        if action.half_close {
            actor.connected()?;
            let finished = timeout(self.world.deadline, actor.connected()?.finish()).await;
            actor.note("→ close");
            actor.wrote(finished)?;
        }
        match action.disconnect {
            None => {}
            Some(Disconnect::Clean) => actor.leave(&self.world).await?,
            Some(Disconnect::Abrupt) => {
                actor.note("— the connection is dropped");
                actor.forget();
            }
        }
        Ok(())
    }

    async fn connect(
        &self,
        actor: &mut Actor,
        spec: &ActorSpec,
        action: &Action,
    ) -> Result<(), Stop> {
        if spec.of.is_some() {
            return Err(Stop::Script(ScriptError(
                "of: stands only where actors are described".into(),
            )));
        }
        let spec = actor.spec.with(spec);
        let endpoint = self.endpoint()?;
        let Some(refusal) = &action.expect_refused else {
            return actor.connect(&self.world, &endpoint, &spec).await;
        };
        match actor.open(&self.world, &endpoint, &spec, None).await {
            Ok(()) => failed(refused_how(refusal), "the handshake succeeded"),
            Err(ConnectError::Script(why)) => Err(Stop::Script(ScriptError(why))),
            Err(error) => {
                actor.note(format!("← {error}"));
                let as_wanted = match (&error, &refusal.tls, refusal.http) {
                    (ConnectError::Alert(alert), Some(wanted), _) => {
                        wanted == "any" || wanted == alert
                    }
                    (ConnectError::Http(status), _, Some(wanted)) => *status == wanted,
                    _ => false,
                };
                if !as_wanted {
                    return failed(refused_how(refusal), error.to_string());
                }
                self.passed(&action.cites);
                Ok(())
            }
        }
    }

    fn save(
        &self,
        actor: &Actor,
        name: &str,
        path: &[crate::script::expr::Step],
    ) -> Result<(), Stop> {
        match crate::script::expr::follow(&actor.matched, path) {
            Some(value) => {
                self.world.variables.set(name, value.clone());
                Ok(())
            }
            None => Err(Stop::Script(ScriptError(format!(
                "save {name}: there is no such thing in {}",
                actor.matched
            )))),
        }
    }

    /// Sends what the action says. The requests that were made are given back.
    async fn send(&self, actor: &mut Actor, action: &Action) -> Result<Vec<Issued>, Stop> {
        let (bytes, whole) = match (&action.send, &action.send_raw, &action.ws_send) {
            (Some(send), ..) => return self.send_requests(actor, action, send.as_slice()).await,
            (_, Some(raw), _) => (raw_bytes(&actor.eval(&self.world), raw)?, None),
            (.., Some(ws)) => (Vec::new(), Some(messages(&actor.eval(&self.world), ws)?)),
            _ => return Ok(Vec::new()),
        };
        let issued = actor.numbers.take_issued();
        actor.issue(&issued, &self.world);
        actor.unexpected.extend(issued.iter().map(|request| request.id));
        if let Some(messages) = whole {
            actor.sent_raw("a WebSocket message made by hand");
            for message in messages {
                let sending = actor.connected()?.send_message(message);
                let sent = timeout(self.world.deadline, sending).await;
                actor.wrote(sent)?;
            }
        } else {
            actor.sent_raw(&format!("raw: {}", Val::Bytes(bytes.clone())));
            self.send_bytes(actor, action, &bytes).await?;
        }
        Ok(Vec::new())
    }

    pub(super) async fn send_requests(
        &self,
        actor: &mut Actor,
        action: &Action,
        requests: &[Request],
    ) -> Result<Vec<Issued>, Stop> {
        let made: Result<Vec<_>, ScriptError> = {
            let eval = actor.eval(&self.world);
            requests.iter().map(|request| actor.numbers.make(&eval, request)).collect()
        };
        let bodies = made?;
        let issued = actor.numbers.take_issued();
        actor.issue(&issued, &self.world);
        match (&action.mutate, &action.chunks) {
            (None, None) => actor.write(&bodies, &self.world).await?,
            (None, Some(_)) => {
                let frames: Vec<u8> = bodies.iter().flat_map(|body| codec::frame(body)).collect();
                self.send_bytes(actor, action, &frames).await?;
            }
            (Some(mutation), _) => {
                let websocket = actor.connected()?.is_websocket();
                let bytes =
                    mutate(&actor.eval(&self.world), bodies.concat(), mutation, !websocket)?;
                actor.sent_raw(&format!("spoilt: {}", Val::Bytes(bytes.clone())));
                self.send_bytes(actor, action, &bytes).await?;
            }
        }
        if action.expect.is_none() && action.expect_one_of.is_empty() {
            actor.unexpected.extend(issued.iter().map(|request| request.id));
            return Ok(Vec::new());
        }
        Ok(issued)
    }

    async fn send_bytes(
        &self,
        actor: &mut Actor,
        action: &Action,
        bytes: &[u8],
    ) -> Result<(), Stop> {
        let piece = match &action.chunks {
            Some(size) => actor.eval(&self.world).count(size)?,
            None => bytes.len(),
        };
        let sending = actor.connected()?.send_bytes(bytes, piece);
        let sent = timeout(self.world.deadline, sending).await;
        actor.wrote(sent)
    }
}

fn refused_how(refusal: &Refusal) -> String {
    match (&refusal.tls, refusal.http) {
        (Some(alert), _) if alert == "any" => "a TLS alert that refuses the handshake".into(),
        (Some(alert), _) => format!("the TLS alert {alert}"),
        (None, Some(status)) => format!("HTTP status {status}"),
        (None, None) => "a refusal".into(),
    }
}

/// Bytes, or several joined.
fn raw_bytes(eval: &Eval<'_>, raw: &Expr) -> Result<Vec<u8>, ScriptError> {
    let value = eval.value(raw)?;
    match &value {
        Val::List(items) => {
            let parts = items.iter().map(|item| {
                item.as_bytes().ok_or_else(|| ScriptError(format!("send_raw: {item} is not bytes")))
            });
            Ok(parts.collect::<Result<Vec<_>, _>>()?.concat())
        }
        value => match value.as_bytes() {
            Some(bytes) => Ok(bytes.to_vec()),
            None => fault(format!("send_raw: {value} is not bytes")),
        },
    }
}

/// A spoilt frame; without its length on WebSocket.
fn mutate(
    eval: &Eval<'_>,
    mut body: Vec<u8>,
    mutation: &Mutation,
    framed: bool,
) -> Result<Vec<u8>, ScriptError> {
    let length = body.len();
    let place = |index: i64| {
        let index = if index < 0 { index + length as i64 } else { index };
        usize::try_from(index).ok().filter(|&index| index < length).ok_or_else(|| {
            ScriptError(format!("mutate: the body has {length} bytes, none at {index}"))
        })
    };
    for &index in mutation.flip.iter().flat_map(|flip| flip.as_slice()) {
        let index = place(index)?;
        body[index] = !body[index];
    }
    if let Some(insertion) = &mutation.insert {
        let at = eval.count(&insertion.at)?.min(body.len());
        body.splice(at..at, eval.bytes(&insertion.bytes)?);
    }
    if let Some(bytes) = &mutation.append {
        body.extend(eval.bytes(bytes)?);
    }
    if let Some(count) = &mutation.truncate {
        body.truncate(body.len().saturating_sub(eval.count(count)?));
    }
    if !framed {
        return Ok(body);
    }
    let said = match &mutation.length {
        None => body.len() as i128,
        Some(length) => match eval.value(length)? {
            Val::Text(text) if text.starts_with(['+', '-']) => {
                let by: i128 =
                    text.parse().map_err(|_| ScriptError(format!("mutate: length {text:?}")))?;
                body.len() as i128 + by
            }
            value => {
                value.as_int().ok_or_else(|| ScriptError(format!("mutate: length {value}")))?
            }
        },
    };
    let said = u32::try_from(said).map_err(|_| ScriptError(format!("mutate: length {said}")))?;
    Ok([&said.to_be_bytes()[..], &body].concat())
}

/// The WebSocket messages, or frames, to send.
fn messages(eval: &Eval<'_>, ws: &WsSend) -> Result<Vec<Message>, ScriptError> {
    let mut messages = Vec::new();
    if let Some(text) = &ws.text {
        messages.push(Message::text(eval.text(text)?));
    }
    if let Some(binary) = &ws.binary {
        messages.push(Message::binary(eval.bytes(binary)?));
    }
    if let Some(fragments) = &ws.fragments {
        let parts = fragments.iter().map(|part| eval.bytes(part)).collect::<Result<Vec<_>, _>>()?;
        messages.extend(in_fragments(&parts));
    }
    if let Some(whole) = &ws.split {
        let whole = eval.bytes(whole)?;
        let size = whole.len().div_ceil(ws.into.unwrap_or(2).max(1)).max(1);
        let parts: Vec<_> = whole.chunks(size).map(<[u8]>::to_vec).collect();
        messages.extend(in_fragments(&parts));
    }
    if let Some(ping) = &ws.ping {
        messages.push(Message::Ping(eval.bytes(ping)?.into()));
    }
    if let Some(status) = ws.close {
        messages.push(conn::close(status));
    }
    Ok(messages)
}

fn in_fragments(parts: &[Vec<u8>]) -> Vec<Message> {
    let last = parts.len().saturating_sub(1);
    let frames = parts.iter().enumerate().map(|(index, part)| {
        let kind = if index == 0 { Data::Binary } else { Data::Continue };
        Message::Frame(Frame::message(part.clone(), OpCode::Data(kind), index == last))
    });
    frames.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::functions::{Names, Variables};

    fn spoil(body: &[u8], mutation: &str) -> Vec<u8> {
        let mutation: Mutation = serde_saphyr::from_str(mutation).unwrap();
        let (variables, names) = (Variables::default(), Names::new());
        let eval = Eval { variables: &variables, names: &names, actor: None, numbering: None };
        mutate(&eval, body.to_vec(), &mutation, true).unwrap()
    }

    #[test]
    fn frames_are_spoilt_as_told() {
        assert_eq!(spoil(b"abc", "{truncate: 1}"), b"\0\0\0\x02ab");
        assert_eq!(spoil(b"abc", "{length: \"+1\"}"), b"\0\0\0\x04abc");
        assert_eq!(spoil(b"abc", "{length: 0}"), b"\0\0\0\0abc");
        assert_eq!(spoil(b"abc", "{flip: -1}"), b"\0\0\0\x03ab\x9c");
        assert_eq!(spoil(b"abc", "{insert: {at: 1, bytes: xy}, append: z}"), b"\0\0\0\x06axybcz");
    }
}
