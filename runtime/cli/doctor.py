"""The command about zeroskip itself: doctor."""

from __future__ import annotations

import sys

import click


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print it for machines.")
@click.option(
    "--compile",
    "ahead",
    is_flag=True,
    help="Compile the machine's loops now and keep them, not when they are first used; for images "
    "and clusters.",
)
def doctor_command(as_json: bool, ahead: bool) -> None:
    """Say what zeroskip runs on: versions, processor, caches, extras; for reports of faults. Exit
    code 1 if something is not as it should be."""
    import json

    from zeroskip.runtime.cli.guard import printable
    from zeroskip.runtime.environment import environment
    from zeroskip.runtime.render.environment_table import environment_text

    if ahead:
        _compile_ahead()
        return
    found = environment()
    if as_json:
        click.echo(json.dumps(found.to_table(), indent=1))
    else:
        for line in environment_text(found).splitlines():
            click.echo(printable(line))
    if found.problems:
        sys.exit(1)


def _compile_ahead() -> None:
    import time

    from zeroskip.runtime.ahead import compile_ahead
    from zeroskip.runtime.cli.guard import printable
    from zeroskip.runtime.environment import machine_code
    from zeroskip.runtime.progress import progress

    began = time.perf_counter()
    with progress("compiling the machine's loops") as on_progress:
        compile_ahead(on_progress=on_progress)
    kept, seconds = machine_code(), time.perf_counter() - began
    click.echo(printable(f"{kept.files} files of machine code in {kept.path}, {seconds:.0f} s"))
