"""Two paragraphs in plain words: what was gained, and what was not. Each sentence is said only where it is true."""

from collections.abc import Mapping

from rlvr.runs.page.facts import Facts, Stage
from rlvr.runs.page.numbers import asked, listed, percent, signed, where_asked
from rlvr.runs.report import REINFORCED, SEEN, Beyond, DomainReport, StageReport
from rlvr.runs.summary import ABOVE, BELOW, BEYOND, ELICITED, headline, label
from rlvr.statistics.intervals import Interval

KINDS = {
    "pretrain": "pretraining (learning to write from a heap of text)",
    "sft": "supervised fine-tuning (learning from worked examples)",
    "dpo": "preference tuning (learning which of two answers is better)",
    "reward_model": "a reward model (a copy learns to tell which of two answers is better; the model itself stays)",
    "rlvr": "reinforcement learning (learning from its own answers, which a program marks right or wrong)",
    "iterate": "rounds of reinforcement learning (each on the tasks that it can solve now and then by then)",
}
"""Kind of stage that trains → what it is, in plain words."""

TOLERANCE = 0.02
"""How far a stage's greedy accuracy may lie under its best ancestor's before the page speaks of a loss."""


def first_line(facts: Facts) -> str:
    """Gives the headline of the page: the report's own, or what there is to say where no RLVR stage was measured."""
    if said := headline(facts.reports):
        return said
    if not facts.reports:
        return "Nothing measured yet: the run is in its first stage"
    pair = facts.pair
    if pair is None:
        return "Only the base model was measured so far"
    report = _report(pair[1])
    if not report.domains:
        return "Trained, but not measured: the recipe has no held-out tasks"
    if not any(domain.gain for domain in report.domains.values()):
        return f"{report.name}: nothing to compare with"
    changes = [f"{name} {signed(domain.gain.mean)}" for name, domain in report.domains.items() if domain.gain]
    what = "No RLVR stage in this run" if not _is_reinforced(facts) else "RLVR has not been measured yet"
    return f"{what}; {report.name} changed pass@1 by: {', '.join(changes)} points"


def gained(facts: Facts) -> str:
    """Gives the paragraph on what was gained."""
    pair = facts.pair
    if not facts.reports:
        return "The run has not finished its first measurement, so there is nothing to report yet."
    if pair is None:
        return "Only the model that the run starts from has been measured so far. What training adds is not known yet."
    before, after = _report(pair[0]), _report(pair[1])
    kinds = dict.fromkeys(report.kind for report in facts.reports[1:] if report.kind != "evaluate")
    ended = [KINDS.get(kind, kind) for kind in kinds]
    opening = (
        f"This run took a language model through {listed(ended)}." if ended else "This run trained nothing so far."
    )
    if not after.domains:
        return f"{opening} Its recipe measures no held-out tasks, so this page cannot say what the model gained."
    return _joined(
        opening,
        f"After each it was given tasks set aside for measuring, and a program marked its answers. In what follows, "
        f"before means {before.name} and after means {after.name}.",
        _risen(after, before),
        _beyond(after, before, ways(facts)),
    )


def not_gained(facts: Facts) -> str:
    """Gives the paragraph on what was not gained, what was lost, and what the numbers cannot say."""
    pair = facts.pair
    if pair is None:
        return "Nothing can be said yet about what was not gained: there is no trained model to compare with."
    before, after = _report(pair[0]), _report(pair[1])
    if not after.domains:
        return _joined(_perplexity(facts, pair), "Whether anything was lost in other abilities was not measured.")
    return _joined(
        _flat(after),
        _fallen(after, before),
        _only_elicited(after),
        _below(after),
        _staged(facts, pair),
        _forgotten(after),
        _untouched(after),
        _perplexity(facts, pair),
        _each_alone(after),
        "All of this is one run with one seed: the intervals cover which tasks and samples were drawn, not how a "
        "second training run would turn out.",
    )


def _each_alone(after: StageReport) -> str:
    """Says how often one of several domains seems to have moved by luck: each is judged with a 95% interval."""
    number = sum(domain.gain is not None for domain in after.domains.values())
    if number < 2:
        return ""
    chance = 1 - 0.95**number
    return (
        f"Each domain is judged by itself: where training changes nothing at all, one or more of {number} seem to move "
        f"in about {percent(chance)} of such pages."
    )


