//! Seals 10,000 buffers of 1 KiB with AES-256-GCM and says how much processor time it took; fails above 0.1 s.
#![allow(clippy::print_stdout, reason = "what a command line program says")]

use std::{
    fs,
    hint::black_box,
    process::ExitCode,
    time::{Duration, Instant},
};

use benches::Sealer;

const MESSAGES: u32 = 10_000;
const BYTES: usize = 1024;
const LIMIT: Duration = Duration::from_millis(100);

fn main() -> ExitCode {
    let mut sealer = Sealer::new(&[7; 32]);
    let mut buffer = [0; BYTES];
    let (cpu, wall) = (processor_time(), Instant::now());
    for _ in 0..MESSAGES {
        black_box(sealer.seal(black_box(&mut buffer)));
    }
    let (kind, took) = match (cpu, processor_time()) {
        (Some(before), Some(after)) => ("processor", after - before),
        _ => ("wall clock", wall.elapsed()),
    };
    println!(
        "{MESSAGES} x AES-256-GCM of {BYTES} bytes: {took:?} of {kind} time, {:?} each",
        took / MESSAGES
    );
    if took < LIMIT { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What the scheduler has given this thread so far; Linux alone says so in nanoseconds.
fn processor_time() -> Option<Duration> {
    let text = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split(' ').next()?.parse().ok().map(Duration::from_nanos)
}
