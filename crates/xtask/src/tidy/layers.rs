//! Which crate may depend on which.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// A rule for one crate of ours.
#[derive(Debug)]
struct Layer {
    name: &'static str,
    /// Our crates it may depend on.
    may: &'static [&'static str],
    /// Our crates it may use in its tests besides.
    tests_may: &'static [&'static str],
    /// Crates it must not reach, itself or through others.
    never: &'static [&'static str],
}

/// What a crate that builds for a browser must not reach: runtimes, sockets, databases, C. But for aws-lc-sys, which is there by
/// features `awslc`, and only by them: .ci/run builds these crates without.
const PURE: &[&str] =
    &["tokio", "mio", "socket2", "sqlx", "rustls", "ring", "openssl-sys", "libsqlite3-sys"];

/// The table of ARCHITECTURE.md. A crate that is not in it is refused.
const LAYERS: &[Layer] = &[
    Layer {
        name: "aside-proto",
        may: &[],
        tests_may: &[],
        never: &[
            "tokio",
            "mio",
            "socket2",
            "sqlx",
            "rustls",
            "aws-lc-sys",
            "ring",
            "openssl-sys",
            "libsqlite3-sys",
            "p256",
            "sha2",
        ],
    },
    Layer { name: "aside-crypto", may: &["aside-proto"], tests_may: &[], never: PURE },
    Layer { name: "aside-mls", may: &["aside-proto", "aside-crypto"], tests_may: &[], never: PURE },
    Layer {
        name: "aside-session",
        may: &["aside-proto", "aside-crypto"],
        tests_may: &[],
        never: PURE,
    },
    Layer {
        name: "aside-store",
        may: &["aside-proto", "aside-crypto"],
        tests_may: &[],
        never: &["rustls", "openssl-sys"],
    },
    Layer {
        name: "aside-server",
        may: &["aside-proto", "aside-crypto", "aside-session", "aside-store"],
        tests_may: &["aside-client"],
        never: &["openssl-sys"],
    },
    Layer {
        name: "aside-client",
        may: &["aside-proto", "aside-crypto", "aside-mls", "aside-session"],
        tests_may: &["aside-server"],
        never: &["openssl-sys"],
    },
    Layer {
        name: "aside-cli",
        may: &["aside-proto", "aside-crypto", "aside-client", "aside-server"],
        tests_may: &[],
        never: &["openssl-sys"],
    },
    Layer {
        name: "conformance",
        may: &["aside-proto", "aside-crypto", "aside-mls"],
        tests_may: &["aside-server", "aside-client"],
        never: &["aside-session", "aside-store", "openssl-sys"],
    },
    Layer {
        name: "benches",
        may: &["aside-proto", "aside-crypto", "aside-store", "aside-client"],
        tests_may: &["aside-mls"],
        never: &["openssl-sys"],
    },
    Layer {
        name: "interop",
        may: &[],
        tests_may: &["aside-mls", "aside-proto"],
        never: &["openssl-sys"],
    },
    Layer {
        name: "simulation",
        may: &[
            "aside-proto",
            "aside-crypto",
            "aside-mls",
            "aside-session",
            "aside-store",
            "aside-server",
            "aside-client",
        ],
        tests_may: &[],
        never: &["openssl-sys"],
    },
    Layer {
        name: "xtask",
        may: &["aside-proto", "aside-crypto"],
        tests_may: &["aside-session", "aside-mls"],
        never: &["tokio", "sqlx", "openssl-sys"],
    },
];

/// Crates that hold SQL: the server's database, and the client's own store. The demo's evil operator writes into the first by hand.
const SQL: [&str; 2] = ["aside-store", "aside-client"];
const EVIL_SQL: &str = "aside-cli";

/// What `cargo metadata` says, as far as it is used.
#[derive(Debug, Deserialize)]
pub(super) struct Metadata {
    packages: Vec<Package>,
    workspace_members: BTreeSet<String>,
    resolve: Resolve,
}

/// One package.
#[derive(Debug, Deserialize)]
pub(super) struct Package {
    id: String,
    pub(super) name: String,
    pub(super) license: Option<String>,
    pub(super) manifest_path: PathBuf,
    dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    deps: Vec<NodeDependency>,
}

#[derive(Debug, Deserialize)]
struct NodeDependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Debug, Deserialize)]
struct DependencyKind {
    kind: Option<String>,
}

