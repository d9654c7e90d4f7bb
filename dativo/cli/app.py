"""The command line: which commands there are, and how errors leave the program.

A command's module is imported when the command runs, so that `dativo --help` answers at once.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import io
import os
import signal
import sys
import traceback
from importlib import import_module
from typing import NamedTuple, NoReturn

import typer
from typer import _click as click
from typer.core import TyperGroup

from dativo.cli.masking import forget
from dativo.cli.streams import make_ready
from dativo.errors import DativoError, Interrupted, nearest


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
    "runs": Command("runs", "List and show runs, and what changed between two of them.", "Look"),
    "state": Command("state", "Show, rebuild or reset what is remembered of a job.", "Look"),
    "export": Command("export", "Write rows as Markdown-KV, JSON lines, CSV or Parquet.", "Take out"),
    "validate": Command("validate", "Find every mistake in the configuration at once.", "Set up"),
    "check": Command("check", "Check environment, secrets, source and target of a job.", "Set up"),
    "discover": Command("discover", "Show what a source has, and draft contracts for it.", "Set up"),
    "init": Command("init", "Make a project in an empty folder, or the demo.", "Set up"),
    "connectors": Command("connectors", "List the connectors and which of them are ready.", "Set up"),
    "maintain": Command("maintain", "Merge small files, expire snapshots, remove orphans of tables.", "Set up"),
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
    # Importing makes many objects and little garbage: looking for it as often as usual costs a tenth of the start.
    gc.set_threshold(50_000, 20, 20)
    make_ready()
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "1")
    arguments = sys.argv[1:]
    debug = "--debug" in arguments or os.environ.get("DATIVO_DEBUG") == "1"
    for number in _ENDINGS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _asked_to_stop)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show a character is told its number, rather than the run failing.
            stream.reconfigure(errors="backslashreplace")
    _heard.clear()
    code = _run([a for a in arguments if a != "--debug"], debug)
    if code == INTERRUPTED or _heard:
        # Threads of libraries may still be at work, and end badly when the interpreter is taken down around them; it would
        # also end itself by SIGINT where the interruption came while it ran code that a library makes up as it is imported.
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(2 if code == INTERRUPTED else code)
    sys.exit(code)


INTERRUPTED = -1
_heard: list[int] = []


_ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _asked_to_stop(number: int, frame: object) -> NoReturn:
    """The first signal asks for a clean end; the next one ends the process at once, whatever it does."""
    _heard.append(number)
    for each in _ENDINGS:
        if signal.getsignal(each) is _asked_to_stop:
            signal.signal(each, signal.SIG_DFL)
    raise KeyboardInterrupt


def _run(arguments: list[str], debug: bool) -> int:
    """Carries out a command and gives the exit code. Typer's own way to do so has other codes for an early end."""
    forget()
    try:
        command = typer.main.get_command(app)
        with command.make_context("dativo", arguments) as ctx:
            command.invoke(ctx)
        sys.stdout.flush()
    except typer.Exit as done:
        return _flushed(done.exit_code)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except BrokenPipeError:
        return _unread(0)
    except (KeyboardInterrupt, Interrupted) as error:
        _tell(error, debug)
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - nobody above could tell it to the person
        _tell(error, debug)
        return 2
    return 0


def _flushed(code: int) -> int:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return _unread(code)
    return code


def _unread(code: int) -> int:
    """Whoever read the output has seen enough of it: what is still to come goes nowhere."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _tell(error: BaseException, debug: bool) -> None:
    from dativo.cli.console import say

    text = "".join(traceback.format_exception(error)) if debug else _told(error)
    say(text.rstrip("\n"))


def _told(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt | Interrupted):
        return "interrupted"
    if isinstance(error, DativoError):
        return error.render()
    text = str(error).splitlines()[0] if str(error) else ""
    if isinstance(error, OSError) and error.filename is None and error.errno == errno.ENOSPC:
        return "error: the output cannot be written: no space left on the device"
    return (
        f"error: something went wrong that dativo does not know: {type(error).__name__}: {text}\n"
        "  run again with --debug and report what it shows"
    )
