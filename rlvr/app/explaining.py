"""What `rlvr explain` can say: keys of a recipe, algorithms and their cells, metrics."""

from rlvr.algorithms.algorithm import CELLS, cell_text, in_use
from rlvr.algorithms.explain import explain
from rlvr.algorithms.presets import BY_DOMAIN, PRESETS
from rlvr.config.explain import explain_key
from rlvr.config.keys import nearest
from rlvr.errors import UsageError
from rlvr.runs.glossary import GLOSSARY, meaning


def explain_anything(name: str) -> str:
    """Gives the text about a key of a recipe, a preset, a cell of an algorithm, or a metric ("room/what_unit").

    Raises UsageError, with the nearest name, for anything else.
    """
    if name in PRESETS:
        return explain(name).rstrip()
    last = name.rpartition(".")[2]
    if last in CELLS and (last == name or ".algorithm." in f".{name}"):
        return _explain_cell(last)
    if last == "domains" and (last == name or ".algorithm." in f".{name}"):
        return _explain_domains()
    if "/" in name:
        line = meaning(name)
        if line is None:
            close = nearest(name, GLOSSARY)
            raise UsageError(
                f'no metric is called "{name}"', hint=f"did you mean {close}?" if close else ", ".join(GLOSSARY)
            )
        return f"{name}\n  {line}"
    try:
        return explain_key(name)
    except UsageError as error:
        close = nearest(name, [*PRESETS, *CELLS])
        raise UsageError(error.message, hint=f"did you mean {close}?" if close else error.hint) from None


def _explain_domains() -> str:
    return (
        "domains  (in [stage.algorithm])\n"
        "  Cells for the completions of single domains: domains = { functions = { clip_high = 0.3 } }.\n"
        "  Denominators stay those of the whole update; a domain with cells of its own has its own batch_std.\n"
        f"  takes: {', '.join(BY_DOMAIN)}"
    )


def _explain_cell(name: str) -> str:
    cell = CELLS[name]
    lines = [f"{name}  (a cell of [stage.algorithm])", f"  {cell.meaning}", f"  takes: {cell.expects}"]
    rows = {preset: in_use(row) for preset, row in PRESETS.items()}
    lines += [f"  in {preset}: {cell_text(used[name])}" for preset, used in rows.items() if name in used]
    return "\n".join(lines)
