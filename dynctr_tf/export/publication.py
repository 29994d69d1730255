"""Publishing a version that is not worse than the served one, and going back to an earlier version."""

from __future__ import annotations

import dataclasses
import math
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from dynctr_tf.durable_files import check_checksums, read_json, write_json
from dynctr_tf.evaluation import Comparison, compare
from dynctr_tf.evaluation.json_records import to_plain
from dynctr_tf.evaluation.text_table import signed, signed_range
from dynctr_tf.export.export_card import CARD, renamed_curl
from dynctr_tf.export.versions import MODEL_FILE, new_version, newest_version, version_folder, version_numbers
from dynctr_tf.export.versions_at_uris import copy_to_uri, versions_here
from dynctr_tf.export.warm_up import rename_warm_up
from dynctr_tf.metrics import holm_adjusted
from dynctr_tf.metrics.paired import PairedTest
from dynctr_tf.uris import parts_of, uri_within

TESTED = ("log_loss", "auc")
"""The metrics in which a new version must not be worse."""

_LEAST = 10
_DECIMALS = 5
_DAMAGED = "Give a version that is whole, or export the model again."


@dataclasses.dataclass(frozen=True)
class PublicationTest:
    """Whether a new version is not worse than the served one on the same rows. Made by `publication_test`.

    Args:
        passed: Whether it may be published.
        reason: Why, in a sentence.
        margin: By how much log loss may be worse; `None` where the version is refused only if it is shown to be worse.
        comparison: Both versions on the rows, the served one as the reference.
    """

    passed: bool
    reason: str
    margin: float | None
    comparison: Comparison

    def to_text(self) -> str:
        """Returns the comparison's tables and the decision."""
        return f"{self.comparison.to_text()}\n{self.reason}\n"

    def to_plain(self) -> dict[str, Any]:
        """Returns what a version's card says of the test."""
        (candidate,) = (model for model in self.comparison.models if model.tests)
        return {
            "reason": self.reason,
            "margin": self.margin,
            "rows": self.comparison.rows,
            "tests": {metric: to_plain(candidate.tests[metric]) for metric in TESTED},
            "p_values": _adjusted(candidate.tests, self.margin),
        }


def publication_test(
    labels: npt.ArrayLike,
    candidate: npt.ArrayLike,
    served: npt.ArrayLike,
    *,
    weights: npt.ArrayLike | None = None,
    margin: float | None = None,
    confidence: float = 0.95,
    replicates: int = 1000,
    seed: int = 0,
    names: tuple[str, str] = ("candidate", "served"),
    progress: bool = True,
) -> PublicationTest:
    """Tests whether a new version is worse than the served one, on rows that neither was trained on.

    Use it before `publish`. Both versions answer the same rows and the same resamples of them, so the test sees
    differences that are far smaller than the interval of either version.

    Without `margin` the version passes unless it is shown to be worse: log loss or AUC is worse, and its p-value,
    adjusted for two tests by Holm's rule, is below `1 - confidence`. A version that is equally good is refused with a
    probability of at most `1 - confidence`. Few rows show little, so with few rows few versions are refused. With
    `margin` the version has to show that it is hardly worse: it passes where the upper end of the interval of the
    difference in log loss is at most `margin`, and its AUC is not shown to be worse.

    Args:
        labels: 0 or 1, `(rows,)`.
        candidate: Logits of the new version.
        served: Logits of the served version, of the same rows.
        weights: How much each row counts. Default `None`: 1 each.
        margin: By how much log loss may be worse. Default `None`: the version is refused only if it is shown to be
            worse.
        confidence: The share of such intervals that hold the truth. Default 0.95.
        replicates: Number of resamples. Default 1000.
        seed: Seed of the draws. Default 0.
        names: How both are called in the tables. Default `("candidate", "served")`.
        progress: Whether a progress bar is shown on a terminal. Default `True`.

    Returns:
        A `PublicationTest`.

    Raises:
        ValueError: Fewer than ten clicks or ten other rows, a margin that is negative, or as
            `dynctr_tf.evaluation.compare`.

    Cost: as `dynctr_tf.metrics.bootstrap_metrics` for two predictions.

    Example:

    >>> labels, good = [0, 1, 1, 0] * 50, [-1.0, 1.0, 0.5, 0.0] * 50
    >>> publication_test(labels, [0.0] * 200, good, replicates=100).passed
    False
    >>> publication_test(labels, good, [0.0] * 200, replicates=100).passed
    True
    """
    if margin is not None and not (math.isfinite(margin) and margin >= 0.0):
        raise ValueError(f"margin must be a number of at least 0, such as 0.0005, got {margin!r}.")
    candidate_name, served_name = names
    if candidate_name == served_name:
        raise ValueError(f"Both versions are called {served_name!r}; give them different names.")
    comparison = compare(
        labels,
        {candidate_name: candidate, served_name: served},
        reference=served_name,
        weights=weights,
        confidence=confidence,
        replicates=replicates,
        seed=seed,
        progress=progress,
    )
    if min(comparison.clicks, comparison.rows - comparison.clicks) < _LEAST:
        raise ValueError(
            f"The test of a version needs at least {_LEAST} clicks and {_LEAST} other rows, got {comparison.clicks:,} "
            f"clicks in {comparison.rows:,} rows. Give more rows."
        )
    tests = comparison.model(candidate_name).tests
    worse = [
        metric
        for metric, p in _adjusted(tests, margin).items()
        if p < 1.0 - confidence and (tests[metric].difference < 0.0) == (metric == "auc")
    ]
    loss = tests["log_loss"]
    shown = f"log loss {_change(loss)}, AUC {_change(tests['auc'])}"
    if worse:
        titles = " and ".join({"log_loss": "log loss", "auc": "AUC"}[metric] for metric in worse)
        reason = f"refused: {candidate_name} is worse than {served_name} by {titles} ({shown})"
    elif margin is not None and not loss.upper <= margin:
        reason = (
            f"refused: {candidate_name} is not shown to be at most {margin:g} worse in log loss than {served_name} "
            f"({shown}); more rows, or a larger margin, may show it"
        )
    else:
        what = "not shown to be worse than" if margin is None else f"at most {margin:g} worse in log loss than"
        return PublicationTest(True, f"passed: {candidate_name} is {what} {served_name} ({shown})", margin, comparison)
    return PublicationTest(False, reason, margin, comparison)


