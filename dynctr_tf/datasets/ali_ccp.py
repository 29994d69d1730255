"""Ali-CCP (Alibaba click and conversion prediction) from its original files; field 301 is the domain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow_datasets as tfds

from dynctr_tf.datasets.bad_rows import OnBadRow, Problem, bad_values
from dynctr_tf.datasets.cell_values import NUMBER
from dynctr_tf.datasets.derived_columns import DerivedTabularFile, refuse_unlike
from dynctr_tf.datasets.key_features import VocabularyRules
from dynctr_tf.datasets.original_files import BadRows, find_file, text_lines
from dynctr_tf.datasets.row_source import RowBatch
from dynctr_tf.datasets.row_source_builder import RowSourceBuilder, RowSourceConfig
from dynctr_tf.nearest import unknown_name_message
from dynctr_tf.schema import Feature, Schema, Vocabulary

AliCcpLabel = Literal["click", "purchase"]

PROFILE: tuple[str, ...] = ("101", "121", "122", "124", "125", "126", "127", "128", "129")
"""Single-valued fields of the common features: the user (101) and the profile."""

BEHAVIOUR: tuple[str, ...] = ("109_14", "110_14", "127_14", "150_14")
"""Multi-valued fields of the common features: categories, shops, brands and intentions of the user's past."""

ITEM: tuple[str, ...] = ("205", "206", "207", "216")
"""Single-valued fields of the skeleton: the item (205), its category, shop and brand."""

INTENTION = "210"
"""The multi-valued field of the skeleton: the item's intentions."""

COMBINATION: tuple[str, ...] = ("508", "509", "702", "853")
"""Single-valued fields of the skeleton that combine user and item; each has a value too."""

DOMAIN = "301"
"""The field of the scenario."""

_SKELETON = ("sample_id", "click", "purchase", "common_feature_index", "num_features", "features")
_BETWEEN_FEATURES, _BEFORE_ID, _BEFORE_VALUE = "\x01", "\x02", "\x03"
_FEATURE = f"^[^{_BEFORE_ID}{_BEFORE_VALUE}]+{_BEFORE_ID}[^{_BEFORE_ID}{_BEFORE_VALUE}]+{_BEFORE_VALUE}"
_FEATURE += f"[^{_BEFORE_ID}{_BEFORE_VALUE}]+$"
_COMMON_ROWS = 2000


def ali_ccp_schema(*, min_count: int = 1, max_length: int = 32, label: AliCcpLabel = "click") -> Schema:
    """Describes the columns: `f` and a field's number; `value_` and the number for the value of a combination.

    Args:
        min_count: Values seen fewer times in the training rows share the unknown bucket. Default 1: keep all.
        max_length: How many values of a multi-valued field are kept. Default 32.
        label: `"click"`, or `"purchase"` for clicks that were followed by one, over all impressions.
            Default `"click"`.

    Raises:
        ValueError: An unknown label.
    """
    if label not in get_args(AliCcpLabel):
        raise ValueError(unknown_name_message("label of Ali-CCP", str(label), get_args(AliCcpLabel)))
    rule = Vocabulary(min_count=min_count)
    several = {"vocabulary": rule, "max_length": max_length}
    return Schema(
        features=(
            *(Feature(f"f{field}", "categorical", role="user", vocabulary=rule) for field in PROFILE),
            *(Feature(f"f{field}", "categorical", role="item", vocabulary=rule) for field in ITEM),
            *(Feature(f"f{field}", "categorical", vocabulary=rule) for field in COMBINATION),
            Feature(f"f{DOMAIN}", "categorical", role="scenario", vocabulary=rule),
            *(Feature(f"value_{field}", "numeric", binning="quantile", num_bins=32) for field in COMBINATION),
            *(Feature(f"f{field}", "multi_valued", role="user", **several) for field in BEHAVIOUR),  # type: ignore[arg-type]
            Feature(f"f{INTENTION}", "multi_valued", role="item", **several),  # type: ignore[arg-type]
        ),
        label=label,
    )


class _Parsed(NamedTuple):
    """Parsed feature lists: the features of each row and field, and the rows that cannot be read."""

    columns: dict[str, pa.Array]
    counts: np.ndarray
    malformed: np.ndarray
    no_number: np.ndarray


