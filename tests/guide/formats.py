"""`python -m tests.guide.formats` writes docs/reference/formats.md: keys of inventory and contract, exit codes.

Names, types and defaults are those of the code; a key that nobody has explained here stops it.
"""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, fields
from datetime import date
from pathlib import Path
from typing import Any, Final, Literal, Union, get_args, get_origin, get_type_hints

from orchestrator.adapters.documents import WRITTEN
from orchestrator.adapters.runbooks import ForeignKeyLine
from orchestrator.core import inventory, outcome

PAGE = Path(__file__).parents[2] / "docs/reference/formats.md"
HEAD = """# Formats

Made from the code by `python -m tests.guide.formats`; do not edit. A key that is not known, a value that does not
fit and a password in a file are one line on the terminal and exit code 2.
"""
SOURCE = '`{ env = "NAME" }`, `{ file = "…" }`, `{ service = "…" }` or `{ embedded = "…" }`'

SECTIONS: Final[Mapping[str, type]] = {
    "[environment]": inventory.EnvironmentHead,
    "[database]": inventory.Database,
    "[[host]]": inventory.Host,
    "log = { … }": inventory.HostLog,
    "[policy]": inventory.Policy,
    "[policy.hosts]": inventory.HostLimits,
    "window = { … }": inventory.Window,
    "freeze = [{ … }]": inventory.Freeze,
    "[backup]": inventory.Backup,
    "[scratch]": inventory.Scratch,
    "[slack]": inventory.Slack,
    "[people]": inventory.Person,
    "[evidence]": inventory.EvidenceKey,
    "[templates]": inventory.Templates,
}

MEANS: Final[Mapping[str, str]] = {
    "[environment] name": "what commands call it; the file's own name",
    "[environment] kind": "production has gates, and refuses `seed` and a backup that is none",
    "[environment] evidence_from": "production: the environment whose rehearsal and deployment open it",
    "[database] url": "where the URL stands; a literal password is refused",
    "[database] role": "taken with SET ROLE after connecting",
    "[[host]] name": "what findings call it",
    "[[host]] ssh": "`user@host` or `user@host:port`, checked against known_hosts",
    "[[host]] service": '`{ manager = "pm2" or "systemd", name = "…" }`',
    "[[host]] health": "a URL that answers with a status from 200 to 299 when the service is well",
    "[[host]] jump": "a host to go through",
    "[[host]] key_file": "the private key",
    "[[host]] agent": "whether keys of the SSH agent may be used",
    "[[host]] sudo": "where the password for sudo stands",
    "[[host]] known_hosts": "the only host keys that are believed; by default ~/.ssh/known_hosts and the system's file",
    "[[host]] disk": "more places to ask for room, beside /, /var, /tmp and the home",
    "[[host]] log": "what the watch reads: a file or a pattern, `{ … }` as below, or a list of them",
    "log = { … } file": "an absolute path; * and ? stand for what changes, such as a date",
    "log = { … } journal": "a unit whose entries in the journal of systemd are read",
    "log = { … } pm2": "a process of pm2, whose two files are read",
    "[policy] lock_timeout_ms": "the lock budget in ms: the longest that a writer may be held up",
    "[policy] validate_workers": "validations side by side; auto adds one while the server has a core to spare",
    "[policy] approvals": "by others than the initiator",
    "[policy] evidence_max_age_hours": "after that a rehearsal opens nothing",
    "[policy] give_up_after_s": "of lock attempts, in s; then the run is held",
    "[policy] reconnect_within_s": "how long a lost connection is tried again, in s",
    "[policy] auto_rollback": "after which failures a run is walked back by itself",
    "[policy] create_missing_indexes": "plan CREATE INDEX CONCURRENTLY for referencing columns without one",
    "[policy] terminate_blockers": "application names that may be ended when they block us; whoever is ended is told",
    "[policy] max_replica_lag_s": "beyond it work pauses, in s",
    "[policy] behavioural_checks": "checks that write and are rolled back; by default everywhere but in production",
    "[policy] monitor_rollback": "whether monitoring may walk a deployment back by itself",
    "[policy] show_samples": "where keys of orphans are shown: terminal and `runs/` only, everywhere, nowhere",
    "[policy] window": "when a deployment may begin",
    "[policy] freeze": "days without deployments",
    "[policy] orphans": "what to do about relations with orphans",
    "[policy] hosts": "what a host must keep",
    "[policy.hosts] at_once": "hosts side by side",
    "[policy.hosts] answer_s": "how long connecting, and then a look, may take, in s",
    "[policy.hosts] disk_free_percent": "room that every place must have, in %",
    "[policy.hosts] disk_free_mb": "room that every place must have, in MB",
    "[policy.hosts] load_per_core": "the load of the last minute, per core",
    "[policy.hosts] clock_skew_s": "how far a host's clock may be from the database's, in s",
    "[policy.hosts] health_ms": "the longest that the health URL may take, in ms",
    "window = { … } days": "on which it begins",
    "window = { … } from": "`HH:MM`",
    "window = { … } to": "`HH:MM`; earlier than `from` means the next day",
    "window = { … } timezone": "of the IANA database, such as Asia/Jakarta",
    "freeze = [{ … }] from": "the first day",
    "freeze = [{ … }] to": "the last day",
    "freeze = [{ … }] reason": "told when it refuses",
    "[backup] mode": "dump: restored into a scratch database as proof; none is refused in production",
    "[backup] directory": "where dumps lie",
    "[backup] keep": "dumps that are kept; 0 keeps all",
    "[backup] command": "external: must print a restore point",
    "[scratch] on": 'where copies live, or `{ url = { env = "…" } }`; by default the server, for production embedded',
    "[slack] channel": "such as `#releases`",
    "[slack] token": "the bot's token",
    "[slack] app_token": "only for approvals from Slack",
    "[slack] base_url": "for tests and proxies",
    "[people] roles": "database roles that prove who it is",
    "[people] slack": "the member id, such as U012ABCDEF",
    "[people] approver": "whether this person's approval counts",
    "[evidence] key": "Ed25519; evidence that travels as a file must be signed",
    "[templates] directory": "overrides by name",
    "[[foreign_key]] table": "the referencing table; names are taken literally",
    "[[foreign_key]] columns": "the referencing columns, in order",
    "[[foreign_key]] references": '`{ schema = "…", table = "…", columns = ["…"] }`; schema as above by default',
    "[[foreign_key]] schema": "of the referencing table",
    "[[foreign_key]] on_delete": "what deleting the referenced row does",
    "[[foreign_key]] on_update": "what changing its key does",
    "[[foreign_key]] match": "what a key of several columns makes of a NULL",
    "[[foreign_key]] deferrable": "when it is checked",
    "[[foreign_key]] name": "of the constraint; by default fk_{table}_{columns}, shortened to 63 bytes",
    "[[foreign_key]] priority": "critical comes first, and decides about `--only critical`",
    "[[foreign_key]] deferred": "why it is not part of this release",
    "[[foreign_key]] suggested": "a guess; not deployed until a person removes the mark",
    "[[foreign_key]] on_delete_columns": "for set null and set default on some of the columns",
}
EXITS: Final[Mapping[int, str]] = {
    outcome.EXIT_DONE: "done (GO)",
    outcome.EXIT_FAILED: "failed after work began, or a task that only reads and whose answer is no",
    outcome.EXIT_REFUSED: "refused before the first change",
    outcome.EXIT_HELD: "held: `invoke resume` goes on",
}


