//! Loads scripts, and finds what is wrong with them without running them.

use std::{collections::BTreeSet, fs, path::Path, sync::Arc};

use serde_json::Value as Json;

use crate::{proto, spec};

use super::{
    Action, Bystander, STEP_KEYS, Script, State, Step, StepBody, Transport, expr::Expr, functions,
    mls::Mls,
};

/// A script and where it comes from.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    /// `area/id`.
    pub(crate) name: String,
    /// The file, for messages.
    pub(crate) file: String,
    pub(crate) script: Arc<Script>,
    /// All requirements it cites anywhere, in order.
    pub(crate) cites: Vec<String>,
    pub(crate) bystander: Bystander,
    /// Capabilities and abilities, those implied by what it does too.
    pub(crate) needs: BTreeSet<String>,
}

/// A script that can't be run, with file and line.
#[derive(Debug, thiserror::Error)]
#[error("conformance/scripts/{name}.yaml: {why}")]
pub(crate) struct LoadError {
    /// `area/id`.
    pub(crate) name: String,
    /// What is wrong, with its line where one is known.
    pub(crate) why: String,
}

/// Loads the scripts of a folder, in order of name. Every script that can't be loaded gives an error.
pub(crate) fn folder(root: &Path) -> Vec<Result<Loaded, LoadError>> {
    let mut files = Vec::new();
    if let Err(error) = collect(root, &mut files) {
        return vec![Err(LoadError { name: root.display().to_string(), why: error.to_string() })];
    }
    files.sort();
    let load = |file: &std::path::PathBuf| {
        let below = file.strip_prefix(root).unwrap_or(file).display().to_string();
        let text = fs::read_to_string(file).map_err(|error| LoadError {
            name: name_of(&below).to_owned(),
            why: error.to_string(),
        })?;
        one(&below, &text)
    };
    files.iter().map(load).collect()
}

/// What is wrong with the scripts of a folder, without running them: file, line and why.
#[must_use]
pub fn faults(root: &Path) -> Vec<String> {
    folder(root).into_iter().filter_map(Result::err).map(|error| error.to_string()).collect()
}

/// The JSON Schema of scripts, for editors: what `scripts.schema.json` holds.
#[must_use]
pub fn schema() -> String {
    let schema = schemars::schema_for!(Script).to_value();
    serde_json::to_string_pretty(&schema).expect("a schema is JSON") + "\n"
}

/// Loads the scripts that were built in.
pub(crate) fn embedded() -> Vec<Result<Loaded, LoadError>> {
    crate::embedded::SCRIPTS.iter().map(|(path, text)| one(path, text)).collect()
}

fn collect(folder: &Path, files: &mut Vec<std::path::PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push(path);
        }
    }
    Ok(())
}

fn name_of(path: &str) -> &str {
    path.strip_suffix(".yaml").unwrap_or(path)
}

/// Loads one script. `path` is `area/id.yaml`.
pub(crate) fn one(path: &str, text: &str) -> Result<Loaded, LoadError> {
    let name = name_of(path).to_owned();
    let error = |why: String| LoadError { name: name.clone(), why };
    let options = || serde_saphyr::options! { strict_booleans: true };
    let script: Script = serde_saphyr::from_str_with_options(text, options())
        .map_err(|parse| error(parse.to_string()))?;
    let raw: Json = serde_saphyr::from_str_with_options(text, options())
        .map_err(|parse| error(parse.to_string()))?;
    check(&name, &script, &raw).map_err(error)?;
    let mut cites = script.requirements.clone();
    steps(&script.steps, &mut |step| cites.extend_from_slice(step.cites()));
    if let Some(unknown) = cites.iter().find(|id| spec::sentence(id).is_none()) {
        return Err(error(format!("the specification has no requirement {unknown}")));
    }
    cites.sort();
    cites.dedup();
    let negative = script.negative.unwrap_or_else(|| is_negative(&script));
    let needs = needs(&script);
    // Whoever was connected to a server that stops is not served as before.
    let apart = !script.settings.is_empty()
        || needs.contains("control.restart")
        || needs.contains("control.kill");
    let default = if apart { Bystander::Fresh } else { Bystander::Full };
    let bystander = if negative { script.bystander.unwrap_or(default) } else { Bystander::None };
    Ok(Loaded {
        name,
        file: format!("conformance/scripts/{path}"),
        script: Arc::new(script),
        cites,
        bystander,
        needs,
    })
}

impl Step {
    pub(crate) fn cites(&self) -> &[String] {
        match &self.body {
            StepBody::Act(_, action) => &action.cites,
            StepBody::Check(check) => &check.cites,
            StepBody::Verify(verify) => &verify.cites,
            _ => &[],
        }
    }
}

