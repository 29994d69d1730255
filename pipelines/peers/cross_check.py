"""Compares our models with other libraries' that have the same weights: `python -m pipelines.peers.cross_check`.

It needs an interpreter that has this library and the peers: deepctr on TensorFlow 2.15; torch, fuxictr and the zoo's
folder in FUXICTR_ZOO. An absent peer is left out, and the table says so.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence

import numpy as np

from dynctr_tf.evaluation.text_table import align
from pipelines.peers.copied_weights import TOLERANCE, Case, Ours, clear

LIBRARIES = {"DeepCTR": ("deepctr", "deepctr_check"), "FuxiCTR": ("fuxictr", "fuxictr_check")}
"""Name -> the package it needs, the module here that builds its models."""


def cases_of(library: str) -> dict[str, Case]:
    """The models that are compared with a library, by name.

    Raises:
        ImportError: The library is not installed.
    """
    cases: dict[str, Case] = importlib.import_module(f"pipelines.peers.{LIBRARIES[library][1]}").CASES
    return cases


def probabilities(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """The click probabilities of the same rows, ours and the peer's."""
    clear()
    ours = Ours(case.model, case.options, case.history)
    theirs = case.build(ours).probabilities()
    return ours.probabilities(), theirs


def main(words: Sequence[str] | None = None) -> None:
    """Prints the table; ends with status 1 if a model differs."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.peers.cross_check",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--libraries", nargs="+", choices=sorted(LIBRARIES), default=sorted(LIBRARIES))
    arguments = parser.parse_args(words)
    rows = [["library", "its model", "ours", "rows", "largest difference", "spread of ours", "where the peer differs"]]
    wrong = []
    for library in arguments.libraries:
        try:
            cases = cases_of(library)
        except ImportError as error:
            rows.append([library, "left out", str(error), "", "", "", ""])
            continue
        for name, case in cases.items():
            ours, theirs = probabilities(case)
            difference = float(np.abs(ours - theirs).max())
            rows.append(
                [library, case.peer, name, str(len(ours)), f"{difference:.1e}", f"{ours.std():.3f}", case.note or "-"]
            )
            if not difference <= TOLERANCE:
                wrong.append(f"{library} {name}")
    print("\n".join(align(rows)))
    if wrong:
        parser.exit(1, f"These differ by more than {TOLERANCE:g}: {', '.join(wrong)}\n")
    print(f"All click probabilities agree within {TOLERANCE:g}.")


if __name__ == "__main__":
    main()
