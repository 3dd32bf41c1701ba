"""One look at a host: a small shell script asks everything at once, and what it prints becomes facts."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from typing import Any, Final

from orchestrator.core.hosts import Disk, ServiceSeen, Standing
from orchestrator.core.inventory import Host, Service

PLACES: Final = ("/", "/var", "/tmp")  # noqa: S108  asked for room, not written to

# The clock first: what comes later takes time. df last: a dead network disk makes it hang, and what was told before it
# still counts. %N is not POSIX; where it is not known the letter comes back.
SCRIPT: Final = """\
LC_ALL=C; export LC_ALL
echo "now $(date -u +%s.%N)"
echo "cores $(getconf _NPROCESSORS_ONLN 2>/dev/null)"
echo "load $(cat /proc/loadavg 2>/dev/null || uptime | sed 's/.*averages*: *//')"
echo "up $(cat /proc/uptime 2>/dev/null)"
"""
SYSTEMD: Final = "systemctl show -p LoadState,ActiveState,SubState,NRestarts,ActiveEnterTimestampMonotonic -- {name}"
# pm2 is often known to login shells only, as nvm installs it.
PM2: Final = "pm2 jlist 2>/dev/null || sh -lc 'pm2 jlist' 2>/dev/null"

STANDINGS: Final[dict[str, Standing]] = {
    "active": "running",
    "reloading": "running",
    "refreshing": "running",
    "activating": "starting",
    "deactivating": "stopped",
    "inactive": "stopped",
    "failed": "failed",
    "online": "running",
    "launching": "starting",
    "waiting restart": "starting",
    "stopping": "stopped",
    "stopped": "stopped",
    "errored": "failed",
    "one-launch-status": "running",
}
RESTARTING: Final = frozenset({"auto-restart", "auto-restart-queued", "waiting restart"})


def script(host: Host) -> str:
    """What the host is asked."""
    places = " ".join(shlex.quote(each) for each in (*PLACES, *host.disk))
    parts = [SCRIPT]
    if host.service is not None:
        parts.append(f"{{ {_service_words(host.service)}; }} | sed 's/^/service /'\n")
    parts.append(f"df -Pk {places} \"$HOME\" 2>/dev/null | sed 's/^/disk /'\n")
    return "".join(parts)


def _service_words(service: Service) -> str:
    return SYSTEMD.format(name=shlex.quote(service.name)) if service.manager == "systemd" else PM2


def lines(text: str, key: str) -> Iterator[str]:
    """What was told under a key, line by line."""
    for line in text.splitlines():
        if line.startswith(f"{key} "):
            yield line.removeprefix(f"{key} ")


def number(text: str, key: str) -> float | None:
    """The first number that was told under a key."""
    found = re.match(r"\s*(\d+(?:[.,]\d+)?)", next(lines(text, key), ""))
    return float(found[1].replace(",", ".")) if found else None


def disks(text: str) -> Iterator[Disk]:
    """The file systems of the places asked for, each once."""
    told = set()
    for line in lines(text, "disk"):
        # POSIX's format: name, blocks, used, available, capacity, mounted on; a name or a mount may hold spaces.
        found = re.search(r"\s(\d+)\s+(\d+)\s+(-?\d+)\s+\d+%\s+(/.*)$", line)
        if found is None or found[4] in told:
            continue
        told.add(found[4])
        # What root keeps for itself is no room: free is what the last column but one says, of what can be used.
        used, free = int(found[2]), max(0, int(found[3]))
        if used + free:
            yield Disk(mount=found[4], free_percent=round(100 * free / (used + free), 1), free_mb=free // 1024)


def service(wanted: Service, text: str) -> ServiceSeen | None:
    """The state of the service; None when its manager told nothing that can be read."""
    told = tuple(lines(text, "service"))
    return _systemd(told, number(text, "up")) if wanted.manager == "systemd" else _pm2(wanted, told, text)


def _systemd(told: Sequence[str], uptime_s: float | None) -> ServiceSeen | None:
    values = dict(line.split("=", 1) for line in told if "=" in line)
    state, sub = values.get("ActiveState", ""), values.get("SubState", "")
    if not state:
        return None
    if values.get("LoadState") == "not-found":
        return ServiceSeen(standing="missing", told="systemd knows no such unit")
    entered = _whole(values.get("ActiveEnterTimestampMonotonic"))
    return ServiceSeen(
        standing=STANDINGS.get(state, "stopped"),
        told=f"{state} ({sub})" if sub else state,
        restarts=_whole(values.get("NRestarts")),
        up_s=max(0.0, round(uptime_s - entered / 1e6, 1)) if uptime_s is not None and entered else None,
        loops=sub in RESTARTING,
    )


def _pm2(wanted: Service, told: Sequence[str], text: str) -> ServiceSeen | None:
    """The processes of that name, as one: a cluster is as well as its worst, its restarts are added up.

    jlist prints the whole environment of each process, secrets too: nothing of it but these few fields is kept.
    """
    known = _jlist(told)
    if known is None:
        return None
    now = number(text, "now")
    own = [_pm2_process(each, now) for each in known if isinstance(each, dict) and each.get("name") == wanted.name]
    if not own:
        return ServiceSeen(standing="missing", told="pm2 knows no such process")
    worst = next((each for each in own if each.loops or each.standing != "running"), own[0])
    ups = [each.up_s for each in own if each.up_s is not None]
    return ServiceSeen(
        standing=worst.standing,
        told=worst.told if len(own) == 1 else f"{worst.told}, {len(own)} processes",
        restarts=sum(each.restarts for each in own),
        up_s=min(ups, default=None),
        loops=any(each.loops for each in own),
    )


def pm2_logs(name: str, text: str) -> tuple[str, ...]:
    """The files that processes of that name print to, each once."""
    known = _jlist(tuple(lines(text, "service"))) or []
    own = [each.get("pm2_env") for each in known if isinstance(each, dict) and each.get("name") == name]
    paths = [env.get(key) for env in own if isinstance(env, dict) for key in ("pm_out_log_path", "pm_err_log_path")]
    return tuple(dict.fromkeys(each for each in paths if isinstance(each, str) and each not in {"", "/dev/null"}))


def _jlist(told: Sequence[str]) -> list[Any] | None:
    """The list that pm2 printed; before it there may be a line about its daemon."""
    for line in told:
        try:
            found = json.loads(line[line.index("[{") if "[{" in line else line.index("[]") :])
        except ValueError:
            continue
        if isinstance(found, list):
            return found
    return None


def _pm2_process(process: dict[str, Any], now: float | None) -> ServiceSeen:
    own = process.get("pm2_env")
    env = own if isinstance(own, dict) else {}
    status = str(env.get("status", "unknown"))
    began = env.get("pm_uptime")
    return ServiceSeen(
        standing=STANDINGS.get(status, "stopped"),
        told=status,
        restarts=_whole(env.get("restart_time")),
        up_s=round(max(0.0, now - began / 1000), 1) if now and isinstance(began, int | float) else None,
        loops=status in RESTARTING or _whole(env.get("unstable_restarts")) > 0,
    )


def _whole(value: object) -> int:
    return int(str(value)) if str(value).isdecimal() else 0
