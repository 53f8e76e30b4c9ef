//! Where things are, and files that are written from others.

use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

/// The root of the workspace.
#[must_use]
pub fn root() -> PathBuf {
    // Cargo sets the variable when it runs the program, so that a binary built elsewhere still finds this checkout.
    let manifest =
        env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").into());
    PathBuf::from(manifest).join("../..").components().collect()
}

/// Reads a file of the workspace.
///
/// # Errors
/// If it can't be read as UTF-8; the path is named.
pub fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

/// Every file below a folder whose name ends in `.extension`, or has no extension if that is empty, in order of path. A folder
/// that is not there has none.
///
/// # Errors
/// If a folder can't be listed.
pub fn files_below(folder: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    if !folder.exists() {
        return Ok(found);
    }
    for entry in fs::read_dir(folder).with_context(|| format!("listing {}", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            if !path.ends_with("target") {
                found.extend(files_below(&path, extension)?);
            }
        } else if path.extension().unwrap_or_default() == extension {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// A path as it is named in messages: below the root, with `/`.
#[must_use]
pub fn shown(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).to_string_lossy().replace('\\', "/")
}

/// A file that this program writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generated {
    /// Where it is.
    pub path: PathBuf,
    /// The whole of it.
    pub content: String,
}

impl Generated {
    /// A generated file at `path`, below `root`.
    #[must_use]
    pub fn new(root: &Path, path: &str, content: String) -> Self {
        Self { path: root.join(path), content }
    }

    /// Writes the file, unless it holds just that.
    ///
    /// # Errors
    /// If it can't be written.
    pub fn write(&self) -> Result<()> {
        if self.is_current() {
            return Ok(());
        }
        fs::write(&self.path, &self.content)
            .with_context(|| format!("writing {}", self.path.display()))
    }

    /// Whether the file holds, byte for byte, what would be written.
    #[must_use]
    pub fn is_current(&self) -> bool {
        fs::read(&self.path).is_ok_and(|bytes| bytes == self.content.as_bytes())
    }
}

/// Writes the files, or with `check` only compares them.
///
/// # Errors
/// If one can't be written, or with `check` differs; `command` is what mends it.
pub fn write_or_check(files: &[Generated], check: bool, command: &str) -> Result<()> {
    if !check {
        return files.iter().try_for_each(Generated::write);
    }
    let root = root();
    let stale: Vec<_> =
        files.iter().filter(|f| !f.is_current()).map(|f| shown(&root, &f.path)).collect();
    ensure!(stale.is_empty(), "not up to date, run `{command}`: {}", stale.join(", "));
    Ok(())
}

/// Puts `content` between the lines `<!-- table: NAME -->` and `<!-- end table -->` of a text.
///
/// # Errors
/// If the text has no such lines.
pub fn with_table(text: &str, name: &str, content: &str) -> Result<String> {
    let (begin, end) = (format!("<!-- table: {name} -->\n"), "<!-- end table -->");
    let (head, rest) = text.split_once(&begin).with_context(|| format!("no table {name}"))?;
    let (_, tail) = rest.split_once(end).with_context(|| format!("table {name} has no end"))?;
    Ok(format!("{head}{begin}\n{content}\n{end}{tail}"))
}

/// Formats Rust source as `cargo fmt` would.
///
/// # Errors
/// If rustfmt is not installed or refuses the source.
pub fn rustfmt(root: &Path, source: &str) -> Result<String> {
    let mut child = Command::new("rustfmt")
        .args(["--edition", "2024", "--config-path"])
        .arg(root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting rustfmt")?;
    child.stdin.take().context("rustfmt has no stdin")?.write_all(source.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("rustfmt refused generated source");
    }
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_replaced_and_nothing_else() {
        let text = "a\n<!-- table: x -->\nold\n<!-- end table -->\nb\n";
        let once = with_table(text, "x", "new\n").unwrap();
        assert_eq!(once, "a\n<!-- table: x -->\n\nnew\n\n<!-- end table -->\nb\n");
        assert_eq!(with_table(&once, "x", "new\n").unwrap(), once);
        assert!(with_table(text, "y", "").is_err());
    }
}
