"""Evidence that travels as a file: what is not exactly what the key signed is refused in one line."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as other_kind
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from orchestrator.adapters.evidence import read_evidence, signing_key, verifying_key, write_evidence
from orchestrator.core.catalog import TableName
from orchestrator.core.evidence import Evidence, Measured, WayBack
from orchestrator.core.inventory import Database, Environment, EnvironmentHead, EvidenceKey, Source
from orchestrator.core.journal import Identity
from orchestrator.core.locks import Lock
from orchestrator.core.outcome import Refused
from orchestrator.core.run import Run


def sample(**changes: object) -> Evidence:
    """Evidence of a small rehearsal."""
    child = TableName(schema="public", name="child")
    facts: dict[str, object] = {
        "run": "r1",
        "runbook": "shop",
        "environment": "staging",
        "like": None,
        "digest": "d" * 64,
        "fingerprint": "f" * 64,
        "lines": ("public.child: table permanent", "public.child: column id größe"),
        "target": Identity(system_identifier="7", database="app", server_version=160003, role="us"),
        "scratch_version": 160003,
        "finished": datetime(2026, 11, 23, 12, tzinfo=UTC),
        "verdict": "GO",
        "rows": {"public.child": 1000},
        "statements": (
            Measured(
                id="add:public.child.k",
                relation="r",
                sql="ALTER TABLE …",
                locks=(Lock(table=child, mode="SHARE ROW EXCLUSIVE"),),
                duration_ms=1.5,
                blocked_ms=2.25,
                times_ms=(1.0, 1.5, 2.0),
            ),
        ),
        "steps": {"apply": 12.5},
        "ways_back": (WayBack(boundary="apply", before="a", after="a", duration_ms=3.5, statements=1),),
    }
    return Evidence(**{**facts, **changes})  # type: ignore[arg-type]


def write_pair(folder: Path) -> tuple[Path, Path]:
    """A fresh key: the file that signs, and the file that verifies."""
    key = Ed25519PrivateKey.generate()
    private, public = folder / "private.pem", folder / "public.pem"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return private, public


def environment(key: Path | None) -> Environment:
    """An environment whose key lies in that file."""
    source = Source(file=str(key)) if key else None
    head = EnvironmentHead(name="staging", kind="staging")
    return Environment(environment=head, database=Database(url="x"), evidence=EvidenceKey(key=source))


def run_of(evidence: Evidence | None) -> Run:
    """A closed rehearsal."""
    return Run("r1", evidence=evidence, head="h" * 64, count=12)


@pytest.fixture
def signed(tmp_path: Path) -> tuple[Path, Path]:
    """A signed file, and the public half of its key."""
    private, public = write_pair(tmp_path)
    path = tmp_path / "evidence.json"
    write_evidence(path, run_of(sample()), signing_key(environment(private)))
    return path, public


def test_what_was_signed_is_read(signed: tuple[Path, Path]) -> None:
    """Equal to the last digit; the public half verifies, and so does the private one."""
    path, public = signed
    assert read_evidence(path, verifying_key(environment(public))) == sample()
    assert read_evidence(path, verifying_key(environment(path.parent / "private.pem"))) == sample()
    document = json.loads(path.read_text())
    assert (document["head"], document["events"]) == ("h" * 64, 12)


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ('"verdict":"GO"', '"verdict":"HOLD"'),
        ('"duration_ms":3.5', '"duration_ms":3.4'),
        ("d" * 64, "d" * 63 + "e"),
        ('"after":"a"', '"after":"b"'),
        ("h" * 64, "g" * 64),
        ('"like":null', '"like":"prod"'),
    ],
    ids=["verdict", "time", "digest", "fingerprint", "head", "like"],
)
def test_one_changed_character_is_found(signed: tuple[Path, Path], was: str, becomes: str) -> None:
    """In whatever part of the file."""
    path, public = signed
    text = path.read_text()
    assert was in text
    path.write_text(text.replace(was, becomes, 1))
    with pytest.raises(Refused, match="was changed since"):
        read_evidence(path, verifying_key(environment(public)))


def test_another_key_and_no_signature(signed: tuple[Path, Path], tmp_path: Path) -> None:
    """Neither what somebody else signed nor what nobody signed."""
    path, public = signed
    (tmp_path / "other").mkdir()
    _, other = write_pair(tmp_path / "other")
    with pytest.raises(Refused, match="not signed by the key"):
        read_evidence(path, verifying_key(environment(other)))
    write_evidence(path, run_of(sample()), None)
    with pytest.raises(Refused, match="is not signed;"):
        read_evidence(path, verifying_key(environment(public)))
    path.write_text(json.dumps({**json.loads(path.read_text()), "signature": "no base64!"}))
    with pytest.raises(Refused, match="was changed since"):
        read_evidence(path, verifying_key(environment(public)))


@pytest.mark.parametrize("text", ["", "no json", "[1]", "[" * 100_000, '{"signature": null}'])
def test_what_is_no_evidence(signed: tuple[Path, Path], text: str) -> None:
    """One line that names the file."""
    path, public = signed
    path.write_text(text)
    with pytest.raises(Refused, match=r"evidence\.json: is ") as said:
        read_evidence(path, verifying_key(environment(public)))
    assert "\n" not in str(said.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """Named, with the reason."""
    _, public = write_pair(tmp_path)
    with pytest.raises(Refused, match="No such file"):
        read_evidence(tmp_path / "gone.json", verifying_key(environment(public)))


def test_keys_that_cannot_serve(tmp_path: Path) -> None:
    """None at all, the public half for signing, another kind, something else: one line each."""
    _, public = write_pair(tmp_path)
    assert signing_key(environment(None)) is None
    with pytest.raises(Refused, match=r"set \[evidence\] key"):
        verifying_key(environment(None))
    with pytest.raises(Refused, match="only verifies"):
        signing_key(environment(public))
    kind = tmp_path / "ec.pem"
    kind.write_bytes(other_kind(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(Refused, match="another kind"):
        signing_key(environment(kind))
    kind.write_text("-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----\n")
    with pytest.raises(Refused, match="cannot be read as a key"):
        verifying_key(environment(kind))


def test_a_rehearsal_without_evidence_leaves_no_file(tmp_path: Path) -> None:
    """There is nothing to sign."""
    with pytest.raises(Refused, match="no evidence"):
        write_evidence(tmp_path / "evidence.json", run_of(None), None)
    assert list(tmp_path.iterdir()) == []


def test_a_time_without_a_zone_is_refused(tmp_path: Path) -> None:
    """Signed all the same, and nothing could be compared with it."""
    private, public = write_pair(tmp_path)
    path = tmp_path / "evidence.json"
    naive = sample(finished=datetime(2026, 11, 23, 12))  # noqa: DTZ001  that is the point
    write_evidence(path, run_of(naive), signing_key(environment(private)))
    with pytest.raises(Refused, match="in a form that this version does not know"):
        read_evidence(path, verifying_key(environment(public)))
