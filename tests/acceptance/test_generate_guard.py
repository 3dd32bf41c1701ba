"""`invoke generate`: the guard follows the contract, and a stale one is told."""

from __future__ import annotations

import json

from orchestrator.adapters.guards import FILES
from orchestrator.adapters.runbooks import load_contract
from orchestrator.core.guarded import contract_digest
from tests.acceptance.desk import MASTER, Desk

SHOP = '[[foreign_key]]\ntable = "a"\ncolumns = ["b"]\nreferences = { table = "c", columns = ["id"] }\n'
PROMISED = load_contract(MASTER / "foreign_keys.toml").promised


def test_written_and_checked(desk: Desk) -> None:
    """Every promised relation is in each file, under the contract's digest; the check finds nothing to say."""
    said = desk.typed("generate", "--out", "guards", "--json")
    assert said.returncode == 0, said.stderr
    document = json.loads(said.stdout)
    digest = contract_digest(load_contract(MASTER / "foreign_keys.toml"))
    assert (document["digest"], document["relations"], document["stale"]) == (digest, len(PROMISED), [])
    for name in FILES:
        text = (desk.folder / "guards" / name).read_text("utf-8")
        assert f"Contract digest: {digest}\n" in text
        assert "test" in name or [each.name for each in PROMISED if f'"{each.name}"' not in text] == []
    assert desk.typed("generate", "--out", "guards", "--check").returncode == 0


def test_stale_missing_and_edited(desk: Desk) -> None:
    """Exit 1 with one line per file, and nothing is written."""
    runbook = desk.runbook(SHOP)
    place = ("generate", "--runbook", runbook, "--out", "guards")
    missing = desk.typed(*place, "--check")
    assert (missing.returncode, missing.stdout.count(": missing"), (desk.folder / "guards").exists()) == (
        1,
        len(FILES),
        False,
    )
    assert desk.typed(*place).returncode == 0
    desk.runbook(SHOP + 'on_delete = "cascade"\n')
    stale = desk.typed(*place, "--check")
    assert (stale.returncode, stale.stdout.count("made from another contract")) == (1, len(FILES))
    assert desk.typed(*place).returncode == 0
    path = desk.folder / "guards" / FILES[0]
    path.write_text(path.read_text("utf-8") + "// mine\n", "utf-8")
    edited = desk.typed(*place, "--check", "--json")
    (only,) = json.loads(edited.stdout)["stale"]
    assert (edited.returncode, only["reason"]) == (1, "was edited, or made by another version")


def test_what_is_refused(desk: Desk) -> None:
    """Exit 2 and one line: no folder, a file of somebody else, options that do not go together."""
    (desk.folder / "theirs").mkdir()
    (desk.folder / "theirs" / FILES[0]).write_text("export {}\n", "utf-8")
    (desk.folder / "file").write_text("", "utf-8")
    for words, says in (
        ((), "where to? --out DIR"),
        (("--out", "theirs"), "was not made by invoke generate"),
        (("--out", "file"), "cannot be"),
        (("--out", "x", "--name", "n"), "--name and --app go with --migration only"),
        (("--out", "x", "--check", "--migration", "sql"), "does not go with --migration"),
    ):
        said = desk.typed("generate", *words)
        assert (said.returncode, said.stderr.count("\n"), says in said.stderr) == (2, 1, True), said.stderr
