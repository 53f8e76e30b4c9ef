//! What a target claims to be.

use std::{collections::BTreeMap, path::Path};

use serde::Deserialize;

/// A profile, as a TOML file says it: see README.md.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Profile {
    /// Capabilities that the target claims. It must advertise exactly these.
    pub capabilities: Vec<String>,
    /// Whether it offers WebSocket.
    pub websocket: bool,
    /// Whether those who start it can have it say something to everyone who is connected.
    pub notice: bool,
    /// Scripts that are known to fail, and why.
    pub known_failures: BTreeMap<String, String>,
    /// Scripts that can't be run against it, and why.
    pub untestable: BTreeMap<String, String>,
}

impl Default for Profile {
    /// What the reference server claims.
    fn default() -> Self {
        Self {
            capabilities: ["private", "sync", "talk"].map(str::to_owned).to_vec(),
            websocket: true,
            notice: true,
            known_failures: BTreeMap::new(),
            untestable: BTreeMap::new(),
        }
    }
}

impl Profile {
    /// Reads a profile.
    ///
    /// # Errors
    /// The file can't be read, or is not a profile.
    pub fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("{}: {error}", path.display()))?;
        toml::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))
    }
}
