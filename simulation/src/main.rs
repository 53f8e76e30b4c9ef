//! Runs seeds, and says of one that breaks an invariant how to see it again.

use std::{
    io::{self, Write as _},
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use anyhow::Result;
use clap::Parser;
use simulation::{PrivateSabotage, Race, Report, Sabotage};

/// Clients and a server under seeded faults, deterministically
#[derive(Debug, Parser)]
struct Args {
    /// How many seeds to run
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 1)]
    start: u64,
    /// Run this one alone
    #[arg(long)]
    seed: Option<u64>,
    /// Print every event
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Go on after one that breaks, and print only which did
    #[arg(long, conflicts_with = "seed")]
    keep_going: bool,
    /// Of what
    #[arg(long, default_value = "rooms")]
    world: Kind,
    /// Break something, which has to be noticed
    #[arg(long)]
    sabotage: Option<Sabotage>,
    /// Break something in the world of private conversations
    #[arg(long, conflicts_with = "sabotage")]
    private_sabotage: Option<PrivateSabotage>,
    /// Let so many devices of one group commit at once, and print how often each had to
    #[arg(long, exclusive = true)]
    race: Option<usize>,
}

/// What is simulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// Public rooms.
    Rooms,
    /// Members of private conversations.
    Private,
}

impl Args {
    fn run(&self, seed: u64) -> Result<Report> {
        match self.world {
            Kind::Rooms => simulation::run(seed, self.sabotage, self.trace),
            Kind::Private => simulation::run_private(seed, self.private_sabotage, self.trace),
        }
    }

    /// How it is asked for.
    fn flag(&self) -> &'static str {
        match self.world {
            Kind::Rooms => "",
            Kind::Private => "--world private ",
        }
    }
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    let mut out = io::stdout().lock();
    if let Some(devices) = args.race {
        return race(&mut out, devices);
    }
    if let Some(seed) = args.seed {
        let report = args.run(seed)?;
        if args.trace {
            report.events.iter().try_for_each(|event| writeln!(out, "{event}"))?;
        }
        writeln!(out, "seed {seed}: {} events, trace {:016x}", report.count, report.hash)?;
        return conclude(&mut out, &args, seed, &report);
    }
    let started = Instant::now();
    let (mut broken, events) = run_all(&args)?;
    broken.sort_unstable_by_key(|(seed, _)| *seed);
    for (seed, report) in &broken {
        conclude(&mut out, &args, *seed, report)?;
    }
    let seconds = started.elapsed().as_secs_f64();
    let (seeds, failed) = (args.seeds, broken.len());
    writeln!(out, "{seeds} seeds, {events} events, {seconds:.1} s: {failed} broken")?;
    Ok(if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn race(out: &mut impl io::Write, devices: usize) -> Result<ExitCode> {
    let Race { mut attempts, rejoins, time } = simulation::race(devices)?;
    attempts.sort_unstable();
    let (all, most) = (attempts.iter().sum::<u32>(), attempts.last().copied().unwrap_or_default());
    let middle = attempts.get(attempts.len() / 2).copied().unwrap_or_default();
    let seconds = time.as_secs_f64();
    writeln!(out, "{devices} devices, {all} commits made, {seconds:.1} s, {rejoins} re-joins")?;
    writeln!(out, "attempts of a device: median {middle}, most {most}")?;
    writeln!(out, "{attempts:?}")?;
    Ok(if rejoins == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Runs all seeds, on all cores, until one breaks an invariant, or to the end.
fn run_all(args: &Args) -> Result<(Vec<(u64, Report)>, u64)> {
    let (next, events, broken) =
        (AtomicU64::new(args.start), AtomicU64::new(0), Mutex::new(Vec::new()));
    let end = args.start.saturating_add(args.seeds);
    let found = || broken.lock().unwrap_or_else(PoisonError::into_inner);
    let work = || -> Result<()> {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end || (!args.keep_going && !found().is_empty()) {
                return Ok(());
            }
            let report = args.run(seed)?;
            events.fetch_add(report.count, Ordering::Relaxed);
            if report.broken.is_some() {
                found().push((seed, report));
            }
        }
    };
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        // Two for each core: they wait for their databases' threads.
        let threads: Vec<_> = (0..2 * cores).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })?;
    Ok((broken.into_inner().unwrap_or_else(PoisonError::into_inner), events.into_inner()))
}

fn conclude(out: &mut impl io::Write, args: &Args, seed: u64, report: &Report) -> Result<ExitCode> {
    let Some(broken) = &report.broken else { return Ok(ExitCode::SUCCESS) };
    if !args.trace && !args.keep_going {
        report.events.iter().try_for_each(|event| writeln!(out, "{event}"))?;
    }
    writeln!(out, "\nseed {seed} breaks an invariant: {broken}")?;
    writeln!(out, "see it again: cargo run -p simulation -- {}--seed {seed} --trace", args.flag())?;
    Ok(ExitCode::FAILURE)
}
