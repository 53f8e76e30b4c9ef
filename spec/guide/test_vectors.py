#!/usr/bin/env python3
"""Checks the client's own arithmetic against the vectors of the specification. Needs no server.

    python3 test_vectors.py
"""
import json, pathlib
from primitives import digest, label, verifies
from reading import Log, Tampering, follow_rotations, is_genuine
from wire import SCHEMA


def vectors(name):
    file = pathlib.Path(__file__).resolve().parents[1] / f"vectors/{name}.json"
    for vector in json.loads(file.read_text("utf-8"))["vectors"]:
        yield vector, unhex(vector)


def unhex(value):
    """The same with bytes for every text that is hex."""
    if isinstance(value, dict):
        return {name: unhex(item) for name, item in value.items()}
    if isinstance(value, list):
        return [unhex(item) for item in value]
    try:
        return bytes.fromhex(value)
    except (TypeError, ValueError):
        return value


def labels(vector, v):
    made = label(vector["label"], *v["fields"])
    return made == v["labeled"] and digest(vector["label"], *v["fields"]) == v["sha256"]


def ecdsa(vector, v):
    return verifies(v["public_key"], v["signature"], vector["label"], *v["fields"])


def login(vector, v):
    connection, kind = v["connection"], vector["binding_type"]
    binding = {1: connection["exporter"], 2: connection["cert_sha256"], 3: b""}.get(kind, b"")
    name = vector["connection"]["server_name"].lower().encode()
    nonces = connection["server_nonce"], connection["client_nonce"]
    who = v["public_key"] if vector["label"] == "device-bind" else v["device_id"]
    proven = verifies(v["public_key"], v["signature"], vector["label"], bytes([kind]), binding, name, *nonces, who)
    return proven and kind in connection["binding_types"]


def messages(vector, v):
    header = {"sender_user_id": v["user_id"], "sender_device_id": v["device_id"], "time_ms": 0, **v}
    device = (v["device_key"][name] for name in ("user_id", "public_key", "revoked_ms"))
    return is_genuine(header, digest("payload", v["salt"], v["payload"]), *device)


def heads(vector, v):
    if vector["kind"] == "head":
        return verifies(v["log_key"], v["signature"], "head", v["statement"])
    if vector["kind"] == "rotations":
        return follow_rotations(v["pinned"], v["current"], v["rotations"]) == v["current"]
    return None  # pairs of statements: this client compares each with its own chain instead


def chain(vector, v):
    if vector["result"] == "valid" and any("payload_hash" in e for e in v["entries"]):
        return None  # this client takes no redacted entries
    log = Log(v["conversation_id"], vector["from_seq"] - 1, v["prev_chain"])
    for entry in v["entries"]:
        log.take({"salt": b"", "payload": b"", "payload_hash": b"", **entry})
    return log.chain == v["head"]["chain"]


def main():
    checked = 0
    for check in (labels, ecdsa, login, messages, heads, chain):
        for vector, values in vectors(check.__name__):
            try:
                result = check(vector, values)
            except (KeyError, Tampering):
                result = False
            assert result in (None, vector["result"] == "valid"), f"{check.__name__}: {vector['id']}"
            checked += result is not None
    print(f"guide client: {checked} vectors agree")


if __name__ == "__main__":
    main()
