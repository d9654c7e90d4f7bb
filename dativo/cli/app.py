"""The command line: which commands there are, and how errors leave the program.

A command's module is imported when the command runs, so that `dativo --help` answers at once.
"""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from typing import NamedTuple, NoReturn

import typer
from typer import _click as click
from typer.core import TyperGroup


class Command(NamedTuple):
    """A command's module below `dativo.cli`, its one line of help, and the heading that it stands under."""

    module: str
    summary: str
    heading: str


COMMANDS = {
    "sync": Command("sync", "Run jobs: files, folders, or names below jobs/. Without one: the demo.", "Load"),
    "run": Command("run", "Run one job (--config) or a folder of jobs (--job-dir): the scripted form.", "Load"),
    "preview": Command("preview", "Show the rows as they would be loaded, and what would be rejected.", "Look"),
    "plan": Command("plan", "Show what a run would do, without doing it.", "Look"),
    "show": Command("show", "Show a loaded table: rows, columns, snapshots, tags, last runs.", "Look"),
    "rejects": Command("rejects", "List and show the rows that broke their contract.", "Look"),
    "state": Command("state", "Show or rebuild what is remembered of a job.", "Look"),
    "export": Command("export", "Write rows as Markdown-KV, JSON lines, CSV or Parquet.", "Take out"),
    "validate": Command("validate", "Find every mistake in the configuration at once.", "Set up"),
    "init": Command("init", "Make a project in an empty folder, or the demo.", "Set up"),
    "connectors": Command("connectors", "List the connectors and which of them are ready.", "Set up"),
    "doctor": Command("doctor", "Check this machine and this folder.", "Set up"),
}


class LazyGroup(TyperGroup):
    """The commands of COMMANDS, each imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"dativo.cli.{COMMANDS[cmd_name].module}")
        command = typer.main.get_command(module.app)
        command.name = cmd_name
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        from dativo.errors import nearest

        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in COMMANDS:
            guess = nearest(name, COMMANDS)
            hint = f" Did you mean '{guess}'?" if guess else ""
            ctx.fail(f"there is no command '{name}'.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        headings = dict.fromkeys(c.heading for c in COMMANDS.values())
        for heading in headings:
            with formatter.section(heading):
                rows = [(name, c.summary) for name, c in COMMANDS.items() if c.heading == heading]
                formatter.write_dl(rows, col_max=12)


app = typer.Typer(
    cls=LazyGroup, add_completion=False, rich_markup_mode=None, no_args_is_help=False, pretty_exceptions_enable=False
)


@app.callback(invoke_without_command=True)
def dativo(
    ctx: typer.Context,
    version: bool = typer.Option(False, "--version", help="Print the version and exit."),
    debug: bool = typer.Option(False, "--debug", help="Show tracebacks of errors; also after a command."),
) -> None:
    """From files to governed Iceberg tables: YAML jobs, data contracts, exactly-once loads."""
    if version:
        from dativo import __version__

        typer.echo(f"dativo {__version__}")
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())
        raise typer.Exit(2)


def main() -> NoReturn:
    """Runs the command line and ends the process: 0 done, 1 done in part, 2 not done."""
    arguments = sys.argv[1:]
    debug = "--debug" in arguments or os.environ.get("DATIVO_DEBUG") == "1"
    arguments = [a for a in arguments if a != "--debug"]
    signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        app(args=arguments, prog_name="dativo")
    except KeyboardInterrupt:
        _end("interrupted", debug)
    except BrokenPipeError:
        # Whoever read the output has seen enough of it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except Exception as error:
        if debug:
            raise
        _end(_told(error), debug)
    sys.exit(0)


def _as_interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _told(error: Exception) -> str:
    from dativo.errors import DativoError

    if isinstance(error, DativoError):
        return error.render()
    text = str(error).splitlines()[0] if str(error) else ""
    return (
        f"error: something went wrong that dativo does not know: {type(error).__name__}: {text}\n"
        "  run again with --debug and report what it shows"
    )


def _end(text: str, debug: bool) -> NoReturn:
    if debug:
        raise
    sys.stderr.write(f"{text}\n")
    sys.exit(2)
