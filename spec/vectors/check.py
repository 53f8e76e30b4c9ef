#!/usr/bin/env python3
"""Recomputes every test vector beside this file, without a line of the reference implementation.

    python3 spec/vectors/check.py               one line a file; exit status 1 if any vector fails
    python3 spec/vectors/check.py --self-test   damages every expected value in turn, and demands that it is noticed

Needs Python 3.11 and the package `cryptography`. Reads proto/ and spec/registry/requests.toml too: it parses the schema and
the wire format by itself.

What it does not check:
- names.json: by Python's unicodedata, which may be of another Unicode version than a server's; of the rule for the zero
  width non-joiner (RFC 5892, A.1) only the part about viramas; scripts are told by the characters' names.
- private_conversation.json: what takes an implementation of MLS, which is to join, decrypt and derive. What is in clear or stated as
  decrypted is recomputed: device logs, keys, chain, headers, authenticated_data, padding, Envelopes, leaves.
- that signatures given with a private key are those of RFC 6979, where the OpenSSL below `cryptography` is older than 3.2:
  it says so. They are verified in any case.
"""

import copy
import hashlib
import hmac
import itertools
import json
import pathlib
import re
import sys
import tomllib
import unicodedata

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent


class Refused(Exception):
    """A vector's input is refused: the code or the reason."""


class Wrong(Exception):
    """A vector states something that is not so."""


def refuse_unless(holds, reason):
    if not holds:
        raise Refused(reason)


def same(what, stated, computed):
    if stated != computed:
        raise Wrong(f"{what} is {computed!r}, not {stated!r}")


# Labels, hashes, signatures.

N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B

rfc6979_skipped = False


def label(name, *fields):
    text = b"aside/1 " + name.encode()
    return bytes([len(text)]) + text + b"".join(len(f).to_bytes(4, "big") + f for f in fields)


def sha256(data):
    return hashlib.sha256(data).digest()


def public_key(point):
    """The key of an uncompressed point, by the curve's own equation; cryptography must agree."""
    refuse_unless(len(point) == 65 and point[0] == 4, "INVALID_ARGUMENT")
    x, y = int.from_bytes(point[1:33], "big"), int.from_bytes(point[33:], "big")
    refuse_unless(x < P and y < P and (y * y - x**3 + 3 * x - B) % P == 0, "INVALID_ARGUMENT")
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)


