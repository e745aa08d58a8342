"""Evaluation: held-out tasks, sampled and greedy; perplexity of held-out text; KL to the parent's weights."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rlvr.algorithms.kl import k3
from rlvr.config.schema import EvaluateConfig
from rlvr.data.chat import encode_document, stop_token_ids
from rlvr.data.stream import Draw
from rlvr.engines.base import Engine, Sampling
from rlvr.errors import DataError
from rlvr.models.policy import context_length
from rlvr.runs.folder import Record, Run
from rlvr.stages.parts import Checkpoint, Parts, usable_tasks
from rlvr.statistics.intervals import Interval, mean_interval, proportion_interval
from rlvr.statistics.pass_at_k import pass_at_k
from rlvr.training.batching import Row
from rlvr.training.intake import Intake
from rlvr.training.learner import measure_logprobs
from rlvr.training.rollout import complete_groups
from rlvr.types import Group

RESULT_FILE = "result.json"


@dataclass(frozen=True, slots=True)
class DomainScore:
    """One domain's held-out result; intervals are 95 % over tasks. `tokens` is the mean length of a sample."""

    pass_at_1: Interval
    pass_at_k: Interval
    greedy: Interval
    tokens: float
    num_tasks: int
    k: int
