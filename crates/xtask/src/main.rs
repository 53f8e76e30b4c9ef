//! `cargo xtask`: see `--help`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "what a command line program says")]

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use xtask::{registry, seed_corpus, spec_lint, tidy, vectors};

/// The tools of the Aside repository.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Writes what comes from spec/registry: error.proto, two tables in aside-proto, two in the spec, and published.toml.
    Registry {
        /// Compares instead, holds proto/ to the registry, and both to what was published.
        #[arg(long)]
        check: bool,
    },
    /// Writes the files `seed-*` of fuzz/corpus, from spec/vectors and conformance/scripts.
    SeedCorpus {
        /// Compares instead.
        #[arg(long)]
        check: bool,
    },
    /// Holds every requirement to its form and to being cited, and writes spec/src/coverage.md.
    SpecLint {
        /// Compares coverage.md instead of writing it.
        #[arg(long)]
        check: bool,
    },
    /// Checks layers, manifests, the length of files, clocks and licences.
    Tidy,
    /// Writes spec/vectors/*.json, and spec/src/session.md from one of them.
    Vectors {
        /// Compares instead, byte for byte, and names the first difference.
        #[arg(long)]
        check: bool,
    },
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    match task {
        Task::Registry { check } => {
            for finding in registry::run(check)? {
                println!("still to do in proto/: {finding}");
            }
            Ok(())
        }
        Task::SeedCorpus { check } => seed_corpus::run(check),
        Task::SpecLint { check } => spec_lint::run(check),
        Task::Tidy => tidy::run(),
        Task::Vectors { check } => vectors::run(check),
    }
}
