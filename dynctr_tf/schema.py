"""What the columns of a data set mean: names, kinds, roles, vocabulary rules and the label.

A schema is written by a person (or drafted by `python -m pipelines.schema`), kept as a JSON file beside the
data, and read by everything that follows. It needs no TensorFlow.
"""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from dynctr_tf.durable_files import write_text
from dynctr_tf.nearest import unknown_name_message

Kind = Literal["categorical", "numeric", "multi_valued", "sequence"]
Role = Literal["user", "item", "query", "context", "scenario", "group"]
Binning = Literal["log_squared", "log_squared_plus_one", "log_of_square", "quantile"]
ListFormat = Literal["separated", "brackets"]
Comparison = Literal["==", "!=", ">", ">=", "<", "<="]

KINDS: tuple[str, ...] = get_args(Kind)
ROLES: tuple[str, ...] = get_args(Role)
BINNINGS: tuple[str, ...] = get_args(Binning)
LIST_FORMATS: tuple[str, ...] = get_args(ListFormat)

_MOST = 1 << 20
_COMPARISON = re.compile(r"\s*(==|!=|>=|<=|>|<)(.*)", re.DOTALL)
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def _choice(what: str, given: Any, known: tuple[str, ...]) -> None:
    if not isinstance(given, str):
        raise ValueError(f"The {what} must be one of {', '.join(known)}, got {_shown(given)}.")
    if given not in known:
        raise ValueError(unknown_name_message(what, given, known))


