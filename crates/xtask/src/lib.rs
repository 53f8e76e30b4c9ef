//! The project's own tools, run as `cargo xtask …`: what is generated, and the rules that are checked.
//!
//! - [`registry`]: the tables written from `spec/registry`, and their agreement with `proto/`.
//! - [`seed_corpus`]: the first inputs of the fuzz targets.
//! - [`spec_lint`]: requirements, and who would notice if they were broken.
//! - [`tidy`]: layers, sizes, clocks, licences.
//! - [`vectors`]: the test vectors, and the annotated session.

pub mod registry;
pub mod seed_corpus;
pub mod spec_lint;
pub mod tidy;
pub mod vectors;
pub mod workspace;
