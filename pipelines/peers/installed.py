"""Checks, before a job's first run, that the interpreter of another library has what the job needs."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

_ROOT = Path(__file__).parent.parent.parent
_NEEDS = {"FuxiCTR": "torch and fuxictr", "DeepCTR": "deepctr on TensorFlow 2.15"}
# Imports what the library's runs import; for FuxiCTR it also looks for each model's folder in the zoo.
_SCRIPTS = {
    "FuxiCTR": (
        "import sys, pipelines.peers.fuxictr_speed\n"
        "from pipelines.peers.fuxictr_zoo import zoo, zoo_model\n"
        "lacking = [name for name in sys.argv[1:] if not (zoo() / zoo_model(name, ())[0]).is_dir()]\n"
        "sys.exit(f'ValueError: {zoo()} lacks the models {lacking}' if lacking else 0)"
    ),
    "DeepCTR": (
        "import sys\n"
        "from pipelines.peers.deepctr_speed import MODELS\n"
        "lacking = [name for name in sys.argv[1:] if name not in MODELS]\n"
        "sys.exit(f'ValueError: it lacks the models {lacking}' if lacking else 0)"
    ),
}


def check_peer(library: str, interpreter: str, models: Sequence[str], zoo: str | None = None) -> None:
    """Refuses an interpreter that cannot run the models of a library.

    Args:
        library: `"FuxiCTR"` or `"DeepCTR"`.
        interpreter: Its Python.
        models: Names of our models that it should run.
        zoo: The folder of FuxiCTR's models. Default `None`: none is given.

    Raises:
        ValueError: No such interpreter, a package that it lacks, or a folder that is not a model zoo; with the
            end of its output.

    Cost: one start of the interpreter and the import of the library, some seconds.
    """
    if library == "FuxiCTR":
        if zoo is None:
            raise ValueError(
                "FuxiCTR's package lacks most of its models: give --fuxictr-zoo, the folder model_zoo of a checkout of "
                "github.com/reczoo/FuxiCTR."
            )
        if not (Path(zoo) / "DeepFM").is_dir():
            raise ValueError(
                f"--fuxictr-zoo must name the folder model_zoo of a checkout of github.com/reczoo/FuxiCTR, got {zoo!r}."
            )
    option = f"--{library.lower()}-python"
    if shutil.which(interpreter) is None:
        raise ValueError(f"{option} must be an interpreter that has {_NEEDS[library]}; there is no {interpreter!r}.")
    environment = {**os.environ, "PYTHONPATH": str(_ROOT), "FUXICTR_ZOO": zoo or "", "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [interpreter, "-c", _SCRIPTS[library], *models],
        capture_output=True, text=True, check=False, cwd=_ROOT, env=environment, errors="replace",
    )  # fmt: skip
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1]
        raise ValueError(
            f"{option} must be an interpreter that has {_NEEDS[library]}; {interpreter} says: {last[:300]}"
        )
