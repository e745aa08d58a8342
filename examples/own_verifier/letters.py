"""A verifier of one's own: does the completion hold a letter as often as the task asks for?

Used from a recipe or a task as `verifier = "letters:count"`. The reference is {"letter": "e", "times": 3}.
"""

from rlvr.types import Completion, Task, Verdict


def count(task: Task, completion: Completion) -> Verdict:
    """Gives outcome 1 where the letter occurs exactly so many times, and less the further off it is."""
    letter, times = task.reference["letter"], task.reference["times"]
    found = completion.text.lower().count(letter)
    outcome = 1.0 if found == times else 0.5 / (1 + abs(found - times))
    return Verdict(outcome, "ok", extracted=f"{found} x {letter}", version="1")