def _shown(value: Any) -> str:
    """A value for a message, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _text(what: str, given: Any, *, may_be_empty: bool = False) -> None:
    """Refuses a value that is not a text that a file can hold."""
    if not isinstance(given, str):
        raise ValueError(f"{what} must be a text, got {type(given).__name__}: {_shown(given)}.")
    if not given and not may_be_empty:
        raise ValueError(f"{what} must be a non-empty text, got {given!r}.")
    if any("\ud800" <= letter <= "\udfff" for letter in given):
        raise ValueError(f"{what} must be a text that UTF-8 can hold, got {_shown(given)}.")


def _truth(what: str, given: Any) -> None:
    if not isinstance(given, bool):
        raise ValueError(f"{what} must be true or false, got {_shown(given)}.")


def _whole_number(what: str, given: Any, most: int) -> None:
    if not isinstance(given, int) or isinstance(given, bool) or not 1 <= given <= most:
        raise ValueError(f"{what} must be at least 1 and at most {most}, a whole number, got {_shown(given)}.")


def _from_mapping(cls: type, mapping: Any, what: str) -> Any:
    """Builds a dataclass from a JSON object, and refuses keys that the class does not have."""
    if not isinstance(mapping, dict):
        raise ValueError(f"{what} must be a JSON object, got {type(mapping).__name__}: {_shown(mapping)}.")
    known = [field.name for field in dataclasses.fields(cls)]
    for key in mapping:
        if key not in known:
            raise ValueError(unknown_name_message(f"key of {what}", key, known))
    missing = [
        field.name
        for field in dataclasses.fields(cls)
        if field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
        and field.name not in mapping
    ]
    if missing:
        raise ValueError(f"{what} lacks {', '.join(map(repr, missing))}; it has {sorted(mapping)}.")
    return cls(**mapping)


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """How the values of one feature become ids.

    Args:
        min_count: A value seen fewer times than this in the training rows has no id of its own; it goes to
            the unknown bucket of its field, which is trained on such values. Default 1: keep all.
        max_size: Keep at most this many values, the most frequent first. Default `None`: no limit.
        hash_buckets: Hash values into this many buckets in place of a vocabulary. Default `None`: a vocabulary.
        keys: Hash values into the range of some 2 billion keys that all such features share, in place of a vocabulary;
            models need `embedding.num_keys` then, see `dynctr_tf.encoding.value_keys`. Default `False`.

    Raises:
        ValueError: A number that is not whole or is below 1, or hashing together with a vocabulary rule.
    """

    min_count: int = 1
    max_size: int | None = None
    hash_buckets: int | None = None
    keys: bool = False

    def __post_init__(self) -> None:
        _truth("vocabulary.keys", self.keys)
        for name in ("min_count", "max_size", "hash_buckets"):
            value = getattr(self, name)
            if value is None and name != "min_count":
                continue
            _whole_number(f"vocabulary.{name}", value, 2**31 - 1)
        rules = self.min_count > 1 or self.max_size is not None
        if self.is_hashed and (rules or (self.keys and self.hash_buckets is not None)):
            raise ValueError(
                "A hashed feature keeps no vocabulary: give either hash_buckets, or keys, or min_count and max_size, "
                f"not several of them. Got {self}."
            )

    @property
    def is_hashed(self) -> bool:
        """Whether values are hashed, so that no vocabulary is fitted."""
        return self.keys or self.hash_buckets is not None


@dataclasses.dataclass(frozen=True)
class Feature:
    """One feature of a data set.

    Args:
        name: The column it is read from, and its name in the serving signatures: any text but the empty one.
        kind: `"categorical"` (one value, read as a string), `"numeric"` (one number, binned to an id),
            `"multi_valued"` (a set of values, pooled into one field) or `"sequence"` (values in time order).
        role: What it describes: `"user"`, `"item"`, `"query"`, `"context"`, `"scenario"` (which scenario
            the row belongs to) or `"group"` (a group that shares generated parameters). At most one feature
            is the scenario and one the group, and both are categorical. Default `"context"`.
        vocabulary: How values become ids. Not used by numeric features.
        binning: How a number v becomes a bin: `"log_squared"`, floor(ln(v)^2) for v > 2 and floor(v) below
            (the rule of the 2014 Kaggle winners, which the DynInt paper's Log(V^2) means);
            `"log_squared_plus_one"`, floor(ln(v^2 + 1)) (what the author's code does); `"log_of_square"`,
            floor(ln(v^2)) (what the papers print); or `"quantile"`,
            equally filled bins fitted on the training rows. Bins are values like others: they get ids by
            the vocabulary rule. Default `"log_squared"`.
        num_bins: Number of quantile bins. Default 64. Not used otherwise.
        separator: What separates the values of a multi-valued or sequence feature, one character or more; white
            space around the values is stripped. Default `"|"`.
        list_format: How the text of a multi-valued or sequence feature is read: `"separated"`, values with the
            separator between them, or `"brackets"`, a list as JSON or Python writes it (`["news", "food"]`, `['a',
            'b']`, `[1, 2]`, `[]`): lists look so after they were written to a CSV file. Lists of a Parquet file are
            read with either. Default `"separated"`.
        max_length: How many values of a multi-valued or sequence feature are kept: the first ones of a set,
            the last (newest) ones of a sequence. Default 32.
        shares_vocabulary_with: The categorical feature whose ids this sequence or multi-valued feature
            repeats, such as the target item of a history of items. Default `None`: ids of its own.
        scenario_specific: Whether models of several scenarios read the feature as specific information, apart from what
            the scenarios share. They always read the scenario itself so. Default `False`.

    Raises:
        ValueError: An empty name, an unknown kind, role or binning, a number out of range, or a combination that
            has no meaning.
    """

    name: str
    kind: Kind
    role: Role = "context"
    vocabulary: Vocabulary = Vocabulary()
    binning: Binning = "log_squared"
    num_bins: int = 64
    separator: str = "|"
    max_length: int = 32
    shares_vocabulary_with: str | None = None
    scenario_specific: bool = False
    list_format: ListFormat = "separated"

    def __post_init__(self) -> None:
        _text("A feature's name", self.name)
        _choice(f"kind of feature {self.name!r}", self.kind, KINDS)
        _choice(f"role of feature {self.name!r}", self.role, ROLES)
        _choice(f"binning of feature {self.name!r}", self.binning, BINNINGS)
        _choice(f"list_format of feature {self.name!r}", self.list_format, LIST_FORMATS)
        if not isinstance(self.vocabulary, Vocabulary):
            raise ValueError(
                f"vocabulary of feature {self.name!r} must be a Vocabulary (a JSON object), got "
                f"{_shown(self.vocabulary)}."
            )
        for argument in ("num_bins", "max_length"):
            _whole_number(f"{argument} of feature {self.name!r}", getattr(self, argument), _MOST)
        _truth(f"scenario_specific of feature {self.name!r}", self.scenario_specific)
        _text(f"separator of feature {self.name!r}", self.separator)
        if self.shares_vocabulary_with is not None:
            _text(f"shares_vocabulary_with of feature {self.name!r}", self.shares_vocabulary_with)
        if self.role in ("scenario", "group") and self.kind != "categorical":
            raise ValueError(f"The {self.role} must be a categorical feature; {self.name!r} is {self.kind}.")
        if self.vocabulary.keys and (reason := why_not_keys(self)):
            raise ValueError(f"The values of {self.name!r} cannot be keys: {reason}.")
        if self.shares_vocabulary_with is not None and self.kind not in ("multi_valued", "sequence"):
            raise ValueError(
                f"Only a multi-valued or sequence feature shares another's vocabulary; {self.name!r} is {self.kind}."
            )
        if self.list_format != "separated" and self.kind not in ("multi_valued", "sequence"):
            raise ValueError(
                f"Only a multi-valued or sequence feature holds lists, so list_format of {self.name!r}, which is "
                f"{self.kind}, must be left out."
            )


def why_not_keys(feature: Feature) -> str:
    """Says why the values of a feature cannot be keys; empty where they can.

    Args:
        feature: The feature.

    Example:

    >>> why_not_keys(Feature("age", "numeric"))
    'it is numeric, and numbers become bins'
    """
    if feature.kind == "numeric":
        return "it is numeric, and numbers become bins"
    if feature.role in ("scenario", "group"):
        return f"it is the {feature.role}, whose values are counted from 0 by their vocabulary"
    if feature.shares_vocabulary_with is not None:
        return f"it shares the vocabulary of {feature.shares_vocabulary_with!r}, which says what its values are"
    return ""


class PositiveRule(NamedTuple):
    """The parts of `Schema.positive`.

    Attributes:
        comparison: How a label is compared with `number`; `None` where a label is compared with `text`.
        number: What it is compared with; with `comparison` `None` the number that `text` spells, or `None`.
        text: The text of a click; empty where `comparison` is given.
    """

    comparison: Comparison | None
    number: float | None
    text: str


def positive_rule(positive: str) -> PositiveRule:
    """Takes apart what counts as a click: a comparison such as `">= 4"`, or the text of a click such as `"yes"`.

    Raises:
        ValueError: An empty text, or a comparison with something other than a number.

    Example:

    >>> positive_rule(">= 4")
    PositiveRule(comparison='>=', number=4.0, text='')
    >>> positive_rule("yes")
    PositiveRule(comparison=None, number=None, text='yes')
    """
    _text("positive", positive)
    text = positive.strip()
    if not text:
        raise ValueError(f"positive must be a non-empty text, got {positive!r}.")
    match = _COMPARISON.fullmatch(text)
    number = (text if match is None else match[2]).strip()
    spelt = float(number) if _NUMBER.fullmatch(number) else None
    if match is None:
        return PositiveRule(None, spelt, text)
    if spelt is None or spelt in (float("inf"), float("-inf")):
        raise ValueError(
            f'positive must compare with a number, such as "{match[1]} 4", or be the text of a click, such as '
            f'"yes"; got {positive!r}.'
        )
    comparison: Comparison = match[1]  # type: ignore[assignment]
    return PositiveRule(comparison, spelt, "")


@dataclasses.dataclass(frozen=True)
class Schema:
    """The columns of a data set that a model is trained on.

    Args:
        features: The features, in the order of their fields.
        label: The column of the label: 0 or 1, or true or false, unless one of the next arguments says otherwise.
        weight: The column of the rows' weights. Default `None`: every row weighs 1.
        true_probability: The column of the rows' true click probability, which synthetic data has.
            Default `None`.
        positive: What counts as a click, where the label is not 0 or 1: the text of a click (`"yes"`, `"1"` where
            labels are -1 and 1; every other text is not a click), or a comparison with a number (`">= 4"`, `"> 0"`,
            `"< 3"`, `"== 5"`). Default `None`: the label is 0 or 1.
        impressions: The column of the number of impressions, where a row stands for several; the label's column
            then holds how many of them were clicked. The row becomes the label clicks / impressions with the
            weight impressions, times `weight` where that is given. Default `None`: a row is one impression.
        soft_label: Whether labels are probabilities from 0 to 1, such as those of a teacher model.
            Default `False`.
        missing_values: The texts that mean a missing value, in cells of text, in every column. NaN and null are
            missing too. Default `("",)`.

    Raises:
        ValueError: No feature, a name given twice, more than one scenario or group, a shared vocabulary
            that does not exist, more than one of `positive`, `impressions` and `soft_label`, or a value of
            a wrong type.

    Example:

    >>> schema = Schema(features=(Feature("user_id", "categorical", role="user"), Feature("age", "numeric")),
    ...                 label="rating", positive=">= 4")
    >>> Schema.from_json(schema.to_json()) == schema
    True
    """

    features: tuple[Feature, ...]
    label: str
    weight: str | None = None
    true_probability: str | None = None
    positive: str | None = None
    impressions: str | None = None
    soft_label: bool = False
    missing_values: tuple[str, ...] = ("",)

    def __post_init__(self) -> None:
        if not isinstance(self.features, (tuple, list)) or any(not isinstance(f, Feature) for f in self.features):
            raise ValueError(f"features must be a list of features, got {_shown(self.features)}.")
        object.__setattr__(self, "features", tuple(self.features))
        if not self.features:
            raise ValueError("A schema needs at least one feature; its list of features is empty.")
        _text("label", self.label)
        for name in ("weight", "true_probability", "impressions"):
            if getattr(self, name) is not None:
                _text(name, getattr(self, name))
        _truth("soft_label", self.soft_label)
        if self.positive is not None:
            positive_rule(self.positive)
        if not isinstance(self.missing_values, (tuple, list)):
            raise ValueError(
                'missing_values must be a list of texts, such as ["", "NULL"], got '
                f"{type(self.missing_values).__name__}: {_shown(self.missing_values)}."
            )
        for text in self.missing_values:
            _text("Every text of missing_values", text, may_be_empty=True)
        object.__setattr__(self, "missing_values", tuple(self.missing_values))
        ways = [name for name in ("positive", "impressions", "soft_label") if getattr(self, name) not in (None, False)]
        if len(ways) > 1:
            raise ValueError(f"A label is read in one way: give one of {', '.join(ways)}, not all of them.")
        twice = sorted({name for name in self.file_columns if self.file_columns.count(name) > 1})
        if twice:
            raise ValueError(f"Columns named more than once in the schema: {twice}.")
        for role in ("scenario", "group"):
            having = [feature.name for feature in self.features if feature.role == role]
            if len(having) > 1:
                raise ValueError(f"At most one feature may have the role {role!r}, got {having}.")
        categorical = {feature.name for feature in self.features if feature.kind == "categorical"}
        for feature in self.features:
            other = feature.shares_vocabulary_with
            if other is not None and other not in categorical:
                raise ValueError(
                    f"Feature {feature.name!r} shares the vocabulary of {other!r}: "
                    + unknown_name_message("categorical feature", other, categorical)
                )

    @property
    def row_weight(self) -> str | None:
        """The column of a `RowBatch` that holds the rows' weights: `weight`, or else `impressions`."""
        return self.weight if self.weight is not None else self.impressions

    @property
    def has_soft_labels(self) -> bool:
        """Whether labels lie between 0 and 1: soft labels, or clicks of several impressions."""
        return self.soft_label or self.impressions is not None

    @property
    def file_columns(self) -> tuple[str, ...]:
        """All the columns that are read from a file, the label first."""
        extra = [self.weight, self.impressions, self.true_probability]
        return (self.label, *(name for name in extra if name is not None), *(feature.name for feature in self.features))

    @property
    def columns(self) -> tuple[str, ...]:
        """All the columns of a `RowBatch`, the label first."""
        extra = [name for name in (self.row_weight, self.true_probability) if name is not None]
        return (self.label, *extra, *(feature.name for feature in self.features))

    def feature(self, name: str) -> Feature:
        """Returns the feature of this name.

        Raises:
            KeyError: There is no such feature.
        """
        for feature in self.features:
            if feature.name == name:
                return feature
        raise KeyError(unknown_name_message("feature", name, [feature.name for feature in self.features]))

    def to_json(self) -> str:
        """Writes the schema as a JSON text; arguments that have their default are left out."""
        mapping = {"label": self.label, **_without_defaults(self)}
        del mapping["features"]  # to come last
        mapping["features"] = [_without_defaults(feature) for feature in self.features]
        return json.dumps(mapping, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Schema:
        """Reads the text that `to_json` wrote, or that a person wrote in the same form.

        Raises:
            ValueError: Not JSON, a key given twice, a value of a wrong type, or a key, kind, role or value that is
                not known; the message names it and the nearest known one.
        """
        try:
            mapping = json.loads(text, object_pairs_hook=_object)
        except RecursionError as error:
            raise ValueError("The schema is not JSON that can be read: its brackets are nested too deeply.") from error
        except json.JSONDecodeError as error:
            raise ValueError(f"The schema is not JSON: {error}.") from error
        if isinstance(mapping, dict) and isinstance(mapping.get("features"), list):
            mapping = {**mapping, "features": tuple(_feature(entry) for entry in mapping["features"])}
        schema: Schema = _from_mapping(cls, mapping, "the schema")
        return schema

    def save(self, path: str | Path) -> None:
        """Writes the schema to a JSON file."""
        write_text(path, self.to_json())

    @classmethod
    def load(cls, path: str | Path) -> Schema:
        """Reads a schema from a JSON file.

        Raises:
            ValueError: As `from_json`, with the file's name; or a file that cannot be read.
        """
        try:
            return cls.from_json(Path(path).read_text(encoding="utf-8-sig"))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
        except OSError as error:
            raise ValueError(f"{path}: the schema cannot be read: {error.strerror or error}.") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Makes a dict of a JSON object, and refuses equal keys, of which JSON would silently keep the last."""
    names = [name for name, _ in pairs]
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise ValueError(f"The schema gives a key twice in one object: {', '.join(map(_shown, twice))}. Keep one.")
    return dict(pairs)


def _feature(entry: Any) -> Feature:
    what = f"feature {_shown(entry.get('name'))}" if isinstance(entry, dict) else "an entry of features"
    if isinstance(entry, dict) and "vocabulary" in entry:
        entry = {**entry, "vocabulary": _from_mapping(Vocabulary, entry["vocabulary"], f"the vocabulary of {what}")}
    feature: Feature = _from_mapping(Feature, entry, what)
    return feature


def _without_defaults(value: Any) -> dict[str, Any]:
    kept = {}
    for field in dataclasses.fields(value):
        given = getattr(value, field.name)
        if field.default is not dataclasses.MISSING and given == field.default:
            continue
        kept[field.name] = _without_defaults(given) if dataclasses.is_dataclass(given) else given
    return kept
