"""A recipe of all stages, killed with SIGKILL at keyed instants and resumed, ends as an undisturbed one, bit for bit.

The machinery, and a longer test of the same, is benchmarks/kill_resume.py.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rlvr import keyed

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "benchmarks" / "kill_resume.py"

# In an interpreter of its own: it forks, and this one has threads.
KILLS = f"""
import sys
sys.path.insert(0, {str(SCRIPT.parent)!r})
import json
from pathlib import Path
import kill_resume
import rlvr.app.pipeline

folder, kills = Path(sys.argv[1]), json.loads(sys.argv[2])
kill_resume.finish(lambda: kill_resume.make_base(folder / "base"), folder / "base.log")
reference = kill_resume.undisturbed(folder / "undisturbed", folder / "base")
recipe, run = kill_resume.write_recipe(folder / "killed", folder / "base")
log = folder / "killed" / "log"
places = []
for share, by_time in kills:
    seconds = share * reference[1] if by_time else None
    dealings = None if by_time else 1 + int(share * reference[2])
    kill_resume.kill_once(recipe, run, log, seconds=seconds, dealings=dealings)
    places.append(kill_resume.where(run))
kill_resume.finish(lambda: kill_resume.go_on(recipe, run), log)
found = kill_resume.compare(reference[0], run, folder)
children = sorted(path.name for path in run.iterdir() if (path / "config.json").is_file())
print(json.dumps({{"places": places, "differences": found, "children": children}}))
"""


@pytest.mark.slow
def test_a_run_of_all_stages_killed_again_and_again_ends_bit_for_bit_as_an_undisturbed_one(tmp_path):
    # Each kill comes within the first third of what an undisturbed run does, so that each resume gets further.
    kills = [
        [float(share) / 3, bool(timed < 0.4)]
        for share, timed in keyed.uniform(1, "kills", [[i] for i in range(6)], [0, 1])
    ]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", KILLS, str(tmp_path), json.dumps(kills)], capture_output=True, text=True, env=env
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["differences"] == []
    assert found["children"] == [
        "0-base",
        "1-pretrain",
        "2-sft",
        "3-dpo",
        "4-own-pairs",
        "5-rlvr",
        "6-more",
        "7-iterate",
    ]
    assert len(set(found["places"])) >= 2
