//! The suite: scripts, a target, and what becomes of each.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    actor::{Actor, Failure, Stop, World, failed},
    bystander::{self, Witness},
    exec::{Leased, Run, launch_stop},
    outcome::{Outcome, Record},
    profile::Profile,
    script::{
        ActorSpec, Bystander, State,
        expr::Expr,
        functions::{Names, ScriptError, Variables},
        load::{self, LoadError, Loaded},
    },
    target::{Pool, Target},
    value::{Val, record},
};

/// The name of the test that compares what the target claims with what it advertises.
const CAPABILITIES: &str = "profile/capabilities";

/// How a suite is run.
pub struct Options {
    /// The servers.
    pub target: Target,
    /// What they claim to be.
    pub profile: Profile,
    /// A folder of scripts; those built in if none.
    pub scripts: Option<PathBuf>,
    /// How long to wait for what should come at once. A last resort.
    pub deadline: Duration,
    /// What runs one test again: `{}` stands for its name.
    pub replay: String,
}

/// There is not one script to run.
#[derive(Debug, thiserror::Error)]
#[error("there are no scripts")]
pub struct NoScripts;

/// Scripts and a target.
pub struct Suite {
    scripts: Vec<Loaded>,
    /// Scripts that can't be run.
    broken: Vec<LoadError>,
    pool: Pool,
    profile: Profile,
    names: Arc<Names>,
    deadline: Duration,
    replay: String,
    records: Mutex<Vec<Record>>,
}

impl Suite {
    /// Loads the scripts. One that can't be loaded is kept as a test that ends in ERROR, with file and line.
    ///
    /// # Errors
    /// There are none.
    pub fn new(options: Options) -> Result<Self, NoScripts> {
        let loaded = match &options.scripts {
            Some(folder) => load::folder(folder),
            None => load::embedded(),
        };
        let (mut scripts, mut broken) = (Vec::new(), Vec::new());
        let mut ids = BTreeSet::new();
        for one in loaded {
            match one {
                Ok(script) if ids.insert(script.script.id.clone()) => scripts.push(script),
                Ok(script) => broken.push(LoadError {
                    why: format!("another script has the id {}", script.script.id),
                    name: script.name,
                }),
                Err(error) => broken.push(error),
            }
        }
        if scripts.is_empty() && broken.is_empty() {
            return Err(NoScripts);
        }
        Ok(Self {
            scripts,
            broken,
            pool: Pool::new(options.target),
            profile: options.profile,
            names: Arc::new(Names::new()),
            deadline: options.deadline,
            replay: options.replay,
            records: Mutex::default(),
        })
    }

