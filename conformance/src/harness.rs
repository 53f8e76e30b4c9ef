//! Runs a suite as named tests, with the filters and options of `cargo test`.

use std::{path::PathBuf, sync::Arc};

use libtest_mimic::{Arguments, Completion, Failed, Trial};
use tokio::runtime::Runtime;

use crate::{
    outcome::{Outcome, Record},
    report,
    suite::Suite,
};

/// Tests that run at the same time unless the arguments say otherwise. They wait more than they compute.
const TEST_THREADS: usize = 4;

/// Runs the tests that the arguments and the filters choose (all, if there are no filters; else those whose name contains
/// one of them), then stops the servers and writes the reports into `folder`, if there is one. What became of each is
/// given back.
pub fn run(
    suite: Suite,
    runtime: &Runtime,
    mut arguments: Arguments,
    filters: &[String],
    folder: Option<PathBuf>,
) -> std::io::Result<Vec<Record>> {
    arguments.test_threads.get_or_insert(TEST_THREADS);
    let suite = Arc::new(suite);
    let chosen =
        |name: &&str| filters.is_empty() || filters.iter().any(|filter| name.contains(filter));
    let trials = suite.names().filter(chosen).map(|name| trial(&suite, runtime, name)).collect();
    // What came of it is in the records, in more detail.
    let _ = libtest_mimic::run(&arguments, trials);
    let records = runtime.block_on(suite.finish());
    if let Some(folder) = folder {
        report::write(&folder, &records)?;
    }
    Ok(records)
}

fn trial(suite: &Arc<Suite>, runtime: &Runtime, name: &str) -> Trial {
    let (suite, handle, test) = (Arc::clone(suite), runtime.handle().clone(), name.to_owned());
    Trial::ignorable_test(name, move || {
        let record = handle.block_on(suite.run(&test));
        match record.outcome {
            Outcome::Pass => Ok(Completion::Completed),
            Outcome::KnownFailure | Outcome::NotApplicable | Outcome::Untestable => {
                let first = record.reason.lines().next().unwrap_or_default();
                Ok(Completion::ignored_with(format!("{}: {first}", record.outcome.name())))
            }
            Outcome::Fail | Outcome::UnexpectedPass | Outcome::Error => {
                Err(Failed::from(suite.story(&record)))
            }
        }
    })
}
