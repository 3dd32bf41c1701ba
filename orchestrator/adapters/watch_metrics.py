"""The latest sample of a watch as metrics in Prometheus' text format, for node_exporter's textfile collector."""

from __future__ import annotations

from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

from orchestrator.core.outcome import Refused
from orchestrator.core.run import Run
from orchestrator.core.watch_rules import (
    RANK,
    error_rate,
    health_failures,
    log_error_rate,
    overhead,
    violations_per_hour,
)


def write_metrics(path: Path, run: Run) -> None:
    """Write the file so that a reader sees the old text or the new one. Raises Refused."""
    try:
        write_to_textfile(str(path), _registry(run))
    except OSError as error:
        message = f"--prometheus {path}: cannot be written ({error.strerror})"
        raise Refused(message) from error


def _registry(run: Run) -> CollectorRegistry:
    registry = CollectorRegistry()
    watched, environment = run.watched, run.started.environment if run.started else ""
    labels = {"environment": environment, "run": watched.began.of if watched.began else ""}

    def gauge(name: str, about: str, value: float | None, **more: str) -> None:
        if value is not None:
            made = known.get(name) or Gauge(f"orchestrator_{name}", about, [*labels, *more], registry=registry)
            known[name] = made
            made.labels(**labels, **more).set(value)

    known: dict[str, Gauge] = {}
    readings, base = watched.readings, watched.held_against
    last = readings[-1]
    gauge("watch_word", "What the thresholds say: 0 go, 1 investigate, 2 roll back.", RANK[watched.word])
    gauge("watch_samples", "Samples of this watch.", len(readings))
    gauge("watch_last_sample_timestamp_seconds", "When the latest sample was taken.", last.at.timestamp())
    for key, ms in last.writes.items():
        operation, _, table = key.partition(" ")
        more = {"table": table, "operation": operation}
        gauge("write_ms", "How long a write takes.", ms, **more)
        gauge("write_overhead_ms", "By how much longer than before.", overhead(base, readings, key), **more)
    gauge("error_rate_percent", "Transactions that are rolled back.", error_rate(readings))
    gauge("foreign_key_violations_per_hour", "Writes refused by a key.", violations_per_hour(readings))
    gauge("lock_wait_ms", "The longest wait for a lock at the time of the sample.", last.lock_wait_ms)
    gauge("replica_lag_seconds", "The replica that is furthest behind.", last.lag_s)
    gauge("keys_standing", "Keys of the contract that stand valid and enforced.", last.standing)
    for relation, count in last.orphans.items():
        gauge("orphans", "Rows that refer to nothing, by relation that stands NOT VALID.", count, relation=relation)
    for host, healthy in last.healthy.items():
        gauge("host_healthy", "Whether service and health of a host are well.", float(healthy), host=host)
        failures = health_failures(readings, host)
        gauge("host_health_failures_percent", "Failed health checks of the last hour.", failures, host=host)
    for (host, log), read in watched.logs.items():
        rate = log_error_rate(readings, read.subject)
        gauge("host_log_errors_percent", "Errors among what comes into a host's log.", rate, host=host, log=log)
        gauge("host_log_readable", "Whether a host's log could be read.", float(not read.unknown), host=host, log=log)
    return registry