def _adjusted(tests: Mapping[str, PairedTest], margin: float | None) -> dict[str, float]:
    """The p-values by which a version is refused. With a margin, the interval of log loss decides in its place."""
    tested = TESTED if margin is None else ("auc",)
    return dict(zip(tested, holm_adjusted([tests[metric].p_value for metric in tested]), strict=True))


def _change(test: PairedTest) -> str:
    return f"{signed(test.difference, _DECIMALS)} {signed_range(test.lower, test.upper, _DECIMALS)}"


def publish(
    candidate: str | Path,
    directory: str | Path,
    *,
    test: PublicationTest | None = None,
    about: Mapping[str, Any] | None = None,
) -> Path | None:
    """Copies an exported version into a served model's folder, under the next number, if it passed its test.

    Use it to keep exports apart from served versions: export to a folder of the run, test, publish. The version appears
    whole or not at all. TF Serving watches the folder, loads the highest number and then unloads the one before.

    Args:
        candidate: The exported version's folder, or the one above it for its newest version.
        directory: The served model's folder, such as `saved_models/clicks`.
        test: The result of `publication_test`. Default `None`: published without a test, as the first version is.
        about: Further entries of the card; plain values. Default `None`: none.

    Returns:
        The folder of the published version; the newest version's, if it was made of the same already. `None` if the
        version did not pass its test; then nothing is written.

    Raises:
        ValueError: There is no export, or it is in the served folder already.
        DamagedFileError: A file of the candidate is damaged.

    Example:

    >>> publish("runs/today/export/1", "saved_models/clicks", test=...)  # doctest: +SKIP
    PosixPath('saved_models/clicks/4')
    """
    source = version_folder(candidate)
    directory = Path(directory)
    if source.resolve().parent == directory.resolve():
        raise ValueError(
            f"{source} is in the served folder already. To serve an earlier version again, go back to it (roll_back, "
            "or `dynctr publish --rollback`); to test a version before it is served, export it to another folder."
        )
    if test is not None and not test.passed:
        return None
    return _republish(source, directory, _of_publication(source, test, about))