    /// The names of all tests: `area/id`.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let scripts = self.scripts.iter().map(|script| &*script.name);
        let broken = self.broken.iter().map(|error| &*error.name);
        std::iter::once(CAPABILITIES).chain(scripts).chain(broken)
    }

    /// What all names that this run makes begin with.
    #[must_use]
    pub fn prefix(&self) -> &str {
        self.names.prefix()
    }

    /// Runs one test. What became of it is also kept for the report.
    pub async fn run(&self, name: &str) -> Record {
        let script = self.scripts.iter().find(|script| script.name == name);
        let broken = self.broken.iter().find(|error| error.name == name);
        let record = match (script, broken) {
            (Some(script), _) => self.run_script(script).await,
            (None, Some(error)) => unloadable(error),
            (None, None) => self.run_capabilities().await,
        };
        self.records.lock().unwrap_or_else(PoisonError::into_inner).push(record.clone());
        record
    }

    /// The whole story of a test, for people.
    #[must_use]
    pub fn story(&self, record: &Record) -> String {
        record.story(&self.replay.replace("{}", &record.name))
    }

    /// Stops the servers. All records are given back, in order of name.
    pub async fn finish(&self) -> Vec<Record> {
        self.pool.stop().await;
        let mut records =
            std::mem::take(&mut *self.records.lock().unwrap_or_else(PoisonError::into_inner));
        records.sort_by(|a, b| a.name.cmp(&b.name));
        records
    }

    fn world(&self) -> World {
        World {
            variables: Variables::default(),
            names: Arc::clone(&self.names),
            deadline: self.deadline,
            capabilities: self.profile.capabilities.clone(),
            sentinel_rooms: Mutex::default(),
        }
    }

    /// What a script needs and the target lacks.
    fn lacking(&self, script: &Loaded) -> Vec<String> {
        let abilities = self.pool.abilities();
        let has = |need: &&String| {
            (abilities.contains(&need.as_str())
                && (*need != "control.notice" || self.profile.notice))
                || self.profile.capabilities.contains(need)
                || (*need == "websocket" && self.profile.websocket)
        };
        script.needs.iter().filter(|need| !has(need)).cloned().collect()
    }

    async fn run_script(&self, script: &Loaded) -> Record {
        let began = Instant::now();
        let mut record = blank(&script.name, &script.script.title, script.cites.clone());
        let lacking = self.lacking(script);
        if !lacking.is_empty() {
            record.outcome = Outcome::NotApplicable;
            record.reason = format!("needs {}", lacking.join(", "));
            return record;
        }
        if let Some(reason) = self.profile.untestable.get(&script.script.id) {
            record.outcome = Outcome::Untestable;
            record.reason.clone_from(reason);
            return record;
        }
        self.play(script, &mut record).await;
        let known = script
            .script
            .xfail
            .as_ref()
            .or_else(|| self.profile.known_failures.get(&script.script.id));
        match (known, record.outcome) {
            (Some(reason), Outcome::Pass) => {
                record.outcome = Outcome::UnexpectedPass;
                record.reason = format!("known to fail ({reason}), but passed");
            }
            (Some(_), Outcome::Fail) => record.outcome = Outcome::KnownFailure,
            _ => {}
        }
        record.took = began.elapsed();
        record
    }

    /// Runs a script on its server, and notes what became of it.
    async fn play(&self, script: &Loaded, record: &mut Record) {
        let settings = &script.script.settings;
        let controls = ["control.restart", "control.kill", "control.notice"];
        let own = controls.iter().any(|control| script.needs.contains(*control));
        let leased = if own {
            self.pool.private(settings).await.map(Leased::Own)
        } else {
            self.pool.shared(settings).await.map(Leased::Shared)
        };
        let server = match leased {
            Ok(server) => server,
            Err(error) => return note(record, script, Err(launch_stop(error)), None),
        };
        let run = Run::new(script, self.world(), &self.pool, server);
        let result = self.play_out(script, &run).await;
        record.checks = run.checks.load(std::sync::atomic::Ordering::Relaxed);
        record.passed =
            std::mem::take(&mut *run.passed.lock().unwrap_or_else(PoisonError::into_inner));
        record.passed.sort();
        record.passed.dedup();
        let stopped_at = run.stopped_at.lock().unwrap_or_else(PoisonError::into_inner).take();
        if result.is_err() {
            record.transcripts = run.transcripts().await;
        }
        if let Leased::Own(lease) = &run.server {
            run.let_go().await;
            lease.stop().await;
        }
        note(record, script, result, stopped_at);
    }

    async fn play_out(&self, script: &Loaded, run: &Run<'_>) -> Result<(), Stop> {
        let world = self.world();
        let witness = match script.bystander {
            Bystander::Full => Some(Witness::arrive(&world, &run.endpoint()?).await?),
            _ => None,
        };
        run.set_up().await?;
        run.all().await?;
        let endpoint = run.endpoint()?;
        let served = match (script.bystander, witness) {
            (Bystander::Full, Some(witness)) => witness.testify(&world, &endpoint).await,
            (Bystander::Fresh, _) => bystander::fresh(&world, &endpoint).await,
            _ => return Ok(()),
        };
        served.map_err(|stop| bystander::blamed(stop, script.bystander))
    }

    /// What the target claims must be what it advertises, no less and no more.
    async fn run_capabilities(&self) -> Record {
        let began = Instant::now();
        let title = "The target advertises the capabilities that it claims, and no others";
        let mut record = blank(CAPABILITIES, title, vec!["HELLO-005".to_owned()]);
        match self.compare_capabilities().await {
            Ok(()) => {
                record.checks = 1;
                record.passed.clone_from(&record.cites);
            }
            Err(stop) => tell(&mut record, stop, &["HELLO-005".to_owned()], ""),
        }
        record.took = began.elapsed();
        record
    }

    async fn compare_capabilities(&self) -> Result<(), Stop> {
        let server = self.pool.shared(&serde_json::Map::new()).await.map_err(launch_stop)?;
        let Some(lease) = server.get() else {
            return Err(ScriptError("there is no server".into()).into());
        };
        let mut offered: BTreeSet<String> = self.profile.capabilities.iter().cloned().collect();
        offered.extend(KNOWN_CAPABILITIES.map(str::to_owned));
        let offered = offered.iter().map(|name| Val::from(&**name)).collect();
        let hello = record([("capabilities", Val::List(offered))]);
        let spec = ActorSpec {
            state: Some(State::Greeted),
            hello: Some(Expr::Literal(hello)),
            ..ActorSpec::default()
        };
        let world = self.world();
        let mut actor = Actor::new("client", &spec, &world);
        actor.connect(&world, &lease.endpoint(), &spec).await?;
        let greeted =
            world.variables.value("client").and_then(|client| client.field("greeted").cloned());
        let advertised =
            greeted.as_ref().and_then(|greeted| greeted.field("capabilities")).cloned();
        let mut claimed = self.profile.capabilities.clone();
        claimed.sort();
        let claimed = Val::List(claimed.iter().map(|name| Val::from(&**name)).collect());
        match advertised {
            Some(advertised) if advertised == claimed => Ok(()),
            other => failed(format!("the capabilities claimed: {claimed}"), format!("{other:?}")),
        }
    }
}