/// Visits all steps, those inside others too.
fn steps<'a>(list: &'a [Step], visit: &mut dyn FnMut(&'a Step)) {
    for step in list {
        visit(step);
        match &step.body {
            StepBody::Parallel(branches) => branches.iter().for_each(|branch| steps(branch, visit)),
            StepBody::Repeat(repeat) => steps(&repeat.steps, visit),
            _ => {}
        }
    }
}

fn actions(script: &Script) -> Vec<&Action> {
    let mut found = Vec::new();
    steps(&script.steps, &mut |step| {
        if let StepBody::Act(_, action) = &step.body {
            found.push(&**action);
        }
    });
    found
}

fn is_negative(script: &Script) -> bool {
    actions(script).iter().any(|action| {
        let expects_error = || {
            let replies = action.expect.iter().flat_map(|expect| expect.as_slice());
            replies.chain(&action.expect_one_of).any(|frame| frame.source.contains("\"error\""))
        };
        action.send_raw.is_some()
            || action.mutate.is_some()
            || action.expect_closed.is_some()
            || action.expect_refused.is_some()
            || expects_error()
    })
}

/// What it says it needs, and what it does that not every target allows.
fn needs(script: &Script) -> BTreeSet<String> {
    let mut needs: BTreeSet<String> = script.needs.iter().cloned().collect();
    let connects = actions(script).into_iter().filter_map(|action| action.connect.as_ref());
    let mut specs = script.actors.0.iter().map(|(_, spec)| spec).chain(connects);
    if specs.any(|spec| spec.transport == Some(Transport::Websocket)) {
        needs.insert("websocket".into());
    }
    if !script.settings.is_empty() {
        needs.insert("control.settings".into());
    }
    steps(&script.steps, &mut |step| {
        if let StepBody::Server(control) = &step.body {
            needs.insert(control.need().into());
        }
    });
    needs
}

fn check(name: &str, script: &Script, raw: &Json) -> Result<(), String> {
    if name.rsplit('/').next() != Some(&script.id) {
        return Err(format!("id is {:?}, but the file is {name}.yaml", script.id));
    }
    if !name.contains('/') {
        return Err("a script stands in a folder of its area".into());
    }
    for need in &script.needs {
        let known = [
            "private",
            "sync",
            "talk",
            "websocket",
            "control.settings",
            "control.restart",
            "control.kill",
            "control.notice",
        ];
        if !known.contains(&need.as_str()) {
            return Err(format!("needs: {need:?} is none of {}", known.join(", ")));
        }
    }
    check_actors(script)?;
    check_steps(script)?;
    check_variables(script, raw)
}

fn check_actors(script: &Script) -> Result<(), String> {
    let exists = |name: &String| script.actors.find(name).is_some();
    for (name, spec) in &script.actors.0 {
        if STEP_KEYS.contains(&name.as_str()) || functions::shape(name).is_some() {
            return Err(format!("an actor can't be called {name}"));
        }
        if let Some(of) = &spec.of {
            let parent = script.actors.find(of);
            let has_account = parent.is_some_and(|parent| {
                parent.of.is_none()
                    && matches!(parent.state, None | Some(State::Authenticated | State::Offline))
            });
            if !has_account {
                return Err(format!("actor {name} is `of` {of}, who has no account of its own"));
            }
        }
    }
    for (name, room) in &script.rooms.0 {
        if let Some(unknown) = room.members.iter().chain([&room.owner]).find(|actor| !exists(actor))
        {
            return Err(format!("room {name}: there is no actor {unknown}"));
        }
    }
    let is_approved = |name: &&String| script.actors.find(name).is_some_and(|spec| spec.approved);
    for (name, group) in &script.groups.0 {
        let mut actors = group.leaves.iter().chain([&group.owner]);
        if let Some(unknown) = actors.find(|actor| !is_approved(actor)) {
            return Err(format!("group {name}: there is no actor {unknown} that is approved"));
        }
        if group.direct && group.leaves.is_empty() {
            return Err(format!("group {name}: a DIRECT has a leaf of the other user"));
        }
    }
    Ok(())
}

/// Actors exist, and what stands together makes sense.
fn check_steps(script: &Script) -> Result<(), String> {
    let mut wrong = None;
    steps(&script.steps, &mut |step| {
        if let Err(why) = check_step(script, step) {
            wrong.get_or_insert(format!("line {}: {why}", step.line));
        }
    });
    wrong.map_or(Ok(()), Err)
}

