//! Runs the store's suite against SQLite: one named test for each case, each on a database of its own.

use aside_store::suite::{self, Lab, Run};
use libtest_mimic::{Arguments, Failed, Trial};

fn main() {
    let arguments = Arguments::from_args();
    let trials =
        suite::cases().into_iter().map(|(name, case)| Trial::test(name, move || run(case)));
    libtest_mimic::run(&arguments, trials.collect()).exit();
}

fn run(case: Run) -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let url = format!("sqlite://{}/aside.db", folder.path().display());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { case(Lab::new(url).await).await });
    Ok(())
}
