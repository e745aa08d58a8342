"""Where a run's relative paths start, and where import paths of a recipe are looked up."""

import os
import sys
from pathlib import Path

from rlvr.config.reading import Resolved, from_json
from rlvr.runs.folder import PROVENANCE, Run


def at_home(run: Run) -> Resolved:
    """Works from now on in the folder where the run was started, where that is still there, so that its relative paths
    mean what they meant; gives its recipe, whose import paths are found."""
    go_home(run)
    resolved = from_json(run.config())
    import_from(resolved.source.parent)
    return resolved


def go_home(run: Run) -> None:
    """Works from now on in the folder where a run or a race was started, where that is still there."""
    started_in = Path(str(run.read_json(PROVENANCE).get("folder", ".")))
    if started_in.is_dir():
        os.chdir(started_in)


def import_from(folder: Path) -> None:
    """Lets import paths name modules in the folder where rlvr was started and in `folder`, after all installed ones."""
    for place in (str(Path.cwd()), str(folder.absolute())):
        if place not in sys.path:
            sys.path.append(place)
