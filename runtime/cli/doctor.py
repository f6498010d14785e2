"""The command about zeroskip itself: doctor."""

from __future__ import annotations

import sys

import click


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print it for machines.")
def doctor_command(as_json: bool) -> None:
    """Say what zeroskip runs on: versions, processor, caches, extras; for reports of faults. Exit
    code 1 if something is not as it should be."""
    import json

    from zeroskip.runtime.cli.guard import printable
    from zeroskip.runtime.environment import environment
    from zeroskip.runtime.render.environment_table import environment_text

    found = environment()
    if as_json:
        click.echo(json.dumps(found.to_table(), indent=1))
    else:
        for line in environment_text(found).splitlines():
            click.echo(printable(line))
    if found.problems:
        sys.exit(1)