def _parse(
    texts: pa.Array, single: Sequence[str], several: Sequence[str], valued: Sequence[str], limit: int
) -> _Parsed:
    """Parses lists of `field \\x02 id \\x03 value`, separated by `\\x01`, whole columns at a time."""
    rows = len(texts)
    lists = pc.split_pattern(pc.fill_null(texts, ""), _BETWEEN_FEATURES)
    flat, parents = lists.flatten(), pc.list_parent_indices(lists).to_numpy()
    empty = pc.equal(pc.fill_null(texts, ""), "").to_numpy(zero_copy_only=False)
    counts = np.where(empty, 0, pc.list_value_length(lists).to_numpy())
    like = pc.match_substring_regex(flat, _FEATURE).to_numpy(zero_copy_only=False)
    malformed, no_number = np.zeros(rows, bool), np.zeros(rows, bool)
    malformed[parents[~like]] = True
    malformed &= ~empty
    flat, parents = flat.filter(pa.array(like)), parents[like]
    heads = pc.split_pattern(flat, _BEFORE_ID).flatten()
    places = np.arange(len(flat))
    fields, tails = heads.take(pa.array(2 * places)), heads.take(pa.array(2 * places + 1))
    wanted = [*single, *several]
    codes = pc.fill_null(pc.index_in(fields, value_set=pa.array(wanted, pa.string())), -1).to_numpy()
    kept = codes >= 0
    codes, parents, tails = codes[kept], parents[kept], tails.filter(pa.array(kept))
    parts = pc.split_pattern(tails, _BEFORE_VALUE).flatten()
    places = np.arange(len(tails))
    ids = parts.take(pa.array(2 * places, pa.int64()))
    columns: dict[str, pa.Array] = {}
    for code, field in enumerate(wanted):
        mine = np.flatnonzero(codes == code)
        owners = parents[mine]
        first = np.flatnonzero(np.diff(owners, prepend=-1))
        if field in several:
            # The features of a row are neighbours; of each field the first ones are kept.
            rank = np.arange(len(mine)) - np.repeat(first, np.diff(first, append=len(mine)))
            mine, owners = mine[rank < limit], owners[rank < limit]
            offsets = np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=rows))])
            columns[f"f{field}"] = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), ids.take(pa.array(mine)))
            continue
        index = np.full(rows, -1)
        index[owners[first]] = mine[first]
        columns[f"f{field}"] = ids.take(pa.array(index, mask=index < 0))
        if field in valued:
            numbers = parts.take(pa.array(2 * index + 1, mask=index < 0))
            wrong = ~pc.fill_null(pc.match_substring_regex(numbers, NUMBER), True).to_numpy(zero_copy_only=False)
            no_number |= wrong
            columns[f"value_{field}"] = pc.if_else(pa.array(wrong), pa.scalar(None, pa.string()), numbers)
    return _Parsed(columns, counts, malformed, no_number)


class _CommonFeatures:
    """The features that impressions share, by their index."""

    def __init__(self, path: Path, limit: int, on_bad_row: OnBadRow) -> None:
        self.places: dict[str, int] = {}
        bad_rows = BadRows(on_bad_row)
        chunks: list[pa.Table] = []
        held: list[tuple[int, list[bytes]]] = []
        for line, text in text_lines(path):
            cells = text.split(b",")
            if len(cells) != 3:
                reason = "too few columns" if len(cells) < 3 else "too many columns"
                bad_rows.add(path, line, None, reason, f"the row has {len(cells)} columns, expected 3")
                continue
            held.append((line, cells))
            if len(held) == _COMMON_ROWS:
                chunks.append(self._table(path, held, limit, bad_rows))
                held = []
        if held or not chunks:
            chunks.append(self._table(path, held, limit, bad_rows))
        self.table = pa.concat_tables(chunks).combine_chunks()
        if not self.table.num_rows:
            raise ValueError(f"{path}: the file has no usable row. Give a file that has rows.")
        self.skipped = Counter({f"common features: {reason}": n for reason, n in bad_rows.skipped.items()})

    def _table(self, path: Path, held: Sequence[tuple[int, list[bytes]]], limit: int, bad_rows: BadRows) -> pa.Table:
        texts = pa.array([cells[2].decode("utf-8", "replace") for _, cells in held], pa.string())
        parsed = _parse(texts, PROFILE, BEHAVIOUR, (), limit)
        kept = np.zeros(len(held), bool)
        for row, (line, cells) in enumerate(held):
            index, count = cells[0].decode("utf-8", "replace"), cells[1].decode("utf-8", "replace")
            if parsed.malformed[row]:
                detail = "expected features as field, \\x02, id, \\x03, value, separated by \\x01"
                bad_rows.add(path, line, "features", "features are malformed", detail)
            elif count != str(parsed.counts[row]):
                detail = f"expected the number of features, {parsed.counts[row]}, got {count!r}"
                bad_rows.add(path, line, "num_features", "num_features is not their number", detail)
            elif index in self.places:
                detail = f"expected each index once, got {index!r} again"
                bad_rows.add(path, line, "common_feature_index", "common_feature_index comes again", detail)
            else:
                self.places[index] = len(self.places)
                kept[row] = True
        return pa.table(parsed.columns).filter(pa.array(kept))


