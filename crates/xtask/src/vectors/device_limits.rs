//! device_limits.json: device logs that are as long, or as large, as they may be, and one entry more. They are said by how to make them.

use aside_crypto::{Certificate, Change, DeviceLog, MlsKey, Signer, SigningKey};
use aside_proto::id::DeviceId;
use serde_json::{Map, Value, json};

use super::{
    certificates::{mls_keys, user},
    devices::phrase,
    file::{File, Vector, hex},
    material::{id, key},
};

const DESCRIPTION: &str = "Device logs at their limits, said by how to make them. A log begins with a genesis by the account key with the \
    certificate `genesis`. Each item of `made` stands for `times` entries, and `last` for one more, signed by the account key or by the device of a \
    certificate (`by`): an override holds all of `certificates`, an add or a renew the next of them, and after the last the first again. All of \
    `made` is taken. `last` is taken, and the log's head then is position and hash; or it is refused, and the head is that before it. Hashes are of \
    statements, so they do not hang on how one signs. The private key of a certificate is the login key's.";

/// Bytes of the large certificates, and of the last of them: an override with all sixteen has the longest statement that may be.
const LARGE: usize = 4089;
const LAST_LARGE: usize = 4095;

/// A suite that nobody knows, whose key may have any length.
const FILLING_SUITE: u16 = 0x00f0;

/// A device: its number, and the first byte of its login key.
type Device = (u8, u8);
const A: Device = (0, 0x01);

struct Named {
    name: String,
    key: u8,
    certificate: Certificate,
}

struct Cast(Vec<Named>);

/// Entries that are made alike.
struct Made<'a> {
    times: u32,
    by: &'a str,
    kind: &'a str,
    certificates: Vec<String>,
}

fn made<'a>(times: u32, by: &'a str, kind: &'a str, names: &[&str]) -> Made<'a> {
    Made { times, by, kind, certificates: names.iter().map(ToString::to_string).collect() }
}

pub(super) fn file() -> File {
    let cast = Cast::new();
    let vectors = devices(&cast).into_iter().chain(lengths(&cast)).chain(of_devices(&cast));
    let certificates = cast.0.iter().map(|named| (named.name.clone(), named.json()));
    File::new("device_limits", DESCRIPTION, vectors.collect())
        .shared("certificates", Value::Object(certificates.collect::<Map<_, _>>()))
        .shared("account_private_key", hex(*phrase().account_key().to_bytes()))
        .shared("user_id", hex(user().as_bytes()))
}

/// DLOG-011.
fn devices(cast: &Cast) -> Vec<Value> {
    let all: Vec<_> = (1..=32).map(|number| format!("B{number}")).collect();
    let all: Vec<_> = all.iter().map(String::as_str).collect();
    let whole = |names: &[&str]| made(1, "account", "override", names);
    let id = ["DLOG-011"];
    vec![
        cast.valid(
            ("devices-32", &id),
            &[made(30, "A1", "add", &all[..30])],
            made(1, "B30", "add", &all[30..31]),
        ),
        cast.refuses(
            ("devices-33", &id),
            &[made(31, "A1", "add", &all[..31])],
            made(1, "B31", "add", &all[31..]),
        ),
        cast.refuses(
            ("devices-33-by-the-account-key", &id),
            &[made(31, "A1", "add", &all[..31])],
            made(1, "account", "add", &all[31..]),
        ),
        cast.valid(("override-with-32", &id), &[made(1, "A1", "add", &all[..1])], whole(&all)),
        cast.refuses(("override-with-33", &id), &[], whole(&[&["A1"], &all[..]].concat())),
    ]
}

