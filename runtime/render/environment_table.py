"""What zeroskip runs on, as text for terminals and reports of faults."""

from __future__ import annotations

from zeroskip.runtime.environment import Environment, Extra, Library


def environment_text(of: Environment) -> str:
    """A line for each fact; at the end what is not as it should be."""
    memory = f", {of.memory_bytes / 2**30:.0f} GiB" if of.memory_bytes else ""
    lines = [
        f"zeroskip {of.zeroskip} in {of.place}",
        f"{of.python}, {of.system}",
        f"processor: {of.processor}, vectors of {of.vector_bits} bits, {of.cores} cores{memory}",
        f"libraries: {', '.join(map(_library, of.libraries))}",
        *map(_extra, of.extras),
        *(
            f"{each.what}: {each.files:,} files, {each.bytes / 2**20:,.1f} MiB in {each.path}"
            for each in of.folders
        ),
        *(f"kind of array {name}: {package}" for name, package in of.plugins.items()),
        *(f"{name}={value}" for name, value in of.variables.items()),
        "",
        *(of.problems or ["nothing is wrong"]),
    ]
    return "\n".join(lines)


def _library(of: Library) -> str:
    return f"{of.name} {of.found or '(not installed)'}"


def _extra(of: Extra) -> str:
    if of.there:
        return f"extra {of.name}: {', '.join(map(_library, of.libraries))}"
    lacking = ", ".join(each.name for each in of.libraries if each.found is None)
    return f"extra {of.name}: not there, lacks {lacking}; pip install 'zeroskip[{of.name}]'"
