//! Runs the steps of a script.

mod act;
mod expect;
mod mls;
mod setup;
mod verify;

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::{
        Arc, Mutex as StdMutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::{Mutex, MutexGuard, OnceCell};

use crate::{
    actor::{Actor, Failure, Stop, World},
    conn::Endpoint,
    script::{
        Barrier, Check, Repeat, ServerControl, Step, StepBody,
        functions::{Eval, ScriptError},
        load::Loaded,
    },
    target::{LaunchError, Lease, Pool},
    value::Val,
};

/// The server that a script runs against.
pub(crate) enum Leased {
    Shared(Arc<OnceCell<Lease>>),
    Own(Lease),
}

impl Leased {
    pub(crate) fn lease(&self) -> Option<&Lease> {
        match self {
            Self::Shared(cell) => cell.get(),
            Self::Own(lease) => Some(lease),
        }
    }
}

/// A script that runs.
pub(crate) struct Run<'a> {
    pub(crate) script: &'a Loaded,
    pub(crate) world: World,
    pub(crate) pool: &'a Pool,
    pub(crate) server: Leased,
    actors: BTreeMap<String, Mutex<Actor>>,
    /// How many checks passed.
    pub(crate) checks: AtomicUsize,
    /// Requirements cited by the checks that passed.
    pub(crate) passed: StdMutex<Vec<String>>,
    /// The line of the step that stopped the script, and what it cites.
    pub(crate) stopped_at: StdMutex<Option<(u64, Vec<String>)>>,
}

type Stepping<'a> = Pin<Box<dyn Future<Output = Result<(), Stop>> + Send + 'a>>;

impl<'a> Run<'a> {
    pub(crate) fn new(script: &'a Loaded, world: World, pool: &'a Pool, server: Leased) -> Self {
        let actors = script.script.actors.0.iter().map(|(name, spec)| {
            let actor = Actor::new(name, spec, &world);
            (name.clone(), Mutex::new(actor))
        });
        Self {
            actors: actors.collect(),
            script,
            world,
            pool,
            server,
            checks: AtomicUsize::new(0),
            passed: StdMutex::default(),
            stopped_at: StdMutex::default(),
        }
    }

    /// Where the server is now.
    pub(crate) fn endpoint(&self) -> Result<Endpoint, Stop> {
        match self.server.lease() {
            Some(lease) => Ok(lease.endpoint()),
            None => Err(Stop::Script(ScriptError("there is no server".into()))),
        }
    }