def strongest(domain: DomainReport) -> tuple[Interval, str]:
    """Gives how well a checkpoint does under the readout that suits it best, and which that is, in words.

    One random answer to the first prompt is a readout like any other.
    """
    found = [(r.accuracy, asked(r.prompt, r.temperature)) for r in domain.readouts]
    sampled = (domain.pass_at_1, f"one random answer, {where_asked(domain.prompt)}")
    return max([*found, sampled], key=lambda entry: entry[0].mean)


def ways(facts: Facts) -> str:
    """Gives in how many ways the models before the page's stage were asked, in the domains that it is held against.

    One random answer to the first prompt is a way like any other. Two ends, as 3 to 5, where that differs; empty where
    nothing is compared.
    """
    if facts.pair is None:
        return ""
    earlier = [_report(stage) for stage in facts.stages[: facts.stages.index(facts.pair[1])]]
    names = _report(facts.pair[1]).beyond
    numbers = {len(report.domains[name].readouts) + 1 for report in earlier for name in names if name in report.domains}
    if not numbers:
        return ""
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"


def _report(stage: Stage) -> StageReport:
    assert stage.report is not None, f"stage {stage.name} is compared, but was not measured"
    return stage.report


def _is_reinforced(facts: Facts) -> bool:
    return any(stage.kind in REINFORCED for stage in facts.stages)


def _joined(*sentences: str) -> str:
    return " ".join(sentence for sentence in sentences if sentence)


def _compared(report: StageReport, *, trained: bool) -> dict[str, DomainReport]:
    # A recalled domain that no stage here trained on shows what is left of an earlier model's training.
    return {
        name: d
        for name, d in report.domains.items()
        if d.trained == trained and d.gain is not None and not (d.trained and name.endswith(SEEN))
    }


def _change(name: str, before: StageReport, after: StageReport) -> str:
    old, new = before.domains[name], after.domains[name]
    return f"{name} from {percent(old.pass_at_1.mean)} to {percent(new.pass_at_1.mean)}"


def _risen(after: StageReport, before: StageReport) -> str:
    trained = _compared(after, trained=True)
    risen = [name for name, domain in trained.items() if domain.gain and domain.gain.low > 0]
    if not trained:
        return "It was not measured, before and after, in any domain that training worked on."
    if not risen:
        return "In no domain that training worked on did the chance that one answer is right rise by more than luck."
    where = f"{len(risen)} of the {len(trained)} domains" if len(risen) < len(trained) else f"all {len(risen)} domains"
    return (
        f"The chance that one answer is right rose in {where if len(trained) > 1 else 'the one domain'} that training "
        f"worked on, by more than luck explains: {listed([_change(name, before, after) for name in risen])}."
    )


def _beyond(after: StageReport, before: StageReport, asked_in: str) -> str:
    """Says where the likeliest answer is right more often than any earlier version's, with pass@16 beside it."""
    beyond, above = _labelled(after, BEYOND), _labelled(after, ABOVE)
    if not after.beyond:
        return ""
    if not beyond and not above:
        risen = any(_rose(after, name) for name in after.beyond)
        return "None of this is shown to be a new ability: see the next paragraph." if risen else ""
    said = [
        f"The hardest comparison is with the best that any earlier version did under any way of asking that was tried "
        f"({asked_in} for each version)."
    ]
    if beyond:
        said.append(f"Beyond that is its likeliest answer in {_by_points(beyond, after, before)}.")
    if above:
        said.append(f"{ABOVE.capitalize()}, it is in {_by_points(above, after, before)}.")
    if any(after.domains[name].pass_at_16 for name in (*beyond, *above)):
        said.append(
            "Where pass@16, the chance that one of 16 answers is right, did not rise with it, the model became surer "
            "of what it could find before."
        )
    return " ".join(said)


def _labelled(after: StageReport, kind: str) -> dict[str, Beyond]:
    return {name: found for name, found in after.beyond.items() if label(found.gain) == kind}


def _by_points(found: Mapping[str, Beyond], after: StageReport, before: StageReport) -> str:
    return listed([f"{name} (by {_bare(b)} points{_reach(name, before, after)})" for name, b in found.items()])


def _bare(found: Beyond) -> str:
    return signed(found.gain.mean).removeprefix("+")


def _reach(name: str, before: StageReport, after: StageReport) -> str:
    old, new = (report.domains[name].pass_at_16 if name in report.domains else None for report in (before, after))
    return "" if old is None or new is None else f"; pass@16 from {percent(old.mean)} to {percent(new.mean)}"


def _flat(after: StageReport) -> str:
    flat = {n: d.gain for n, d in _compared(after, trained=True).items() if d.gain and d.gain.low <= 0 <= d.gain.high}
    if not flat:
        return ""
    changes = [f"{name} ({signed(gain.mean)} points)" for name, gain in flat.items()]
    return f"Training brought no clear change in {listed(changes)}: luck alone may explain that."


