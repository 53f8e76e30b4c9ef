//! Many clients at once: made a few at a time, so that making them is no load of its own.

use std::future::Future;

use anyhow::Result;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use indicatif::ProgressBar;
use tokio::task::JoinSet;

use crate::{
    Stage,
    account::Account,
    check::Tally,
    member::{Away, Member},
    report::{Latencies, Report, Spent},
    target::Door,
};

/// Registrations and log-ins under way at once.
const CONCURRENT: usize = 32;

/// Runs them all, some at a time, and returns their results in order.
pub(crate) async fn each<T, F: Future<Output = Result<T>>>(
    bar: &ProgressBar,
    what: &str,
    all: impl ExactSizeIterator<Item = F>,
) -> Result<Vec<T>> {
    bar.reset();
    bar.set_length(all.len() as u64);
    bar.set_message(what.to_owned());
    stream::iter(all).buffered(CONCURRENT).inspect(|_| bar.inc(1)).try_collect().await
}

/// Runs them all at once, each as a task of its own, and returns their results as they end.
pub(crate) async fn at_once<T: Send + 'static>(
    bar: &ProgressBar,
    what: &str,
    all: impl ExactSizeIterator<Item = impl Future<Output = Result<T>> + Send + 'static>,
) -> Result<Vec<T>> {
    bar.reset();
    bar.set_length(all.len() as u64);
    bar.set_message(what.to_owned());
    let mut tasks: JoinSet<_> = all.collect();
    let mut results = Vec::with_capacity(tasks.len());
    while let Some(done) = tasks.join_next().await {
        results.push(done??);
        bar.inc(1);
    }
    Ok(results)
}

/// What talks between two have to say: each pair's tally has what both of the two saw.
pub(crate) fn report_talks(
    report: &mut Report,
    tallies: Vec<Tally>,
    spent: Spent,
    (arrivals, acks): (&Latencies, &Latencies),
) {
    let messages = arrivals.len() as f64;
    report.set("messages", arrivals.len());
    report.ratio("messages_a_second", messages, spent.seconds);
    report.ratio("server_cpu_us_a_message", spent.cpu_seconds * 1e6, messages);
    let mut tally = Tally::default();
    tallies.into_iter().for_each(|seen| tally.add(seen));
    report.tally(tally);
    report.latencies("", arrivals);
    report.latencies("ack_", acks);
}

/// So many rooms of two.
pub(crate) async fn pairs(stage: &Stage, count: usize) -> Result<Vec<(Member, Member)>> {
    let door = &stage.target.door;
    each(&stage.bar, "pairs", (0..count).map(|n| pair(door, format!("pair{n}")))).await
}

/// A room of two.
pub(crate) async fn pair(door: &Door, name: String) -> Result<(Member, Member)> {
    let (alice, mut speaking) = Account::register(door, &format!("{name}a")).await?;
    let (bob, mut listening) = Account::register(door, &format!("{name}b")).await?;
    let room = speaking.create_room(&name).await?;
    let joined = listening.join(room.id).await?;
    Ok((Member::new(alice, speaking, room), Member::new(bob, listening, joined)))
}

/// A room of one speaker and so many others, who are away: or else each would be told of each that joins after it.
pub(crate) async fn gathering(stage: &Stage, others: usize) -> Result<(Member, Vec<Away>)> {
    let door = &stage.target.door;
    let (owner, mut speaking) = Account::register(door, "owner").await?;
    let room = speaking.create_room("gathering").await?;
    let joining = (0..others).map(|n| async move {
        let (account, mut peer) = Account::register(door, &format!("member{n}")).await?;
        let room = peer.join(room.id).await?;
        Ok(Away { account, room })
    });
    let mut away = each(&stage.bar, "members", joining).await?;
    // What was before the last of them joined is of no interest to any.
    let head = away.iter().map(|member| member.room.head).max().unwrap_or(room.head);
    away.iter_mut().for_each(|member| member.room.head = head);
    Ok((Member::new(owner, speaking, room), away))
}

/// A member for each, logged in.
pub(crate) async fn back(stage: &Stage, away: Vec<Away>) -> Result<Vec<Member>> {
    let door = &stage.target.door;
    each(&stage.bar, "log-ins", away.into_iter().map(|member| member.log_in(door))).await
}
