"""Importing the package imports nothing large, and still its data sets and classes are known to who imports those."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def printed(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip()


def test_the_package_alone_imports_nothing_large() -> None:
    large = {"tensorflow", "tensorflow_datasets", "numpy", "pyarrow"}
    assert printed(f"import sys, dynctr_tf; print({large} & set(sys.modules))") == "set()"


@pytest.mark.parametrize(
    "imports",
    [
        "import dynctr_tf\nimport tensorflow_datasets as tfds",
        "import tensorflow_datasets as tfds\nimport dynctr_tf",
        "from dynctr_tf.datasets import Avazu\nimport tensorflow_datasets as tfds",
        "from dynctr_tf.datasets.movielens_tag import MovieLensTag\nimport tensorflow_datasets as tfds",
        "from dynctr_tf.datasets.row_source_builder import RowSourceBuilder\nimport tensorflow_datasets as tfds",
    ],
)
def test_data_sets_are_found_whichever_is_imported_first(imports: str) -> None:
    assert printed(f"{imports}\nprint(tfds.builder_cls('avazu').__name__)") == "Avazu"


def test_rows_of_files_need_no_tensorflow_datasets() -> None:
    code = "import dynctr_tf.datasets, dynctr_tf.encoding.shard_work, dynctr_tf.jobs"
    assert printed(f"import sys, {code[7:]}; print('tensorflow_datasets' in sys.modules)") == "False"


def test_what_runs_in_the_interpreter_of_another_library_needs_none_of_ours() -> None:
    code = (
        "import sys\n"
        "absent = ('tensorflow', 'tensorflow_datasets', 'keras', 'keras_tuner', 'pyarrow')\n"
        "sys.modules.update(dict.fromkeys(absent))\n"
        "import pipelines.benchmarks.workload, dynctr_tf.durable_files, pipelines.peers.installed\n"
        "print('there')"
    )
    assert printed(code) == "there"