def page() -> str:
    """The whole page. Raises KeyError for a key that nobody explained."""
    parts = [HEAD, "\n## Inventory\n\nOne file per environment, `inventory/NAME.toml`.\n"]
    parts += [_table(title, kind) for title, kind in SECTIONS.items()]
    parts += ["\n## Contract\n\n`foreign_keys.toml` of a runbook: one `[[foreign_key]]` per relation.\n"]
    parts += [_table("[[foreign_key]]", ForeignKeyLine)]
    rows = "".join(f"| {code} | {text} |\n" for code, text in EXITS.items())
    parts += [f"\n## Exit codes\n\n| code | means |\n| --- | --- |\n{rows}"]
    parts += ["\nThe JSON report has a schema: [report.schema.json](report.schema.json).\n"]
    return "".join(parts)


def _table(title: str, kind: type) -> str:
    rows = "".join(_rows(title, kind))
    return f"\n### {title}\n\n| key | values | default | meaning |\n| --- | --- | --- | --- |\n{rows}"


def _rows(title: str, kind: type) -> Iterator[str]:
    spelled = {name: word for word, name in WRITTEN.items()}
    types_of = get_type_hints(kind)
    for each in fields(kind):
        name = spelled.get(each.name, each.name)
        yield f"| `{name}` | {_values(types_of[each.name])} | {_default(each)} | {MEANS[f'{title} {name}']} |\n"


def _values(kind: Any) -> str:
    """The values of a type, as people write them in TOML."""
    if kind is inventory.Source:
        return SOURCE
    origin, parts = get_origin(kind), [each for each in get_args(kind) if each is not type(None)]
    if origin is Literal:
        return ", ".join(f"`{each}`" for each in parts)
    if origin in {Union, types.UnionType}:
        return " or ".join(dict.fromkeys(_values(each) for each in parts))
    if origin is tuple:
        return f"list of {_values(parts[0])}"
    words = {str: "text", int: "number", float: "number", bool: "true, false", date: "date"}
    return words.get(kind, "table")


def _default(field: Field[Any]) -> str:
    if field.default is MISSING and field.default_factory is MISSING:
        return "required"
    found = field.default
    if found is MISSING or found is None or found == ():
        return ""
    return f"`{str(found).lower() if isinstance(found, bool) else found}`"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
