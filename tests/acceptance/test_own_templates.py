"""Own templates in whole commands: a deployment, a report, a script, and a folder that is none."""

from __future__ import annotations

import shutil

from orchestrator.app import reading
from orchestrator.core.outcome import EXIT_DONE, EXIT_REFUSED
from tests.acceptance.desk import MASTER, Desk


def test_inventory_and_runbook_override_and_errors_stop_nothing(desk: Desk, master: str) -> None:
    """The user's template wins over the runbook's, a broken one is told once, in words and in the answer."""
    user, book = desk.folder / "ours", desk.folder / "book"
    user.mkdir()
    shutil.copytree(MASTER, book)
    (book / "templates").mkdir()
    desk.environment("staging", master, more=f'[templates]\ndirectory = "{user}"')
    (user / "report.md.j2").write_text("ours: {{ summary.run }}", encoding="utf-8")
    (book / "templates/report.md.j2").write_text("the book's", encoding="utf-8")
    (book / "templates/timeline.md.j2").write_text("days: {{ timeline.length }}\n", encoding="utf-8")
    (book / "templates/plan.sql.j2").write_text("-- ours\n", encoding="utf-8")
    (book / "templates/report.html.j2").write_text("<p>\n{{ nobody }}", encoding="utf-8")
    words = ("--env", "staging", "--runbook", str(book))

    said = desk.typed("deploy", *words, "--until", "plan")
    assert said.returncode == EXIT_DONE
    assert said.stdout.count("report.html.j2, line 2: 'nobody' is undefined; the built-in one is used") == 1
    (folder,) = desk.runs.glob("*-*")
    assert (folder / "report.md").read_text("utf-8") == f"ours: {folder.name}"
    assert "</html>" in (folder / "report.html").read_text("utf-8")

    request = desk.request(runbook=str(book), json=True)
    answer = reading.show_report(
        type(request)(inventory=desk.inventory, runs=desk.runs, runbook=str(book)), run=None, form="html"
    )
    assert "line 2: 'nobody' is undefined" in answer.document["template_errors"][0]
    assert desk.typed("plan", *words, "--format", "sql").stdout == "-- ours\n"
    assert desk.typed("timeline", *words, "--option", "A", "--start", "2026-12-14", "--format", "md").stdout.startswith(
        "days: "
    )


def test_a_folder_that_is_none_is_refused_in_one_line(desk: Desk, master: str) -> None:
    """Before the first change, with the file and the key."""
    desk.environment("staging", master, more='[templates]\ndirectory = "nowhere"')
    said = desk.typed("deploy", "--env", "staging")
    assert said.returncode == EXIT_REFUSED
    assert said.stderr.startswith("error: staging: templates.directory: nowhere does not exist (")
    assert said.stderr.count("\n") == 1
    assert not desk.runs.exists()
