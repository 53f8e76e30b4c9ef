"""What a client does with what it reads: it follows the chain, checks signatures, and makes text harmless."""
import time, unicodedata
from primitives import digest, verifies
from wire import SCHEMA

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


class Tampering(Exception):
    """The server shows something else than it showed, or signed, before."""


# ANCHOR: log
class Log:
    """A place in one conversation's log: the seq of the last entry taken, its chain value, its time, the last signed head,
    and what was said so far, as device and message_id."""

    def __init__(self, room, seq=0, chain=None, time_ms=0, head=(0, b""), said=()):
        self.room, self.seq, self.chain, self.time_ms = room, seq, chain or digest("chain-start", room), time_ms
        self.head, self.said, self.unvouched, self.vouched_at = tuple(head), set(said), 0, time.monotonic()

    def take(self, entry):
        header = SCHEMA.decode("EntryHeader", entry["header"])
        if header["conversation_id"] != self.room or header["seq"] != self.seq + 1:
            raise Tampering("an entry is missing, or from another log")
        if len(entry["salt"]) != 32 or not entry["payload"] or entry["payload_hash"]:
            raise Tampering("an entry lost its payload")
        if header["time_ms"] < self.time_ms:
            raise Tampering("an entry is older than the one before")
        payload_hash = digest("payload", entry["salt"], entry["payload"])
        self.seq, self.chain = header["seq"], digest("chain", self.chain, entry["header"], payload_hash)
        self.time_ms, self.unvouched = header["time_ms"], self.unvouched + 1
        if self.seq == self.head[0] and self.chain != self.head[1]:
            raise Tampering("the signed head is that of another history")
        return header, payload_hash

    def check_head(self, log_key, statement, signature):
        head = SCHEMA.decode("HeadStatement", statement)
        if not verifies(log_key, signature, "head", statement):
            raise Tampering("a head that the log key did not sign")
        if head["conversation_id"] != self.room or head["head_seq"] < max(self.seq, self.head[0]):
            raise Tampering("a head of another log, or of a shorter one")
        if head["first_seq"] != 1 or head["anchor"] != digest("chain-start", self.room) or len(head["chain"]) != 32:
            raise Tampering("a head of a log that begins otherwise")
        for seq, chain in ((self.seq, self.chain), self.head):
            if head["head_seq"] == seq and head["chain"] != chain:
                raise Tampering("the signed head is that of another history")
        self.head, self.unvouched, self.vouched_at = (head["head_seq"], head["chain"]), 0, time.monotonic()
        return head["head_seq"]

    def wants_head(self):
        """Whether entries came without a signed head for too long: 1,000 of them, or an hour."""
        return self.unvouched and (self.unvouched >= 1000 or time.monotonic() - self.vouched_at > 3000)
# ANCHOR_END: log


# ANCHOR: message
def is_genuine(header, payload_hash, user_id, public_key, revoked_ms):
    """Whether a device of the sender said it, as far as is known of the device: whose it is, its key, when it was revoked."""
    ids = [header[name] for name in ("conversation_id", "message_id", "sender_user_id", "sender_device_id")]
    own = user_id == header["sender_user_id"] and not 0 < revoked_ms < header["time_ms"]
    return own and verifies(public_key, header["signature"], "message", *ids, payload_hash)


def text_of(payload):
    try:
        return neutral(SCHEMA.decode("Content", payload)["text"]["body"])
    except (KeyError, ValueError):
        return "(a message that this client cannot show)"


def neutral(text):
    shown = (c if c in "\n\t" or unicodedata.category(c) != "Cc" and c not in BIDI else "\ufffd" for c in text)
    return "".join(shown).replace("\n", "\n    ")
# ANCHOR_END: message


# ANCHOR: log_key
def follow_rotations(trusted, public_key, rotations):
    trusted = trusted or public_key  # first contact
    for change in rotations:
        keys = change["old_key"], change["new_key"]
        if keys[0] == trusted and verifies(keys[0], change["signature"], "log-key-rotation", *keys):
            trusted = keys[1]
    if trusted != public_key:
        raise Tampering("the server's log key is not the one it was")
    return trusted
# ANCHOR_END: log_key
