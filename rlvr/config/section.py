"""What every table of a recipe has in common."""

from pydantic import BaseModel, ConfigDict, Field

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"


class Section(BaseModel):
    """A frozen table of a recipe; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)


class Stage(Section):
    """What every stage of a recipe has in common."""

    kind: str
    name: str = Field("", pattern=rf"^({NAME})?$", description="Name of the stage in the run folder; empty: its kind.")

    @property
    def label(self) -> str:
        """Its name, or its kind where it has none."""
        return self.name or self.kind

    def folder(self, place: int) -> str:
        """The name of its folder in a run, as the `place`-th stage of it, counted from 1."""
        return f"{place}-{self.label}"
