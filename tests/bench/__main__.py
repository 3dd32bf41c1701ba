"""`python -m tests.bench`: the measurements, as a table or as one JSON document."""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from tests.bench.recording import TARGET_MS, Recording, measure


def main() -> None:
    """Measure and tell; the exit code says nothing about the numbers."""
    parser = argparse.ArgumentParser(prog="invoke bench")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        found = measure(Path(folder), rounds=chosen.rounds)
    if chosen.json:
        print(json.dumps(document(found), indent=2))
        return
    print(f"recording: {found.statements} statements, {found.rounds} rounds, medians")
    print(f"  ours {found.ours_ms:.2f} ms, psql {found.psql_ms:.2f} ms per statement: {ratio(found):.1f} times")
    kept = "kept" if found.cost_ms <= TARGET_MS else "not kept"
    print(f"  on top of the statement: {found.cost_ms:.2f} ms (at most {TARGET_MS:g} ms: {kept})")


def ratio(found: Recording) -> float:
    """How many times what psql takes."""
    return found.ours_ms / found.psql_ms


def document(found: Recording) -> dict[str, object]:
    """The numbers with their names."""
    return {
        "recording": {
            "statements": found.statements,
            "rounds": found.rounds,
            "ours_ms": round(found.ours_ms, 3),
            "psql_ms": round(found.psql_ms, 3),
            "cost_ms": round(found.cost_ms, 3),
            "ratio": round(ratio(found), 2),
            "target_ms": TARGET_MS,
        }
    }


if __name__ == "__main__":
    main()
