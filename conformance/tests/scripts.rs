//! Every script can be loaded, and the schema for editors is that of this program.

use std::{env, fs, path::Path};

const FOLDER: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn scripts_are_without_fault() {
    let faults = conformance::faults(&Path::new(FOLDER).join("scripts"));
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

/// `ASIDE_WRITE_SCHEMA=1` writes it anew.
#[test]
fn the_schema_is_up_to_date() {
    let file = Path::new(FOLDER).join("scripts.schema.json");
    let schema = conformance::schema();
    if env::var_os("ASIDE_WRITE_SCHEMA").is_some() {
        fs::write(&file, &schema).unwrap();
    }
    let committed = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        committed == schema,
        "write it anew: ASIDE_WRITE_SCHEMA=1 cargo test -p conformance --test scripts"
    );
}
