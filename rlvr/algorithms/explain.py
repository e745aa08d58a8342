"""The text of `rlvr explain PRESET`: the formula that the row stands for, each cell, the paper, the differences."""

import textwrap

from rlvr.algorithms.algorithm import CELLS, cell_text, in_use
from rlvr.algorithms.formula import formula
from rlvr.algorithms.papers import SOURCES
from rlvr.algorithms.presets import describe, preset, resolve

_WIDTH = 100


def _paragraph(text: str, *, first: str, rest: str) -> str:
    return textwrap.fill(text, _WIDTH, initial_indent=first, subsequent_indent=rest, break_long_words=False)


def explain(name: str, /, **cells: object) -> str:
    """Gives the page about a preset, with `cells` overridden: formula, cells, paper and differences, in plain text.

    Raises RecipeError as `resolve` does.
    """
    algorithm = resolve(name, **cells)
    source, here = SOURCES[algorithm.name], in_use(algorithm)
    lines = [describe(algorithm), f"paper: {source.title}, {algorithm.paper}", "", "Formula"]
    for equation, remark in formula(algorithm):
        lines.append(f"  {equation}")
        if remark:
            lines.append(_paragraph(remark, first=" " * 6, rest=" " * 6))
    lines += ["", "Cells"]
    for cell, value in here.items():
        changed = value != getattr(preset(name), cell)
        origin = "set by you" if changed else source.origins.get(cell, "usual; the row alone does not use it")
        lines.append(f"  {cell} = {cell_text(value)}")
        lines.append(_paragraph(f"{CELLS[cell].meaning} Takes {CELLS[cell].expects}.", first=" " * 6, rest=" " * 6))
        lines.append(_paragraph(f"from: {origin}", first=" " * 6, rest=" " * 6))
    off = ", ".join(cell for cell in CELLS if cell not in here)
    lines += ["", _paragraph(f"Off, or without a use in this row: {off}", first="", rest="  ")]
    lines += ["", "Differs from the paper in"]
    lines += [_paragraph(item, first="  - ", rest="    ") for item in source.differs]
    return "\n".join(lines) + "\n"
