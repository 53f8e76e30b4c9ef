//! `spec/registry/published.toml`: what must keep its meaning for ever (EXT-004).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use anyhow::{Context, Result};
use serde::Deserialize;

use super::schema::Schema;

/// Numbers and ids that were published, with what they mean.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Published {
    requirements: BTreeSet<String>,
    /// Requirements that the spec no longer makes; their ids are never used again.
    withdrawn: BTreeSet<String>,
    /// By message or enum, and number.
    numbers: BTreeMap<String, BTreeMap<String, String>>,
}

impl Published {
    /// Reads the list.
    ///
    /// # Errors
    /// If it is not of its form.
    pub(super) fn parse(text: &str) -> Result<Self> {
        toml::from_str(text).context("spec/registry/published.toml")
    }

    /// What the schema or the spec gives another meaning, or has lost.
    pub(super) fn broken_by(&self, schema: &Schema, ids: &BTreeSet<String>) -> Vec<String> {
        let meanings = schema.meanings();
        let mut broken = Vec::new();
        for (owner, number, meaning) in self.numbers() {
            match meanings.get(owner).and_then(|numbers| numbers.get(&number)) {
                Some(present) if present == meaning => {}
                Some(present) => {
                    broken.push(format!("{owner} {number} was {meaning:?}, is {present:?}"));
                }
                None if schema.is_reserved(owner, number) => {}
                None => {
                    broken.push(format!("{owner} {number}, {meaning:?}, is gone and not reserved"))
                }
            }
        }
        let lost = self.requirements.difference(ids);
        broken.extend(lost.map(|id| format!("{id} is gone; move it to `withdrawn`")));
        let reused = self.withdrawn.intersection(ids);
        broken.extend(reused.map(|id| format!("{id} was withdrawn and is used again")));
        broken
    }

    /// The list with what is new.
    pub(super) fn extended_by(&self, schema: &Schema, ids: &BTreeSet<String>) -> Self {
        let mut extended = self.clone();
        extended.requirements.extend(ids.iter().cloned());
        for (owner, numbers) in schema.meanings() {
            let known = extended.numbers.entry(owner).or_default();
            known
                .extend(numbers.into_iter().map(|(number, meaning)| (number.to_string(), meaning)));
        }
        extended
    }

    fn numbers(&self) -> impl Iterator<Item = (&str, i32, &str)> {
        self.numbers.iter().flat_map(|(owner, numbers)| {
            // A key that is no number was made by hand, and is no number of the schema either.
            numbers.iter().map(|(number, meaning)| {
                (owner.as_str(), number.parse().unwrap_or(-1), meaning.as_str())
            })
        })
    }
}

impl fmt::Display for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "# What was published and keeps its meaning for ever (EXT-004): ids of requirements, and the numbers of fields and\n\
             # enum values. `cargo xtask registry` adds what is new and never changes a line; `--check` fails if the schema or the\n\
             # spec gives one another meaning. A field leaves the schema by `reserved`; a requirement leaves the spec by moving\n\
             # its id from `requirements` to `withdrawn`.\n\n",
        )?;
        write_ids(f, "requirements", &self.requirements)?;
        write_ids(f, "withdrawn", &self.withdrawn)?;
        for owner in self.numbers.keys() {
            let mut numbers: Vec<_> = self.numbers().filter(|(name, ..)| name == owner).collect();
            numbers.sort_unstable();
            writeln!(f, "\n[numbers.{owner}]")?;
            for (_, number, meaning) in numbers {
                writeln!(f, "{number} = {meaning:?}")?;
            }
        }
        Ok(())
    }
}

fn write_ids(f: &mut fmt::Formatter<'_>, name: &str, ids: &BTreeSet<String>) -> fmt::Result {
    if ids.is_empty() {
        return writeln!(f, "{name} = []");
    }
    writeln!(f, "{name} = [")?;
    let mut line = String::new();
    let mut area = "";
    for id in ids {
        let this = id.split('-').next().unwrap_or_default();
        if !line.is_empty() && (this != area || line.len() > 100) {
            writeln!(f, "    {}", line.trim_end())?;
            line.clear();
        }
        area = this;
        line += &format!("{id:?}, ");
    }
    writeln!(f, "    {}\n]", line.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: &[&str]) -> BTreeSet<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    #[test]
    fn what_is_published_is_read_back() {
        let schema = Schema::compiled().unwrap();
        let list = Published::default().extended_by(&schema, &ids(&["A-001", "B-001"]));
        assert_eq!(Published::parse(&list.to_string()).unwrap(), list);
        assert_eq!(
            list.broken_by(&schema, &ids(&["A-001", "B-001", "C-001"])),
            Vec::<String>::new()
        );
    }

    // cites: EXT-004
    #[test]
    fn another_meaning_is_found() {
        let schema = Schema::compiled().unwrap();
        let mut list = Published::default().extended_by(&schema, &ids(&["A-001"]));
        let hello = list.numbers.get_mut("Hello").unwrap();
        hello.insert("1".into(), "uint32 version".into());
        hello.insert("99".into(), "bytes cookie".into());
        list.numbers.get_mut("ClientFrame").unwrap().insert("50000".into(), "bytes gone".into());
        list.withdrawn.insert("Z-001".into());
        assert_eq!(
            list.broken_by(&schema, &ids(&["Z-001"])),
            [
                "Hello 1 was \"uint32 version\", is \"repeated uint32 versions\"",
                "Hello 99, \"bytes cookie\", is gone and not reserved",
                "A-001 is gone; move it to `withdrawn`",
                "Z-001 was withdrawn and is used again",
            ]
        );
    }
}
