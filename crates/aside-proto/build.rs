//! Generates the messages of `proto/aside/v1` without needing protoc.

use std::{env, error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    println!("cargo::rerun-if-changed={}", root.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(root.join("aside/v1"))? {
        files.push(entry?.path());
    }
    files.sort();
    let descriptors = protox::compile(&files, [&root])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    // protox keeps comments in the set; prost-build turns them into documentation.
    fs::write(out.join("descriptors.bin"), prost::Message::encode_to_vec(&descriptors))?;
    prost_build::Config::new()
        .bytes(["."])
        .message_attribute(
            "aside.v1.Limits",
            r#"#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]"#,
        )
        .message_attribute(
            "aside.v1.Retention",
            r#"#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(deny_unknown_fields))]"#,
        )
        .compile_fds(descriptors)?;
    Ok(())
}
