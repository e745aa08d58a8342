"""The page put together: everything that the template shows, and nothing that it would have to work out."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from rlvr.runs.atomic import strict_json
from rlvr.runs.folder import Run
from rlvr.runs.page import numbers, words
from rlvr.runs.page.charts import Panel, curves, pass_at_k_panel, rlvr_stages, rung_panel
from rlvr.runs.page.facts import Facts, Stage, costs, read_facts
from rlvr.runs.page.figures import draw
from rlvr.runs.page.terms import TERMS
from rlvr.runs.page.transcripts import KINDS, DomainTranscripts, read_transcripts
from rlvr.runs.report import SEEN, DomainReport
from rlvr.runs.summary import (
    ABOVE,
    BELOW,
    BEYOND,
    BEYOND_DOMAINS,
    BEYOND_POINTS,
    ELICITED,
    bars,
    first_prompt,
    label,
    perplexity_change,
)

TEMPLATE = "page.html.j2"

_PROGRAMS = {"cli.py": "rlvr"}
"""What a program is called that was started as a file → what to type for it."""

_FILTERS = {
    "percent": numbers.percent,
    "span": numbers.span,
    "signed": numbers.signed,
    "signed_span": numbers.signed_span,
    "fixed": numbers.fixed,
    "amount": numbers.amount,
    "duration": numbers.duration,
}


def page_html(run: Run) -> str:
    """Gives the page of a run, from what its folder holds by now."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= _FILTERS
    return environment.get_template(TEMPLATE).render(_context(read_facts(run)))


def _context(facts: Facts) -> dict[str, Any]:
    pair = facts.pair
    verdict, colon, rest = words.first_line(facts).partition(": ")
    return {
        "facts": facts,
        "reports": facts.reports,
        "before": pair[0].report if pair else None,
        "after": pair[1].report if pair else None,
        "verdict": verdict + colon.strip(),
        "rest": rest,
        "gained": words.gained(facts),
        "not_gained": words.not_gained(facts),
        "domains": list(dict.fromkeys(name for report in facts.reports for name in report.domains)),
        "strongest": words.strongest,
        "ways": words.ways(facts),
        "asked": numbers.asked,
        "tag": _tag,
        "label": label,
        "perplexity_change": perplexity_change,
        "bars": bars,
        "labels": {"beyond": BEYOND, "above": ABOVE, "elicited": ELICITED, "below": BELOW},
        "beyond_points": round(100 * BEYOND_POINTS),
        "beyond_domains": BEYOND_DOMAINS,
        "conditions": [report for report in facts.reports if report.conditions],
        "curves": [(stage.name, _drawn(curves(stage), f"{stage.name}-curve")) for stage in rlvr_stages(facts)],
        "pass_at_k": _drawn([pass_at_k_panel(*pair)] if pair else [], "pass-at-k"),
        "rungs": _drawn([rung_panel(*pair)] if pair else [], "rungs"),
        "transcripts": _transcripts(pair) if pair else [],
        "kinds": KINDS,
        "costs": costs(facts.stages),
        "origin": _origin(facts),
        "terms": TERMS,
    }


def _drawn(panels: Sequence[Panel | None], key: str) -> list[tuple[Panel, list[tuple[str, Markup]]]]:
    """Gives each panel with its charts as SVG, by name."""
    safe = "".join(character if character.isascii() and character.isalnum() else "-" for character in key)
    return [
        (panel, [(chart.title, draw(chart, key=f"{safe}-{number}-{i}")) for i, chart in enumerate(panel.charts)])
        for number, panel in enumerate(panels)
        if panel is not None
    ]


def _transcripts(pair: tuple[Stage, Stage]) -> list[DomainTranscripts]:
    before, after = pair[0].measurement, pair[1].measurement
    asked = {first_prompt(stage.report) for stage in pair if stage.report is not None}
    return read_transcripts(before, after) if before and after and len(asked) == 1 else []


def _tag(name: str, domain: DomainReport) -> str:
    """Gives what the page says beside a domain's name: how its tasks stand to what was trained on."""
    if not name.endswith(SEEN):
        return "trained on" if domain.trained else "not trained on"
    if domain.trained:
        return "measured on training tasks"
    return "recalled: stands in text that an earlier model was trained on"


def _origin(facts: Facts) -> dict[str, Any]:
    """Gives where the run comes from, every part of it optional: an old or foreign folder may know less."""
    known = facts.provenance
    code = _mapping(known.get("code"))
    command = [str(word) for word in known.get("command") or ()]
    cpu, threads = _mapping(known.get("cpu")), _mapping(known.get("threads"))
    return {
        "started": known.get("started"),
        "commit": code.get("commit"),
        "changed_bytes": code.get("diff_bytes") or 0,
        "command": shlex.join([_PROGRAMS.get(name := Path(command[0]).name, name), *command[1:]]) if command else None,
        "python": known.get("python"),
        "platform": known.get("platform"),
        "cpu": cpu.get("model"),
        "cores": threads.get("usable_cores"),
        "threads": known.get("torch_threads"),
        "gpu": known.get("gpu"),
        "no_gpu": "gpu" in known and known["gpu"] is None,
        "libraries": {name: version for name, version in _mapping(known.get("libraries")).items() if version},
        "verifiers": _mapping(known.get("verifier_versions")),
        "audits": {check: _audit(_mapping(audit)) for check, audit in _mapping(known.get("audits")).items()},
        "data": _mapping(known.get("data_hashes")),
        "source": facts.config.get("source"),
        "seed": _mapping(facts.config.get("recipe")).get("seed"),
        "recipe": strict_json(facts.config.get("recipe"), indent=2) if facts.config.get("recipe") else None,
    }


def _audit(known: Mapping[str, Any]) -> str:
    """Gives an audit's verifier, error rates with intervals, and file in words."""
    rates = []
    for name in ("false_accept_rate", "false_reject_rate"):
        rate = _mapping(known.get(name))
        if rate:
            low, mean, high = (f"{100 * float(rate[part]):.1f}" for part in ("low", "mean", "high"))
            rates.append(f"{name.replace('_', ' ')} {mean}% [{low}, {high}]")
    verifier = known.get("version") or known.get("verifier")
    return f"{verifier}: {', '.join(rates) or 'no error rates'} ({known.get('file')})"


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