/// DLOG-012.
fn lengths(cast: &Cast) -> Vec<Value> {
    let large: Vec<_> = (1..=16).map(|number| format!("L{number}")).collect();
    let large: Vec<_> = large.iter().map(String::as_str).collect();
    let one_more = [&large[..15], &["L16+"]].concat();
    let whole = |names: &[&str]| made(1, "account", "override", names);
    let often = |times| made(times, "account", "override", &["A1"]);
    let full = |times| made(times, "account", "override", &large);
    let id = ["DLOG-012"];
    vec![
        cast.valid(("position-1023", &id), &[often(1022)], often(1)),
        cast.refuses(("position-1024", &id), &[often(1023)], often(1)),
        cast.valid(("statement-of-65536-bytes", &id), &[], whole(&large)),
        cast.refuses(("statement-of-65537-bytes", &id), &[], whole(&one_more)),
        cast.valid(("statements-below-1048576-bytes", &id), &[full(15)], whole(&large[..15])),
        cast.refuses(("statements-above-1048576-bytes", &id), &[full(15)], whole(&large)),
    ]
}

/// DLOG-013 and DLOG-019.
fn of_devices(cast: &Cast) -> Vec<Value> {
    let large: Vec<_> = (1..=16).map(|number| format!("L{number}")).collect();
    let large: Vec<_> = large.iter().map(String::as_str).collect();
    let whole = |times, names: &[&str]| made(times, "account", "override", names);
    let renew = |times| made(times, "A1", "renew", &["A2", "A1"]);
    let renew_large = |times| made(times, "A1", "renew", &["A3", "A4"]);
    let last = |name: &'static str| made(1, "A1", "renew", &[name]);
    let small = made(1, "L1", "renew", &["L1-"]);
    let (reserved, share) = (["DLOG-013"], ["DLOG-019"]);
    vec![
        cast.valid(("by-a-device-at-959", &reserved), &[whole(958, &["A1"])], last("A2")),
        cast.refuses(("by-a-device-at-960", &reserved), &[whole(959, &["A1"])], last("A2")),
        cast.valid(
            ("by-the-account-key-at-960", &reserved),
            &[whole(958, &["A1"]), made(1, "A1", "renew", &["A2"])],
            whole(1, &["A1"]),
        ),
        cast.valid(
            ("by-a-device-below-917504-bytes", &reserved),
            &[whole(13, &large), whole(1, &large[..15])],
            made(1, "L1", "renew", &["L1-"]),
        ),
        cast.refuses(("by-a-device-above-917504-bytes", &reserved), &[whole(14, &large)], small),
        cast.valid(("by-devices-256", &share), &[renew(255)], last("A1")),
        cast.refuses(("by-devices-257", &share), &[renew(256)], last("A2")),
        cast.valid(
            ("by-devices-256-and-the-account-key", &share),
            &[renew(256)],
            made(1, "account", "add", &["B1"]),
        ),
        cast.refuses(
            ("an-add-by-the-account-key-makes-no-room", &share),
            &[renew(256), made(1, "account", "add", &["B1"])],
            last("A2"),
        ),
        cast.valid(
            ("an-override-makes-room", &share),
            &[renew(256), whole(1, &["A1"])],
            last("A2"),
        ),
        cast.valid(("by-devices-below-262144-bytes", &share), &[renew_large(61)], last("A4")),
        cast.refuses(("by-devices-above-262144-bytes", &share), &[renew_large(62)], last("A3")),
        cast.valid(
            ("an-override-makes-room-for-bytes", &share),
            &[renew_large(62), whole(1, &["A1"])],
            last("A3"),
        ),
    ]
}

impl Cast {
    fn new() -> Self {
        let small =
            |name: String, device: Device, mls: u8| Named::new(name, device, &mls_keys(mls)[..1]);
        let mut cast = vec![small("A1".into(), A, 0x61), small("A2".into(), A, 0x62)];
        cast.extend(
            [("A3", 0x61), ("A4", 0x62)].map(|(name, mls)| sized(name.into(), A, mls, 4096)),
        );
        for number in 1..=32 {
            cast.push(small(format!("B{number}"), (number, 0x40 + number), 0x61));
        }
        for number in 1..=16_u8 {
            let bytes = if number == 16 { LAST_LARGE } else { LARGE };
            cast.push(sized(format!("L{number}"), large(number), 0x61, bytes));
        }
        cast.push(sized("L16+".into(), large(16), 0x61, LAST_LARGE + 1));
        cast.push(small("L1-".into(), large(1), 0x61));
        Self(cast)
    }

