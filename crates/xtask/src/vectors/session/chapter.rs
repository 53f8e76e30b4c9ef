//! The chapter "A session, byte by byte".

use std::fmt::Write as _;

use aside_crypto::label::labeled;

use super::{Computed, Session, Step, annotate::Row};

/// Bytes of hex on one line.
const LINE: usize = 16;

const INTRODUCTION: &str = "\
<!-- Written by `cargo xtask vectors` from what is also spec/vectors/session.json. Do not edit. -->

# A session, byte by byte

Alice's client, new to this server, connects to `chat.example:7423` with ALPN `aside/1`, makes an account, joins the lobby, says
\"Hello!\", and reads the lobby's log. These are all the bytes inside TLS, in the order in which they pass. Signatures here are those of
RFC 6979; a signer may make others. The same session, for programs, is `spec/vectors/session.json`.

Each line has the offset in the frame, the bytes (first the tag and length of a field, then its value, sixteen bytes a line), and what they
say. A message's fields follow it, further in.

## What both sides start from
";

/// Writes the chapter.
pub(super) fn write(session: &Session) -> String {
    let mut page = String::from(INTRODUCTION);
    page += "\n```text\n";
    for named in &session.setup {
        lines(&mut page, named.name, &named.value);
    }
    page += "```\n";
    for (i, step) in session.steps.iter().enumerate() {
        write_step(&mut page, i + 1, step);
    }
    page
}

/// A name, and bytes beside it.
pub(in crate::vectors) fn lines(page: &mut String, name: &str, bytes: &[u8]) {
    let mut name = name;
    for line in bytes.chunks(LINE) {
        writeln!(page, "{name:<28}{}", spaced(line)).expect("a String takes everything");
        name = "";
    }
}

fn write_step(page: &mut String, number: usize, step: &Step) {
    let who = if step.from_client { "Client" } else { "Server" };
    let cites: Vec<_> = step.requirements.iter().map(|id| format!("`{id}`")).collect();
    let body = step.rows.iter().find(|row| !row.field.contains('.') && is_body(row));
    let title = body.map_or("", |row| row.field.as_str());
    write!(page, "\n## {number}. {who}: `{title}`\n\n{} ({})\n", step.note, cites.join(", "),)
        .expect("a String takes everything");
    for computed in &step.computed {
        write_computed(page, computed);
    }
    page.push_str("\n```text\n");
    for row in &step.rows {
        write_row(page, row);
    }
    page.push_str("```\n");
}

/// Whether a row of a frame is its request, reply or event.
fn is_body(row: &Row) -> bool {
    !matches!(&row.field[..], "length" | "request_id" | "reply_to" | "idempotency_key")
}

fn write_computed(page: &mut String, computed: &Computed) {
    let how = match computed.by {
        "sha256" => "SHA-256".to_owned(),
        key => format!("signed with {key}"),
    };
    let names: Vec<_> = computed.fields.iter().map(|(name, _)| *name).collect();
    let intro = format!(
        "\n{} = {how} of Label(\"{}\", {}):\n",
        computed.what,
        computed.label,
        names.join(", ")
    );
    page.push_str(&intro);
    page.push_str("\n```text\n");
    label_lines(page, computed.label, &computed.fields);
    lines(page, &format!("= {}", computed.what), &computed.result);
    page.push_str("```\n");
}

/// `Label(label, fields…)`, each field with its name.
pub(in crate::vectors) fn label_lines(page: &mut String, label: &str, fields: &[(&str, Vec<u8>)]) {
    let bytes: Vec<&[u8]> = fields.iter().map(|(_, bytes)| &bytes[..]).collect();
    let labeled = labeled(label, &bytes);
    // Label begins with its length; each field with its own.
    let mut at = 1 + usize::from(labeled[0]);
    lines(page, &format!("\"{label}\""), &labeled[..at]);
    for (name, bytes) in fields {
        let end = at + 4 + bytes.len();
        lines(page, name, &labeled[at..at + 4]);
        lines(page, "", &labeled[at + 4..end]);
        at = end;
    }
}

/// A row: the tag and a short value on one line; a longer value on lines of its own below the tag.
pub(in crate::vectors) fn write_row(page: &mut String, row: &Row) {
    let depth = row.field.matches('.').count();
    let name = row.field.rsplit('.').next().unwrap_or_default();
    let says = format!("{}{name}: {}", "  ".repeat(depth), row.meaning);
    let whole = [&row.tag[..], &row.value].concat();
    let mut write = |at: usize, bytes: &[u8], says: &str| {
        let line = format!("{at:>4}  {:<width$}  {says}", spaced(bytes), width = 3 * LINE - 1);
        page.push_str(line.trim_end());
        page.push('\n');
    };
    if whole.len() <= LINE {
        return write(row.at, &whole, &says);
    }
    write(row.at, &row.tag, &says);
    for (i, line) in row.value.chunks(LINE).enumerate() {
        write(row.at + row.tag.len() + i * LINE, line, "");
    }
}

fn spaced(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}