    pub(crate) async fn actor(&self, name: &str) -> Result<MutexGuard<'_, Actor>, Stop> {
        match self.actors.get(name) {
            Some(actor) => Ok(actor.lock().await),
            None => Err(Stop::Script(ScriptError(format!("there is no actor {name}")))),
        }
    }

    /// The last frames of every actor.
    pub(crate) async fn transcripts(&self) -> Vec<(String, Vec<String>)> {
        let mut all = Vec::new();
        for (name, actor) in &self.actors {
            let mut actor = actor.lock().await;
            actor.pump_ready(&self.world);
            all.push((name.clone(), actor.transcript()));
        }
        all
    }

    /// A context for values that belong to no actor.
    pub(crate) fn eval(&self) -> Eval<'_> {
        Eval {
            variables: &self.world.variables,
            names: &self.world.names,
            actor: None,
            numbering: None,
        }
    }

    /// Counts a check that passed.
    pub(crate) fn passed(&self, cites: &[String]) {
        self.checks.fetch_add(1, Ordering::Relaxed);
        self.passed.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(cites);
    }

    /// Runs all steps, and looks a last time at what every connection said.
    pub(crate) async fn all(&self) -> Result<(), Stop> {
        self.steps(&self.script.script.steps).await?;
        for actor in self.actors.values() {
            let mut actor = actor.lock().await;
            actor.pump_ready(&self.world);
            if let Some(violation) = actor.violations.drain(..).next() {
                return Err(violation.into());
            }
        }
        Ok(())
    }

    /// Runs steps in order.
    pub(crate) fn steps<'s>(&'s self, steps: &'s [Step]) -> Stepping<'s> {
        Box::pin(async move {
            for step in steps {
                if let Err(stop) = self.step(step).await {
                    let mut stopped_at =
                        self.stopped_at.lock().unwrap_or_else(PoisonError::into_inner);
                    // The innermost step knows best.
                    stopped_at.get_or_insert_with(|| (step.line, step.cites().to_vec()));
                    return Err(stop);
                }
            }
            Ok(())
        })
    }

    async fn step(&self, step: &Step) -> Result<(), Stop> {
        match &step.body {
            StepBody::Act(name, action) => {
                let mut actor = self.actor(name).await?;
                let acted = self.act(&mut actor, action).await;
                actor.pump_ready(&self.world);
                // A requirement that is broken for certain says more than an expectation that failed.
                match actor.violations.drain(..).next() {
                    Some(violation) => Err(violation.into()),
                    None => acted,
                }
            }
            StepBody::Let(values) => {
                for (name, expr) in &values.0 {
                    let value = self.eval().value(expr)?;
                    self.world.variables.set(name, value);
                }
                Ok(())
            }
            StepBody::Check(check) => self.check(check),
            StepBody::Parallel(branches) => {
                let branches = branches.iter().map(|branch| self.steps(branch));
                futures_util::future::try_join_all(branches).await.map(drop)
            }
            StepBody::Repeat(repeat) => self.repeat(repeat).await,
            StepBody::Verify(verify) => self.verify(verify).await,
            StepBody::Barrier(barrier) => self.barrier(barrier).await,
            StepBody::Wait(wait) => {
                let ms = u64::try_from(self.eval().int(&wait.ms)?).unwrap_or(0);
                tokio::time::sleep(Duration::from_millis(ms)).await;
                Ok(())
            }
            StepBody::Server(control) => self.control(control).await,
        }
    }

    fn check(&self, check: &Check) -> Result<(), Stop> {
        let value = self.eval().value(&check.that)?;
        match check.is.mismatch(&value, &self.eval())? {
            None => {
                self.passed(&check.cites);
                Ok(())
            }
            Some(why) => crate::actor::failed("a value that matches", why),
        }
    }

    async fn repeat(&self, repeat: &Repeat) -> Result<(), Stop> {
        let times = repeat.times.as_ref().map(|times| self.eval().count(times)).transpose()?;
        let most = times.unwrap_or_else(|| repeat.at_most.unwrap_or(100));
        for round in 1..=most {
            if let Some(name) = &repeat.name {
                self.world.variables.set(name, Val::Int(round as i128));
            }
            self.steps(&repeat.steps).await?;
            let until =
                repeat.until_empty.as_ref().and_then(|name| self.world.variables.value(name));
            if until.is_some_and(|value| value.is_default()) {
                return Ok(());
            }
        }
        match &repeat.until_empty {
            Some(name) => {
                crate::actor::failed(format!("${name} empty after {most} rounds"), "it is not")
            }
            None => Ok(()),
        }
    }

    async fn barrier(&self, barrier: &Barrier) -> Result<(), Stop> {
        for name in &barrier.actors {
            let mut actor = self.actor(name).await?;
            let before = actor.own_barrier(&self.world).await?;
            if !barrier.drain {
                for event in before.into_iter().rev() {
                    actor.events.push_front(event);
                }
            }
        }
        Ok(())
    }

    async fn control(&self, control: &ServerControl) -> Result<(), Stop> {
        let Leased::Own(lease) = &self.server else {
            return Err(Stop::Script(ScriptError("the server is shared".into())));
        };
        match control {
            ServerControl::Kill => lease.kill().await,
            // A server that stops waits for its clients to go, so they read meanwhile.
            ServerControl::Stop | ServerControl::Restart => {
                tokio::join!(lease.stop(), self.see_the_end());
            }
            ServerControl::Start => {}
            ServerControl::Notice(text) => {
                return lease.notice(text).await.map_err(launch_stop);
            }
        }
        if *control == ServerControl::Stop {
            return Ok(());
        }
        self.pool.start_again(lease).await.map_err(launch_stop)
    }
}

impl Run<'_> {
    /// Drops all connections.
    pub(crate) async fn let_go(&self) {
        for actor in self.actors.values() {
            actor.lock().await.forget();
        }
    }

    /// All actors read to the end of their connections. What came stays for the steps that expect it.
    async fn see_the_end(&self) {
        let ends = self.actors.values().map(|actor| async {
            let mut actor = actor.lock().await;
            if actor.connection.is_some() {
                let _ = actor.read_out(&self.world, "the end of the connection").await;
            }
        });
        futures_util::future::join_all(ends).await;
    }
}

/// A server that does not start is at fault; one that can't do what was asked is not.
pub(crate) fn launch_stop(error: LaunchError) -> Stop {
    match error {
        LaunchError::Unsupported(why) => Stop::Untestable(why),
        LaunchError::Failed(why) => Stop::Fail(Box::new(Failure {
            permitted: "a server that starts".into(),
            came: why,
            ..Failure::default()
        })),
    }
}
