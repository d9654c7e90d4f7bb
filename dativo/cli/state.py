"""`dativo state`: what is remembered of a job."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dativo.cli.choices import AsJson, Job, command

if TYPE_CHECKING:
    from dativo import JobState

app = command()


@app.callback()
def state() -> None:
    """Show or rebuild what is remembered of a job."""


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
