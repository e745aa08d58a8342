"""Our verifiers in the shapes that other trainers call: a plain function, TRL's reward function, verl's compute_score.

    reward("math")(r"So \\boxed{4}", "4")                   1.0; None where the verifier could not tell
    GRPOTrainer(reward_funcs=trl_reward("math"), …)         a list with a number or None per completion
    reward.custom_reward_function.path=pkg://rlvr.verifiers.adapters    verl; see `compute_score`

Each can be pickled, called from any thread, inside a running event loop and in spawned or forked processes. What is
wrong with one completion or one reference costs only its row. Neither TRL nor verl is imported.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import repeat
from typing import Any

from rlvr.errors import UsageError
from rlvr.types import Verdict
from rlvr.verifiers.many import verify_many
from rlvr.verifiers.scorer import Scorer
from rlvr.verifiers.table import VERIFIERS

ANSWER_FIELDS = ("reference", "answer", "solution")
"""The columns of a dataset that may hold the reference, the first that there is; others are named."""

Options = Mapping[str, Any]


def reward(verifier: str = "math", *, options: Options | None = None) -> Callable[[Any, Any], float | None]:
    """Gives a function from a completion and its reference to the outcome in [0, 1], None where it cannot be told.

    The completion is a text or a list of messages. `options` are added to each reference. For many rows at once
    `verify_many` is faster. Raises UsageError for an unknown verifier.
    """
    Scorer().resolve(verifier)
    return partial(_outcome, verifier, dict(options or {}))


def _outcome(verifier: str, options: Options, completion: Any, answer: Any) -> float | None:
    (verdict,) = _verdicts(verifier, options, [completion], [answer])
    return verdict.outcome


def trl_reward(
    verifier: str = "math", *, answer_field: str = "", options: Options | None = None, name: str = ""
) -> "_TrlReward":
    """Gives a reward function for TRL's trainers: the outcome of each completion, None where it cannot be told.

    The reference stands in the dataset's column `answer_field`, by default the first of ANSWER_FIELDS; a row whose
    reference is None gets None, "not applicable" to TRL. `name` (default: the verifier's) is what TRL logs it by,
    beside the columns NAME/status and NAME/extracted and the metric NAME/could_not_tell_rate.
    Raises UsageError for an unknown verifier, and when it is called with no such column.
    """
    Scorer().resolve(verifier)
    return _TrlReward(name or verifier.rpartition(":")[2], verifier, answer_field, dict(options or {}))


class _TrlReward:
    # An object, not a closure: TRL pickles reward functions for its workers, and tells them apart by `__name__`.

    def __init__(self, name: str, verifier: str, answer_field: str, options: Options) -> None:
        self.__name__ = name
        self._verifier = verifier
        self._answer_field = answer_field
        self._options = options

    def __call__(
        self,
        /,
        *,
        completions: Sequence[Any],
        log_extra: Callable[[str, list[Any]], None] | None = None,
        log_metric: Callable[[str, float], None] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        fields = (self._answer_field,) if self._answer_field else ANSWER_FIELDS
        field = next((field for field in fields if field in columns), None)
        if field is None:
            raise UsageError(
                f"the dataset has no column {' or '.join(map(repr, fields))}; found: {', '.join(sorted(columns))}",
                hint='name the column of the reference: trl_reward("math", answer_field="…")',
            )
        verdicts = _verdicts(self._verifier, self._options, completions, columns[field])
        if log_extra is not None:
            log_extra(f"{self.__name__}/status", [verdict.status for verdict in verdicts])
            log_extra(f"{self.__name__}/extracted", [verdict.extracted for verdict in verdicts])
        if log_metric is not None and verdicts:
            untold = sum(verdict.outcome is None for verdict in verdicts)
            log_metric(f"{self.__name__}/could_not_tell_rate", untold / len(verdicts))
        return [verdict.outcome for verdict in verdicts]


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: Mapping[str, Any] | None = None,
    *,
    verifier: str = "math",
    options: Options | None = None,
    **given: Any,
) -> dict[Any, float | str]:
    """Gives verl the score of one completion; `verifier` and `options` come from verl's `reward_kwargs`.

    `score` and `acc` are the outcome, `pred` the answer that was read (verl votes on it) and `status` the verdict's.
    verl has no way to leave a completion out: where the verifier could not tell, the score is 0.0 and `told` is 0.0,
    else 1.0, so that verl's mean of `told` shows how often that was. The other arguments are not read.
    """
    (score,) = compute_scores([data_source], [solution_str], [ground_truth], verifier=verifier, options=options)
    return score


def compute_scores(
    data_sources: Iterable[str],
    solution_strs: Iterable[str],
    ground_truths: Iterable[Any],
    extra_infos: Iterable[Any] | None = None,
    *,
    verifier: str = "math",
    options: Options | None = None,
    **given: Any,
) -> list[dict[Any, float | str]]:
    """Gives the scores of many completions at once, for verl's batch reward manager; each as `compute_score` says."""
    return [_score(verdict) for verdict in _verdicts(verifier, dict(options or {}), solution_strs, ground_truths)]


class _Score(dict[Any, float | str]):
    """A score as an object; `score[0]` is its number, which is what verl's prime manager asks for.

    There a KeyError would make every score of the batch 0, with no more than a line in the log.
    """

    def __missing__(self, key: Any) -> float | str:
        if key == 0:
            return self["score"]
        raise KeyError(key)


def _score(verdict: Verdict) -> "_Score":
    # verl asks every row for the same keys.
    outcome = verdict.outcome or 0.0
    told = float(verdict.outcome is not None)
    return _Score(score=outcome, acc=outcome, told=told, pred=verdict.extracted, status=verdict.status)


def _verdicts(verifier: str, options: Options, completions: Iterable[Any], answers: Iterable[Any]) -> list[Verdict]:
    rows = (
        {"completion": _text(completion), "reference": reference}
        for completion, reference in zip(completions, map(_reference, answers, repeat(verifier)), strict=True)
    )
    return list(verify_many(rows, verifier, options=options))


def _text(completion: Any) -> Any:
    """Gives the text of the assistant's last turn where the completion is a list of messages; else as it is."""
    if not isinstance(completion, list | tuple):
        return completion
    said = [turn for turn in completion if isinstance(turn, Mapping) and turn.get("role", "assistant") == "assistant"]
    content = said[-1].get("content") if said else None
    if isinstance(content, list | tuple):
        parts = [part if isinstance(part, str) else _part(part) for part in content]
        return "".join(parts)
    return "" if content is None else content


def _part(part: Any) -> str:
    text = part.get("text") if isinstance(part, Mapping) else None
    return text if isinstance(text, str) else ""


def _reference(answer: Any, verifier: str) -> Any:
    """Gives the reference that a dataset's cell means to a verifier of the house: columns change what they hold.

    A list of one stands for the one, a key that holds null for none.
    """
    if verifier not in VERIFIERS:
        return answer
    if isinstance(answer, list) and len(answer) == 1:
        answer = answer[0]
    if isinstance(answer, Mapping):
        return {key: value for key, value in answer.items() if value is not None}
    return answer