class AliCcpRows(VocabularyRules):
    """Reads the original files of Ali-CCP, plain or gzip-compressed, in columnar batches.

    When to use: multi-scenario models, most of which are published with results on this data. Its field 301 is the
    scenario; the training file is split into train and validation, the test file is the test split.

    A row of the skeleton names its common features by an index and has a list of further features. If a single-valued
    field comes twice, its first value counts. The values of the multi-valued fields (how often the user did it) are not
    read; those of the combinations are.

    What is a bad row: too few or too many columns; a label other than 0 and 1, or a purchase without a click; a list of
    features that cannot be parsed, or has another length than the row says; an index that the common features do not
    have, or have twice; a combination's value that is not a number.

    Args:
        path: The directory with `sample_skeleton_train.csv`, `common_features_train.csv`, `sample_skeleton_test.csv`
            and `common_features_test.csv`, each plain or with `.gz`.
        label: As in `ali_ccp_schema`. Default `"click"`.
        seed: Of the split into train and validation. Default 0.
        min_count: As in `ali_ccp_schema`. Default 1.
        max_length: As in `ali_ccp_schema`. Default 32.
        validation_share: Share of the training file's rows that are validation. Default 0.1.
        on_bad_row: `"error"`, or `"skip"` to leave bad rows out and count them in `skipped`. Default `"error"`.

    Raises:
        ValueError: A file that is not in the directory, a share out of range, an unknown label, or on reading a bad
            row (`BadRowError`, with its `line` and `column`).

    Cost: the common features of a file are in memory while it is read, about 1 kB for each user with 32 values per
        field, and are read again at each pass.

    Reference: the data of Ma et al., "Entire space multi-task model", SIGIR 2018 (42.3 and 43 million rows). The
        Scenario-Wise-Rec benchmark takes field 301 as the domain. The share of validation is ours.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        label: AliCcpLabel = "click",
        seed: int = 0,
        min_count: int = 1,
        max_length: int = 32,
        validation_share: float = 0.1,
        on_bad_row: OnBadRow = "error",
    ) -> None:
        if not 0.0 < validation_share < 1.0:
            raise ValueError(f"validation_share must lie between 0 and 1, got {validation_share!r}.")
        self.path = Path(path)
        self._schema = ali_ccp_schema(min_count=min_count, max_length=max_length, label=label)
        self._limit, self._on_bad_row = max_length, on_bad_row
        self._num_rows: int | None = None
        self._skipped: dict[str, int] = {}
        self._common: _CommonFeatures | None = None
        hint = "Give the directory with the four files of Ali-CCP."
        self._parts = []
        for part, shares in (
            ("train", {"train": 1.0 - validation_share, "validation": validation_share}),
            ("test", {"train": 1.0}),
        ):
            common = find_file(path, (f"common_features_{part}.csv",), hint)
            skeleton = DerivedTabularFile(
                find_file(path, (f"sample_skeleton_{part}.csv",), hint),
                self._schema,
                read=_SKELETON[1:],
                derive=self._joined,
                splits=shares,
                seed=seed,
                on_bad_row=on_bad_row,
                column_names=_SKELETON,
                delimiter=",",
                quote=None,
            )
            self._parts.append((common, skeleton))

    @property
    def schema(self) -> Schema:
        """What the columns mean."""
        return self._schema

    @property
    def split_names(self) -> tuple[str, ...]:
        """The splits, `"train"` first."""
        return ("train", "validation", "test")

    @property
    def num_rows(self) -> int | None:
        """How many usable rows there are; `None` before the first reading."""
        return self._num_rows

    @property
    def skipped(self) -> Mapping[str, int]:
        """How many rows the last complete reading left out, by reason."""
        return dict(self._skipped)

    @property
    def files(self) -> tuple[Path, ...]:
        """The four files."""
        return tuple(Path(str(file)) for common, skeleton in self._parts for file in (common, skeleton.path))

    def batches(self) -> Iterator[RowBatch]:
        """Reads all rows once.

        Raises:
            BadRowError: A bad row, with `on_bad_row="error"`.
            ValueError: Damaged data, or a file without a usable row.
        """
        skipped: Counter[str] = Counter()
        total = 0
        for number, (common, skeleton) in enumerate(self._parts):
            self._common = _CommonFeatures(common, self._limit, self._on_bad_row)
            for batch in skeleton.batches():
                total += batch.columns.num_rows
                yield batch if number == 0 else batch._replace(splits=np.full(len(batch.splits), 2, np.int8))
            skipped.update(self._common.skipped)
            skipped.update(skeleton.skipped)
        self._common = None
        self._num_rows, self._skipped = total, dict(skipped)

    def _joined(self, cells: Mapping[str, pa.Array]) -> tuple[Mapping[str, pa.Array], list[Problem]]:
        common = self._common
        if common is None:
            raise RuntimeError("The common features are read first.")
        own = _parse(cells["features"], [*ITEM, *COMBINATION, DOMAIN], [INTENTION], COMBINATION, self._limit)
        features, counts, index = cells["features"], cells["num_features"], cells["common_feature_index"]
        shape = "features as field, \\x02, id, \\x03, value, separated by \\x01"
        problems = bad_values("features", "features are malformed", shape, own.malformed, features)
        problems += refuse_unlike("num_features", counts, r"\d{1,9}", "a whole number")
        said = pc.fill_null(pc.equal(counts, pa.array([str(count) for count in own.counts])), False)
        wrong = ~said.to_numpy(zero_copy_only=False)
        problems += bad_values("num_features", "num_features is not their number", "as many as features", wrong, counts)
        problems += bad_values("features", "a value is not a number", "finite values", own.no_number, features)
        places = np.array([common.places.get(name, -1) for name in index.to_pylist()], np.int64)
        reason = "common_feature_index is not among the common features"
        problems += bad_values("common_feature_index", reason, "an index of the common features", places < 0, index)
        for name in get_args(AliCcpLabel):
            problems += refuse_unlike(name, cells[name], "[01]", "0 or 1")
        alone = pc.and_kleene(pc.equal(cells["purchase"], "1"), pc.equal(cells["click"], "0"))
        alone = pc.fill_null(alone, False).to_numpy(zero_copy_only=False)
        problems += bad_values(
            "purchase", "purchase without click", "no purchase without a click", alone, cells["purchase"]
        )
        shared = common.table.take(pa.array(np.maximum(places, 0)))
        joined = {name: shared.column(name).combine_chunks() for name in shared.column_names}
        return {**joined, **own.columns}, problems


class AliCcp(RowSourceBuilder, tfds.core.GeneratorBasedBuilder):
    """TFDS builder `ali_ccp`: skeleton and common features joined.

    When to use: `tfds.load("ali_ccp/click")` or `/purchase`, for reading the data set as any other. `AliCcpRows` gives
    the same rows in columns, many times faster.

    Features: `click` (or `purchase`) float32, 0 or 1; `categorical` text `(18,)` in the order of `ali_ccp_schema`, ""
    where missing; `numeric` float32 `(4,)`, NaN where missing; and the multi-valued fields, text `(None,)`.

    Raises:
        ValueError: One of the four files is not in the manual directory, or has a bad row, named by line and column.

    Example:

    >>> AliCcp.name
    'ali_ccp'
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put sample_skeleton_train.csv, common_features_train.csv, sample_skeleton_test.csv and "
        "common_features_test.csv of Ali-CCP (Tianchi data set 408) into the manual directory."
    )
    BUILDER_CONFIGS = [
        RowSourceConfig(name="click", description="Label: click."),
        RowSourceConfig(name="purchase", arguments={"label": "purchase"}, description="Label: click and purchase."),
    ]
    DESCRIPTION = "Ali-CCP: impressions of Taobao's recommender with clicks and purchases, three domains."
    HOMEPAGE = "https://tianchi.aliyun.com/dataset/408"

    def schema(self) -> Schema:
        """What the columns mean in this configuration."""
        return ali_ccp_schema(label=self.builder_config.arguments.get("label", "click"))

    def row_source(self, manual_dir: str | Path) -> AliCcpRows:
        """The same rows in columnar batches.

        Raises:
            ValueError: A file is not in the directory.
        """
        return AliCcpRows(manual_dir, **self.builder_config.arguments)
