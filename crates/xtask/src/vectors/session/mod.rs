//! session.json, and the chapter written from it: a whole session of a client-minimum, every byte named.

pub(super) mod annotate;
pub(super) mod chapter;
mod lobby;
mod script;

use aside_crypto::{Hash, Signature, label};
use aside_proto::{frame, v1};
use serde_json::{Map, Value, json};

use self::annotate::{Row, Schema};
use super::file::{File, Vector, hex};

const DESCRIPTION: &str = "A session of a client-minimum, whole: every frame with its length, in the order in which it passes, field by field. \
    setup names the values that both sides start from; computed shows how what is signed or hashed comes about: \
    by is sha256 or the name of the private key in setup (RFC 6979). fields cut the frame's bytes into tag (the length of \
    the frame, or a field's tag and length) and value, in order; the bytes of header, payload and statement are cut further, \
    as the messages they hold.";

/// A value that has a name: `client nonce`.
pub(super) struct Named {
    name: &'static str,
    value: Vec<u8>,
}

/// A signature or a hash, and what it is computed over.
struct Computed {
    what: String,
    label: &'static str,
    fields: Vec<(&'static str, Vec<u8>)>,
    by: &'static str,
    result: Vec<u8>,
}

impl Computed {
    fn hash(
        what: impl Into<String>,
        label: &'static str,
        fields: Vec<(&'static str, Vec<u8>)>,
        result: &Hash,
    ) -> Self {
        Self { what: what.into(), label, fields, by: "sha256", result: result.to_vec() }
    }

    fn signature(
        what: &str,
        by: &'static str,
        label: &'static str,
        fields: Vec<(&'static str, Vec<u8>)>,
        result: &Signature,
    ) -> Self {
        Self { what: what.into(), label, fields, by, result: result.as_bytes().to_vec() }
    }

    fn labeled(&self) -> Vec<u8> {
        let fields: Vec<&[u8]> = self.fields.iter().map(|(_, bytes)| &bytes[..]).collect();
        label::labeled(self.label, &fields)
    }

    fn json(&self) -> Value {
        let fields =
            self.fields.iter().map(|(name, bytes)| json!({"name": name, "bytes": hex(bytes)}));
        json!({
            "what": self.what,
            "label": self.label,
            "fields": fields.collect::<Vec<_>>(),
            "labeled": hex(self.labeled()),
            "by": self.by,
            "value": hex(&self.result),
        })
    }
}

/// A frame that passes.
struct Step {
    id: &'static str,
    requirements: &'static [&'static str],
    from_client: bool,
    note: &'static str,
    bytes: Vec<u8>,
    computed: Vec<Computed>,
    rows: Vec<Row>,
}

/// The session.
pub(super) struct Session {
    setup: Vec<Named>,
    steps: Vec<Step>,
    schema: Schema,
}

impl Session {
    /// Plays the session.
    pub(super) fn play() -> Self {
        let schema = Schema::compiled();
        let mut session = Self { setup: script::setup(), steps: Vec::new(), schema };
        script::play(&mut session);
        session
    }

    /// session.json.
    pub(super) fn file(&self) -> File {
        let setup: Map<_, _> =
            self.setup.iter().map(|n| (n.name.to_owned(), hex(&n.value))).collect();
        File::new("session", DESCRIPTION, self.steps.iter().map(Step::json).collect())
            .shared("setup", setup.into())
    }

    /// spec/src/session.md.
    pub(super) fn chapter(&self) -> String {
        chapter::write(self)
    }

    /// A frame from the client.
    fn client(
        &mut self,
        id: &'static str,
        requirements: &'static [&'static str],
        note: &'static str,
        frame: &v1::ClientFrame,
        computed: Vec<Computed>,
    ) {
        let bytes = frame::encode(frame).to_vec();
        let rows = self.rows("ClientFrame", &bytes, &computed);
        self.steps.push(Step { id, requirements, from_client: true, note, bytes, computed, rows });
    }

    /// A frame from the server.
    fn server(
        &mut self,
        id: &'static str,
        requirements: &'static [&'static str],
        note: &'static str,
        frame: &v1::ServerFrame,
        computed: Vec<Computed>,
    ) {
        let bytes = frame::encode(frame).to_vec();
        let rows = self.rows("ServerFrame", &bytes, &computed);
        self.steps.push(Step { id, requirements, from_client: false, note, bytes, computed, rows });
    }

    fn rows(&self, message: &str, frame: &[u8], computed: &[Computed]) -> Vec<Row> {
        let name_of = |value: &[u8]| {
            let earlier = self.steps.iter().flat_map(|step| &step.computed);
            let named = self.setup.iter().find(|n| n.value == value).map(|n| n.name.to_owned());
            named.or_else(|| {
                let mut known = computed.iter().chain(earlier);
                known.find(|c| c.result == value).map(|c| c.what.clone())
            })
        };
        self.schema.annotate_frame(message, frame, &name_of)
    }
}

impl Step {
    fn json(&self) -> Value {
        let rows = self.rows.iter().map(Row::json).collect::<Vec<_>>();
        let vector = Vector::new(self.id, self.requirements)
            .with("from", if self.from_client { "client" } else { "server" })
            .with("note", self.note)
            .bytes("bytes", &self.bytes);
        let vector = if self.computed.is_empty() {
            vector
        } else {
            vector.with("computed", self.computed.iter().map(Computed::json).collect::<Vec<_>>())
        };
        vector.with("fields", rows).valid()
    }
}
