"""The proofs that members show with their calls (src/cluster/identity.h), made here a second
time from their description: what an attacker could make, with the token and without."""

import hashlib
import hmac

HEADER = "igloo-member-bin"
COORDINATOR, WORKER = 0, 1


def code(key, sort, *parts):
    """HMAC-SHA-512-256 over what it is for and parts that tell their lengths."""
    text = sort + b"\0" + b"".join(len(part).to_bytes(8, "little") + part for part in parts)
    return hmac.new(key, text, hashlib.sha512).digest()[:32]


def key_of(token):
    return code(b"igloo cluster members v1".ljust(32, b"\0"), b"key", token.encode())


def prove(token, caller, role, callee, path, number):
    said = bytes([1, role]) + number.to_bytes(8, "little") + b"".join(
        bytes([len(name)]) + name.encode() for name in (caller, callee))
    return said + code(key_of(token), b"call", said, path.encode())
