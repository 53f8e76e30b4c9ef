#!/usr/bin/env python3
"""A client for Aside's client-minimum: registers or logs in, joins the lobby, chats, and verifies all that it reads.

    python3 client.py alice@chat.example [--register] [--ca FILE | --fingerprint SHA256] [--state FILE]

It needs Python 3.8 and the package `cryptography`. The password is taken from ASIDE_PASSWORD, or asked for.
"""
import argparse, getpass, hashlib, json, os, pathlib, secrets, select, socket, ssl, struct, sys, time
from primitives import digest, key_from, new_secret, public_bytes, sign, uuid7
from reading import Log, Tampering, follow_rotations, is_genuine, neutral, text_of
from wire import SCHEMA


class Refused(Exception):
    """An error frame: the name of its code, its message, the field."""


class Client:
    """One device of one user. `show` takes the lines for its user."""

    # ANCHOR: state
    def __init__(self, state_file, show=print):
        self.file, self.show, self.calls, self.events = pathlib.Path(state_file), show, 0, []
        new = {"secret": new_secret(), "log_key": "", "devices": {}, "names": {}, "logs": {}}
        state = json.loads(self.file.read_text()) if self.file.exists() else new
        self.secret, self.names, self.log_key = state["secret"], state["names"], bytes.fromhex(state["log_key"])
        self.devices = {device: (bytes.fromhex(user), bytes.fromhex(key), revoked)
                        for device, (user, key, revoked) in state["devices"].items()}
        self.logs = {room: Log(bytes.fromhex(room), seq, bytes.fromhex(chain), time_ms,
                               (head_seq, bytes.fromhex(head)), said)
                     for room, (seq, chain, time_ms, head_seq, head, said) in state["logs"].items()}

    def save(self):
        state = {"secret": self.secret, "log_key": self.log_key.hex(), "names": self.names,
                 "devices": {device: (user.hex(), key.hex(), revoked)
                             for device, (user, key, revoked) in self.devices.items()},
                 "logs": {room: (log.seq, log.chain.hex(), log.time_ms, log.head[0], log.head[1].hex(), sorted(log.said))
                          for room, log in self.logs.items()}}
        new = self.file.with_suffix(".new")
        new.touch(0o600)
        new.write_text(json.dumps(state))
        new.replace(self.file)
    # ANCHOR_END: state

    # ANCHOR: connect
    def connect(self, host, port, ca=None, fingerprint=None):
        context = ssl.create_default_context(cafile=ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.set_alpn_protocols(["aside/1"])
        if fingerprint:  # compared below, in place of verifying chain and name
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.tls = context.wrap_socket(socket.create_connection((host, port), timeout=30), server_hostname=host)
        self.looked_up, self.server_name = set(), host.lower().rstrip(".")
        self.binding = hashlib.sha256(self.tls.getpeercert(True)).digest()
        if fingerprint and self.binding.hex() != fingerprint.replace(":", "").lower():
            raise Tampering("the certificate is not the one pinned; its SHA-256 is " + self.binding.hex())
    # ANCHOR_END: connect

    # ANCHOR: frames
    def call(self, request, values, key=b""):
        self.calls, self.called_at = self.calls + 1, time.monotonic()
        frame = {"request_id": self.calls, "idempotency_key": key, request: values}
        data = SCHEMA.encode("ClientFrame", frame)
        self.tls.sendall(struct.pack(">I", len(data)) + data)
        while True:
            frame = self.receive()
            if frame.pop("reply_to"):  # one request at a time, so this is its reply
                return frame.popitem()[1]
            self.events.append(frame)

    def receive(self):
        (size,) = struct.unpack(">I", self.read(4))
        if not 0 < size <= 16 << 20:
            raise OSError("a frame of a length that is not allowed")
        frame = SCHEMA.decode("ServerFrame", self.read(size))
        if "error" in frame:
            raise Refused(*(frame["error"][name] for name in ("code", "message", "field")))
        return frame

    def read(self, size):
        data = b""
        while len(data) < size:
            received = self.tls.recv(size - len(data))
            if not received:
                raise OSError("the server closed the connection")
            data += received
        return data
    # ANCHOR_END: frames

    # ANCHOR: login
    def log_in(self, handle, password, register=False):
        nonce, key = secrets.token_bytes(32), key_from(self.secret)
        greeted = self.call("hello", {"versions": [1], "capabilities": ["talk"],
                                      "client_nonce": nonce, "server_name": self.server_name})
        self.limits, self.log_key = greeted["limits"], follow_rotations(self.log_key, **greeted["log_key"])
        self.save()  # the device's key must be safe before the server binds it
        signature = sign(key, "device-bind", b"\x02", self.binding, self.server_name.encode(),
                         greeted["server_nonce"], nonce, public_bytes(key))
        proof = {"binding_type": "BINDING_TYPE_CERT_SHA256", "signature": signature}
        device = {"public_key": public_bytes(key), "name": "afternoon client", "proof": proof}
        account = {"handle": handle, "password": password, "device": device}
        me = self.call("register", account, uuid7()) if register else self.call("password_login", account)
        self.user_id, self.device_id = me["user_id"], me["device_id"]
        return me["handle"]
    # ANCHOR_END: login

    # ANCHOR: rooms
    def rooms(self):
        page = self.call("list_rooms", {})
        rooms = page["rooms"]
        while page["next_page_token"]:
            page = self.call("list_rooms", {"page_token": page["next_page_token"]})
            rooms += page["rooms"]
        return rooms

    def join(self, room):
        self.log(room)
        return self.call("join", {"conversation_id": room}, uuid7())["room"]
    # ANCHOR_END: rooms

    # ANCHOR: send
    def send(self, room, text):
        message_id, salt = uuid7(), secrets.token_bytes(32)
        payload = SCHEMA.encode("Content", {"text": {"body": text}})
        payload_hash = digest("payload", salt, payload)
        signature = sign(key_from(self.secret), "message", room, message_id, self.user_id, self.device_id, payload_hash)
        message = {"conversation_id": room, "payload": payload, "salt": salt, "signature": signature}
        sent = self.call("send_message", message, message_id)
        if sent["payload_hash"] != payload_hash:
            raise Tampering("the server stored another message than was sent")
        return sent["seq"]
    # ANCHOR_END: send

    # ANCHOR: follow
    def handle_events(self):
        while self.events:
            event = self.events.pop(0)
            entry = event.get("entry_appended", {}).get("entry")
            place = SCHEMA.decode("EntryHeader", entry["header"]) if entry else event.get("gap")
            log = place and self.logs.get(place["conversation_id"].hex())
            if not log:
                continue  # an event it does not know, or of a room that it did not join
            if entry and place["seq"] == log.seq + 1:
                self.show_entry(entry, *log.take(entry))
            if place["seq" if entry else "head_seq"] > log.seq:
                self.catch_up(log.room)
        for log in self.logs.values():
            if log.wants_head():
                self.catch_up(log.room)

    def catch_up(self, room):
        log, head_seq = self.log(room), None
        while head_seq != log.seq:
            fetched = self.call("fetch", {"conversation_id": room, "from_seq": log.seq + 1, "signed_head": True})
            if fetched["prev_chain"] != log.chain:
                raise Tampering("the past was rewritten")
            for entry in fetched["entries"]:
                self.show_entry(entry, *log.take(entry))
            head_seq = log.check_head(self.log_key, **fetched["signed_head"])
        self.save()

    def log(self, room):
        return self.logs.setdefault(room.hex(), Log(room))
    # ANCHOR_END: follow

    # ANCHOR: show
    def show_entry(self, entry, header, payload_hash):
        if header["kind"] == "ENTRY_KIND_MESSAGE":
            genuine = is_genuine(header, payload_hash, *self.device(header["sender_device_id"]))
            name = self.names.get(header["sender_user_id"].hex(), "user " + header["sender_user_id"].hex()[-6:])
            said, message = self.log(header["conversation_id"]).said, self.message_key(header)
            doubt = "NOT SIGNED BY " * (not genuine) + "REPEATED FROM " * (genuine and message in said)
            said.update([message] * genuine)
            self.show(f"{doubt}{name}: {text_of(entry['payload'])}")
        elif header["kind"] == "ENTRY_KIND_MEMBER_JOINED":
            self.name(header, handle_in="handle", **SCHEMA.decode("MemberJoinedPayload", entry["payload"]))
        elif header["kind"] == "ENTRY_KIND_MEMBER_RENAMED":
            self.name(header, handle_in="new_handle", **SCHEMA.decode("MemberRenamedPayload", entry["payload"]))

    def name(self, header, handle_in, user_id, **payload):
        if user_id == header["sender_user_id"]:  # nobody is named by another
            self.names[user_id.hex()] = neutral(payload[handle_in])

    def message_key(self, header):
        return header["sender_device_id"].hex() + header["message_id"].hex()

    def device(self, device_id):
        """Whose device it is, its key and when it was revoked: as first seen, and compared once a connection."""
        device = device_id.hex()
        if device not in self.looked_up:
            self.looked_up.add(device)
            for key in self.call("look_up_devices", {"device_ids": [device_id]})["keys"]:
                found = key["user_id"], key["public_key"], key["revoked_ms"]
                known = self.devices.setdefault(device, found)
                if known[:2] != found[:2]:
                    self.show(f"WARNING: the server names another key or account for the device {device}")
                elif not known[2]:
                    self.devices[device] = found
        return self.devices.get(device, (b"", b"", 0))
    # ANCHOR_END: show

    # ANCHOR: close
    def close(self):
        self.save()
        try:
            self.tls.unwrap()  # sends close_notify and waits for the server's
        except OSError:
            pass  # the server was saying something else: it is in the log
        self.tls.close()
    # ANCHOR_END: close


# ANCHOR: main
def chat(client, room):
    typed, end = b"", False
    while not end:
        client.handle_events()
        client.save()
        quiet = client.called_at + client.limits["idle_timeout_ms"] / 3000 - time.monotonic()
        ready = [client.tls] if client.tls.pending() else select.select([client.tls, 0], [], [], max(quiet, 0))[0]
        if quiet <= 0:
            client.call("ping", {})
        elif client.tls in ready:
            client.events.append(client.receive())
        elif ready:
            chunk = os.read(0, 4096)
            end = not chunk
            *lines, typed = (typed + chunk + b"\n" * end).split(b"\n")
            for line in filter(None, lines):
                client.send(room, line.decode("utf-8", "replace"))


def main(args):
    handle, _, address = args.address.partition("@")
    host, _, port = address.partition(":")
    client = Client(args.state or f"{args.address}.json")
    client.connect(host, int(port or 7423), args.ca, args.fingerprint)
    password = os.environ.get("ASIDE_PASSWORD") or getpass.getpass(f"Password for {args.address}: ")
    print("You are", client.log_in(handle, password, args.register))
    rooms = client.rooms()
    for room in rooms:
        print(f"  {neutral(room['name'])}: {room['member_count']} members; the server can read this room")
    lobby = next(room["conversation_id"] for room in rooms if room["is_default"])
    client.join(lobby)
    client.catch_up(lobby)
    chat(client, lobby)
    client.catch_up(lobby)
    client.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("address", help="handle@host, or handle@host:port")
    parser.add_argument("--register", action="store_true", help="make the account first")
    parser.add_argument("--ca", help="file of certificates to trust, instead of the system's")
    parser.add_argument("--fingerprint", help="SHA-256 of the server's certificate, instead of verifying it")
    parser.add_argument("--state", help="file for this device's key and its places in the logs")
    try:
        main(parser.parse_args())
    except (Refused, Tampering, OSError) as error:
        sys.exit(f"{type(error).__name__}: {' '.join(map(str, error.args))}")
# ANCHOR_END: main