/// Capabilities that the design names, assigned or to come: none may be advertised that is not claimed.
const KNOWN_CAPABILITIES: [&str; 9] =
    ["talk", "sync", "media", "private", "moderation", "push", "trust", "calls", "federation"];

fn blank(name: &str, title: &str, cites: Vec<String>) -> Record {
    Record {
        name: name.to_owned(),
        title: title.to_owned(),
        outcome: Outcome::Pass,
        reason: String::new(),
        cites,
        passed: Vec::new(),
        broken: Vec::new(),
        checks: 0,
        by_deadline: false,
        took: Duration::ZERO,
        transcripts: Vec::new(),
    }
}

fn unloadable(error: &LoadError) -> Record {
    let mut record = blank(&error.name, "(can't be loaded)", Vec::new());
    record.outcome = Outcome::Error;
    record.reason = error.to_string();
    record
}

/// Notes the result of a script.
fn note(
    record: &mut Record,
    script: &Loaded,
    result: Result<(), Stop>,
    stopped_at: Option<(u64, Vec<String>)>,
) {
    let (place, cites) = match stopped_at {
        Some((line, cites)) => (format!("{}:{line}", script.file), cites),
        None => (script.file.clone(), Vec::new()),
    };
    let cites = if cites.is_empty() { &script.script.requirements } else { &cites };
    match result {
        Ok(()) if record.checks == 0 => {
            record.outcome = Outcome::Fail;
            record.reason = format!("{place}: the script made no check");
        }
        Ok(()) => {}
        Err(stop) => tell(record, stop, cites, &place),
    }
}

fn tell(record: &mut Record, stop: Stop, cites: &[String], place: &str) {
    match stop {
        Stop::Script(error) => {
            record.outcome = Outcome::Error;
            record.reason = format!("{place}: {error}");
        }
        Stop::Untestable(why) => {
            record.outcome = Outcome::Untestable;
            record.reason = why;
        }
        Stop::Fail(failure) => {
            let Failure { requirements, permitted, came, by_deadline } = *failure;
            record.outcome = Outcome::Fail;
            record.broken = if requirements.is_empty() { cites.to_vec() } else { requirements };
            record.by_deadline = by_deadline;
            record.reason = format!("{place}\npermitted:  {permitted}\ncame:       {came}");
        }
    }
}
