"""The command ``taskspool``: its parts, and how every failure of theirs is told."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import NoReturn

import click
from click.shell_completion import get_completion_class

from taskspool.cli.archive import export_, import_
from taskspool.cli.batch import batch
from taskspool.cli.care import doctor, prune, sweep
from taskspool.cli.change import cancel, pause, resume, retry
from taskspool.cli.codes import ExitCode, code_of, epilog
from taskspool.cli.db import db
from taskspool.cli.events import events
from taskspool.cli.knowledge import query
from taskspool.cli.look import ls
from taskspool.cli.printing import safe, speak_utf8
from taskspool.cli.put import put
from taskspool.cli.queues import queues
from taskspool.cli.results import result
from taskspool.cli.serve import serve
from taskspool.cli.show import explain, show
from taskspool.cli.stats import stats
from taskspool.cli.task_logs import logs
from taskspool.cli.watch import watch
from taskspool.cli.work import work
from taskspool.cli.workers import workers
from taskspool.errors import TaskspoolError

NAME = "taskspool"
COMPLETE_VARIABLE = "_TASKSPOOL_COMPLETE"


def show_version(context: click.Context, _parameter: click.Parameter, is_asked: bool) -> None:
    """Print the installed version and end; a tree that is not installed says so."""
    if not is_asked or context.resilient_parsing:
        return
    try:
        click.echo(f"{NAME} {version(NAME)}")
    except PackageNotFoundError:
        click.echo(f"{NAME} (not installed)")
    context.exit()


@click.group(epilog=epilog(), context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option("-V", "--version", is_flag=True, is_eager=True, expose_value=False, callback=show_version,
              help="Show the version and exit.")
@click.pass_context
def taskspool(context: click.Context) -> None:
    """A task queue you can ls: a task is a file, its state is the directory it is in."""
    if os.environ.get("NO_COLOR"):
        context.color = False


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> int:
    """Print what makes SHELL complete this command's words.

    \b
    bash   eval "$(taskspool completion bash)"      in ~/.bashrc
    zsh    eval "$(taskspool completion zsh)"       in ~/.zshrc
    fish   taskspool completion fish | source       in ~/.config/fish/config.fish
    """
    kind = get_completion_class(shell)
    if kind is None:  # never for the choices above
        raise click.UsageError(f"no completion for {shell}")
    click.echo(kind(taskspool, {}, NAME, COMPLETE_VARIABLE).source())
    return ExitCode.OK


for command in (serve, work, put, ls, show, explain, result, logs, cancel, retry, stats, events, watch, workers, pause,
                resume, batch, sweep, prune, export_, import_, doctor, queues, query,
                db, completion):
    taskspool.add_command(command)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and end the process with its exit code (``codes.MEANINGS``)."""
    speak_utf8()
    code = run(arguments)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _forget_stdout()
    sys.exit(code)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit code. What went wrong is one line on stderr, and a hint when there is one."""
    try:
        asked = None if arguments is None else list(arguments)
        code = taskspool.main(asked, prog_name=NAME, standalone_mode=False)
        return int(code or ExitCode.OK)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        return ExitCode.USAGE
    except click.ClickException as error:
        show_usage_error(error)
        return ExitCode.USAGE
    except click.Abort:
        return 130
    except TaskspoolError as error:
        click.echo(f"error: {safe(error.message)} ({error.code})", err=True)
        if error.hint:
            click.echo(f"  hint: {safe(error.hint)}", err=True)
        return code_of(error)


def show_usage_error(error: click.ClickException) -> None:
    click.echo(f"error: {safe(error.format_message())} (USAGE)", err=True)
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is not None:
        click.echo(f"  hint: {context.get_usage()}\n        see {context.command_path} --help", err=True)


def _forget_stdout() -> None:
    """Who read our output has left (``| head``). Nothing more is written, also not by the interpreter's last flush."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    os.close(devnull)