def verify(point, data, signature, reason="signature"):
    key = public_key(point)
    refuse_unless(len(signature) == 64, "INVALID_ARGUMENT")
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    refuse_unless(0 < r < N and 0 < s < N, reason)
    try:
        key.verify(utils.encode_dss_signature(r, s), data, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise Refused(reason) from None


def private_key(secret):
    return ec.derive_private_key(int.from_bytes(secret, "big"), ec.SECP256R1())


def point_of(secret):
    encoding = serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    return private_key(secret).public_key().public_bytes(*encoding)


def same_signature(secret, data, signature):
    """The signature is that of RFC 6979."""
    global rfc6979_skipped
    try:
        algorithm = ec.ECDSA(hashes.SHA256(), deterministic_signing=True)
        r, s = utils.decode_dss_signature(private_key(secret).sign(data, algorithm))
    except (TypeError, UnsupportedAlgorithm):
        rfc6979_skipped = True
        return verify(point_of(secret), data, signature)
    same("signature", signature.hex(), (r.to_bytes(32, "big") + s.to_bytes(32, "big")).hex())


def unhex(vector, name):
    return bytes.fromhex(vector.get(name, ""))


# Protobuf: the schema, and the wire format.


class Malformed(Exception):
    pass


def read_schema():
    messages, enums = {}, {}
    for file in sorted((ROOT / "proto/aside/v1").glob("*.proto")):
        block = None
        for line in file.read_text().splitlines():
            line = line.split("//")[0].strip()
            if match := re.match(r"(message|enum) (\w+) \{", line):
                block = {}
                (messages if match[1] == "message" else enums)[match[2]] = block
            elif match := re.match(r"(repeated )?(\w+) (\w+) = (\d+);", line):
                block[int(match[4])] = (match[3], match[2], bool(match[1]))
            elif match := re.match(r"(\w+) = (\d+);", line):
                block[int(match[2])] = match[1]
    return messages, enums


MESSAGES, ENUMS = read_schema()
BODY = {
    "ClientFrame": range(10, 100),
    "ServerFrame": [2, *range(10, 200)],
    "Content": range(1, 10),
    "DeviceLogStatement": range(10, 20),
}


def varint(data, at):
    number = 0
    for i in range(10):
        if at + i >= len(data):
            raise Malformed
        number |= (data[at + i] & 0x7F) << 7 * i
        if data[at + i] < 0x80:
            return number, at + i + 1
    raise Malformed


def skip_value(data, at, number, wire_type):
    """Where the value of a field begins and ends."""
    if wire_type == 2:
        length, at = varint(data, at)
        end = at + length
    elif wire_type == 3:
        end = at
        while True:
            tag, inner = varint(data, end)
            if tag & 7 == 4:
                if tag >> 3 != number:
                    raise Malformed
                end = inner
                break
            if tag >> 3 == 0:
                raise Malformed
            end = skip_value(data, inner, tag >> 3, tag & 7)[1]
    else:
        if wire_type not in (0, 1, 5):
            raise Malformed
        end = varint(data, at)[1] if wire_type == 0 else at + (8 if wire_type == 1 else 4)
    if end > len(data):
        raise Malformed
    return at, end


def fields_of(data):
    """(number, wire type, where the tag, the value and the rest begin) of each field."""
    at = 0
    while at < len(data):
        tag, value_at = varint(data, at)
        if not 0 < tag >> 3 < 1 << 29:
            raise Malformed
        value_at, end = skip_value(data, value_at, tag >> 3, tag & 7)
        yield tag >> 3, tag & 7, at, value_at, end
        at = end


def is_scalar(kind):
    return kind in ("uint32", "uint64", "bool") or kind in ENUMS


def scalars(value):
    numbers, at = [], 0
    while at < len(value):
        number, at = varint(value, at)
        numbers.append(number)
    return numbers


def decode(message, data):
    """A message as a dict; unknown fields ignored, absent ones absent. The frame's body is also under "body"."""
    decoded = {}
    for number, wire_type, _, at, end in fields_of(data):
        name, kind, repeated = MESSAGES[message].get(number, (None, None, None))
        packed = wire_type == 2 and repeated and is_scalar(kind)
        if name is None or not (packed or wire_type == (0 if is_scalar(kind) else 2)):
            continue
        value = data[at:end]
        if is_scalar(kind):
            value = scalars(value)
            value = value if repeated else value[0]
        elif kind == "string":
            try:
                value = value.decode()
            except UnicodeDecodeError:
                raise Malformed from None
        elif kind != "bytes":
            value = decode(kind, value)
        if repeated:
            decoded.setdefault(name, []).extend(value if is_scalar(kind) else [value])
        else:
            decoded[name] = value
        if number in BODY.get(message, ()):
            decoded["body"] = name
    return decoded


def shortest(number):
    encoded = b""
    while number > 0x7F:
        encoded, number = encoded + bytes([number & 0x7F | 0x80]), number >> 7
    return encoded + bytes([number])


def canonical(message, data):
    """A message as a dict, if its bytes are the only ones that it has (CONV-008)."""
    last, bodies = 0, 0
    for number, wire_type, begin, at, end in fields_of(data):
        name, kind, repeated = MESSAGES[message].get(number, (None, None, None))
        in_body = number in BODY.get(message, ())
        bodies += in_body
        in_order = number > last or number == last and repeated
        if name is None or wire_type != (0 if is_scalar(kind) else 2) or not in_order or bodies > 1:
            raise Malformed
        last = number
        value = varint(data, at)[0] if is_scalar(kind) else end - at
        if data[begin : end if is_scalar(kind) else at] != shortest(number << 3 | wire_type) + shortest(value):
            raise Malformed
        if not (value or repeated or in_body) or kind == "uint32" and value >> 32:
            raise Malformed
        if kind in MESSAGES:
            canonical(kind, data[at:end])
    return decode(message, data)


# The files.


def judge_labels(vector, _file):
    labeled = label(vector["label"], *map(bytes.fromhex, vector["fields"]))
    refuse_unless(labeled.hex() == vector["labeled"], "encoding")
    same("sha256", vector["sha256"], sha256(labeled).hex())


def judge_directs(vector, _file):
    users = sorted([unhex(vector, "user_id"), unhex(vector, "other_user_id")])
    id = bytearray(sha256(label("direct", *users))[:16])
    id[6], id[8] = id[6] & 0x0F | 0x80, id[8] & 0x3F | 0x80
    refuse_unless(id.hex() == vector["conversation_id"], "conversation_id")


def bucket(size):
    """The least bucket that holds so many bytes."""
    buckets = [128, 256, 512, 1024, 2048, *range(4096, 262144 + 1, 4096)]
    return next((it for it in buckets if it >= size), None)


def unpad(padded, reason="padding"):
    ended = padded.rstrip(b"\0")
    refuse_unless(ended[-1:] == b"\x80" and bucket(len(ended)) == len(padded), reason)
    return ended[:-1]


def judge_mls(vector, _file):
    kind = vector["kind"]
    if kind == "group_id":
        group_id = unhex(vector, "conversation_id") + vector["generation"].to_bytes(4, "big")
        refuse_unless(group_id.hex() == vector["group_id"], "group_id")
    elif kind == "header":
        data = sha256(label("mls-header", unhex(vector, "header")))
        refuse_unless(data.hex() == vector["authenticated_data"], "authenticated_data")
    elif kind == "bucket":
        padded = bucket(vector["bytes"] + 1)
        refuse_unless(padded, "too-long")
        same("padded_bytes", vector["padded_bytes"], padded)
    else:
        content = unpad(unhex(vector, "application_data"))
        same("content", vector["content"], content.hex())


def judge_keys(vector, _file):
    point = unhex(vector, "public_key")
    public_key(point)
    if "private_key" in vector:
        same("public_key", point.hex(), point_of(unhex(vector, "private_key")).hex())


def judge_signed(vector, point, data, reason="signature"):
    signature = unhex(vector, "signature")
    verify(point, data, signature, reason)
    if "private_key" in vector:
        same_signature(unhex(vector, "private_key"), data, signature)


def judge_ecdsa(vector, _file):
    data = label(vector["label"], *map(bytes.fromhex, vector["fields"]))
    judge_signed(vector, unhex(vector, "public_key"), data)


def judge_login(vector, _file):
    connection, binding_type = vector["connection"], vector["binding_type"]
    refuse_unless(binding_type in connection["binding_types"], "BINDING_NOT_ALLOWED")
    binding = {1: unhex(connection, "exporter"), 2: unhex(connection, "cert_sha256"), 3: b""}
    name = vector["label"]
    data = label(
        name,
        bytes([binding_type]),
        binding[binding_type],
        connection["server_name"].lower().encode(),
        unhex(connection, "server_nonce"),
        unhex(connection, "client_nonce"),
        unhex(vector, "public_key" if name == "device-bind" else "device_id"),
    )
    if "signed" in vector:
        same("signed", vector["signed"], data.hex())
    reason = "PROOF_INVALID" if name == "device-bind" else "AUTHENTICATION_FAILED"
    judge_signed(vector, unhex(vector, "public_key"), data, reason)


def payload_hash(salt, payload):
    return sha256(label("payload", salt, payload))


def judge_messages(vector, _file):
    hashed = payload_hash(unhex(vector, "salt"), unhex(vector, "payload"))
    same("payload_hash", vector["payload_hash"], hashed.hex())
    ids = [unhex(vector, name) for name in ("conversation_id", "message_id", "user_id", "device_id")]
    key = vector["device_key"]
    same("device_key.device_id", key["device_id"], vector["device_id"])
    judge_signed(vector, unhex(key, "public_key"), label("message", *ids, hashed))
    refuse_unless(key["user_id"] == vector["user_id"], "user")
    refuse_unless(not 0 < key["revoked_ms"] < vector.get("time_ms", 0), "revoked")


def has_sender_and_signature(header):
    ids = [len(header.get(name, b"")) for name in ("sender_user_id", "sender_device_id", "message_id")]
    kind, signature = header.get("kind"), len(header.get("signature", b""))
    known = kind == 1 or kind not in range(2, 6) or signature == 0
    return ids in ([16] * 3, [0] * 3) and known and (kind != 1 or ids[0] == 16 and signature == 64)


# What messages say.


def text_of(text):
    """A text, with those of its mentions that count."""
    body, mentions, after = text.get("body", ""), [], 0
    data = body.encode()
    boundaries = {len(body[:at].encode()) for at in range(len(body) + 1)}
    for mention in text.get("mentions", [])[:64]:
        start, length = mention.get("start", 0), mention.get("length", 0)
        inside = {start, start + length} <= boundaries and start + length <= len(data)
        if len(mention.get("user_id", b"")) == 16 and length and inside and start >= after:
            mentions.append({"user_id": mention["user_id"].hex(), "start": start, "length": length})
            after = start + length
    return {"text": body} | ({"mentions": mentions} if mentions else {})


def read_content(payload):
    """The body's name, and the content; Refused if a client can't show it."""
    try:
        content = decode("Content", payload)
    except Malformed:
        raise Refused("unknown") from None
    kind = content.get("body")
    refuse_unless(kind, "unknown")
    if kind == "reaction":
        emoji = content["reaction"].get("emoji", "")
        seen = all(unicodedata.category(c) != "Cc" for c in emoji)
        refuse_unless(1 <= len(emoji.encode()) <= 32 and seen, "unknown")
    refuse_unless(kind != "edit" or "text" in content["edit"], "unknown")
    if kind == "profile":
        name = content["profile"].get("name", "")
        seen = all(unicodedata.category(c) != "Cc" for c in name)
        fits = 1 <= len(name.encode()) <= 64 and content["profile"].get("color", 0) <= 0xFFFFFF
        refuse_unless(fits and seen, "unknown")
    return kind, content


class Log:
    """Entries of kind MESSAGE, as they are to be shown."""

    def __init__(self, entries, redacts):
        self.entries, self.redacts, firsts = {}, redacts, {}
        for entry in sorted(entries, key=lambda entry: entry["seq"]):
            if not entry.get("verifies", True):
                continue
            seq, kind, content = entry["seq"], "redacted", {}
            if "payload" in entry:
                try:
                    kind, content = read_content(unhex(entry, "payload"))
                except Refused:
                    kind = "unknown"
            first = firsts.setdefault((entry["device_id"], entry["message_id"]), seq)
            if first != seq:
                kind, content = "repetition", {"of": first}
            self.entries[seq] = (kind, entry["user_id"], bytes.fromhex(entry["message_id"]), content)

    def target(self, seq, reference, kinds=("text",)):
        """The seq that a reference in the entry at `seq` leads to, or None."""
        to = reference.get("seq", 0)
        if to >= seq or to not in self.entries:
            return None
        kind, _, message_id, _ = self.entries[to]
        return to if kind in kinds and message_id == reference.get("message_id", b"") else None

    def about(self, original, wanted):
        """(seq, user, body) of the reactions to a message, or its edits."""
        for seq, (kind, user, _, content) in self.entries.items():
            if kind == wanted and self.target(seq, content[kind].get("to", {})) == original:
                yield seq, user, content[kind]

    def message(self, seq, user, content):
        shown = {"seq": seq, "as": "message"} | text_of(content["text"])
        for edit_seq, editor, edit in self.about(seq, "edit"):
            if editor == user:
                shown = {"seq": seq, "as": "message"} | text_of(edit["text"]) | {"edited": edit_seq}
        if "reply_to" in content:
            to = content["reply_to"]
            shown["reply"] = {"to": to.get("seq", 0), "there": self.target(seq, to) is not None}
        last = {(who, it["emoji"]): (at, it.get("remove")) for at, who, it in self.about(seq, "reaction")}
        reactions = {}
        for (who, emoji), _ in sorted((item for item in last.items() if not item[1][1]), key=lambda item: item[1][0]):
            reactions.setdefault(emoji, []).append(who)
        if reactions:
            shown["reactions"] = [{"emoji": emoji, "users": users} for emoji, users in reactions.items()]
        return shown

    def shown(self, seq):
        kind, user, _, content = self.entries[seq]
        if kind == "text":
            return self.message(seq, user, content)
        if kind == "reaction":
            reaction, shown = content["reaction"], {"seq": seq, "as": "reaction"}
            to = self.target(seq, reaction.get("to", {}))
            shown |= ({} if to is None else {"to": to}) | {"emoji": reaction["emoji"]}
            return shown | ({"remove": True} if reaction.get("remove") else {})
        if kind == "edit":
            return self.edit(seq, user, content["edit"])
        if kind == "profile":
            return {"seq": seq, "as": kind} | profile_of(content)
        return {"seq": seq, "as": kind} | content

    def edit(self, seq, user, edit):
        reference = edit.get("to", {})
        of = reference.get("seq", 0)
        target = self.target(seq, reference)
        if target is not None and self.entries[target][1] == user:
            return {"seq": seq, "as": "edit", "of": of}
        named = of < seq and of in self.redacts
        if named or self.target(seq, reference, ("redacted",)) is not None:
            return {"seq": seq, "as": "edit-of-redacted", "of": of}
        return {"seq": seq, "as": "stray-edit", "of": of} | text_of(edit["text"])


def profile_of(content):
    return {"name": content["profile"]["name"], "color": content["profile"].get("color", 0)}


def judge_naming(vector):
    """The profile with the greatest seq by an OWNER or ADMIN."""
    current = None
    for entry in sorted(vector["entries"], key=lambda entry: entry["seq"]):
        try:
            kind, content = read_content(unhex(entry, "payload"))
        except Refused:
            continue
        if kind == "profile" and ENUMS["Role"][entry["role"]] in ("ROLE_OWNER", "ROLE_ADMIN"):
            current = {"seq": entry["seq"]} | profile_of(content)
    same("profile", vector["profile"], current)


def judge_content(vector, _file):
    if vector["kind"] == "naming":
        judge_naming(vector)
        return
    if vector["kind"] == "payload":
        read_content(unhex(vector, "payload"))
        return
    log = Log(vector["entries"], vector.get("redacts", []))
    same("view", vector["view"], [log.shown(seq) for seq in log.entries])


def judge_rooms(vector, _file):
    entries = sorted(vector["entries"], key=lambda entry: entry["seq"])
    view, changes = {}, {}
    for entry in entries:
        seq, kind, payload = entry["seq"], entry["kind"], unhex(entry, "payload")
        if kind in (2, 6):
            told = decode("RoomCreatedPayload" if kind == 2 else "RoomUpdatedPayload", payload)
            texts = {part: told.get(part, "") for part in ("name", "topic", "description")}
            limits = {part: told.get("retention", {}).get(part, 0) for part in ("max_age_s", "max_entries")}
            view["settings"] = texts | {"invite_only": told.get("invite_only", False), "retention": limits}
        if kind == 9:
            change = decode("MessagePinnedPayload", payload)
            changes[change["seq"]] = (seq, change["message_id"].hex(), change.get("pinned", False))
    there = {entry["seq"]: entry for entry in entries}
    view["pins"] = []
    for of, (seq, message_id, pinned) in sorted(changes.items(), key=lambda item: -item[1][0]):
        entry = there.get(of, {"message_id": message_id, "payload": ""})
        if pinned and entry.get("message_id") == message_id and "payload" in entry:
            view["pins"].append({"seq": of, "pin_seq": seq})
    same("view", vector["view"], view)


def follow(conversation, run):
    """The entries of a run, each with its header and the chain value after it."""
    seq, time_ms, chain = run["from_seq"], 0, unhex(run, "prev_chain")
    refuse_unless(seq > 1 or chain == sha256(label("chain-start", conversation)), "chain")
    for entry in run["entries"]:
        salt, payload = unhex(entry, "salt"), unhex(entry, "payload")
        if "payload_hash" in entry:
            hashed = unhex(entry, "payload_hash")
            refuse_unless(len(hashed) == 32 and not salt and not payload, "form")
        else:
            refuse_unless(len(salt) == 32 and payload, "form")
            hashed = payload_hash(salt, payload)
        header = decode("EntryHeader", unhex(entry, "header"))
        refuse_unless(header["conversation_id"] == conversation, "conversation")
        refuse_unless(header["seq"] == seq, "seq")
        refuse_unless(header["time_ms"] >= time_ms, "time")
        refuse_unless(has_sender_and_signature(header), "form")
        chain = sha256(label("chain", chain, unhex(entry, "header"), hashed))
        seq, time_ms = seq + 1, header["time_ms"]
        yield entry, header, chain.hex()


def judge_chain(vector, _file):
    chains = [chain for _, _, chain in follow(unhex(vector, "conversation_id"), vector)]
    same("the last seq", vector["head"]["seq"], vector["from_seq"] - 1 + len(vector["entries"]))
    refuse_unless((chains or [vector["prev_chain"]])[-1] == vector["head"]["chain"], "chain")
    same("chains", vector["chains"], chains)


def judge_redaction(vector, _file):
    cursor, chain, missing, redacted, after = 0, None, {}, set(), []
    for page in vector["pages"]:
        same("from_seq", page["from_seq"], cursor + 1)
        refuse_unless(page["head_seq"] >= max(missing.values(), default=0), "shorter")
        same("prev_chain", page["prev_chain"], chain or page["prev_chain"])
        for entry, header, chain in follow(unhex(vector, "conversation_id"), page):
            cursor, kind = header["seq"], ENUMS["EntryKind"].get(header["kind"])
            if "payload" not in entry:
                refuse_unless(kind in (None, "ENTRY_KIND_MESSAGE"), "kind")
                missing[cursor] = page["head_seq"]
            elif kind == "ENTRY_KIND_REDACTED":
                seqs = decode("RedactedPayload", unhex(entry, "payload")).get("seqs", [])
                named = {seq for seq in seqs if 0 < seq < cursor}
                redacted |= named
                missing = {seq: at for seq, at in missing.items() if seq not in named or at < cursor}
        refuse_unless(all(head_seq > cursor for head_seq in missing.values()), "missing")
        after.append(sorted(missing))
    same("missing", vector["missing"], after)
    same("redacted", vector["redacted"], sorted(redacted))


def judge_heads(vector, _file):
    if vector["kind"] == "head":
        judge_signed(vector, unhex(vector, "log_key"), label("head", unhex(vector, "statement")))
    elif vector["kind"] == "pair":
        seen, now = (decode("HeadStatement", unhex(vector, name)) for name in ("seen", "now"))
        first_seq, head_seq, anchor, chain = (now.get(n) for n in ("first_seq", "head_seq", "anchor", "chain"))
        refuse_unless(len(anchor) == len(chain) == 32 and 1 <= (first_seq or 0) <= head_seq + 1, "form")
        refuse_unless(first_seq <= head_seq or anchor == chain, "form")
        if seen["conversation_id"] == now["conversation_id"]:
            refuse_unless(head_seq >= seen["head_seq"], "shorter")
            refuse_unless(first_seq >= seen["first_seq"], "back")
            refuse_unless(first_seq > seen["first_seq"] or anchor == seen["anchor"], "anchor")
            fork = now["head_seq"] == seen["head_seq"] and now["chain"] != seen["chain"]
            refuse_unless(not fork, "fork")
    else:
        judge_rotations(vector)


def judge_rotations(vector):
    before = None
    for rotation in vector["rotations"]:
        old, new = unhex(rotation, "old_key"), unhex(rotation, "new_key")
        refuse_unless(before in (None, old), "broken")
        verify(old, label("log-key-rotation", old, new), unhex(rotation, "signature"))
        before = new
    refuse_unless(before in (None, unhex(vector, "current")), "end")
    path = [vector["current"], *(rotation["old_key"] for rotation in vector["rotations"])]
    refuse_unless(vector["pinned"] in path, "unrelated")


REQUESTS = {
    request["name"]: request
    for request in tomllib.loads((ROOT / "spec/registry/requests.toml").read_text())["request"]
}


def judge_frames(vector, _file):
    stream = unhex(vector, "bytes")
    if repeat := vector.get("repeat"):
        stream += bytes.fromhex(repeat["bytes"]) * repeat["count"]
    client = vector["from"] == "client"
    message, number = ("ClientFrame", "request_id") if client else ("ServerFrame", "reply_to")
    taken, error = [], None
    while stream and not error:
        length = int.from_bytes(stream[:4], "big")
        if len(stream) < 4:
            error = "incomplete"
        elif length == 0:
            error = "FRAME_EMPTY"
        elif length > vector["max_frame_bytes"]:
            error = "FRAME_TOO_LARGE"
        elif len(stream) < 4 + length:
            error = "incomplete"
        else:
            body, stream = stream[4 : 4 + length], stream[4 + length :]
            try:
                frame = decode(message, body)
            except Malformed:
                error = "FRAME_MALFORMED"
                continue
            taken.append({number: frame.get(number, 0), "body": frame.get("body")})
            error = judge_request(frame, vector) if client else None
    same("messages", vector["messages"], taken)
    refuse_unless(not error, error if client or error == "incomplete" else "close")


def judge_request(frame, vector):
    """The code that a server answers a whole frame with, or None."""
    if not frame.get("request_id"):
        return "REQUEST_ID_ZERO"
    name = frame.get("body")
    if name is None:
        return "UNSUPPORTED"
    if vector["phase"] not in REQUESTS[name]["phases"]:
        return "WRONG_PHASE"
    code, field = None, None
    if name == "ping" and len(frame["ping"].get("data", b"")) > 64:
        code, field = "INVALID_ARGUMENT", "ping.data"
    if name == "hello":
        code, field = judge_hello(frame["hello"])
    same("field", vector.get("field"), field)
    return code


def judge_hello(hello):
    versions, capabilities = hello.get("versions", []), hello.get("capabilities", [])
    server_name = hello.get("server_name", "")
    fields = {
        "client_nonce": len(hello.get("client_nonce", b"")) == 32,
        "versions": len(versions) <= 16,
        "capabilities": len(capabilities) <= 64 and all(len(c.encode()) <= 64 for c in capabilities),
        "server_name": 1 <= len(server_name.encode()) <= 253,
        "user_agent": len(hello.get("user_agent", "").encode()) <= 64,
    }
    for name, holds in fields.items():
        if not holds:
            return "INVALID_ARGUMENT", f"hello.{name}"
    if 1 not in versions:
        return "VERSION_UNSUPPORTED", None
    if server_name.lower() != "chat.example":
        return "SERVER_NAME_WRONG", None
    return None, None


def judge_idempotency(vector, _file):
    key, now = unhex(vector, "idempotency_key"), vector["server_time_ms"]
    if not REQUESTS[vector["request"]]["mutating"]:
        return refuse_unless(not key, "IDEMPOTENCY_KEY_INVALID")
    is_v7 = len(key) == 16 and key[6] >> 4 == 7 and key[8] >> 6 == 2
    refuse_unless(is_v7, "IDEMPOTENCY_KEY_INVALID")
    time_ms = int.from_bytes(key[:6], "big")
    refuse_unless(time_ms <= now + 24 * 3600 * 1000, "IDEMPOTENCY_KEY_INVALID")
    refuse_unless(time_ms >= now - vector["idempotency_window_s"] * 1000, "REQUEST_ID_EXPIRED")


# RFC 8264 and RFC 8265.

IGNORABLE = [
    (0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F),
    (0x200B, 0x200F), (0x202A, 0x202E), (0x2060, 0x206F), (0x3164, 0x3164), (0xFDD0, 0xFDEF), (0xFE00, 0xFE0F),
    (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFF8), (0x1BCA0, 0x1BCA3), (0x1D173, 0x1D17A), (0xE0000, 0xE0FFF),
]  # fmt: skip
OLD_HANGUL_JAMO = [(0x1100, 0x11FF), (0xA960, 0xA97C), (0xD7B0, 0xD7FB)]
EXCEPTIONS_VALID = {0xDF, 0x3C2, 0x6FD, 0x6FE, 0xF0B, 0x3007}
EXCEPTIONS_DISALLOWED = {0x640, 0x7FA, 0x302E, 0x302F, 0x3031, 0x3032, 0x3033, 0x3034, 0x3035, 0x303B}
ARABIC_INDIC, EXTENDED_ARABIC_INDIC = range(0x660, 0x66A), range(0x6F0, 0x6FA)


def among(code, ranges):
    return any(first <= code <= last for first, last in ranges)


def named(char, *prefixes):
    return unicodedata.name(char, "").startswith(prefixes)


def allowed_in_context(text, at):
    """The rules of RFC 5892, appendix A; None for a character that has none."""
    char, before, after = text[at], text[at - 1 : at] if at else "", text[at + 1 : at + 2]
    code = ord(char)
    if code in (0x200C, 0x200D):
        return bool(before) and unicodedata.combining(before) == 9
    if code == 0xB7:
        return before == after == "l"
    if code == 0x375:
        return bool(after) and named(after, "GREEK")
    if code in (0x5F3, 0x5F4):
        return bool(before) and named(before, "HEBREW")
    if code == 0x30FB:
        return any(named(c, "HIRAGANA", "KATAKANA LETTER", "CJK UNIFIED") for c in text)
    if code in ARABIC_INDIC:
        return not any(ord(c) in EXTENDED_ARABIC_INDIC for c in text)
    if code in EXTENDED_ARABIC_INDIC:
        return not any(ord(c) in ARABIC_INDIC for c in text)
    return None


def allowed(text, at, freeform):
    """RFC 8264, section 8, for IdentifierClass or FreeformClass."""
    code, category = ord(text[at]), unicodedata.category(text[at])
    if code in EXCEPTIONS_VALID or 0x21 <= code <= 0x7E:
        return True
    if code in EXCEPTIONS_DISALLOWED:
        return False
    in_context = allowed_in_context(text, at)
    if in_context is not None:
        return in_context
    noncharacter = code & 0xFFFE == 0xFFFE
    if among(code, OLD_HANGUL_JAMO + IGNORABLE) or noncharacter or category in ("Cn", "Cc"):
        return False
    if unicodedata.normalize("NFKC", text[at]) != text[at]:
        return freeform
    if category in ("Ll", "Lu", "Lo", "Nd", "Lm", "Mn", "Mc"):
        return True
    return freeform and (category in ("Lt", "Nl", "No", "Me", "Zs") or category[0] in "SP")


def satisfies_bidi_rule(text):
    """RFC 5893, section 2."""
    classes = [unicodedata.bidirectional(c) for c in text]
    if not {"R", "AL", "AN"} & set(classes):
        return True
    end = [c for c in classes if c != "NSM"][-1]
    if classes[0] in ("R", "AL"):
        inside = set(classes) <= {"R", "AL", "AN", "EN", "ES", "CS", "ET", "ON", "BN", "NSM"}
        return inside and end in ("R", "AL", "EN", "AN") and not {"EN", "AN"} <= set(classes)
    return False


def width_mapped(char):
    kind, *mapped = unicodedata.decomposition(char).split() or [""]
    return chr(int(mapped[0], 16)) if kind in ("<wide>", "<narrow>") else char


def username_case_mapped(text):
    text = "".join(map(width_mapped, text))
    refuse_unless(text and all(allowed(text, i, False) for i in range(len(text))), "profile")
    text = unicodedata.normalize("NFC", "".join(c.lower() for c in text))  # a character at a time: no final sigma
    refuse_unless(satisfies_bidi_rule(text), "profile")
    return text


def stable(enforce, text):
    """RFC 8264, section 7: until nothing changes, three more times at most."""
    text = enforce(text)
    for _ in range(3):
        again = enforce(text)
        if again == text:
            return text
        text = again
    raise Refused("profile")


def opaque_string(text):
    refuse_unless(text and all(allowed(text, i, True) for i in range(len(text))), "profile")
    spaced = "".join(" " if unicodedata.category(c) == "Zs" else c for c in text)
    return unicodedata.normalize("NFC", spaced)


def prepare(kind, text):
    if kind == "password":
        output = opaque_string(text)
        refuse_unless(len(output) >= 8, "short")
        refuse_unless(len(output.encode()) <= 256, "long")
        return output
    output = stable(username_case_mapped, text)
    refuse_unless(len(output) <= 32, "long")
    refuse_unless(not re.search("^[-.]|[@:/#?]", output), "reserved")
    return output


def judge_names(vector, _file):
    same("input_utf8", vector["input_utf8"], vector["input"].encode().hex())
    try:
        output = prepare(vector["kind"], vector["input"])
    except Refused as refused:
        same("reason", vector.get("reason"), str(refused))
        codes = {"handle": "HANDLE_INVALID", "room": "ROOM_NAME_INVALID", "password": "PASSWORD_INVALID"}
        raise Refused(codes[vector["kind"]]) from None
    same("output", vector["output"], output)
    same("output_utf8", vector["output_utf8"], output.encode().hex())


# Identity.


def hkdf(secret, length, *labeled):
    return HKDF(hashes.SHA256(), length, None, label(*labeled)).derive(secret)


BASE32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
IGNORED = " \t\n\r\u00a0-\u2010\u2011\u2012\u2013\u2014\u2015"


def judge_recovery(vector, _file):
    symbols = "".join(c.upper() if c.isascii() else c for c in vector["typed"] if c not in IGNORED)
    symbols = symbols.translate(str.maketrans("OIL", "011"))
    refuse_unless(set(symbols) <= set(BASE32), "character")
    refuse_unless(len(symbols) in (32, 56), "length")
    number = 0
    for symbol in symbols:
        number = 32 * number + BASE32.index(symbol)
    data = number.to_bytes(len(symbols) * 5 // 8, "big")
    entropy, check = (data[:16], data[16:]) if len(symbols) == 32 else (data[:32], data[32:])
    refuse_unless(sha256(label("recovery-check", entropy))[: len(check)] == check, "check")
    same("entropy", vector["entropy"], entropy.hex())
    groups = [symbols[at : at + 4] for at in range(0, len(symbols), 4)]
    same("phrase", vector["phrase"], "-".join(groups))
    secret = int.from_bytes(hkdf(entropy, 48, "account-key"), "big") % (N - 1) + 1
    same("private_key", vector["private_key"], secret.to_bytes(32, "big").hex())
    same("public_key", vector["public_key"], point_of(secret.to_bytes(32, "big")).hex())


def read_certificate(data):
    refuse_unless(len(data) <= 4096, "long")
    try:
        parts = canonical("DeviceCertificate", data)
        stated = canonical("DeviceStatement", parts.get("statement", b""))
    except Malformed:
        raise Refused("malformed") from None
    try:
        public_key(stated.get("login_key", b""))
    except Refused:
        raise Refused("key") from None
    ids = [len(stated.get(name, b"")) for name in ("user_id", "device_id")]
    refuse_unless(ids == [16, 16], "id")
    keys = [(key.get("suite", 0), key.get("public_key", b"")) for key in stated.get("mls_keys", [])]
    suites = [suite for suite, _ in keys]
    refuse_unless(len(set(suites)) == len(suites) <= 8 and 2 in suites, "mls-keys")
    for suite, key in keys:
        length = {2: 65, 7: 97}.get(suite)
        has_form = len(key) == length and key[0] == 4 if length else len(key) > 0
        refuse_unless(0 < suite < 1 << 16 and has_form, "mls-keys")
    signature = parts.get("signature", b"")
    refuse_unless(len(signature) == 64, "signature")
    verify(stated["login_key"], label("device-certificate", parts["statement"]), signature)
    return parts, stated


def judge_certificates(vector, _file):
    parts, stated = read_certificate(unhex(vector, "certificate"))
    for name in ("user_id", "device_id", "login_key"):
        same(name, vector[name], stated[name].hex())
    same("suites", vector["suites"], [key["suite"] for key in stated["mls_keys"]])
    if "private_key" in vector:
        data = label("device-certificate", parts["statement"])
        same_signature(unhex(vector, "private_key"), data, parts["signature"])


def certificate_in(data, user=None):
    try:
        stated = read_certificate(data)[1]
    except Refused:
        raise Refused("certificate") from None
    refuse_unless(user in (None, stated["user_id"]), "user")
    return stated


class DeviceLog:
    """A device log as a list of what its entries did, which every question is put to anew."""

    def __init__(self, user, entries):
        self.user, self.hashes, self.did, self.login_keys = user, [], [], {}
        self.certificates = []
        # Bytes of all statements; entries by devices since the genesis or the last override, and their bytes.
        self.size, self.by_devices = 0, (0, 0)
        for entry in entries:
            self.apply(entry)

    def apply(self, data):
        try:
            entry = canonical("DeviceLogEntry", data)
            refuse_unless(len(entry.get("statement", b"")) <= 1 << 16, "limits")
            stated = canonical("DeviceLogStatement", entry.get("statement", b""))
        except Malformed:
            raise Refused("malformed") from None
        position, previous = stated.get("position", 0), stated.get("previous", b"")
        signer, kind = stated.get("signer_device_id", b""), stated.get("body")
        refuse_unless(len(previous) == (32 if position else 0), "malformed")
        refuse_unless(len(signer) in (0, 16) and len(stated.get("user_id", b"")) == 16, "malformed")
        refuse_unless(kind, "change")
        change = stated[kind]
        certificates = change.get("certificates", [change["certificate"]] if "certificate" in change else [])
        held = certificates
        certificates = [certificate_in(certificate) for certificate in certificates]
        refuse_unless(stated["user_id"] == self.user, "user")
        if not self.did:
            refuse_unless(kind == "genesis", "genesis")
            self.account_key = change["account_key"]
        refuse_unless(position == len(self.did), "position")
        refuse_unless(position == 0 or previous == self.hashes[-1], "previous")
        head, size = position - 1, len(entry["statement"])
        refuse_unless(position < (960 if signer else 1024), "limits")
        refuse_unless(self.size + size <= (917504 if signer else 1048576), "limits")
        count, of_devices = self.by_devices
        refuse_unless(not signer or count < 256 and of_devices + size <= 262144, "limits")
        if signer and head >= 0:
            refuse_unless(self.judge(signer, head)["is"] == "active", "signer")
        key = self.login_keys[signer] if signer else self.account_key
        signature = entry.get("signature", b"")
        refuse_unless(len(signature) == 64, "signature")
        verify(key, label("device-log-entry", entry["statement"]), signature)
        refuse_unless(kind != "genesis" or position == 0, "genesis")
        refuse_unless(all(certificate["user_id"] == self.user for certificate in certificates), "user")
        self.check_change(kind, signer, change, certificates, held, position)
        self.size += size
        if signer:
            self.by_devices = count + 1, of_devices + size
        elif kind == "override":
            self.by_devices = 0, 0
        self.login_keys |= {certificate["device_id"]: certificate["login_key"] for certificate in certificates}
        self.hashes.append(sha256(label("device-log", entry["statement"])))
        devices = [certificate["device_id"] for certificate in certificates]
        self.certificates.append(dict(zip(devices, held)))
        devices = [] if kind == "renew" else devices
        self.did.append((kind, signer, devices, change.get("device_id"), change.get("from_position", 0)))

    def check_change(self, kind, signer, change, certificates, held, position):
        devices = [certificate["device_id"] for certificate in certificates]
        if kind == "override":
            refuse_unless(not signer, "account")
            refuse_unless(devices and len(set(devices)) == len(devices), "devices")
        known = dict(self.login_keys)
        for certificate in certificates:
            device, key = certificate["device_id"], certificate["login_key"]
            holders = [other for other, login_key in known.items() if login_key == key]
            refuse_unless(known.get(device, key) == key and set(holders) <= {device}, "login-key")
            known[device] = key
        refuse_unless(len(devices) <= 32, "limits")
        if kind == "add":
            refuse_unless(self.judge(devices[0], position - 1)["is"] != "active", "active")
            refuse_unless(not signer or devices[0] not in self.login_keys, "account")
            active = [device for device in self.login_keys if self.judge(device, position - 1)["is"] == "active"]
            refuse_unless(len(active) < 32, "limits")
        if kind == "renew":
            refuse_unless(signer == devices[0], "not-its-own")
            refuse_unless(held[0] != self.given(signer, position - 1)[-1][1], "nothing")
        if kind == "revoke":
            device, from_position = change.get("device_id"), change.get("from_position", 0)
            refuse_unless(device in self.login_keys, "unknown")
            refuse_unless(1 <= from_position <= position, "from")
            begins = [at for at, did in enumerate(self.did) if device in did[2]]
            ends = [(self.end(device, at), max(at, from_position)) for at in begins]
            refuse_unless(any(end is None or end[0] > at for end, at in ends), "nothing")

    def given(self, device, position):
        """The certificates that entries up to a position gave a device, with their positions."""
        entries = enumerate(self.certificates[: position + 1])
        return [(at, certificates[device]) for at, certificates in entries if device in certificates]

    def judge_certificate(self, device, certificate, position):
        refuse_unless(position < len(self.did), "beyond")
        given = self.given(device, position)
        refuse_unless(given, "unknown")
        places = [n for n, (_, other) in enumerate(given) if other == certificate]
        refuse_unless(places, "other")
        begin = max(at for at, did in enumerate(self.did[: given[places[-1]][0] + 1]) if device in did[2])
        end = self.end(device, begin)
        if end and end[0] <= position:
            return {"is": "ended", "by": end[1]}
        if places[-1] == len(given) - 1:
            return {"is": "active"}
        return {"is": "renewed", "by": given[places[-1] + 1][0]}

    def judge(self, device, position):
        """What a device is at a position, by all that is known."""
        added = [at for at, did in enumerate(self.did[: position + 1]) if device in did[2]]
        if not added:
            return {"is": "unknown"}
        end = self.end(device, added[-1])
        return {"is": end[2], "by": end[1]} if end and end[0] <= position else {"is": "active"}

    def end(self, device, begin):
        """How what began at a position ends: from where on, by which entry, and how; None if it does not."""
        # Each is (first position at which it is over, position of the entry that ended it, how).
        ends = []
        for at, (kind, _, _, revoked, from_position) in enumerate(self.did):
            if at > begin and kind == "revoke" and revoked == device:
                ends.append((max(from_position, begin), at, "revoked"))
            if at > begin and kind == "override":
                ends.append((at, at, "replaced"))
        approver = self.did[begin][1]
        if approver:
            cause = self.judge(approver, begin)
            if cause["is"] != "active":
                ends.append((begin, cause["by"], "fallen"))
        # The earliest end counts; of several that are as early, the entry that came first.
        return min(ends, default=None)


def field(number, value):
    """A field of a canonical message: left out if it is empty."""
    if isinstance(value, int):
        return shortest(number << 3) + shortest(value) if value else b""
    return shortest(number << 3 | 2) + shortest(len(value)) + value if value else b""


def signed_raw(secret, data):
    r, s = utils.decode_dss_signature(private_key(secret).sign(data, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def next_entry(log, made, turn, file):
    """The entry that a step of a recipe makes next."""
    named = {name: unhex(it, "certificate") for name, it in file["certificates"].items()}
    certificates = [named[name] for name in made["certificates"]]
    if made["kind"] != "override":
        certificates = [certificates[turn % len(certificates)]]
    held = b"".join(field(1, certificate) for certificate in certificates)
    if made["kind"] == "genesis":
        held = field(1, point_of(unhex(file, "account_private_key"))) + field(2, certificates[0])
    signer, secret = b"", unhex(file, "account_private_key")
    if made["by"] != "account":
        signer = read_certificate(named[made["by"]])[1]["device_id"]
        secret = unhex(file["certificates"][made["by"]], "private_key")
    position = len(log.did) if log else 0
    statement = field(1, unhex(file, "user_id")) + field(2, position) + field(3, log.hashes[-1] if log else b"")
    number = {"genesis": 10, "add": 11, "override": 13, "renew": 14}[made["kind"]]
    statement += field(4, signer) + field(number, held)
    return field(1, statement) + field(2, signed_raw(secret, label("device-log-entry", statement)))


def judge_device_limits(vector, file):
    genesis = {"by": "account", "kind": "genesis", "certificates": [vector["genesis"]]}
    log = DeviceLog(unhex(file, "user_id"), [next_entry(None, genesis, 0, file)])
    try:
        for made in vector["made"]:
            for turn in range(made["times"]):
                log.apply(next_entry(log, made, turn, file))
    except Refused as refused:
        raise Wrong(f"entry {len(log.did)} is refused: {refused}") from None
    last = next_entry(log, vector["last"], 0, file)
    if vector["result"] == "valid":
        log.apply(last)
    same("position", vector["position"], len(log.did) - 1)
    same("hash", vector["hash"], log.hashes[-1].hex())
    log.apply(last) if vector["result"] == "invalid" else None


def judge_devices(vector, _file):
    log = DeviceLog(unhex(vector, "user_id"), map(bytes.fromhex, vector["entries"]))
    if vector["kind"] == "pin":
        refuse_unless(log.hashes[0].hex() == vector["genesis"], "identity")
        refuse_unless(vector["position"] < len(log.hashes), "shorter")
        refuse_unless(log.hashes[vector["position"]].hex() == vector["hash"], "diverged")
        return
    head = len(log.did) - 1
    stated = {name: vector[name] for name in ("is", "by") if name in vector}
    if vector["kind"] == "new":
        refuse_unless(vector["stated_position"] <= head, "beyond")
        refuse_unless(log.hashes[vector["stated_position"]] == unhex(vector, "stated_hash"), "diverged")
        same("position", vector["position"], head)
        return same("judgement", stated, log.judge(unhex(vector, "device_id"), head))
    if vector["kind"] == "certificate":
        asked = unhex(vector, "device_id"), unhex(vector, "certificate"), vector["position"]
        return same("standing", stated, log.judge_certificate(*asked))
    same("hashes", vector["hashes"], [value.hex() for value in log.hashes])
    active = [device.hex() for device in sorted(log.login_keys) if log.judge(device, head)["is"] == "active"]
    same("active", vector["active"], active)
    for judged in vector["judged"]:
        device, position = bytes.fromhex(judged["device_id"]), judged["position"]
        stated = {name: judged[name] for name in ("is", "by") if name in judged}
        same(f"{judged['device_id']} at {position}", stated, log.judge(device, position))


def identity(value):
    return unhex(value, "user_id") + unhex(value, "genesis")


def judge_safety(vector, _file):
    if vector["kind"] == "qr":
        payload = unhex(vector, "payload")
        refuse_unless(payload.startswith(b"aside-safety") and len(payload) > 12, "form")
        refuse_unless(payload[12] == 1, "version")
        refuse_unless(len(payload) == 13 + 96, "form")
        shower, scanner = payload[13:61], payload[61:]
        expected = identity(vector["shower"]), identity(vector["scanner"])
        refuse_unless((shower[:16], scanner[:16]) == (expected[0][:16], expected[1][:16]), "user")
        refuse_unless((shower, scanner) == expected, "mismatch")
        return
    first, second = sorted((identity(vector["one"]), identity(vector["other"])))
    refuse_unless(first[:16] != second[:16], "user")
    value = sha256(label("safety-number", b"\1", first[:16], first[16:], second[:16], second[16:]))
    for _ in range(8192):
        value = sha256(label("safety-number-round", value))
    digits = hkdf(value, 60, "safety-number-digits")
    groups = [int.from_bytes(digits[at : at + 5], "big") % 100_000 for at in range(0, 60, 5)]
    same("number", vector["number"], " ".join(f"{group:05}" for group in groups))


def judge_approval(vector, _file):
    user, certificate, nonce = (unhex(vector, name) for name in ("user_id", "certificate", "new_nonce"))
    committed = sha256(label("approval-commitment", user, certificate, nonce))
    refuse_unless(committed.hex() == vector["commitment"], "commitment")
    certificate_in(certificate, user)
    answer = unhex(vector, "approver_nonce"), unhex(vector, "genesis")
    head = vector["position"].to_bytes(4, "big"), unhex(vector, "head_hash")
    value = sha256(label("approval-code", user, certificate, nonce, *answer, *head))
    code = int.from_bytes(value[:8], "big") % 1_000_000
    same("code", vector["code"], f"{code // 1000:03} {code % 1000:03}")


def open_envelope(envelope, tag):
    """Content, franking key, and position and hash of the sender's device log."""
    try:
        read = decode("Envelope", envelope)
    except Malformed:
        raise Refused("malformed") from None
    content, key, log_hash = (read.get(name, b"") for name in ("content", "franking_key", "log_hash"))
    refuse_unless(len(key) == len(log_hash) == 32, "malformed")
    refuse_unless(tag == hmac.digest(key, label("franking", content), "sha256"), "tag")
    return [content.hex(), key.hex(), read.get("log_position", 0), log_hash.hex()]


def judge_franking(vector, _file):
    if vector["kind"] == "envelope":
        found = open_envelope(unhex(vector, "envelope"), unhex(vector, "tag"))
        return same("envelope", [vector[name] for name in ("content", "key", "position", "hash")], found)
    tag = hmac.digest(unhex(vector, "key"), label("franking", unhex(vector, "content")), "sha256")
    refuse_unless(tag.hex() == vector["tag"], "tag")


# Private conversations, but for what MLS encrypts.


class Mls:
    """What is in clear in an MLSMessage (RFC 9420), read from the front."""

    def __init__(self, data):
        self.data = data

    def take(self, size):
        taken, self.data = self.data[:size], self.data[size:]
        if len(taken) < size:
            raise Malformed
        return taken

    def number(self, size):
        return int.from_bytes(self.take(size), "big")

    def vector(self):
        first = self.number(1)
        more = {0: 0, 1: 1, 2: 3}[first >> 6]
        return self.take((first & 0x3F) << 8 * more | self.number(more))


def framed(message, is_commit, external):
    """group_id, epoch and authenticated_data of a PrivateMessage, or of the PublicMessage of an external commit."""
    mls, content_type = Mls(message), 3 if is_commit else 1
    refuse_unless([mls.number(2), mls.number(2)] == [1, 1 if external else 2], "wrong-kind")
    group_id, epoch = mls.vector(), mls.number(8)
    same("sender or content type", 4 if external else content_type, mls.number(1))
    data = mls.vector()
    if external:
        same("content type", content_type, mls.number(1))
    return group_id, epoch, data


def key_package(message):
    """Suite, init key, encryption key, signature key and identity of a KeyPackage."""
    mls = Mls(message)
    same("version, wire format, version", [1, 5, 1], [mls.number(2) for _ in range(3)])
    suite, keys = mls.number(2), [mls.vector() for _ in range(3)]
    same("credential type", 1, mls.number(2))
    return suite, *keys, mls.vector()


CURVES = {2: ec.SECP256R1(), 7: ec.SECP384R1()}


def public_of(suite, secret):
    encoding = serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    return ec.derive_private_key(int.from_bytes(secret, "big"), CURVES[suite]).public_key().public_bytes(*encoding)


def leaf_of(message):
    return message["user_id"].hex(), message["device_id"].hex()


MLS_MESSAGES = {
    "ENTRY_KIND_COMMIT": ("CommitPayload", "CommitHeader", "commit"),
    "ENTRY_KIND_PRIVATE_MESSAGE": ("PrivatePayload", "PrivateHeader", "ciphertext"),
}


def mls_message(entry):
    """The MLS message of an entry, if it has one, with the entry's seq and sender."""
    header = decode("EntryHeader", unhex(entry, "header"))
    payload, _, message = MLS_MESSAGES.get(ENUMS["EntryKind"][header["kind"]], (None, None, None))
    sender = header["sender_user_id"].hex(), header["sender_device_id"].hex()
    return decode(payload, unhex(entry, "payload"))[message] if payload else None, (header["seq"], sender)


class Conversation:
    """A recorded conversation as its reader takes it in. A leaf is a user_id and a device_id, in hex."""

    def __init__(self, vector):
        self.id, self.suite = unhex(vector, "conversation_id"), vector["suite"]
        users = {user["user_id"]: map(bytes.fromhex, user["device_log"]) for user in vector["users"]}
        self.logs = {user: DeviceLog(bytes.fromhex(user), entries) for user, entries in users.items()}
        self.reader = vector["reader"]["user_id"], vector["reader"]["device_id"]
        self.check_reader(vector["reader"])
        # What headers claim, and where the leaves are in the tree, once the reader is in it.
        self.leaves, self.places, self.group, self.is_out = set(), {}, None, False
        self.chains = [sha256(label("chain-start", self.id))]
        # Where each MLS message stands in the log, and by whom.
        self.own = dict(map(mls_message, vector["entries"]))

    def check_reader(self, reader):
        suite, *keys, identity = key_package(unhex(reader, "key_package"))
        same("suite", self.suite, suite)
        secrets = (unhex(reader, f"{name}_private_key") for name in ("init", "encryption", "signature"))
        same("public keys", [key.hex() for key in keys], [public_of(suite, secret).hex() for secret in secrets])
        stated = read_certificate(identity)[1]
        same("the certificate's device", self.reader, leaf_of(stated))
        same("signature key", {"suite": suite, "public_key": keys[2]} in stated["mls_keys"], True)
        log = self.logs[self.reader[0]]
        standing = log.judge_certificate(stated["device_id"], identity, len(log.did) - 1)
        same("standing", {"is": "active"}, standing)

    def check_active(self, leaf):
        log = self.logs.get(leaf[0])
        active = log and log.judge(bytes.fromhex(leaf[1]), len(log.did) - 1)["is"] == "active"
        refuse_unless(active, "credential-refused")

    def check_history(self, clear, seq):
        head_seq = clear.get("head_seq", 0)
        refuse_unless(head_seq < seq and clear["chain"] == self.chains[head_seq], "history")

    def check_bound(self, clear, header, bound, framing):
        """MLS-002, MLS-014, and what the entry's header, the clear header and the MLS message all say."""
        group_id, epoch, data = framing
        refuse_unless(data == bound, "header-mismatch")
        same("group_id", self.id + clear["generation"].to_bytes(4, "big"), group_id)
        same("conversation and message", *([it["conversation_id"], it["message_id"]] for it in (header, clear)))
        same("the group", self.group, [clear["generation"], clear["epoch"]])
        refuse_unless(epoch >= clear["epoch"], "stale-epoch")
        same("epoch", clear["epoch"], epoch)

    def take(self, entry, stated):
        """What comes of an entry. Of what only MLS can tell, `stated` says what was decrypted, and where the leaves are."""
        header, payload = decode("EntryHeader", unhex(entry, "header")), unhex(entry, "payload")
        kind, (message, (seq, sender)) = ENUMS["EntryKind"][header["kind"]], mls_message(entry)
        if kind == "ENTRY_KIND_GROUP_ESTABLISHED":
            established = decode("EstablishHeader", payload)
            self.leaves, self.group = set(map(leaf_of, established["leaves"])), [established["generation"], 1]
        if message is None:
            return {"is": "before"}
        if self.is_out:
            return {"is": "out"}
        clear = decode(MLS_MESSAGES[kind][0], payload)["header"]
        bound, clear = sha256(label("mls-header", clear)), decode(MLS_MESSAGES[kind][1], clear)
        is_commit, external = kind == "ENTRY_KIND_COMMIT", clear.get("is_external", False)
        self.check_bound(clear, header, bound, framed(message, is_commit, external))
        own = self.own.get(message, (seq, sender))
        refuse_unless(own[1] == sender, "sender-mismatch")
        refuse_unless(own[0] == seq, "replayed")
        same("whether its sender is a leaf", sender in self.leaves, not external)
        users = {user for user, _ in self.leaves}
        refuse_unless(not external or sender[0] in users, "external-commit-refused")
        return (self.commit if is_commit else self.message)(clear, seq, sender, entry, stated)

    def commit(self, clear, seq, _sender, entry, stated):
        added, removed = (set(map(leaf_of, clear.get(name, []))) for name in ("added", "removed"))
        same("whether it fits", True, removed <= self.leaves and not added & self.leaves - removed)
        for leaf in added:
            self.check_active(leaf)
        self.check_history(clear, seq)
        if self.places and self.reader in removed:
            self.is_out = True
            return {"is": "removed"}
        self.leaves, self.group = self.leaves - removed | added, [clear["generation"], clear["epoch"] + 1]
        if not self.places and "welcome" in entry:
            same("the Welcome", "00010003", entry["welcome"][:8])
            refuse_unless(self.reader in added, "claim-mismatch")
            if "leaves" in stated:
                self.places = {(leaf["user_id"], leaf["device_id"]): leaf["leaf"] for leaf in stated["leaves"]}
                same("leaves", set(self.places), self.leaves)
            return {"is": "joined"} | self.state()
        self.places = {leaf: place for leaf, place in self.places.items() if leaf not in removed}
        for leaf in added if self.places else ():
            self.places[leaf] = min(set(range(len(self.places) + 1)) - set(self.places.values()))
        return {"is": "followed"} | self.state() if self.places else {"is": "before"}

    def state(self):
        places = sorted((place, leaf) for leaf, place in self.places.items())
        leaves = [{"leaf": place, "user_id": leaf[0], "device_id": leaf[1]} for place, leaf in places]
        return {"generation": self.group[0], "epoch": self.group[1], "leaves": leaves}

    def message(self, clear, seq, sender, _entry, stated):
        if not self.places:
            return {"is": "before"}
        if "application_data" not in stated:
            return {"is": "unread"}
        opened = open_envelope(unpad(unhex(stated, "application_data"), "bad-padding"), clear["franking_tag"])
        self.check_active(sender)
        refuse_unless(self.logs[sender[0]].hashes[opened[2]].hex() == opened[3], "diverged")
        self.check_history(clear, seq)
        read = {"is": "read", "leaf": self.places[sender], "user_id": sender[0], "device_id": sender[1]}
        return read | dict(zip(("content", "franking_key", "log_position", "log_hash"), opened))


# What MLS alone can tell, of one commit, message or Welcome at least.
ONLY_MLS = ["claim-mismatch", "credential-refused", "forbidden-proposal", "invalid", "no-path", "stale-epoch", "tampered"]
ONLY_MLS += ["too-far-ahead", "wrong-group", "wrong-profile"]


def judge_private_conversation(vector, file):
    recorded = vector
    if vector["kind"] == "entry":
        recorded = next(it for it in file["vectors"] if it["id"] == vector["of"])
    conversation = Conversation(recorded)
    run = {"from_seq": 1, "prev_chain": conversation.chains[0].hex(), "entries": recorded["entries"]}
    for entry, header, chain in follow(conversation.id, run):
        if header["seq"] == vector.get("in_place_of"):
            conversation.take(vector["entry"], vector["entry"])
            return refuse_unless(vector["error"] not in ONLY_MLS, vector["error"])
        then = conversation.take(entry, entry["then"])
        same("chain", entry["chain"], chain)
        same("then", {name: entry["then"].get(name) for name in then}, then)
        conversation.chains.append(bytes.fromhex(chain))


# The session.

ENCODED_IN_BYTES = {
    ("Entry", "header"): "EntryHeader",
    ("SignedHead", "statement"): "HeadStatement",
    ("SendMessage", "payload"): "Content",
}
PAYLOADS = {1: "Content", 2: "RoomCreatedPayload", 3: "MemberJoinedPayload"}


def rows(message, data, at, path, names):
    """What the fields of a message say, byte for byte."""
    seen, payload = {}, None
    for number, _, tag_at, value_at, end in fields_of(data):
        name, kind, repeated = MESSAGES[message][number]
        value = data[value_at:end]
        index = seen[name] = seen.get(name, -1) + 1
        field = f"{path}{name}[{index}]" if repeated and not is_scalar(kind) else f"{path}{name}"
        inner = kind if kind in MESSAGES else ENCODED_IN_BYTES.get((message, name))
        if (message, name) == ("Entry", "header"):
            payload = PAYLOADS[decode("EntryHeader", value)["kind"]]
        if (message, name) == ("Entry", "payload"):
            inner = payload
        yield {
            "at": at + tag_at,
            "tag": data[tag_at:value_at].hex(),
            "value": "" if inner else value.hex(),
            "field": field,
            "meaning": holds(value, inner) if inner else meaning(kind, repeated, value, names),
        }
        if inner:
            yield from rows(inner, value, at + value_at, f"{field}.", names)


def holds(value, message):
    return f"{len(value)} bytes, {'an' if message[0] in 'AEIOU' else 'a'} {message}"


def meaning(kind, repeated, value, names):
    if kind == "string":
        return f'"{value.decode()}"'
    if kind == "bytes":
        return names.get(value, f"{len(value)} bytes")
    numbers = scalars(value)
    if kind == "bool":
        texts = ["true" if n else "false" for n in numbers]
    else:
        texts = [ENUMS[kind][n] if kind in ENUMS else str(n) for n in numbers]
    return f"[{', '.join(texts)}]" if repeated else texts[0]


def judge_session(vector, file):
    frame = unhex(vector, "bytes")
    same("length", int.from_bytes(frame[:4], "big"), len(frame) - 4)
    setup = {name: bytes.fromhex(value) for name, value in file["setup"].items()}
    for computed in vector.get("computed", ()):
        recompute(computed, setup)
    message = "ClientFrame" if vector["from"] == "client" else "ServerFrame"
    earlier = file["vectors"][: [v["id"] for v in file["vectors"]].index(vector["id"])]
    computed = [c for source in (vector, *earlier) for c in source.get("computed", ())]
    names = {}
    for name, value in (*setup.items(), *((c["what"], unhex(c, "value")) for c in computed)):
        names.setdefault(value, name)
    whole = {"at": 0, "tag": frame[:4].hex(), "value": "", "field": "length", "meaning": holds(frame[4:], message)}
    for stated, row in itertools.zip_longest(vector["fields"], [whole, *rows(message, frame[4:], 4, "", names)]):
        same("a field", stated, row)
    judge_step(vector["id"], decode(message, frame[4:]), setup)


def recompute(computed, setup):
    labeled = label(computed["label"], *(unhex(field, "bytes") for field in computed["fields"]))
    same("labeled", computed["labeled"], labeled.hex())
    if computed["by"] == "sha256":
        same(computed["what"], computed["value"], sha256(labeled).hex())
    else:
        same_signature(setup[computed["by"]], labeled, unhex(computed, "value"))


def judge_step(step, frame, setup):
    """What a frame says follows from setup alone."""
    alice, log_key = setup["Alice's public key"], setup["public log key"]
    same("Alice's public key", alice, point_of(setup["Alice's private key"]))
    same("public log key", log_key, point_of(setup["private log key"]))
    conversation = setup["the lobby's conversation_id"]
    ids = setup["message_id"], setup["Alice's user_id"], setup["Alice's device_id"]
    if step == "register":
        device = frame["register"]["device"]
        nonces = setup["server nonce"], setup["client nonce"]
        fields = b"\2", setup["SHA-256 of the certificate"], b"chat.example", *nonces, alice
        verify(alice, label("device-bind", *fields), device["proof"]["signature"])
    if step == "send-message":
        sent = frame["send_message"]
        hashed = payload_hash(sent["salt"], sent["payload"])
        verify(alice, label("message", conversation, *ids, hashed), sent["signature"])
    if step == "fetched":
        fetched, chain = frame["fetched"], sha256(label("chain-start", conversation))
        same("prev_chain", fetched["prev_chain"], chain)
        for entry in fetched["entries"]:
            hashed = payload_hash(entry["salt"], entry["payload"])
            chain = sha256(label("chain", chain, entry["header"], hashed))
        head = fetched["signed_head"]
        same("chain", decode("HeadStatement", head["statement"])["chain"], chain)
        verify(log_key, label("head", head["statement"]), head["signature"])


# Running.

JUDGES = {
    name.removeprefix("judge_"): judge
    for name, judge in globals().items()
    if name.startswith("judge_") and (HERE / f"{name.removeprefix('judge_')}.json").exists()
}


def failure(vector, file, judge):
    """Why a vector fails; None if it holds."""
    try:
        judge(vector, file)
        found = None
    except Refused as refused:
        found = str(refused)
    except (Wrong, Malformed, KeyError, ValueError, IndexError) as error:
        return f"{type(error).__name__}: {error}"
    expected = {vector["error"], *vector.get("alternatives", ())} if vector["result"] == "invalid" else {None}
    return None if found in expected else f"{found or 'valid'}, not {vector.get('error', 'valid')}"


def check():
    failed = 0
    for path in sorted(HERE.glob("*.json")):
        file = json.loads(path.read_text())
        vectors = file["vectors"]
        failures = [(v["id"], why) for v in vectors if (why := failure(v, file, JUDGES[path.stem]))]
        for vector, why in failures:
            print(f"{path.name} {vector}: {why}")
        valid = sum(v["result"] == "valid" for v in vectors)
        counts = f"{valid} valid, {len(vectors) - valid} invalid"
        print(f"{path.name}: {counts}: {len(vectors) - len(failures)} passed, {len(failures)} failed")
        failed += len(failures) + (not vectors)
    if rfc6979_skipped:
        print("note: signatures were verified, but not made anew: OpenSSL is older than 3.2")
    return failed


# What a valid vector states, and must be caught stating wrongly. A path leads through lists too.
STATED = {
    "labels": ["labeled", "sha256"],
    "keys": ["public_key"],
    "ecdsa": ["signature"],
    "login": ["signed", "signature"],
    "messages": ["payload_hash", "signature"],
    "content": [
        f"view.{part}"
        for part in ("seq", "as", "text", "edited", "name", "color", "of", "to", "emoji", "remove", "reply.to", "reply.there")
        + ("mentions.user_id", "mentions.start", "mentions.length", "reactions.emoji", "reactions.users")
    ]
    + [f"profile.{part}" for part in ("seq", "name", "color")],
    "rooms": [f"view.settings.{part}" for part in ("name", "topic", "description", "invite_only")]
    + [f"view.settings.retention.{part}" for part in ("max_age_s", "max_entries")]
    + [f"view.pins.{part}" for part in ("seq", "pin_seq")],
    "chain": ["chains", "head.chain"],
    "redaction": ["pages.prev_chain", "redacted"],
    "heads": ["signature", "rotations.signature"],
    "frames": ["messages.request_id", "messages.reply_to", "messages.body"],
    "names": ["output", "output_utf8"],
    "idempotency": [],
    "directs": ["conversation_id"],
    "mls": ["group_id", "authenticated_data", "padded_bytes", "content", "application_data"],
    "recovery": ["phrase", "entropy", "private_key", "public_key"],
    "certificates": ["certificate", "user_id", "device_id", "login_key", "suites"],
    "devices": ["entries", "genesis", "hash", "hashes", "active", "judged.is", "judged.by"]
    + ["stated_hash", "is", "by", "certificate"],
    "device_limits": ["position", "hash"],
    "safety": ["number", "payload"],
    "approval": ["commitment", "code"],
    "franking": ["tag", "content", "key", "position", "hash"],
    "private_conversation": ["conversation_id", "users.user_id", "users.device_log", "suite"]
    + [f"reader.{part}" for part in ("user_id", "device_id", "key_package")]
    + [f"reader.{part}_private_key" for part in ("signature", "init", "encryption")]
    + [f"entries.{part}" for part in ("header", "salt", "payload", "chain")]
    + [f"entries.then.{part}" for part in ("is", "generation", "epoch", "leaves.leaf", "leaves.user_id", "leaves.device_id")]
    + [f"entries.then.{part}" for part in ("leaf", "user_id", "device_id", "application_data", "content", "franking_key")]
    + [f"entries.then.{part}" for part in ("log_position", "log_hash")],
    "session": ["bytes", "computed.labeled", "computed.value"]
    + [f"fields.{part}" for part in ("at", "tag", "value", "field", "meaning")],
}


def damaged(value):
    """A value of the same type that says something else: a hex digit in the middle differs, if it is hex."""
    if isinstance(value, int):
        return value ^ 1
    if not value:
        return "00"
    if not re.fullmatch("([0-9a-f]{2})+", value):
        return value + "x"
    middle = len(value) // 2
    return f"{value[:middle]}{int(value[middle], 16) ^ 1:x}{value[middle + 1 :]}"


def damages(holder, path):
    """Damages the values at a path one at a time, undoing each."""
    first, _, rest = path.partition(".")
    keys = range(len(holder)) if isinstance(holder, list) else [first]
    rest = path if isinstance(holder, list) else rest
    for key in keys:
        value = holder[key] if isinstance(holder, list) or key in holder else None
        if value is None:
            continue
        if isinstance(value, list) or rest and isinstance(value, dict):
            yield from damages(value, rest)
        else:
            holder[key] = damaged(value)
            yield
            holder[key] = value


def mutations(vector, stated):
    other = {"valid": {"result": "invalid", "error": "NONE"}, "invalid": {"result": "valid"}}
    yield vector | other[vector["result"]]
    if vector["result"] == "invalid":
        yield vector | {"error": "NONE", "alternatives": []}
        return
    mutant = copy.deepcopy(vector)
    for path in stated:
        for _ in damages(mutant, path):
            yield mutant


def self_test():
    missed = 0
    for path in sorted(HERE.glob("*.json")):
        file = json.loads(path.read_text())
        made = unnoticed = 0
        for vector in file["vectors"]:
            for mutant in mutations(vector, STATED[path.stem]):
                made += 1
                if not failure(mutant, file, JUDGES[path.stem]):
                    unnoticed += 1
                    changed = [k for k in mutant if mutant[k] != vector.get(k)]
                    print(f"{path.name} {vector['id']}: damage to {', '.join(changed)} goes unnoticed")
        print(f"{path.name}: {made} damaged: {made - unnoticed} noticed, {unnoticed} missed")
        missed += unnoticed
    return missed


if __name__ == "__main__":
    if sys.argv[1:] not in ([], ["--self-test"]):
        sys.exit(__doc__)
    sys.exit(1 if (self_test() if sys.argv[1:] else check()) else 0)
