#!/usr/bin/env python3
"""Checks the afternoon client: two clients register, chat, fetch, verify, come back and catch what was tampered with.

    python3 test_client.py HOST:PORT (--ca FILE | --fingerprint SHA256)

The server must have registration open. Exits 0 if all went as it should. Runs may share a server.
"""
import argparse, pathlib, secrets, tempfile
from client import Client, Refused
from primitives import digest, uuid7
from reading import Log, Tampering, text_of
from wire import SCHEMA

PASSWORD = "correct horse battery staple"


class Device(Client):
    """A client whose lines and last request the test can look at."""

    def __init__(self, folder, handle, dial):
        self.lines, self.handle, self.dial = [], handle, dial
        super().__init__(folder / f"{handle}.json", self.lines.append)

    def start(self, register=False, password=PASSWORD):
        self.connect(**self.dial)
        assert self.log_in(self.handle, password, register) == self.handle
        return self

    def call(self, *request):
        self.last = request
        return super().call(*request)

    def wait_for(self, line):
        while line not in self.lines:
            self.events.append(self.receive())
            self.handle_events()


def expect(error, words, action, *arguments):
    try:
        action(*arguments)
    except error as raised:
        assert words in str(raised), raised
    else:
        raise AssertionError(f"{error.__name__} with {words!r} was expected")


def chat(folder, dial, run):
    alice = Device(folder, f"alice-{run}", dial).start(register=True)
    bob = Device(folder, f"bob-{run}", dial).start(register=True)
    room = alice.call("create_room", {"name": f"guide-{run}"}, uuid7())["room"]["conversation_id"]
    assert room in [listed["conversation_id"] for listed in bob.rooms()]
    assert sum(listed["is_default"] for listed in bob.rooms()) == 1
    for device in (alice, bob):
        device.join(room)
        device.catch_up(room)

    alice.send(room, "hello, bob\u202e\x1b[2J")
    bob.wait_for(f"{alice.handle}: hello, bob\ufffd\ufffd[2J")
    seq = bob.send(room, "hello, alice")
    again = bob.call(*bob.last)
    assert again["seq"] == seq, "a retry makes no second message"
    alice.wait_for(f"{bob.handle}: hello, alice")
    return alice, bob, room


def come_back(folder, dial, alice, bob, room):
    bob.catch_up(room)
    bob.close()
    alice.send(room, "are you there?")
    expect(Refused, "AUTHENTICATION_FAILED", Device(folder, bob.handle, dial).start, False, "not the password")
    back = Device(folder, bob.handle, dial).start()
    assert back.device_id == bob.device_id, "a device stays the same"
    back.catch_up(room)
    assert back.lines == [f"{alice.handle}: are you there?"], back.lines
    return back


def tamper(bob, room):
    bob.catch_up(room)
    entries, fetched = [], {"head_seq": 1}
    while len(entries) < fetched["head_seq"]:
        fetched = bob.call("fetch", {"conversation_id": room, "from_seq": len(entries) + 1, "signed_head": True})
        entries += fetched["entries"]

    def read(entries):
        log = Log(room)
        for entry in entries:
            log.take(entry)
        assert log.check_head(bob.log_key, **fetched["signed_head"]) == log.seq
    read(entries)
    *others, last = entries
    assert text_of(last["payload"]) == "are you there?"
    forged = {**last, "payload": SCHEMA.encode("Content", {"text": {"body": "are you here?"}})}
    emptied = {"header": last["header"], "salt": b"", "payload": b"", "payload_hash": bytes(32)}
    expect(Tampering, "another history", read, [*others, forged])
    expect(Tampering, "an entry is missing", read, entries[1:])
    expect(Tampering, "lost its payload", read, [*others, emptied])


def repeat(bob, room, alice):
    """What the server shows again, and what another's device signs as Alice."""
    entry = bob.call("fetch", {"conversation_id": room, "from_seq": bob.log(room).seq})["entries"][0]
    header = SCHEMA.decode("EntryHeader", entry["header"])
    shown = digest("payload", entry["salt"], entry["payload"])
    bob.show_entry(entry, header, shown)
    assert bob.lines.pop() == f"REPEATED FROM {alice.handle}: are you there?", bob.lines
    device = header["sender_device_id"].hex()
    own, bob.devices[device] = bob.devices[device], (bob.user_id, *bob.devices[device][1:])
    bob.show_entry(entry, header, shown)
    assert bob.lines.pop() == f"NOT SIGNED BY {alice.handle}: are you there?", bob.lines
    bob.looked_up.clear()
    bob.show_entry(entry, header, shown)
    assert bob.lines.pop().startswith("NOT SIGNED BY") and "WARNING" in bob.lines.pop()
    bob.devices[device] = own


def main(args):
    host, _, port = args.address.rpartition(":")
    dial = {"host": host.strip("[]"), "port": int(port), "ca": args.ca, "fingerprint": args.fingerprint}
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        alice, bob, room = chat(folder, dial, secrets.token_hex(4))
        bob = come_back(folder, dial, alice, bob, room)
        tamper(bob, room)
        repeat(bob, room, alice)
        expect(Tampering, "not the one pinned", Device(folder, "eve", {**dial, "fingerprint": "00" * 32}).start)
        alice.close()
        bob.close()
    print("guide client: 2 clients registered, chatted, came back and verified all they read")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("address", help="host:port")
    parser.add_argument("--ca", help="file of certificates to trust")
    parser.add_argument("--fingerprint", help="SHA-256 of the server's certificate")
    main(parser.parse_args())
