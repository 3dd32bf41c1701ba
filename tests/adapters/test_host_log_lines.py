"""Lines of applications' logs: what is an error, and what tells of a foreign key that refused a write."""

from __future__ import annotations

import json

import pytest

from orchestrator.adapters.host_log_journal import JournalLines
from orchestrator.adapters.host_log_lines import LineCounts

KEY = 'insert or update on table "orders" violates foreign key constraint "fk_orders"'
DJANGO = f"""\
Traceback (most recent call last):
  File "orders.py", line 1, in save
psycopg.errors.ForeignKeyViolation: {KEY}
DETAIL:  Key (customer_id)=(-1) is not present in table "customers".

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "django.py", line 2, in create
django.db.utils.IntegrityError: {KEY}
DETAIL:  Key (customer_id)=(-1) is not present in table "customers".
"""
PRISMA = """\
PrismaClientKnownRequestError:
Invalid `prisma.order.create()` invocation:


Foreign key constraint violated on the constraint: `fk_orders`
    at Xr.handleRequestError {
  code: 'P2003',
  meta: { modelName: 'Order', constraint: 'fk_orders' },
}
"""
NODE = f"""\
error: {KEY}
    at Parser.parseErrorMessage
  severity: 'ERROR',
  code: '23503',
"""
JAVA = f"""\
2026-11-25 10:00:00.123 ERROR 1 --- [main] c.e.Orders : could not execute statement
org.springframework.dao.DataIntegrityViolationException: could not execute statement [ERROR: {KEY}]
\tat org.hibernate.A
Caused by: org.postgresql.util.PSQLException: ERROR: {KEY}
  Detail: Key (customer_id)=(-1) is not present in table "customers".
"""
ALCHEMY = f"""\
2026-11-25 10:00:00,123 - orders - ERROR - (psycopg2.errors.ForeignKeyViolation) {KEY}
Traceback (most recent call last):
  File "a.py", line 1
sqlalchemy.exc.IntegrityError: (psycopg2.errors.ForeignKeyViolation) {KEY}
DETAIL:  Key (customer_id)=(-1) is not present in table "customers".

[SQL: INSERT INTO orders (customer_id) VALUES (%(customer_id)s)]
(Background on this error at: https://sqlalche.me/e/20/gkpj)
"""


def counted(text: str) -> tuple[int, int, int]:
    """Lines, errors, violations."""
    counts = LineCounts()
    counts.take(text.encode())
    assert counts.whole == len(text.encode())
    return counts.lines, counts.errors, counts.violations


