//! names.json.

use serde_json::Value;

use super::file::{File, Vector};

const DESCRIPTION: &str = "Handles, room names and new passwords as a server takes or refuses them, with max_name_chars 32, \
    min_password_chars 8 and max_password_bytes 256. Where the result is valid, output is the canonical form. Reasons: profile \
    (RFC 8265 refuses it), long (above max_name_chars or max_password_bytes), short (below min_password_chars), reserved (NAME-002).";

pub(super) fn file() -> File {
    let names = NAMES.iter().map(|case| case.vector("handle", "HANDLE_INVALID"));
    let long = long_names();
    let long = long.iter().map(|(id, input, expected)| {
        let case = Case { id, input, expected: expected.as_deref().map_err(|reason| *reason) };
        case.vector("handle", "HANDLE_INVALID")
    });
    let rooms = ROOMS.iter().map(|case| case.vector("room", "ROOM_NAME_INVALID"));
    let passwords = PASSWORDS.iter().map(|case| case.vector("password", "PASSWORD_INVALID"));
    let lengths = long_passwords();
    let lengths = lengths.iter().map(|(id, input, expected)| {
        let case = Case { id, input, expected: expected.as_deref().map_err(|reason| *reason) };
        case.vector("password", "PASSWORD_INVALID")
    });
    File::new(
        "names",
        DESCRIPTION,
        names.chain(long).chain(rooms).chain(passwords).chain(lengths).collect(),
    )
}

/// What becomes of a text: its canonical form, or the reason why it is refused.
struct Case<'a> {
    id: &'a str,
    input: &'a str,
    expected: Result<&'a str, &'a str>,
}

impl Case<'_> {
    fn vector(&self, kind: &str, code: &str) -> Value {
        let requirements: &[&str] = match (kind, self.expected) {
            ("password", Ok(_) | Err("profile")) => &["PASS-001", "PASS-002"],
            ("password", Err(_)) => &["PASS-002"],
            (_, Ok(_)) => &["NAME-001", "NAME-004"],
            (_, Err("profile")) => &["NAME-001", "NAME-002"],
            (_, Err(_)) => &["NAME-002"],
        };
        let vector = Vector::new(&format!("{kind}-{}", self.id), requirements)
            .with("kind", kind)
            .with("input", self.input)
            .bytes("input_utf8", self.input);
        match self.expected {
            Ok(output) => vector.with("output", output).bytes("output_utf8", output).valid(),
            Err(reason) => vector.with("reason", reason).invalid(code),
        }
    }
}

const fn case(
    id: &'static str,
    input: &'static str,
    expected: Result<&'static str, &'static str>,
) -> Case<'static> {
    Case { id, input, expected }
}

const PROFILE: Result<&str, &str> = Err("profile");
const RESERVED: Result<&str, &str> = Err("reserved");

