"""`invoke plan`: contract against catalog, and the statements that follow."""

from __future__ import annotations

from contextlib import ExitStack

from orchestrator.adapters.host_words import planned_on_hosts
from orchestrator.app.answer import Answer
from orchestrator.app.opening import open_with_catalog
from orchestrator.app.request import Request
from orchestrator.core.answers import plan_document
from orchestrator.core.outcome import EXIT_DONE, EXIT_FAILED, Refused


def plan(request: Request, *, form: str | None) -> Answer:
    """`invoke plan`: what would be executed. With `--format sql` a script that psql can run."""
    if form not in {None, "sql"} or (form and request.json):
        message = f"--format {form}: a plan is shown as text, as --json, or as --format sql, one at a time"
        raise Refused(message)
    with ExitStack() as stack:
        site, catalog = open_with_catalog(request, stack, step="plan")
        made = site.make_plan(catalog)
        if form == "sql":
            # Only a script needs the templates.
            from orchestrator.adapters.render import plan_script

            print(plan_script(made), end="")
    if form is None and not request.json:
        site.screen.plan(made)
        for line in planned_on_hosts(made, site.folder.on_hosts):
            site.screen.line(line)
    bad = any(each.status in {"different", "impossible"} for each in made.relations)
    return Answer(document=plan_document(made, site.folder.on_hosts), exit_code=EXIT_FAILED if bad else EXIT_DONE)
