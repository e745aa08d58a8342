"""The formula that a row stands for, line by line, with its own numbers in place."""

from rlvr.algorithms.algorithm import Algorithm, cell_text

Line = tuple[str, str]
"""An equation and what its letters mean; "" where they are known."""

_ADVANTAGES: dict[str, tuple[Line, ...]] = {
    "centred": (("A_i = R_i − mean(R)", "mean over the group's scored completions; std: none"),),
    "group_std": (
        (
            "A_i = (R_i − mean(R)) / (std(R) + 1e-4)",
            "mean and std over the group's scored completions; std: unbiased, divided by n − 1",
        ),
    ),
    "batch_std": (
        (
            "A_i = (R_i − mean(R)) / (std(all R) + 1e-4)",
            "mean over the group's scored completions, std over those of the whole step; std: unbiased",
        ),
    ),
    "leave_one_out": (
        ("A_i = R_i − mean over j ≠ i of R_j", "j: the other scored completions of the group; std: none"),
    ),
    "returns": (("A_t = R_t + {gamma} · A_{{t+1}}", "0 beyond the last token: what is still to come"),),
    "gae": (
        ("δ_t = R_t + {gamma} · V_{{t+1}} − V_t", "V: the critic's value before token t; 0 beyond the last"),
        ("A_t = δ_t + {gamma} · {gae_lambda} · A_{{t+1}}", ""),
    ),
}
_RATIOS: dict[str, Line] = {
    "token": ("r_t = exp(log π_θ(t) − log π_prox(t))", "π_prox: the learner at the start of the step"),
    "sequence": (
        "r_t = exp((1/n_i) · Σ_t (log π_θ(t) − log π_prox(t)))",
        "one ratio for the whole completion; π_prox: the learner at the start of the step; n_i: its tokens",
    ),
    "sequence_token": (
        "r_t = sg[exp((1/n_i) · Σ_t (log π_θ(t) − log π_prox(t)))] · π_θ(t) / sg[π_θ(t)]",
        "the completion's ratio, the token's gradient; sg: no gradient; π_prox: the learner at the start of the step",
    ),
}
_MISMATCHES = {
    "token_truncate": ("w_t = min(ρ_t, {high})", ""),
    "sequence_truncate": ("w_t = min(Π_t ρ_t, {high})", ""),
    "token_mask": ("w_t = ρ_t if {low} ≤ ρ_t ≤ {high}, else 0", ""),
    "sequence_mask": ("w_t = Π_t ρ_t if {low} ≤ Π_t ρ_t ≤ {high}, else 0", ""),
    "geometric_mask": ("w_t = 1 if {low} ≤ exp(mean_t log ρ_t) ≤ {high}, else 0", ""),
}
_AGGREGATIONS: dict[str, Line] = {
    "token_mean": ("Σ_i Σ_t ({loss}) / N", "N: trainable tokens of the whole update"),
    "sequence_mean": (
        "(1/B) · Σ_i (1/n_i) · Σ_t ({loss})",
        "B: completions of the whole update; n_i: trainable tokens of completion i",
    ),
    "constant": (
        "Σ_i Σ_t ({loss}) / (B · L)",
        "B: completions of the whole update; L: max_completion_tokens, whatever was sampled",
    ),
    "sequence_sum": ("(1/B) · Σ_i Σ_t ({loss})", "B: completions of the whole update; a completion is one action"),
}
_ESTIMATORS = {
    "k1": "x_t",
    "k2": "x_t² / 2",
    "k3": "exp(−x_t) + x_t − 1",
    "k3_k2": "exp(−x_t) + x_t − 1, with the gradient of x_t² / 2",
}


def formula(algorithm: Algorithm) -> list[Line]:
    """Gives the row's formula, with its own numbers in place."""
    return [*_reward(algorithm), *_advantage(algorithm), *_token_loss(algorithm), *_total(algorithm)]