const NAMES: &[Case<'_>] = &[
    case("lower-case", "alice", Ok("alice")),
    case("upper-case", "ALICE", Ok("alice")),
    case("one-character", "a", Ok("a")),
    case("digits", "2001", Ok("2001")),
    case("punctuation", "a.b-c_d~e!f$g%h&i*j+k=l", Ok("a.b-c_d~e!f$g%h&i*j+k=l")),
    case("umlaut", "J\u{dc}RGEN", Ok("j\u{fc}rgen")),
    case("sharp-s", "stra\u{df}e", Ok("stra\u{df}e")),
    case("combining-accent", "Jose\u{301}", Ok("jos\u{e9}")),
    case("precomposed-accent", "Jos\u{c9}", Ok("jos\u{e9}")),
    case("accent-of-capital", "E\u{301}va", Ok("\u{e9}va")),
    case("full-width", "\u{ff21}\u{ff4c}\u{ff49}ce", Ok("alice")),
    case("full-width-digits", "\u{ff12}\u{ff10}", Ok("20")),
    case("half-width-katakana", "\u{ff76}", Ok("\u{30ab}")),
    case("greek", "\u{391}\u{3bb}\u{3c6}\u{3b1}", Ok("\u{3b1}\u{3bb}\u{3c6}\u{3b1}")),
    case(
        "final-sigma-in-lower-case",
        "\u{3bb}\u{3cc}\u{3b3}\u{3bf}\u{3c2}",
        Ok("\u{3bb}\u{3cc}\u{3b3}\u{3bf}\u{3c2}"),
    ),
    case(
        "sigma-in-upper-case",
        "\u{39b}\u{39f}\u{393}\u{39f}\u{3a3}",
        Ok("\u{3bb}\u{3bf}\u{3b3}\u{3bf}\u{3c3}"),
    ),
    case("dotted-i", "\u{130}", Ok("i\u{307}")),
    case("dotless-i", "\u{131}I", Ok("\u{131}i")),
    case("cyrillic", "\u{418}\u{412}\u{410}\u{41d}", Ok("\u{438}\u{432}\u{430}\u{43d}")),
    case("han", "\u{5c71}\u{7530}", Ok("\u{5c71}\u{7530}")),
    case("hebrew", "\u{5d0}\u{5d1}\u{5d2}", Ok("\u{5d0}\u{5d1}\u{5d2}")),
    case("hebrew-then-digit", "\u{5d0}\u{5d1}1", Ok("\u{5d0}\u{5d1}1")),
    case(
        "arabic",
        "\u{645}\u{631}\u{62d}\u{628}\u{627}",
        Ok("\u{645}\u{631}\u{62d}\u{628}\u{627}"),
    ),
    case("middle-dot-between-l", "col\u{b7}lega", Ok("col\u{b7}lega")),
    case("katakana-middle-dot", "\u{30ab}\u{30fb}\u{30ab}", Ok("\u{30ab}\u{30fb}\u{30ab}")),
    case("hyphen-inside", "a-", Ok("a-")),
    case("devanagari-joiner", "\u{915}\u{94d}\u{200d}\u{937}", Ok("\u{915}\u{94d}\u{200d}\u{937}")),
    case("empty", "", PROFILE),
    case("space", "al ice", PROFILE),
    case("no-break-space", "al\u{a0}ice", PROFILE),
    case("tab", "al\tice", PROFILE),
    case("line-feed", "alice\n", PROFILE),
    case("nul", "\0", PROFILE),
    case("delete", "a\u{7f}", PROFILE),
    case("c1-control", "a\u{85}b", PROFILE),
    case("zero-width-space", "a\u{200b}b", PROFILE),
    case("zero-width-joiner-alone", "a\u{200d}b", PROFILE),
    case("byte-order-mark", "\u{feff}alice", PROFILE),
    case("right-to-left-override", "a\u{202e}b", PROFILE),
    case("soft-hyphen", "al\u{ad}ice", PROFILE),
    case("variation-selector", "a\u{fe0f}", PROFILE),
    case("roman-numeral", "henry\u{2163}", PROFILE),
    case("ligature", "\u{fb01}n", PROFILE),
    case("superscript", "x\u{b2}", PROFILE),
    case("long-s", "\u{17f}am", PROFILE),
    case("emoji", "\u{1f600}", PROFILE),
    case("symbol", "a\u{2665}", PROFILE),
    case("conjoining-jamo", "\u{1100}\u{1161}", PROFILE),
    case("arabic-tatweel", "\u{645}\u{640}\u{631}", PROFILE),
    case("private-use", "\u{e000}", PROFILE),
    case("noncharacter", "a\u{ffff}", PROFILE),
    case("middle-dot-elsewhere", "a\u{b7}b", PROFILE),
    case("mixed-directions", "\u{5d0}a", PROFILE),
    case("right-to-left-after-digit", "1\u{5d0}", PROFILE),
    case("two-kinds-of-arabic-digits", "\u{628}\u{661}\u{6f1}", PROFILE),
    case("at", "alice@chat.example", RESERVED),
    case("colon", "a:b", RESERVED),
    case("slash", "a/b", RESERVED),
    case("hash", "#lobby", RESERVED),
    case("question-mark", "who?", RESERVED),
    case("begins-with-hyphen", "-alice", RESERVED),
    case("begins-with-dot", ".alice", RESERVED),
    case("full-width-at", "a\u{ff20}b", RESERVED),
    case("full-width-hyphen-first", "\u{ff0d}a", RESERVED),
];