fn check_step(script: &Script, step: &Step) -> Result<(), String> {
    let exists = |name: &String| match script.actors.find(name) {
        Some(_) => Ok(()),
        None => Err(format!("there is no actor and no kind of step {name:?}")),
    };
    match &step.body {
        StepBody::Act(name, action) => {
            exists(name)?;
            if let Some(verb) = &action.mls {
                verb.actors().into_iter().try_for_each(exists)?;
                verb.check()?;
            }
            check_action(action)
        }
        StepBody::Barrier(barrier) => barrier.actors.iter().try_for_each(exists),
        StepBody::Verify(verify) => {
            let log = verify.log.iter().map(|log| &log.actor);
            log.chain(verify.no_early_data.iter().map(|early| &early.actor)).try_for_each(exists)
        }
        StepBody::Repeat(repeat) if repeat.times.is_some() == repeat.until_empty.is_some() => {
            Err("repeat takes either times or until_empty".into())
        }
        _ => Ok(()),
    }
}

fn check_action(action: &Action) -> Result<(), String> {
    let sends = [
        action.send.is_some(),
        action.send_raw.is_some(),
        action.ws_send.is_some(),
        action.mls.is_some(),
    ];
    if sends.iter().filter(|&&there| there).count() > 1 {
        return Err("a step has one of send, send_raw, ws_send and mls".into());
    }
    if action.expect_refused.is_some() && action.connect.is_none() {
        return Err("expect_refused stands beside connect".into());
    }
    if action.mutate.is_some() && action.send.as_ref().is_none_or(|send| send.as_slice().len() != 1)
    {
        return Err("mutate stands beside the send of one request".into());
    }
    let expected = action.expect.iter().flat_map(|expect| expect.as_slice());
    let mut expected = expected.chain(&action.expect_one_of);
    if action.mls.as_ref().is_some_and(Mls::asks) && expected.any(|frame| frame.is_event) {
        return Err("beside mls the reply is expected: events in a step of their own".into());
    }
    let codes = action.expect_closed.iter().flat_map(|closed| &closed.codes);
    for code in codes {
        match proto::error_code(code) {
            None if code != "none" => return Err(format!("there is no error {code}")),
            Some(100..) => {
                return Err(format!("{code} does not close a connection: expect it as an error"));
            }
            _ => {}
        }
    }
    if let (Some(send), Some(expect)) = (&action.send, &action.expect) {
        let replies = expect.as_slice().iter().filter(|frame| !frame.is_event).count();
        if send.as_slice().len() > 1 && replies > 0 && replies != send.as_slice().len() {
            return Err(format!("{} requests, but {replies} replies", send.as_slice().len()));
        }
    }
    let events = action.expect_events.iter().chain(&action.expect_all);
    for frame in events {
        if !frame.is_event {
            return Err(format!("{} is no event: write {{event: …}}", frame.source));
        }
    }
    Ok(())
}

/// Whatever is used as `$name` is set somewhere.
fn check_variables(script: &Script, raw: &Json) -> Result<(), String> {
    let mut known: BTreeSet<String> =
        script.actors.0.iter().map(|(name, _)| name.clone()).collect();
    let rooms = script.rooms.0.iter().map(|(name, _)| name);
    for room in rooms.chain(script.groups.0.iter().map(|(name, _)| name)) {
        known.extend([room.clone(), format!("{room}_name"), format!("{room}_head")]);
    }
    definitions(raw, &mut known);
    if let Some(name) = known.iter().find(|name| functions::shape(name).is_some()) {
        return Err(format!("${name} is a function: a variable can't be called so"));
    }
    uses(raw, &known)
}

fn definitions(value: &Json, known: &mut BTreeSet<String>) {
    match value {
        Json::Array(items) => items.iter().for_each(|item| definitions(item, known)),
        Json::Object(fields) => {
            for (key, value) in fields {
                match (key.as_str(), value) {
                    ("as" | "save" | "$save", Json::String(name)) => {
                        known.insert(name.clone());
                    }
                    ("save" | "let", Json::Object(named)) => known.extend(named.keys().cloned()),
                    _ => {}
                }
                definitions(value, known);
            }
        }
        _ => {}
    }
}

fn uses(value: &Json, known: &BTreeSet<String>) -> Result<(), String> {
    const MATCHERS: [&str; 4] = ["$any", "$set", "$absent", "$a_uuid7"];
    match value {
        Json::Array(items) => items.iter().try_for_each(|item| uses(item, known)),
        Json::Object(fields) => fields.values().try_for_each(|value| uses(value, known)),
        Json::String(text) if text.starts_with('$') && !text.starts_with("$$") => {
            if MATCHERS.contains(&text.as_str()) || text.starts_with("$bytes") {
                return Ok(());
            }
            let expr = Expr::compile(value)?;
            let mut unknown = None;
            expr.variables(&mut |name| {
                if !known.contains(name) {
                    unknown.get_or_insert(name.to_owned());
                }
            });
            unknown.map_or(Ok(()), |name| Err(format!("{text:?}: nothing sets ${name}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