@pytest.mark.parametrize(
    ("text", "violations"),
    [
        (DJANGO, 1),
        ("Internal Server Error: /orders\n" + DJANGO, 1),
        ("2026-11-25 10:00:00 ERROR django.request Internal Server Error: /orders\n" + DJANGO, 1),
        (PRISMA, 1),
        (NODE, 1),
        (JAVA, 1),
        (ALCHEMY, 1),
        ('{"level":50,"msg":"no","err":{"code":"P2003","stack":"Foreign key constraint violated"}}\n', 1),
        ('{"level":"error","message":"no","code":"23503"}\n', 1),
        ("SQLSTATE[23503]: Foreign key violation: 7\n", 1),
        ("Npgsql.PostgresException (0x80004005): 23503: einfügen verletzt Fremdschlüssel\n", 1),
        (
            'ERROR: update or delete on "a" violates RESTRICT setting of foreign key constraint "k" (SQLSTATE 23001)\n',
            1,
        ),
        ("order 23503 was shipped\nzip code: 23503\nGET /orders/23503\npostal_code=23001\n", 0),
        ('{"level":30,"postalCode":"23503"}\n', 0),
    ],
    ids=range(14),
)
def test_a_violation_counts_once_however_it_is_told(text: str, violations: int) -> None:
    """Also when many of them follow each other."""
    assert counted(text)[2] == violations
    assert counted(text * 3)[2] == 3 * violations


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ('{"level":50,"msg":"pino"}', True),
        ('{"level":30,"msg":"an ERROR in a text"}', False),
        ('{"level":"\\u001b[31merror\\u001b[39m","message":"winston"}', True),
        ('{"level":200,"level_name":"INFO","message":"monolog"}', False),
        ('{"levelname":"CRITICAL","levelno":50}', True),
        ('{"log":{"level":"error"},"message":"ecs"}', True),
        ('{"version":"1.1","short_message":"gelf","level":6}', False),
        ('{"version":"1.1","short_message":"gelf","level":3}', True),
        ('{"severity":"ERROR","message":"cloud"}', True),
        ('{"level":30,"res":{"statusCode":503}}', True),
        ('{"status":"204","request":"GET /"}', False),
        ('10.0.0.1 - - [25/Nov/2026:10:00:00 +0000] "GET /a HTTP/1.1" 200 12', False),
        ('10.0.0.1 - ayu [25/Nov/2026:10:00:00 +0000] "POST /b\\"c HTTP/1.1" 502 0 "-" "curl ERROR"', True),
        ('10.0.0.1 - - [25/Nov/2026:10:00:00 +0000] "GET /error HTTP/1.1" 404 12', False),
        ("2026-11-25 10:00:00,123 ERROR orders: no", True),
        ("2026-11-25 10:00:00,123 INFO orders: ERROR in a text", False),
        ("2026-11-25T10:00:00Z \x1b[31merror\x1b[39m: coloured", True),
        ("[Nest] 12  - 11/25/2026, 10:00:00 AM   ERROR [Orders] no", True),
        ("2026/11/25 10:00:00 [error] 12#0: *1 upstream timed out", True),
        ('time="2026-11-25T10:00:00Z" level=error msg="no"', True),
        ("E1125 10:00:00.000000 1 orders.go:1] no", True),
        ("error: no", True),
        ("no errors were found", False),
    ],
)
def test_a_line_is_an_error_by_its_own_level(line: str, *, error: bool) -> None:
    """JSON by its field, requests by their status, text by the first level that stands in it."""
    assert counted(line + "\n") == (1, int(error), 0)


def test_a_stack_trace_is_no_line_of_its_own() -> None:
    """Only records are counted, so that a trace of forty lines does not make errors look rare."""
    assert counted("2026-11-25 10:00:00 ERROR no\n" + DJANGO + "2026-11-25 10:00:01 INFO yes\n") == (2, 1, 1)


def test_wherever_it_is_cut_the_counts_are_the_same() -> None:
    """Between two samples only the place, and what the next line has to know, are kept."""
    text = (ALCHEMY + PRISMA + "2026-11-25 10:00:00 ERROR no\n" + DJANGO + NODE).encode()
    whole = LineCounts()
    whole.take(text)
    for cut in range(0, len(text), 7):
        first = LineCounts()
        first.take(text[:cut])
        second = LineCounts().go_on(first.inside)
        second.take(text[first.whole :])
        for name in ("lines", "errors", "violations"):
            assert getattr(first, name) + getattr(second, name) == getattr(whole, name), (cut, name)


def test_a_line_without_an_end_is_bounded() -> None:
    """It counts once, and what is kept of it in memory is little."""
    counts = LineCounts()
    for _ in range(40):
        counts.take(b"x" * 100_000)
        assert len(counts._rest) <= 1_200_000
    counts.take(b"\n2026-11-25 10:00:00 ERROR no\n")
    assert (counts.lines, counts.errors, counts.whole) == (2, 1, 4_000_000 + 30)


@pytest.mark.parametrize("line", ['{"level": 30, "body": ' + "[" * 100_000, '{"level": "\\ud800"}'])
def test_no_line_ends_the_reading_of_a_log(line: str) -> None:
    """Whoever may write into a log could blind the watch for good: its place would stay before that line."""
    assert counted(f"{line}\n2026-11-25 10:00:00 ERROR not well\n") == (2, 1, 0)


@pytest.mark.parametrize("message", [["x", "y"], [300], [[120], [121]], "\ud800"])
def test_no_entry_ends_the_reading_of_a_journal(message: object) -> None:
    """An entry may hold its message twice, and what no encoding knows."""
    lines = JournalLines(last="")
    lines.take(json.dumps({"__CURSOR": "c", "MESSAGE": message, "PRIORITY": "3"}).encode() + b"\n")
    assert (lines.cursor, lines.counts.lines, lines.counts.errors) == ("c", 1, 1)