def _fallen(after: StageReport, before: StageReport) -> str:
    fallen = [name for name, d in _compared(after, trained=True).items() if d.gain and d.gain.high < 0]
    changes = [_change(name, before, after) for name in fallen]
    return f"The model became worse, by more than luck explains, in {listed(changes)}." if fallen else ""


def _only_elicited(after: StageReport) -> str:
    rest = _labelled(after, ELICITED)
    if not rest:
        return ""
    details = _beside_the_best(rest, after)
    said = f"{ELICITED.capitalize()}, not shown to lie above every earlier version, is what it does in {details}."
    if risen := [name for name in rest if _rose(after, name)]:
        said += (
            f" What rose in {listed(risen)} is how reliably it does what some earlier version could do when asked well."
        )
    return said


def _below(after: StageReport) -> str:
    """Says where its likeliest answer is right less often than some earlier version's."""
    found = _labelled(after, BELOW)
    if not found:
        return ""
    details = _beside_the_best(found, after)
    return f"Worse than an earlier version, by more than luck explains, it is in {details}."


def _beside_the_best(found: Mapping[str, Beyond], after: StageReport) -> str:
    return listed(
        [
            f"{name} (its likeliest answer is right in {percent(after.domains[name].greedy.mean)} of the tasks; "
            f"{one.stage}, asked in the best way, already was in {percent(one.accuracy.mean)})"
            for name, one in found.items()
        ]
    )


def _rose(after: StageReport, name: str) -> bool:
    gain = after.domains[name].gain
    return gain is not None and gain.low > 0


def _staged(facts: Facts, pair: tuple[Stage, Stage]) -> str:
    """Says where the stage before lay under its own ancestors, so that part of a gain only wins this back."""
    ancestors = [_report(stage) for stage in facts.stages[: facts.stages.index(pair[0])]]
    before, after = _report(pair[0]), _report(pair[1])
    found = []
    for name, domain in before.domains.items():
        known = [(*strongest(stage.domains[name]), stage.name) for stage in ancestors if name in stage.domains]
        best, _, stage = max(known, key=lambda entry: entry[0].mean, default=(domain.greedy, "", ""))
        if best.mean > domain.greedy.mean + TOLERANCE and _rose(after, name):
            found.append(f"{name} ({percent(domain.greedy.mean)} for {before.name}, {percent(best.mean)} for {stage})")
    if not found:
        return ""
    return (
        f"Part of the gain may only win back what an earlier version did when asked in the best way, and {before.name} "
        f"did not with its likeliest answer: {listed(found)}."
    )


def _forgotten(after: StageReport) -> str:
    lost = {name: d for name, d in _compared(after, trained=True).items() if d.only_before > 0}
    if not lost:
        return ""
    shares = [f"{percent(d.only_before)} in {name}" for name, d in lost.items()]
    return f"Some tasks that a sampled answer solved before are solved by none now: {listed(shares)}."


def _untouched(after: StageReport) -> str:
    kept = _compared(after, trained=False)
    if not kept:
        return ""
    moved = [f"{n} ({signed(d.gain.mean)})" for n, d in kept.items() if d.gain and not d.gain.low <= 0 <= d.gain.high]
    still = [f"{n} ({signed(d.gain.mean)})" for n, d in kept.items() if d.gain and d.gain.low <= 0 <= d.gain.high]
    said = []
    if still:
        said.append(f"{listed(still)} did not move by more than luck")
    if moved:
        said.append(f"{listed(moved)} did move")
    return f"Of the domains that no stage of this run trained on, {', and '.join(said)} (points of pass@1)."


def _perplexity(facts: Facts, pair: tuple[Stage, Stage]) -> str:
    """Says how perplexity changed from the stage before, and beside it from the base, each with its two ends."""
    after = _report(pair[1])
    changes = []
    for before in dict.fromkeys((pair[0].name, facts.stages[0].name)):
        old = next(stage.report for stage in facts.stages if stage.name == before)
        if old is None or old.perplexity is None or after.perplexity is None:
            continue
        change = after.perplexity / old.perplexity - 1
        much = f"{100 * abs(change):.1f}%"
        how = "as much as before" if much == "0.0%" else f"{much} {'less' if change < 0 else 'more'}"
        changes.append(
            f"{how} from {before} to {after.name} (perplexity {old.perplexity:.3f}, then {after.perplexity:.3f})"
        )
    return f"Ordinary text surprises the model {', and '.join(changes)}." if changes else ""