def publish_at_uri(
    candidate: Path, uri: str, *, test: PublicationTest | None = None, about: Mapping[str, Any] | None = None
) -> str | None:
    """Copies an exported version to a served model at a URI, as `publish` does to a folder.

    Args:
        candidate: The folder of the version on this machine.
        uri: The served model, such as `gs://bucket/models/clicks`.
        test: As in `publish`. Default `None`.
        about: As in `publish`. Default `None`.

    Returns:
        The URI of the version; that of the newest one there, if it was made of the same already. `None` if the version
        did not pass its test; then nothing is written.

    Raises:
        OSError: The place cannot be written.
        ValueError: It cannot be reached, or the version is there already.
        DamagedFileError: A file of the candidate is damaged.
    """
    further = _of_publication(candidate, test, about)
    if parts_of(further["published_from"])[0] == "/".join(parts_of(uri)):
        raise ValueError(
            f"{further['published_from']} is in the served folder already. To serve an earlier version again, go back "
            "to it: `dynctr publish --rollback`."
        )
    if test is not None and not test.passed:
        return None
    return _republish_at_uri(candidate, uri, further)


def roll_back_at_uri(uri: str, version: int) -> str:
    """Serves an earlier version at a URI again, as `roll_back` does in a folder.

    Args:
        uri: The served model.
        version: The number of the version to go back to.

    Returns:
        The URI of the new version; of the newest one, if it was made of the same already.

    Raises:
        OSError: The place cannot be written.
        ValueError: There is no such version, or the place cannot be reached.
        DamagedFileError: A file of it is damaged.
    """
    with versions_here(uri_within(uri, str(version))) as (folder,):
        return _republish_at_uri(folder, uri, {"rollback_of": version})


def _republish_at_uri(source: Path, uri: str, further: Mapping[str, Any]) -> str:
    change = _changes(read_json(source / CARD, _DAMAGED), parts_of(uri)[1], further)
    return copy_to_uri(uri, source, change, advice="Start it again.")


def _of_publication(source: Path, test: PublicationTest | None, about: Mapping[str, Any] | None) -> dict[str, Any]:
    """What the card of a published version says of that."""
    return {"published_from": str(source), "test_of_publication": test and test.to_plain(), **(about or {})}


def roll_back(directory: str | Path, version: int) -> Path:
    """Serves an earlier version again, by publishing it once more under the next number.

    TF Serving takes the highest number. So the version to go back to becomes the highest: the server loads it beside
    the served one and then changes over, and every request is answered. The version that was served before stays on the
    disk.

    Args:
        directory: The served model's folder.
        version: The number of the version to go back to.

    Returns:
        The folder of the new version; the newest version's, if it was made of the same already.

    Raises:
        ValueError: There is no such version.
        DamagedFileError: A file of it is damaged.
    """
    directory = Path(directory)
    source = directory / str(version)
    numbers = version_numbers(directory)
    if version not in numbers or not (source / MODEL_FILE).is_file():
        known = f"there are {', '.join(map(str, numbers))}" if numbers else "there is none"
        raise ValueError(f"{directory} has no version {version} to go back to; {known}.")
    if version == numbers[-1]:
        check_checksums(source, _DAMAGED)
        return source
    return _republish(source, directory, {"rollback_of": version})


def _republish(source: Path, directory: Path, further: Mapping[str, Any]) -> Path:
    check_checksums(source, _DAMAGED)
    card = read_json(source / CARD, _DAMAGED)
    newest = newest_version(directory)
    if newest is not None and _made_of(newest) == card.get("made_of"):
        return newest
    changes = _changes(card, directory.name, further)

    def fill(folder: Path, number: int) -> None:
        shutil.copytree(source, folder, dirs_exist_ok=True, copy_function=shutil.copyfile)
        changes(folder, number)

    return new_version(directory, fill)


def _made_of(version: Path) -> str | None:
    """What a version was made of; `None` where it is not whole."""
    try:
        check_checksums(version)
        return str(read_json(version / CARD).get("made_of"))
    except (OSError, ValueError):
        return None


def _changes(card: Mapping[str, Any], name: str, further: Mapping[str, Any]) -> Callable[[Path, int], None]:
    """What differs in the copy of a version: its name, its number, and what else its card says."""

    def change(folder: Path, number: int) -> None:
        request = card.get("sample_request")
        if request is not None:
            request = {**request, "curl": renamed_curl(request["curl"], name)}
        rename_warm_up(folder, name)
        write_json(folder / CARD, {**card, "name": name, "version": number, "sample_request": request, **further})

    return change