def _reward(row: Algorithm) -> list[Line]:
    scale = f"{cell_text(row.reward_scale)} · " if row.reward_scale != 1 else ""
    lines: list[Line] = []
    if row.overlong_buffer_share > 0:
        share, rest = cell_text(row.overlong_buffer_share), cell_text(1 - row.overlong_buffer_share)
        punishment = f" − min(1, max(0, n_i − {rest}·L) / ({share}·L))"
        lines.append(
            (
                f"R_i = {scale}outcome_i{punishment}",
                "outcome: after the recipe's shaping; n_i: tokens of completion i; L: max_completion_tokens",
            )
        )
    elif row.missing_end_penalty > 0:
        cut = f" − {cell_text(row.missing_end_penalty)} · [cut at the length limit]"
        lines.append((f"R_i = {scale}outcome_i{cut}", "outcome: after the recipe's shaping, if it has any"))
    else:
        lines.append((f"R_i = {scale}outcome_i", "outcome: after the recipe's shaping, if it has any"))
    if row.needs_reference:
        renewed = f"the policy of every {row.reference_every}th step" if row.reference_every else "the frozen reference"
        lines += [
            ("x_t = log π_θ(t) − log π_ref(t)", f"π_ref: {renewed}"),
            (f"k_t = {_ESTIMATORS[row.kl_estimator]}", f"{row.kl_estimator} of KL(π_θ‖π_ref)"),
        ]
    if row.kl_place == "reward":
        beta = "β" if row.kl_target else cell_text(row.kl_coefficient)
        if row.per_completion:
            lines.append((f"R_i ← R_i − {beta} · Σ_t k_t", "of π_prox, without a gradient"))
        else:
            lines.append((f"R_t = R_i · [t is the last] − {beta} · k_t", "of π_prox, without a gradient"))
        if row.kl_target:
            lines.append(
                (
                    f"β ← β · (1 + clip(KL / {cell_text(row.kl_target)} − 1, ±0.2) · min(1, B / {row.kl_horizon}))",
                    f"after each step, from β = {cell_text(row.kl_coefficient)}; KL: mean of its completions' Σ_t k_t",
                )
            )
    elif not row.per_completion:
        lines.append(("R_t = R_i · [t is the last]", ""))
    return lines


def _advantage(row: Algorithm) -> list[Line]:
    numbers = {"gamma": cell_text(row.gamma), "gae_lambda": cell_text(row.gae_lambda)}
    lines = [(equation.format(**numbers), remark) for equation, remark in _ADVANTAGES[row.advantage]]
    if row.needs_values:
        clip = cell_text(row.value_clip)
        old = f"max((V − G_t)², (clip(V, V_old ± {clip}) − G_t)²)" if row.value_clip else "(V − G_t)²"
        lines.append((f"critic's loss = ½ · mean over tokens of {old}", "G_t = A_t + V_old, before whitening"))
    if row.whiten:
        lines.append(("A ← (A − mean(A)) / std(A)", "over all trainable tokens of the step; std: unbiased"))
    return lines


def _token_loss(row: Algorithm) -> list[Line]:
    low, high = cell_text(row.clip_low), cell_text(row.clip_high)
    a = "A_i" if row.per_completion and not row.whiten else "A_t"
    lines = [] if row.loss == "reinforce" else [_RATIOS[row.ratio]]
    if row.loss == "reinforce":
        lines.append((f"ℓ_t = −{a} · log π_θ(t)", ""))
    elif row.loss == "clamped_weight":
        lines.append((f"ℓ_t = −sg[min(r_t, {cell_text(row.weight_max)})] · {a} · log π_θ(t)", "sg: no gradient"))
    else:
        lines.append((f"ℓ_t = −min(r_t · {a}, clip(r_t, 1 − {low}, 1 + {high}) · {a})", ""))
        if row.dual_clip:
            lines.append((f"ℓ_t ← min(ℓ_t, −{cell_text(row.dual_clip)} · {a}) where {a} < 0", ""))
    if row.mismatch != "none":
        equation, remark = _MISMATCHES[row.mismatch]
        numbers = {"low": cell_text(row.mismatch_low), "high": cell_text(row.mismatch_high)}
        lines.append(("ρ_t = π_prox(t) / π_sampler(t)", "the same weights in two numerics, or older ones"))
        lines.append((equation.format(**numbers), remark))
    return lines


def _total(row: Algorithm) -> list[Line]:
    term = "ℓ_t" if row.mismatch == "none" else "w_t · ℓ_t"
    if row.kl_place == "loss":
        term += f" + {cell_text(row.kl_coefficient)} · k_t"
    if row.entropy_coefficient:
        term += f" − {cell_text(row.entropy_coefficient)} · H_t"
    total, denominator = _AGGREGATIONS[row.aggregation]
    lines = [(f"loss = {total.format(loss=term)}", denominator)]
    if row.filter == "informative":
        lines.append(("learn from a group only if 0 < solved < scored", _refill_remark(row)))
    return lines


def _refill_remark(row: Algorithm) -> str:
    if not row.refill:
        return "the others are counted and have no advantage; N and B still include them"
    return f"the others are replaced, drawing at most {row.refill_limit} × prompts_per_step prompts"