const ROOMS: &[Case<'_>] = &[
    case("upper-case", "Lobby", Ok("lobby")),
    case("full-width", "\u{ff21}", Ok("a")),
    case("space", "the lobby", PROFILE),
    case("empty", "", PROFILE),
    case("hash", "#lobby", RESERVED),
];

const PASSWORDS: &[Case<'_>] = &[
    case("ascii", "correct horse", Ok("correct horse")),
    case("case-kept", "PassWord", Ok("PassWord")),
    case("spaces-kept", "  spaces  ", Ok("  spaces  ")),
    case("eight-characters", "12345678", Ok("12345678")),
    case(
        "eight-beyond-ascii",
        "\u{e4}\u{f6}\u{fc}\u{df}\u{e4}\u{f6}\u{fc}\u{df}",
        Ok("\u{e4}\u{f6}\u{fc}\u{df}\u{e4}\u{f6}\u{fc}\u{df}"),
    ),
    case("no-break-space", "pass\u{a0}word", Ok("pass word")),
    case("ogham-space", "pass\u{1680}word", Ok("pass word")),
    case("ideographic-space", "pass\u{3000}word", Ok("pass word")),
    case("combining-accent", "re\u{301}sume\u{301}-123", Ok("r\u{e9}sum\u{e9}-123")),
    case("full-width-kept", "\u{ff50}assword", Ok("\u{ff50}assword")),
    case("compatibility-kept", "henry-\u{2163}-king", Ok("henry-\u{2163}-king")),
    case("angstrom", "\u{212b}ngstrom", Ok("\u{c5}ngstrom")),
    case("emoji", "\u{1f511}\u{1f511}\u{1f511} emoji", Ok("\u{1f511}\u{1f511}\u{1f511} emoji")),
    case("right-to-left", "\u{5d0}\u{5d1}\u{5d2}abc12", Ok("\u{5d0}\u{5d1}\u{5d2}abc12")),
    case("empty", "", PROFILE),
    case("tab", "pass\tword", PROFILE),
    case("nul", "password\0", PROFILE),
    case("bell", "password\u{7}", PROFILE),
    case("zero-width-space", "pass\u{200b}word", PROFILE),
    case("byte-order-mark", "\u{feff}password", PROFILE),
    case("private-use", "password\u{e000}", PROFILE),
    case("seven-characters", "1234567", Err("short")),
    case(
        "seven-beyond-ascii",
        "\u{1f511}\u{1f511}\u{1f511}\u{1f511}\u{1f511}\u{1f511}\u{1f511}",
        Err("short"),
    ),
];

type Long = (&'static str, String, Result<String, &'static str>);

fn long_names() -> Vec<Long> {
    vec![
        ("32-characters", "x".repeat(32), Ok("x".repeat(32))),
        ("32-beyond-ascii", "\u{5c71}".repeat(32), Ok("\u{5c71}".repeat(32))),
        ("32-after-composition", "e\u{301}".repeat(32), Ok("\u{e9}".repeat(32))),
        ("33-characters", "x".repeat(33), Err("long")),
        ("33-beyond-ascii", "\u{5c71}".repeat(33), Err("long")),
    ]
}

fn long_passwords() -> Vec<Long> {
    vec![
        ("256-bytes", "p".repeat(256), Ok("p".repeat(256))),
        ("257-bytes", "p".repeat(257), Err("long")),
        ("258-bytes-of-86-characters", "\u{5c71}".repeat(86), Err("long")),
    ]
}
