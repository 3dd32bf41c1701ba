"""What `invoke remediate` is going to do: found by reading alone, told to people, refused when it cannot be."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.adapters.remediation import RemediationRows
from orchestrator.adapters.remediation_sql import shown
from orchestrator.adapters.repair_by_hand import by_hand
from orchestrator.app.site import Site
from orchestrator.core.catalog import Catalog
from orchestrator.core.elsewhere import ACCEPT, harmed
from orchestrator.core.journal import RemediationPlanned
from orchestrator.core.nouns import counted
from orchestrator.core.outcome import Refused
from orchestrator.core.ports import Orphans
from orchestrator.core.remediated import left_alone
from orchestrator.core.remediation import DONE_WORDS, Remedy, find_relation, make_remedy, parse_how, parse_to
from orchestrator.core.remedy_columns import NoKey
from orchestrator.core.run import Run

STEP = "remediate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What was asked for on the command line. `batch` is the most rows of a batch."""

    relation: str | None = None
    how: str | None = None
    to: str | None = None
    batch: int | None = None
    undo: bool = False
    run: str | None = None
    accept_new_orphans: bool = False

    @property
    def options(self) -> dict[str, str]:
        """What a next command has to repeat, and what a resumed run goes on with."""
        told = {"relation": self.relation, "how": self.how, "to": self.to, "batch": self.batch and str(self.batch)}
        told[ACCEPT] = "yes" if self.accept_new_orphans else None
        return {key: value for key, value in told.items() if value}


def rows_for(site: Site, wish: Wish, catalog: Catalog) -> RemediationRows:
    """What was asked for, on this catalog. Raises Refused."""
    if not wish.relation:
        message = "--relation is missing: TABLE.COLUMN or the constraint's name"
        raise Refused(message)
    contract = site.folder.contract
    relation, how = find_relation(wish.relation, contract), parse_how(wish.how)
    to = parse_to(wish.to, relation, how)
    try:
        remedy = make_remedy(relation, how, to, contract=contract, catalog=catalog, run=site.run)
    except NoKey as error:
        message = f"{error}; {by_hand(relation, how, catalog)}"
        raise Refused(message) from error
    rows = RemediationRows(server=site.server, remedy=remedy, catalog=catalog, run=site.run)
    rows.check_first()
    return rows


def planned_for(rows: RemediationRows, found: Orphans) -> RemediationPlanned:
    """What is going to be done; keys of rows do not enter the journal. Raises OrchestratorError."""
    referenced, referring = rows.referenced() if found.count else (0, ())
    return RemediationPlanned(
        remedy=rows.remedy,
        orphans=found.count,
        referenced=referenced,
        statements=shown(rows.changing(())),
        referring=referring,
        elsewhere=rows.expected_elsewhere() if found.count else (),
    )


def objection(planned: RemediationPlanned, *, accepted: bool) -> str:
    """Why it is not done: another relation of the table would lose by it, and nobody said that this is wanted."""
    if accepted or not (lost := harmed(planned.elsewhere)):
        return ""
    told = "; ".join(each.told(would=True) for each in lost)
    return f"{told}: choose another --how, or give --{ACCEPT} when that is wanted"


def check_elsewhere(planned: RemediationPlanned, wish: Wish) -> None:
    """Raises Refused when it would harm another relation."""
    if reason := objection(planned, accepted=wish.accept_new_orphans):
        raise Refused(reason)


def planned_back(site: Site, found: Run, catalog: Catalog) -> RemediationPlanned:
    """What would be put back. Raises Refused when nothing can be."""
    if found.remediated is None:
        message = f"run {found.id} is no remediation"
        raise Refused(message)
    remedy = found.remediated.planned.remedy
    _no_standing_key(remedy, catalog)
    rows = RemediationRows(server=site.server, remedy=remedy, catalog=catalog, run=site.run)
    kept = rows.kept()
    # An empty copy is dropped: the run was killed before its first batch, and nothing else would ever do it.
    if kept is None or (kept[0] and not kept[1]):
        told = ""
        if kept:
            rows_kept = counted(kept[0], "row that could not be stays", "rows that could not be stay")
            told = f"; {rows_kept} in {remedy.kept}, the last column says why: set it to NULL to try again"
        message = f"run {found.id} has nothing left to put back{told}"
        raise Refused(message)
    return RemediationPlanned(remedy=remedy, orphans=kept[1], statements=shown(rows.putting_back(())), of=found.id)


def _no_standing_key(remedy: Remedy, catalog: Catalog) -> None:
    """An orphan is not taken back by a table whose key stands, valid or not. Raises Refused."""
    table = catalog.table(remedy.relation.table)
    key = next((each for each in table.foreign_keys if remedy.relation.same_link(each)), None) if table else None
    if table is None or (key is not None and key.enforced and key.triggers_enabled):
        why = f"its key {key.name} stands: walk back the run that added it first" if key else "its table is gone"
        message = f"{remedy.relation.id}: rows cannot be put back, {why}"
        raise Refused(message)


def tell_rows(site: Site, planned: RemediationPlanned, *, would: bool) -> None:
    """How many rows it is about, and what to know of them before it begins."""
    remedy, line = planned.remedy, site.screen.line
    if planned.of:
        line(f"  {counted(planned.orphans, 'row')} that run {planned.of} {DONE_WORDS[remedy.how]} would be put back")
    else:
        to = f" to {', '.join(remedy.to)}" if remedy.to else ""
        rows = f"{planned.orphans - planned.referenced} of {counted(planned.orphans, 'row')}"
        line(f"  {rows} {'would' if would else 'will'} be {DONE_WORDS[remedy.how]}{to}")
    if planned.referenced:
        line(f"  {left_alone(planned.referenced, planned.referring, would=would)}")
    for each in harmed(planned.elsewhere):
        line(f"  {each.told(would=True)}")
    for note in remedy.notes:
        line(f"  note: {note}")


def tell(site: Site, planned: RemediationPlanned) -> None:
    """The plan for people, as the dry run shows it."""
    remedy, line = planned.remedy, site.screen.line
    tell_rows(site, planned, would=True)
    line("  each batch is one transaction, with the keys of its rows in the list:")
    for statement in planned.statements:
        line(f"    {statement};")
    if not planned.of:
        what = "whole rows" if not remedy.sets else f"{', '.join(remedy.key)} and old values"
        line(f"  {what} are kept in {remedy.kept}; {site.server.command('rollback')} --run RUN puts them back")


def catalog_of(site: Site) -> Catalog:
    """The catalog as it is now. Raises OrchestratorError."""
    return site.catalog(STEP).catalog()
