//! What becomes of scripts, and how a failure explains itself.

mod fixture;

use std::{fs, time::Duration};

use conformance::{Options, Outcome, Profile, Record, Suite, report, target::Target};
use fixture::Fixture;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// ServerFrame{error{code FRAME_EMPTY, message "no"}}, with its length.
const FRAME_EMPTY: [u8; 12] = [0, 0, 0, 8, 0x12, 6, 8, 1, 0x12, 2, b'n', b'o'];

/// A server that answers the first bytes with FRAME_EMPTY and closes, in order or bare; with one more frame before if told.
fn answering(orderly: bool, frames: Vec<u8>) -> Fixture {
    Fixture::new(move |mut stream| {
        let frames = frames.clone();
        async move {
            let _asked = stream.read(&mut [0; 64]).await?;
            stream.write_all(&frames).await?;
            stream.flush().await?;
            if orderly {
                stream.shutdown().await?;
                while stream.read(&mut [0; 64]).await? > 0 {}
            }
            Ok(())
        }
    })
}

async fn run(fixture: Fixture, profile: Profile, script: &str) -> (Record, String) {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("area")).expect("a folder in it");
    fs::write(folder.path().join("area/it.yaml"), format!("id: it\ntitle: It works\n{script}"))
        .expect("a file in that");
    let suite = Suite::new(Options {
        target: Target::Launched(Box::new(fixture)),
        profile,
        scripts: Some(folder.path().to_owned()),
        deadline: Duration::from_millis(500),
        replay: "again {}".to_owned(),
    })
    .expect("there is a script");
    let record = suite.run("area/it").await;
    let story = suite.story(&record);
    let reported = suite.finish().await;
    report::write(folder.path(), &reported).expect("reports can be written");
    (record, story)
}

async fn outcome(script: &str) -> Outcome {
    run(answering(true, FRAME_EMPTY.to_vec()), Profile::default(), script).await.0.outcome
}

const EMPTY_FRAME: &str = "bystander: none\nactors: {carl: {state: connected}}\nsteps:\n\
    \x20 - carl: {send_raw: $u32(0), expect_closed: FRAME_EMPTY, cites: [FRAME-002]}\n";

#[tokio::test]
async fn outcomes_are_told_apart() {
    let passing = "steps: [check: {that: 1, is: 1}]";
    let failing = "steps: [check: {that: 1, is: 2}]";
    assert_eq!(outcome(passing).await, Outcome::Pass);
    assert_eq!(outcome(failing).await, Outcome::Fail);
    assert_eq!(outcome("steps: []").await, Outcome::Fail, "no check");
    assert_eq!(outcome(&format!("xfail: known\n{failing}")).await, Outcome::KnownFailure);
    assert_eq!(outcome(&format!("xfail: known\n{passing}")).await, Outcome::UnexpectedPass);
    assert_eq!(outcome("steps: [check: {that: $hex(\"0\"), is: 1}]").await, Outcome::Error);
    assert_eq!(outcome("steps: [chekc: {}]").await, Outcome::Error, "can't be loaded");
    let profile = Profile {
        websocket: false,
        untestable: [("it".to_owned(), "no clock".to_owned())].into(),
        ..Profile::default()
    };
    let needy = format!("needs: [websocket]\n{passing}");
    let fixture = || answering(true, FRAME_EMPTY.to_vec());
    assert_eq!(run(fixture(), profile.clone(), &needy).await.0.outcome, Outcome::NotApplicable);
    assert_eq!(run(fixture(), profile, passing).await.0.outcome, Outcome::Untestable);
}

#[tokio::test]
async fn a_bare_close_never_passes() {
    let whole = FRAME_EMPTY.to_vec();
    let (record, _) = run(answering(true, whole.clone()), Profile::default(), EMPTY_FRAME).await;
    assert_eq!((record.outcome, record.checks), (Outcome::Pass, 1), "{}", record.reason);
    assert_eq!(record.passed, ["FRAME-002"]);
    let (bare, _) = run(answering(false, whole.clone()), Profile::default(), EMPTY_FRAME).await;
    assert_eq!((bare.outcome, &*bare.broken), (Outcome::Fail, &["CLOSE-001".to_owned()][..]));
    let (silent, _) = run(answering(true, Vec::new()), Profile::default(), EMPTY_FRAME).await;
    assert_eq!((silent.outcome, &*silent.broken), (Outcome::Fail, &["FRAME-002".to_owned()][..]));
    let (more, _) =
        run(answering(true, [whole.clone(), whole].concat()), Profile::default(), EMPTY_FRAME)
            .await;
    assert_eq!((more.outcome, &*more.broken), (Outcome::Fail, &["ERR-003".to_owned()][..]));
}

#[tokio::test]
async fn a_failure_explains_itself() {
    let script = EMPTY_FRAME.replace("FRAME_EMPTY", "FRAME_MALFORMED");
    let (record, story) =
        run(answering(true, FRAME_EMPTY.to_vec()), Profile::default(), &script).await;
    assert_eq!(record.outcome, Outcome::Fail);
    for part in [
        "FAIL area/it: It works",
        "[FRAME-002] A server MUST refuse a frame of length 0 with FRAME_EMPTY.",
        "conformance/scripts/area/it.yaml:6",
        "permitted:  an Error frame (FRAME_MALFORMED), then an orderly close",
        "came:       FRAME_EMPTY (1), then close_notify",
        "last frames of carl:",
        "→ raw: 00000000",
        "← {error: {code: FRAME_EMPTY, message: \"no\"}}",
        "again: again area/it",
    ] {
        assert!(story.contains(part), "no {part:?} in\n{story}");
    }
}

#[tokio::test]
async fn passwords_are_never_shown() {
    let script = "actors: {carl: {state: connected}}\nbystander: none\nsteps:\n  - carl: {send: {password_login: \
                  {handle: h, password: geheim}}, expect: {pong: {}}}\n";
    let (record, story) =
        run(answering(true, FRAME_EMPTY.to_vec()), Profile::default(), script).await;
    assert_eq!(record.outcome, Outcome::Fail);
    assert!(story.contains("password: (redacted)") && !story.contains("geheim"), "{story}");
}
