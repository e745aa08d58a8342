"""Where import paths of a recipe are looked up."""

import sys
from pathlib import Path


def import_from(folder: Path) -> None:
    """Lets import paths name modules in the folder where rlvr was started and in `folder`, after all installed ones."""
    for place in (str(Path.cwd()), str(folder.absolute())):
        if place not in sys.path:
            sys.path.append(place)
