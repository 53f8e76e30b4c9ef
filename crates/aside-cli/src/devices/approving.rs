//! `aside devices ask` and `aside devices approve`: two devices show six digits, and their user says whether they are the same.

use std::{
    future::poll_fn,
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    task::Poll,
    thread,
};

use anyhow::{Result, bail};
use aside_client::{
    Client, Code, Comparison, Device, DeviceId, Error, Event, Events, display::neutralise_line,
};
use serde_json::json;
use tokio::{signal::ctrl_c, sync::oneshot};

use crate::{
    output::{self, Style},
    session::SessionArgs,
};

/// Ask to be approved: run it on the new device, and `aside devices approve` on one that is approved; both show six digits
///
/// Say whether the digits are the same: yes, or no, or type the digits that the other device shows. They differ if somebody stands
/// between your devices. A script gives the answer, or the other's digits, on standard input.
#[derive(Debug, clap::Args)]
pub(super) struct Ask {
    #[command(flatten)]
    session: SessionArgs,
    /// Print JSON, a line for each step
    #[arg(long)]
    json: bool,
}

/// Let in a device that asks to be approved; both show six digits
///
/// Say whether the digits are the same: yes, or no, or type the digits that the other device shows. They differ if somebody stands
/// between your devices. A script gives the answer, or the other's digits, on standard input.
#[derive(Debug, clap::Args)]
pub(super) struct Approve {
    #[command(flatten)]
    session: SessionArgs,
    /// Wait for the device with this id or name, if others ask too
    device: Option<String>,
    /// Print JSON, a line for each step
    #[arg(long)]
    json: bool,
}

/// What a chat says when a device asks.
pub(crate) const ASKS: &str = "one of your devices asks to be approved: /devices approve shows which, and six digits to compare";

/// What the user says of the digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Same,
    Different,
}

/// Asks, and waits for a device that answers.
pub(super) async fn ask(args: &Ask) -> Result<()> {
    let (client, _) = args.session.connect(|_| {}).await?;
    let outcome = unless_interrupted(&client, ask_by(&client, args.json)).await;
    client.close().await;
    outcome
}

async fn ask_by(client: &Client, json: bool) -> Result<()> {
    let mut asked = client.ask_for_approval().await?;
    let reached = asked.reached();
    match json {
        true => output::line(json!({"event": "asked", "reached": reached}))?,
        false => output::note(waits(reached))?,
    }
    compare(asked.answered().await?, "this device", json).await
}

/// Goes on until it is done, or its user interrupts it: then the other device is told.
async fn unless_interrupted(client: &Client, work: impl Future<Output = Result<()>>) -> Result<()> {
    let mut interrupted = Box::pin(ctrl_c());
    // From here on an interrupt does not end the program, if it can be listened for.
    if !poll_fn(|cx| Poll::Ready(interrupted.as_mut().poll(cx).is_pending())).await {
        return work.await;
    }
    tokio::select! {
        done = work => return done,
        _ = interrupted => {}
    }
    // What was dropped has said so; once this is answered, it was sent.
    client.devices().await?;
    bail!("the approval was given up")
}

/// What to do meanwhile.
pub(crate) fn waits(reached: u32) -> &'static str {
    match reached {
        0 => "none of your approved devices is connected; on one of them: aside devices approve",
        _ => "asked your other devices; on one of them: aside devices approve, or /devices approve",
    }
}

/// Waits for a device that asks, and lets it in if its user says so.
pub(super) async fn approve(args: &Approve) -> Result<()> {
    let (client, mut events) = args.session.connect(|_| {}).await?;
    let outcome = unless_interrupted(&client, approve_by(&client, &mut events, args)).await;
    client.close().await;
    outcome
}

async fn approve_by(client: &Client, events: &mut Events, args: &Approve) -> Result<()> {
    client.look_for_asking_devices().await?;
    if !args.json {
        output::note("waiting for a device that asks; on the new one: aside devices ask")?;
    }
    let device = wanted(client, events, args.device.as_deref()).await?;
    match args.json {
        true => output::line(json!({
            "event": "asks",
            "device_id": device.id.to_string(),
            "name": device.name,
        }))?,
        false => output::note(asks(&device))?,
    }
    let comparison = client.approve(device.id).await?;
    compare(comparison, &neutralise_line(&device.name), args.json).await
}

/// Which device asks.
pub(crate) fn asks(device: &Device) -> String {
    let since = output::day_and_clock(device.created_ms);
    format!("{} asks to be approved (logged in since {since})", neutralise_line(&device.name))
}

