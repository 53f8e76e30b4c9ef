//! Every script of `scripts/` as a test of its own name, against the reference server, or against the one that
//! `ASIDE_TARGET` or `ASIDE_TARGET_CMD` names.

mod reference;

use std::{env, error::Error, path::PathBuf, process::ExitCode, time::Duration};

use conformance::{Options, Profile, Suite, config, harness, target::Target};
use libtest_mimic::Arguments;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let arguments = Arguments::from_args();
    let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    let path = |name: &str| variable(name).map(PathBuf::from);
    let target = match (variable("ASIDE_TARGET"), variable("ASIDE_TARGET_CMD")) {
        (Some(address), _) => {
            let (ca, sni) = (path("ASIDE_TARGET_CA"), variable("ASIDE_TARGET_SNI"));
            config::running(&address, ca.as_deref(), sni.as_deref())?
        }
        (None, Some(command)) => config::command(&command)?,
        (None, None) => Target::Launched(Box::new(reference::Reference)),
    };
    let profile = match path("ASIDE_PROFILE") {
        Some(file) => Profile::read(&file)?,
        None => Profile::default(),
    };
    let deadline = variable("ASIDE_DEADLINE_MS").map_or(Ok(5000), |ms| ms.parse())?;
    let suite = Suite::new(Options {
        target,
        profile,
        scripts: Some(PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts"))),
        deadline: Duration::from_millis(deadline),
        replay: replay(),
    })?;
    let runtime = tokio::runtime::Runtime::new()?;
    let records = harness::run(suite, &runtime, arguments, &[], path("ASIDE_REPORT"))?;
    let failed = records.iter().any(|record| record.outcome.is_bad());
    Ok(ExitCode::from(if failed { 101 } else { 0 }))
}

/// The line that runs one test again, against the same target.
fn replay() -> String {
    let variables = [
        "ASIDE_TARGET",
        "ASIDE_TARGET_CA",
        "ASIDE_TARGET_SNI",
        "ASIDE_TARGET_CMD",
        "ASIDE_PROFILE",
    ];
    let set = variables.iter().filter_map(|name| Some((name, env::var(name).ok()?)));
    let set: String = set.map(|(name, value)| format!("{name}='{value}' ")).collect();
    format!("{set}cargo test -p conformance --test conformance -- --exact {{}}")
}
