//! The test vectors in `spec/vectors`, and the chapters "A session, byte by byte" and "A device log, byte by byte", which are
//! written from some of them.
//!
//! Every key, nonce and time is fixed, so that the files come out the same, byte for byte, on every machine. Expected results of
//! negative vectors are stated here by hand; `tests/vectors` holds the implementation to the files, and
//! `spec/vectors/check.py` recomputes them without a line of this code.
//!
//! `RECORDED` alone is not made here: MLS draws its randomness from the system. A test that is run by hand records it, and here it
//! is only brought into the form of the others.

mod approval;
mod certificates;
mod chain;
mod content;
mod device_limits;
mod devices;
mod directs;
mod ecdsa;
mod file;
mod frames;
mod franking;
mod heads;
mod idempotency;
mod identity_chapter;
mod keys;
mod labels;
mod login;
mod material;
mod messages;
mod mls;
mod names;
mod recovery;
mod redaction;
mod rooms;
mod safety;
mod session;

use std::{fs, path::Path};

use anyhow::{Result, bail};

use crate::workspace::{self, Generated};

/// What `tests/vectors/private_conversation` records.
const RECORDED: &str = "private_conversation";

/// Writes the vectors and the chapters, or with `check` only compares them.
///
/// # Errors
/// If a file can't be written, or with `check` differs: the file and its first difference are named.
pub fn run(check: bool) -> Result<()> {
    let root = workspace::root();
    let files = generate()
        .into_iter()
        .chain([recorded(&root)?])
        .map(|(path, content)| Generated::new(&root, &path, content))
        .collect::<Vec<_>>();
    if check {
        return files.iter().try_for_each(compare);
    }
    fs::create_dir_all(root.join("spec/vectors"))?;
    files.iter().try_for_each(Generated::write)
}

/// Path and content of every file.
fn generate() -> Vec<(String, String)> {
    let session = session::Session::play();
    let files = [
        labels::file(),
        keys::file(),
        ecdsa::file(),
        login::file(),
        messages::file(),
        content::file(),
        rooms::file(),
        chain::file(),
        redaction::file(),
        heads::file(),
        frames::file(),
        names::file(),
        idempotency::file(),
        recovery::file(),
        certificates::file(),
        devices::file(),
        device_limits::file(),
        safety::file(),
        approval::file(),
        franking::file(),
        directs::file(),
        mls::file(),
        session.file(),
    ];
    let mut generated: Vec<_> = files.iter().map(|f| (f.path(), f.render())).collect();
    generated.push(("spec/src/session.md".into(), session.chapter()));
    generated.push(("spec/src/identity-example.md".into(), identity_chapter::write()));
    generated
}

/// Path and content of the file that is recorded.
fn recorded(root: &Path) -> Result<(String, String)> {
    let path = root.join(format!("spec/vectors/{RECORDED}.json"));
    let file = file::File::parse(RECORDED, &workspace::read(&path)?)?;
    Ok((file.path(), file.render()))
}

fn compare(file: &Generated) -> Result<()> {
    let shown = workspace::shown(&workspace::root(), &file.path);
    let present = workspace::read(&file.path)?;
    if let Some(difference) = first_difference(&present, &file.content) {
        bail!("{shown} is not up to date, run `cargo xtask vectors`: {difference}");
    }
    Ok(())
}

/// The first line in which two texts differ.
fn first_difference(present: &str, expected: &str) -> Option<String> {
    if present == expected {
        return None;
    }
    let (mut have, mut want) = (present.split('\n'), expected.split('\n'));
    for number in 1.. {
        match (have.next(), want.next()) {
            (None, None) => break,
            (a, b) if a == b => {}
            (a, b) => {
                let show =
                    |line: Option<&str>| line.map_or("end of file".into(), |l| format!("`{l}`"));
                return Some(format!("line {number} is {}, not {}", show(a), show(b)));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_named() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(first_difference("a\nb\n", "a\nc\n").as_deref(), Some("line 2 is `b`, not `c`"));
        assert_eq!(first_difference("a", "a\n").as_deref(), Some("line 2 is end of file, not ``"));
    }

    #[test]
    fn generation_is_deterministic_and_ascii() {
        let files = generate();
        assert_eq!(files, generate());
        for (path, content) in files.iter().filter(|(path, _)| path.ends_with(".json")) {
            assert!(content.is_ascii(), "{path}");
        }
    }
}
