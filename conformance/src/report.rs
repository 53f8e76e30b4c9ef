//! Reports for machines: `report.json` and `junit.xml`.

use std::{fs, io, path::Path};

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use serde_json::json;

use crate::outcome::{Outcome, Record};

/// Writes both into a folder, which is made if need be.
///
/// # Errors
/// A file can't be written.
pub fn write(folder: &Path, records: &[Record]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let counts = serde_json::Map::from_iter(ALL.map(|outcome| {
        let count = records.iter().filter(|record| record.outcome == outcome).count();
        (outcome.name().to_owned(), json!(count))
    }));
    let report = json!({ "outcomes": counts, "scripts": records });
    fs::write(folder.join("report.json"), serde_json::to_vec_pretty(&report)?)?;
    let junit = junit(records).to_string().map_err(io::Error::other)?;
    fs::write(folder.join("junit.xml"), junit)
}

const ALL: [Outcome; 7] = [
    Outcome::Pass,
    Outcome::Fail,
    Outcome::KnownFailure,
    Outcome::UnexpectedPass,
    Outcome::NotApplicable,
    Outcome::Untestable,
    Outcome::Error,
];

/// One suite for each area.
fn junit(records: &[Record]) -> Report {
    let mut report = Report::new("aside-conformance");
    let area = |record: &Record| record.name.split('/').next().unwrap_or_default().to_owned();
    let mut areas: Vec<_> = records.iter().map(area).collect();
    areas.dedup();
    for name in areas {
        let mut suite = TestSuite::new(name.clone());
        for record in records.iter().filter(|record| area(record) == name) {
            let mut status = match record.outcome {
                Outcome::Pass => TestCaseStatus::success(),
                Outcome::Fail | Outcome::UnexpectedPass => {
                    TestCaseStatus::non_success(NonSuccessKind::Failure)
                }
                Outcome::Error => TestCaseStatus::non_success(NonSuccessKind::Error),
                Outcome::KnownFailure | Outcome::NotApplicable | Outcome::Untestable => {
                    TestCaseStatus::skipped()
                }
            };
            if !record.reason.is_empty() {
                status.set_message(format!("{}: {}", record.outcome.name(), record.reason));
            }
            let mut case = TestCase::new(record.name.clone(), status);
            case.set_classname(name.clone()).set_time(record.took).set_assertions(record.checks);
            suite.add_test_case(case);
        }
        report.add_test_suite(suite);
    }
    report
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn reports_say_what_became_of_each_script() {
        let record = |name: &str, outcome, reason: &str| Record {
            name: name.into(),
            title: "t".into(),
            outcome,
            reason: reason.into(),
            cites: vec!["FRAME-001".into()],
            passed: vec![],
            broken: vec![],
            checks: 3,
            by_deadline: false,
            took: Duration::from_millis(5),
            transcripts: vec![],
        };
        let records = [
            record("frame/a", Outcome::Pass, ""),
            record("frame/b", Outcome::Fail, "permitted <x>"),
            record("room/c", Outcome::NotApplicable, "needs media"),
        ];
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &records).unwrap();
        let text = fs::read_to_string(folder.path().join("junit.xml")).unwrap();
        assert!(text.contains("tests=\"3\"") && text.contains("failures=\"1\""), "{text}");
        assert!(text.contains("permitted &lt;x&gt;"), "{text}");
        let report: serde_json::Value =
            serde_json::from_slice(&fs::read(folder.path().join("report.json")).unwrap()).unwrap();
        assert_eq!(report["outcomes"]["N/A"], 1);
        assert_eq!(report["scripts"][1]["outcome"], "FAIL");
    }
}
