"""`dativo state`: what is remembered of a job."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from dativo.cli.choices import AsJson, Job, command

if TYPE_CHECKING:
    from dativo import JobState, Reset

app = command()


@app.callback()
def state() -> None:
    """Show, rebuild or reset what is remembered of a job."""


@app.command("show")
def show(job: Job, as_json: AsJson = False) -> None:
    """What the tables remember of a job, and whether the state file agrees."""
    from dativo import show_state
    from dativo.cli.jobs import one_job

    _show(show_state(one_job(job)), as_json)


@app.command("rebuild")
def rebuild(job: Job, as_json: AsJson = False) -> None:
    """Write the state file anew from the tables, which are right whatever the file says."""
    from dativo import rebuild_state
    from dativo.cli.jobs import one_job

    _show(rebuild_state(one_job(job)), as_json)


@app.command("reset")
def reset(
    job: Job,
    stream: Annotated[str | None, typer.Option("--stream", help="Only this stream; all of them by default.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking.")] = False,
    as_json: AsJson = False,
) -> None:
    """Forget how far a job has read, in its tables and in the state file; the next run reads everything again."""
    from dativo import plan_reset, reset_state, show_state
    from dativo.cli.console import say
    from dativo.cli.jobs import one_job

    found = one_job(job)
    what = plan_reset(found, stream=stream)
    if what.empty:
        say(f"nothing is remembered of {what.job}")
    else:
        _tell_reset(what)
        if not yes and not _agreed():
            say("nothing was changed; --yes does it")
            raise typer.Exit(2)
    _show(reset_state(found, what) if not what.empty else show_state(found), as_json)


def _tell_reset(what: Reset) -> None:
    """What is going to be forgotten, and what follows from it; on standard error, before anything is done."""
    from dativo.cli.console import plural, say

    say(f"this forgets how far {what.job} of tenant {what.tenant_id} has read:")
    for stream in what.streams:
        if stream.damaged:
            known = "a memory that cannot be read"
        elif stream.run is not None:
            entries = f" ({plural(len(stream.cursor), 'entry')})" if stream.cursor else ""
            known = f"what run {stream.run[:13]} read{entries}"
        else:
            known = "nothing is remembered there" if stream.exists else "does not exist"
        say(f"  table       {stream.table}: {known}")
        if stream.kept:
            say("  kept rows   what a run that did not end had read of it")
    if what.path is not None:
        say(f"  state file  {what.path}")
    if what.older is not None:
        say(f"  older file  {what.older}: left alone, and not looked at any more")
    say(f"no row is removed. The next run {what.next_run}.")
    say("A run that is going on now will end with an error and change nothing.")


def _agreed() -> bool:
    """Whether the person says yes; no where nobody can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty() and typer.confirm("go on?", err=True)


def _show(found: JobState, as_json: bool) -> None:
    import json

    from dativo.cli.console import out, print_json, table

    if as_json:
        import msgspec

        print_json({"version": 1, **msgspec.to_builtins(found)})
        return
    console = out()
    console.print(f"{found.job} · tenant {found.tenant_id}")
    console.print(f"state file {found.path}: {found.file}")
    for stream in found.streams:
        last = f"run {stream.run}, {stream.loaded:,} rows loaded" if stream.run else "never loaded"
        last = f"reset by {stream.run}, nothing is remembered" if stream.reset else last
        console.print(f"\n{stream.stream} → {stream.table}: {last}", soft_wrap=True)
        if stream.cursor:
            made = table("entry", "value")
            for key, value in stream.cursor.items():
                made.add_row(key, json.dumps(value, ensure_ascii=False))
            console.print(made)
    for note in found.notes:
        console.print(f"note: {note}")
    if found.file != "current" and any(s.run for s in found.streams):
        console.print(f"the table's state counts; write the file anew with: dativo state rebuild {found.job}")
