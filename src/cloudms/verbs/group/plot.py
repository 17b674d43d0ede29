"""`cms group plot`: load, members and decisions of a group, drawn."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

from cloudms.context import Context
from cloudms.engine import groups
from cloudms.errors import Invalid, NoCapacity, NotFound
from cloudms.scaling import plot as plotting
from cloudms.scaling import store, svg, terminal
from cloudms.units import duration
from cloudms.verb import Doc, File, verb
from cloudms.verbs.group.look import OneGroup


@verb("group", "plot", example="cms group plot web --since 1h --to web.svg")
def plot(
    ctx: Context,
    name: OneGroup,
    *,
    since: Annotated[str, Doc("how far back to begin, such as 10m, 2h or 1d")] = "1h",
    to: Annotated[Path | None, Doc("SVG file to write; lines of text otherwise"), File(write=True)] = None,
    plain: Annotated[bool, Doc("use ASCII alone")] = False,
    width: Annotated[int, Doc("characters per line; 0 is as wide as the terminal")] = 0,
) -> str:
    """Draw what a group measured, how many members it had, and what was decided when.

    In the file, pointing at a mark tells why that was decided.
    """
    groups.find(ctx, name, groups.all_vms(ctx, fresh=False))
    if to is not None and to.suffix != ".svg":
        raise Invalid(f"{to.name} is no SVG file", hint=f"--to {to.stem}.svg, which any browser shows")
    begin = ctx.clock.now() - duration(since)
    decisions = store.decisions(ctx, name, begin)
    if not decisions:
        hint = f"cms scaler run --group {name}, or a longer --since"
        raise NotFound(f"nothing was decided about '{name}' in the last {since}", hint=hint)
    scaler = store.get(ctx, name)
    spec = scaler.settings() if scaler else None
    wanted = set(spec.metrics) if spec else set()
    looks = store.looks(ctx, name, begin)
    samples = [sample for look in looks for sample in look.samples if sample.metric in wanted]
    chart = plotting.chart(f"group {name}, the last {since}", decisions, spec, samples=samples)
    if to is None:
        wide = width if width > 0 else shutil.get_terminal_size((100, 24)).columns
        return "\n".join(terminal.drawn(chart, width=max(wide, 40), plain=plain))
    try:
        to.write_text(svg.drawn(chart), encoding="utf-8")
    except OSError as error:
        raise NoCapacity(f"cannot write {to}: {error.strerror}", hint="choose another place") from None
    return f"drawn to {to}"