impl Metadata {
    /// Asks cargo.
    ///
    /// # Errors
    /// If cargo fails, or says what is not understood.
    pub(super) fn load(root: &Path) -> Result<Self> {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
        let output = Command::new(cargo)
            .args(["metadata", "--format-version", "1", "--locked"])
            .current_dir(root)
            .output()
            .context("starting cargo metadata")?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "cargo metadata failed: {complaint}");
        serde_json::from_slice(&output.stdout).context("reading cargo metadata")
    }

    /// The packages of the workspace.
    pub(super) fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| self.workspace_members.contains(&package.id))
    }

    /// The names of all packages that are built into this one.
    fn reached(&self, package: &Package) -> BTreeSet<&str> {
        let nodes: BTreeMap<_, _> = self.resolve.nodes.iter().map(|n| (&n.id, &n.deps)).collect();
        let names: BTreeMap<_, _> =
            self.packages.iter().map(|p| (&p.id, p.name.as_str())).collect();
        let (mut seen, mut open) = (BTreeSet::new(), vec![&package.id]);
        while let Some(id) = open.pop() {
            let normal = nodes
                .get(id)
                .into_iter()
                .flat_map(|deps| deps.iter())
                .filter(|dep| dep.dep_kinds.iter().any(|kind| kind.kind.is_none()));
            open.extend(normal.map(|dep| &dep.pkg).filter(|pkg| seen.insert(*pkg)));
        }
        seen.into_iter().filter_map(|id| names.get(id).copied()).collect()
    }
}

/// Holds every member to its layer.
pub(super) fn check(metadata: &Metadata) -> Vec<String> {
    let ours: BTreeSet<_> = metadata.members().map(|package| package.name.as_str()).collect();
    let mut findings = Vec::new();
    for package in metadata.members() {
        let name = &package.name;
        let Some(layer) = LAYERS.iter().find(|layer| layer.name == name) else {
            findings.push(format!("{name} has no place in the table of layers"));
            continue;
        };
        for dependency in &package.dependencies {
            let in_tests = dependency.kind.as_deref() == Some("dev");
            let wanted = dependency.name.as_str();
            // A crate may depend on itself in tests, to turn a feature on.
            let allowed = layer.may.contains(&wanted)
                || (in_tests && (layer.tests_may.contains(&wanted) || wanted == name));
            if ours.contains(wanted) && !allowed {
                findings.push(format!("{name} must not depend on {wanted}"));
            }
            let holds_sql = SQL.contains(&name.as_str()) || name == EVIL_SQL;
            if wanted == "sqlx" && !in_tests && !holds_sql {
                findings.push(format!("{name} must leave SQL to {}", SQL.join(" and ")));
            }
        }
        let reached = metadata.reached(package);
        let forbidden = layer.never.iter().filter(|never| reached.contains(**never));
        findings.extend(forbidden.map(|never| format!("{name} must not reach {never}")));
    }
    findings
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A workspace of `name` with direct dependencies (name, kind), each a package with no dependencies of its own.
    fn workspace(name: &str, dependencies: &[(&str, Option<&str>)]) -> Metadata {
        let package = |name: &str, dependencies: Vec<Value>| json!({"id": name, "name": name, "manifest_path": "", "dependencies": dependencies});
        let mut packages = vec![package(
            name,
            dependencies.iter().map(|(name, kind)| json!({"name": name, "kind": kind})).collect(),
        )];
        packages.extend(dependencies.iter().map(|(name, _)| package(name, vec![])));
        let deps: Vec<_> = dependencies
            .iter()
            .map(|(name, kind)| json!({"pkg": name, "dep_kinds": [{"kind": kind}]}))
            .collect();
        let members: Vec<_> = [name]
            .into_iter()
            .chain(dependencies.iter().map(|d| d.0).filter(|d| d.starts_with("aside")))
            .collect();
        serde_json::from_value(json!({
            "packages": packages,
            "workspace_members": members,
            "resolve": {"nodes": [{"id": name, "deps": deps}]},
        }))
        .unwrap()
    }

    #[test]
    fn a_dependency_across_layers_is_found() {
        for (name, dependency, kind, findings) in [
            ("aside-session", "aside-crypto", None, &[][..]),
            ("aside-session", "tokio", None, &["aside-session must not reach tokio"]),
            ("aside-session", "tokio", Some("dev"), &[]),
            (
                "aside-crypto",
                "aside-session",
                None,
                &["aside-crypto must not depend on aside-session"],
            ),
            ("conformance", "aside-server", Some("dev"), &[]),
            (
                "conformance",
                "aside-session",
                None,
                &[
                    "conformance must not depend on aside-session",
                    "conformance must not reach aside-session",
                ],
            ),
            (
                "aside-server",
                "sqlx",
                None,
                &["aside-server must leave SQL to aside-store and aside-client"],
            ),
            ("aside-new", "bytes", None, &["aside-new has no place in the table of layers"]),
        ] {
            assert_eq!(
                check(&workspace(name, &[(dependency, kind)])),
                findings,
                "{name}: {dependency}"
            );
        }
    }
}
