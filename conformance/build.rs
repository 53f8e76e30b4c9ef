//! Puts the scripts and the specification into the library, so that the binary needs no files beside it.

use std::{env, error::Error, fmt::Write as _, fs, path::Path, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let mut code = String::new();
    embed(&mut code, "SCRIPTS", &root.join("scripts"), "yaml")?;
    embed(&mut code, "CHAPTERS", &root.join("../spec/src"), "md")?;
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("embedded.rs"), code)?;
    Ok(())
}

/// Writes a table of (path below `root`, text) of all files with an extension.
fn embed(
    code: &mut String,
    name: &str,
    root: &Path,
    extension: &str,
) -> Result<(), Box<dyn Error>> {
    let mut files = Vec::new();
    collect(root, extension, &mut files)?;
    files.sort();
    writeln!(code, "pub(crate) const {name}: &[(&str, &str)] = &[")?;
    for file in files {
        let below = file.strip_prefix(root)?.display().to_string();
        writeln!(code, "    ({below:?}, include_str!({:?})),", file.display().to_string())?;
    }
    writeln!(code, "];")?;
    Ok(())
}

fn collect(folder: &Path, extension: &str, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={}", folder.display());
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, extension, files)?;
        } else if path.extension().is_some_and(|e| e == extension) {
            files.push(path);
        }
    }
    Ok(())
}
