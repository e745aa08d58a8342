"""Everything that can go wrong, as one tree.

    RlvrError                  exit code 1
    ├── UsageError             exit code 2: what the user typed or wrote
    │   ├── RecipeError        a recipe or an override cannot be read as written
    │   ├── DataError          a dataset cannot be used
    │   └── ModelError         a directory is no model that this stage can use
    ├── RunError               a run folder cannot be written, read or resumed
    │   └── CheckpointError    no whole checkpoint is left
    ├── VerifierError          the verifier, not the completion, is broken
    ├── EngineError            the engine cannot go on
    └── TrainingError          training cannot go on (no finite loss, nothing can be scored, …)

Each message says what happened with its value and what was expected; `hint` says what to type.
"""


class RlvrError(Exception):
    """An error with a message for people and, where one is known, a hint what to type."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message


class UsageError(RlvrError):
    """Something that the user typed or wrote cannot be used."""

    exit_code = 2


class RecipeError(UsageError):
    """A recipe or an override cannot be read as written."""


class DataError(UsageError):
    """A dataset is missing, empty or holds no usable row."""


class ModelError(UsageError):
    """A directory is no model, or no model that this stage can use."""


class RunError(RlvrError):
    """A run folder cannot be written, read or resumed."""


class CheckpointError(RunError):
    """No whole checkpoint is left to load."""


class VerifierError(RlvrError):
    """A verifier, not the completion that it reads, is broken."""


class EngineError(RlvrError):
    """An engine cannot go on."""


class TrainingError(RlvrError):
    """Training cannot go on."""
