"""What every table of a recipe has in common."""

from pydantic import BaseModel, ConfigDict

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
STAGE_NAME = rf"^({NAME})?$"


class Section(BaseModel):
    """A frozen table of a recipe; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)
