"""Evidence as a file: canonical JSON with the head of the rehearsal's chain, signed with Ed25519 where a key is set.

The signature is over the canonical text of everything else in the file, so that one changed character is found.
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from orchestrator.adapters import events
from orchestrator.adapters.inventory import resolve
from orchestrator.core.evidence import Evidence
from orchestrator.core.inventory import Environment
from orchestrator.core.journal import EvidenceRecorded
from orchestrator.core.outcome import Refused
from orchestrator.core.run import Run

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

FILE: Final = "evidence.json"
VERSION: Final = 1
SIGNATURE: Final = "signature"
_MOST_BYTES: Final = 64 * 2**20


def signing_key(environment: Environment) -> Ed25519PrivateKey | None:
    """The key of `[evidence]` that signs, None when none is set. Raises Refused in one line."""
    pem = _pem(environment)
    if pem is None:
        return None
    private, _ = _keys(pem, place=f"{environment.name}: evidence.key")
    if private is None:
        message = (
            f"{environment.name}: evidence.key is the public half, which only verifies; rehearse needs the private"
        )
        raise Refused(message)
    return private


def verifying_key(environment: Environment) -> Ed25519PublicKey:
    """The key of `[evidence]` that verifies: the public half, or that of the private one. Raises Refused."""
    pem = _pem(environment)
    if pem is None:
        message = f"{environment.name}: evidence that travels as a file must be signed: set [evidence] key"
        raise Refused(message)
    return _keys(pem, place=f"{environment.name}: evidence.key")[1]


def write_evidence(path: Path, run: Run, key: Ed25519PrivateKey | None) -> None:
    """What a closed rehearsal proves, into a file. Raises Refused when it cannot be written, or there is none."""
    if run.evidence is None:
        message = f"run {run.id} has no evidence on record"
        raise Refused(message)
    _, data = events.encode(EvidenceRecorded(evidence=run.evidence))
    document: dict[str, Any] = {**json.loads(data), "version": VERSION, "events": run.count, "head": run.head}
    if key is not None:
        document[SIGNATURE] = b64encode(key.sign(_signed(document))).decode()
    try:
        path.write_text(_canonical(document) + "\n", encoding="utf-8")
    except OSError as error:
        message = f"{path}: cannot be written ({error.strerror})"
        raise Refused(message) from error


def read_evidence(path: Path, key: Ed25519PublicKey) -> Evidence:
    """The evidence of a file that this key's other half signed. Raises Refused in one line for anything else."""
    from cryptography.exceptions import InvalidSignature

    document = _document(path)
    try:
        key.verify(b64decode(str(document.get(SIGNATURE, "")), validate=True), _signed(document))
    except (InvalidSignature, ValueError) as error:
        what = (
            "is not signed by the key of [evidence], or was changed since" if SIGNATURE in document else "is not signed"
        )
        message = f"{path}: {what}; rehearse where [evidence] key is set, and bring its evidence.json unchanged"
        raise Refused(message) from error
    found = events.decode("evidence_recorded", json.dumps({"evidence": document.get("evidence")}))
    known = found.evidence if isinstance(found, EvidenceRecorded) and document.get("version") == VERSION else None
    if known is None or known.finished.tzinfo is None:
        message = f"{path}: signed, but in a form that this version does not know"
        raise Refused(message)
    return known


def _document(path: Path) -> dict[str, Any]:
    try:
        with path.expanduser().open("rb") as file:
            document = json.loads(file.read(_MOST_BYTES).decode())
    except (ValueError, RecursionError) as error:
        message = f"{path}: is no evidence (not JSON)"
        raise Refused(message) from error
    except (OSError, RuntimeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        message = f"{path}: cannot be read ({why})"
        raise Refused(message) from error
    if not isinstance(document, dict):
        message = f"{path}: is no evidence (no document)"
        raise Refused(message)
    return document


def _signed(document: dict[str, Any]) -> bytes:
    return _canonical({name: value for name, value in document.items() if name != SIGNATURE}).encode()


def _canonical(document: dict[str, Any]) -> str:
    """Sorted keys, no spaces: the same document is the same text everywhere."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _pem(environment: Environment) -> bytes | None:
    source = environment.evidence.key
    return resolve(source, place=f"{environment.name}: evidence.key").reveal().encode() if source else None


def _keys(pem: bytes, *, place: str) -> tuple[Ed25519PrivateKey | None, Ed25519PublicKey]:
    """The private half, where it is one, and the public half. The message never holds the key."""
    # Loading the library takes longer than most commands: only where there is a key.
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

    wanted = "an Ed25519 key in PEM without a passphrase (openssl genpkey -algorithm ed25519)"
    try:
        key = load_pem_private_key(pem, None) if b"PRIVATE KEY" in pem else load_pem_public_key(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        message = f"{place}: cannot be read as a key: must be {wanted}"
        raise Refused(message) from error
    if isinstance(key, Ed25519PrivateKey):
        return key, key.public_key()
    if isinstance(key, Ed25519PublicKey):
        return None, key
    message = f"{place}: is a key of another kind: must be {wanted}"
    raise Refused(message)