    fn get(&self, name: &str) -> &Named {
        self.0.iter().find(|named| named.name == name).expect("it is among the cast")
    }

    fn signed(&self, log: &DeviceLog, made: &Made<'_>, turn: usize) -> Vec<u8> {
        let all = || made.certificates.iter().map(|name| self.get(name).certificate.clone());
        let one = || all().nth(turn % made.certificates.len()).expect("there is one");
        let change = match made.kind {
            "override" => Change::Override(all().collect()),
            "add" => Change::Add(one()),
            _ => Change::Renew(one()),
        };
        match made.by {
            "account" => log.sign_next(Signer::Account, &phrase().account_key(), &change),
            name => {
                let by = self.get(name);
                log.sign_next(Signer::Device(by.certificate.device()), &key(by.key), &change)
            }
        }
    }

    fn vector(
        &self,
        (id, requirements): (&str, &[&str]),
        made: &[Made<'_>],
        last: &Made<'_>,
    ) -> (Vector, DeviceLog) {
        let account: SigningKey = phrase().account_key();
        let genesis = DeviceLog::sign_genesis(&account, &self.get("A1").certificate);
        let mut log = DeviceLog::begin(user(), &genesis).expect("it is a good genesis");
        for made in made {
            for turn in 0..made.times {
                let entry = self.signed(&log, made, turn as usize);
                log.apply(&entry).expect("it is within the limits");
            }
        }
        let vector = Vector::new(id, requirements)
            .with("genesis", "A1")
            .with("made", made.iter().map(Made::json).collect::<Vec<_>>())
            .with("last", last.json());
        (vector, log)
    }

    fn valid(&self, id: (&str, &[&str]), made: &[Made<'_>], last: Made<'_>) -> Value {
        let (vector, mut log) = self.vector(id, made, &last);
        log.apply(&self.signed(&log, &last, 0)).expect("it is within the limits");
        ending(vector, &log).valid()
    }

    fn refuses(&self, id: (&str, &[&str]), made: &[Made<'_>], last: Made<'_>) -> Value {
        let (vector, log) = self.vector(id, made, &last);
        ending(vector, &log).invalid("limits")
    }
}

fn ending(vector: Vector, log: &DeviceLog) -> Vector {
    vector.with("position", log.head().position).bytes("hash", log.head().hash)
}

impl Made<'_> {
    fn json(&self) -> Value {
        json!({"times": self.times, "by": self.by, "kind": self.kind, "certificates": self.certificates})
    }
}

impl Named {
    fn new(name: String, (number, key_first): Device, mls: &[MlsKey]) -> Self {
        let device = DeviceId::new(id(2, number));
        let certificate = Certificate::issue(user(), device, &key(key_first), mls);
        Self { name, key: key_first, certificate: certificate.expect("it is complete") }
    }

    fn json(&self) -> Value {
        json!({"private_key": hex(*key(self.key).to_bytes()), "certificate": hex(self.certificate.as_bytes())})
    }
}

fn large(number: u8) -> Device {
    (0x40 + number, 0x60 + number)
}

/// A certificate of so many bytes.
fn sized(name: String, device: Device, mls: u8, bytes: usize) -> Named {
    let with = |filling: usize| {
        let filling = MlsKey { suite: FILLING_SUITE, public_key: vec![mls; filling] };
        Named::new(name.clone(), device, &[&mls_keys(mls)[..1], &[filling]].concat())
    };
    let around = with(bytes - 512).certificate.as_bytes().len() - (bytes - 512);
    let named = with(bytes - around);
    assert_eq!(named.certificate.as_bytes().len(), bytes);
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_statement_is_as_long_as_one_may_be() {
        // user_id, position, previous; then the override's key and length, and for each certificate key and length.
        let certificates = 15 * (LARGE + 3) + LAST_LARGE + 3;
        assert_eq!(18 + 2 + 34 + 1 + 3 + certificates, 65_536);
    }
}
