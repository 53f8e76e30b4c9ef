//! All members of a room cut off, and back at once: when has each logged in again and all that it missed?

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use tokio::time::{sleep, timeout};

use crate::{
    Stage,
    check::Tally,
    crowd,
    member::{Away, Member, Pace, Script},
    peer::random,
    report::{Latencies, Meter, Report},
    target::Door,
};

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(30);
/// Attempts of one client.
const ATTEMPTS: u32 = 10;
/// The longest pause between attempts.
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// The choices.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Members that are cut off
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    clients: u32,
    /// Messages that they miss; at least 1
    #[arg(long, default_value_t = 20)]
    missed: u32,
    /// Bytes of a message's payload
    #[arg(long, default_value_t = 256)]
    payload: usize,
}

/// What all have met with.
struct Weather {
    start: Instant,
    logins: Latencies,
    caught_up: Latencies,
    errors: Mutex<Vec<String>>,
}

impl Args {
    /// Connections at once: the new ones, and the old that the server has not let go of.
    pub(crate) fn connections(&self) -> usize {
        usize::try_from(self.clients).unwrap_or(usize::MAX).saturating_mul(2)
    }

    /// Plays it.
    pub(crate) async fn run(self, stage: &Stage) -> Result<Report> {
        let mut report = Report::new("storm");
        let (mut owner, away) = crowd::gathering(stage, self.clients as usize).await?;
        let mut members = crowd::back(stage, away).await?;
        stage.bar.set_message("levelling");
        for member in &mut members {
            member.catch_up(|| {}).await?;
        }
        let away: Vec<_> = members.into_iter().map(Member::leave).collect();
        owner.speak(&self.script()?).await?;
        owner.listen(1, |_| {}).await?;
        let meter = Meter::start(&stage.target)?;
        let weather = Arc::new(Weather {
            start: Instant::now(),
            logins: Latencies::new()?,
            caught_up: Latencies::new()?,
            errors: Mutex::default(),
        });
        let returns = away.into_iter().map(|member| {
            come_back(stage.target.door.clone(), member, owner.cursor(), Arc::clone(&weather))
        });
        // All stay until the last is back.
        let members = crowd::at_once(&stage.bar, "returns", returns).await?;
        report.set("clients", self.clients);
        report.ratio("all_back_s", weather.start.elapsed().as_secs_f64(), 1.0);
        let spent = meter.stop(&mut report)?;
        report.ratio("server_cpu_us_a_client", spent.cpu_seconds * 1e6, self.clients.into());
        self.report(&mut report, &members, &weather);
        Ok(report)
    }

    fn script(&self) -> Result<Script> {
        let latencies = Arc::new(Latencies::new()?);
        Ok(Script {
            speaker: 0,
            pace: Pace::Window(8),
            count: self.missed,
            until: None,
            payload_bytes: self.payload,
            arrivals: Arc::clone(&latencies),
            acks: latencies,
        })
    }

    fn report(&self, report: &mut Report, members: &[Member], weather: &Weather) {
        let mut tally = Tally::default();
        members.iter().for_each(|member| tally.add(member.tally()));
        let errors = weather.errors.lock().unwrap_or_else(PoisonError::into_inner);
        report.set("errors", errors.len());
        report.set("first_error", errors.first().cloned());
        report.tally(tally);
        report.latencies("login_", &weather.logins);
        report.latencies("caught_up_", &weather.caught_up);
    }
}

/// Tries until it is back; pauses longer each time, and not as long as others.
async fn come_back(door: Door, away: Away, head: u64, weather: Arc<Weather>) -> Result<Member> {
    for attempt in 0..ATTEMPTS {
        let error = match timeout(ATTEMPT, try_once(&door, away.clone(), head, &weather)).await {
            Ok(Ok(member)) => return Ok(member),
            Ok(Err(error)) => format!("{error:#}"),
            Err(_) => format!("not back in {ATTEMPT:?}"),
        };
        weather.errors.lock().unwrap_or_else(PoisonError::into_inner).push(error);
        let [noise] = random();
        let pause = Duration::from_millis(100 << attempt).min(MAX_PAUSE);
        sleep(pause.mul_f64(0.5 + f64::from(noise) / 512.0)).await;
    }
    bail!("a client did not come back in {ATTEMPTS} attempts")
}

async fn try_once(door: &Door, away: Away, head: u64, weather: &Weather) -> Result<Member> {
    let mut member = away.log_in(door).await.context("log-in")?;
    weather.logins.took(weather.start.elapsed());
    member.catch_up(|| {}).await.context("fetch")?;
    if member.cursor() < head {
        bail!("caught up to {} in place of {head}", member.cursor());
    }
    weather.caught_up.took(weather.start.elapsed());
    Ok(member)
}
