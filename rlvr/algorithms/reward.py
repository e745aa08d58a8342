"""Losses of a reward model, per pair.

N pairs. `chosen_rewards` and `rejected_rewards` are the model's numbers for the two completions of a pair. Every loss
returns its [N] vector; the caller divides by the pairs of the whole update.
"""

from torch import Tensor
from torch.nn.functional import logsigmoid


def bradley_terry(chosen_rewards: Tensor, rejected_rewards: Tensor, *, margin: float) -> Tensor:
    """Gives −log σ(r_c − r_r − margin): how surprising it is, by the rewards, that the chosen completion won.

    Shapes: [N], [N] -> [N]. With equal rewards and no margin the loss is ln 2.
    Source: InstructGPT, arXiv:2203.02155, after Bradley and Terry (1952); the margin: Llama 2, arXiv:2307.09288.
    Differs from the papers in: InstructGPT ranks K completions of a prompt and averages over their pairs, here each
    pair stands for itself; Llama 2 has a margin for each pair by its annotators' rating, here all share one.
    """
    return -logsigmoid(chosen_rewards - rejected_rewards - margin)


def centring_term(chosen_rewards: Tensor, rejected_rewards: Tensor, *, centring_coefficient: float) -> Tensor:
    """Gives what to add to a pair's loss so that rewards stay around 0: c·(r_c + r_r)².

    The loss above reads differences only and leaves the rewards' level open. Shapes: [N], [N] -> [N].
    Source: Eisenstein et al., arXiv:2312.09244; TRL's center_rewards_coefficient, whose documentation suggests 0.01.
    """
    return centring_coefficient * (chosen_rewards + rejected_rewards) ** 2