/// The first device that asks, of those that are meant.
async fn wanted(client: &Client, events: &mut Events, named: Option<&str>) -> Result<Device> {
    let mut asking = client.asking_devices().await?;
    loop {
        for id in asking.drain(..) {
            let device = named_device(client, id).await?;
            let is_meant = |named| named == device.name || named == id.to_string();
            if named.is_none_or(is_meant) {
                return Ok(device);
            }
        }
        match events.next().await {
            Some(Event::DeviceAsks { device }) => asking.push(device),
            Some(Event::Ended(error)) => return Err(error.into()),
            Some(_) => {}
            None => return Err(Error::Gone.into()),
        }
    }
}

/// What the server says of a device.
pub(crate) async fn named_device(client: &Client, id: DeviceId) -> Result<Device> {
    let device = client.devices().await?.into_iter().find(|device| device.id == id);
    Ok(device.ok_or(Error::NobodyAsks)?)
}

/// Shows the digits, and does as the user says; `who` is which device is let in by it.
async fn compare(mut comparison: Comparison, who: &str, json: bool) -> Result<()> {
    let code = comparison.code();
    match json {
        true => output::line(json!({
            "event": "code",
            "code": digits(code),
            "device_id": comparison.other().to_string(),
        }))?,
        false => output::line(Style::of_stdout().bold(code))?,
    }
    let verdict = tokio::select! {
        verdict = verdict(code) => verdict,
        error = comparison.ended() => return Err(error.into()),
    };
    let verdict = match verdict {
        Ok(verdict) => verdict,
        Err(error) => {
            comparison.leave().await?;
            return Err(error);
        }
    };
    if verdict == Verdict::Different {
        comparison.reject().await?;
        return Err(Error::DigitsDiffer.into());
    }
    if !json {
        output::note("the same: say so on the other device, too")?;
    }
    let log = comparison.confirm().await?;
    match json {
        true => output::line(json!({"event": "approved", "position": log.head().position}))?,
        false => output::note(format!("{who} is approved"))?,
    }
    Ok(())
}

/// The digits without the space between.
pub(crate) fn digits(code: Code) -> String {
    format!("{:06}", code.number())
}

/// Asks until there is an answer. Nothing else waits for it: a thread of its own reads, and does not hold the program up when the
/// other device has ended the approval.
async fn verdict(code: Code) -> Result<Verdict> {
    let (said, verdict) = oneshot::channel();
    thread::spawn(move || {
        // Nobody waits any more, if the approval has ended.
        drop(said.send(read_verdict(code)));
    });
    verdict.await?
}

fn read_verdict(code: Code) -> Result<Verdict> {
    let is_asked = io::stdin().is_terminal();
    loop {
        if is_asked {
            write!(io::stderr(), "The same on the other device? yes, no, or its digits: ")?;
        }
        let mut line = String::new();
        if io::stdin().lock().read_line(&mut line)? == 0 {
            bail!("nobody said whether the digits are the same: the device is not approved");
        }
        match read(&line, code) {
            Some(verdict) => return Ok(verdict),
            None if is_asked => {}
            None => bail!("say yes or no, or the six digits that the other device shows"),
        }
    }
}

/// What a line says of the digits; none if nothing.
pub(crate) fn read(line: &str, code: Code) -> Option<Verdict> {
    let word = line.trim().to_lowercase();
    match &*word {
        "y" | "yes" | "same" => return Some(Verdict::Same),
        "n" | "no" | "differ" | "different" => return Some(Verdict::Different),
        _ => {}
    }
    let typed: String = word.chars().filter(|c| !c.is_whitespace()).collect();
    let is_code = typed.len() == 6 && typed.bytes().all(|byte| byte.is_ascii_digit());
    is_code.then(|| match typed == digits(code) {
        true => Verdict::Same,
        false => Verdict::Different,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_compared_and_words_are_understood() {
        let code = Code::new(42_317).unwrap();
        assert_eq!(digits(code), "042317");
        for same in ["yes\n", " Y", "same", "042317\n", "042 317"] {
            assert_eq!(read(same, code), Some(Verdict::Same), "{same}");
        }
        for different in ["no", "N\n", "differ", "042318"] {
            assert_eq!(read(different, code), Some(Verdict::Different), "{different}");
        }
        for nothing in ["", "42317", "maybe", "0423170"] {
            assert_eq!(read(nothing, code), None, "{nothing}");
        }
    }
}
