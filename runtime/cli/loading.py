"""Compiled networks for the commands that run them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from zeroskip.runtime.cli.guard import one_line


def load_network(
    path: Path, level: int | None, program: Path | None = None, *, silent: bool = False
) -> Any:
    """The network in a file, with the programs of another file of MLIR text if there is one; says
    which level it is where there are several, unless silent."""
    from zeroskip.compiler.artifact.network import Network

    network = Network.load(path, level)
    if not silent:
        show_level(network)
    if program is None:
        return network
    from zeroskip.compiler.artifact.own_programs import with_programs
    from zeroskip.compiler.mlir.program_reader import load_programs

    return with_programs(network, load_programs(program), str(program))


def show_level(network: Any) -> None:
    if network.levels:
        there = ", ".join(f"{number}: {recipe}" for number, recipe in enumerate(network.levels))
        click.echo(one_line(f"level {network.level} of {there}"))
