"""What Aside hashes and signs, and the ids a client makes."""
import hashlib, secrets, struct, time
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


def label(name, *fields):
    text = b"aside/1 " + name.encode()
    return bytes([len(text)]) + text + b"".join(struct.pack(">I", len(field)) + field for field in fields)


def digest(name, *fields):
    return hashlib.sha256(label(name, *fields)).digest()


def new_secret():
    return f"{ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value:x}"


def key_from(secret):
    return ec.derive_private_key(int(secret, 16), ec.SECP256R1())


def public_bytes(key):
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def sign(key, name, *fields):
    r, s = utils.decode_dss_signature(key.sign(label(name, *fields), ec.ECDSA(SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def verifies(public_key, signature, name, *fields):
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    try:
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public_key)
        key.verify(utils.encode_dss_signature(r, s), label(name, *fields), ec.ECDSA(SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return len(signature) == 64 and len(public_key) == 65


def uuid7():
    random = secrets.token_bytes(10)
    tail = bytes([random[0] & 0x0F | 0x70, random[1], random[2] & 0x3F | 0x80]) + random[3:]
    return (time.time_ns() // 1_000_000).to_bytes(6, "big") + tail
