"""A trained model and its encoder as one SavedModel in TF Serving's layout, compared with the trainer first."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.datasets.row_source import RowBatch
from dynctr_tf.durable_files import plain_path, write_json
from dynctr_tf.encoding import Encoder
from dynctr_tf.encoding.plain_names import plain_names
from dynctr_tf.encoding.serving_encoder import ServingEncoder
from dynctr_tf.export.constant_weights import constant_function
from dynctr_tf.export.export_card import CARD, ENCODER, NAMES, SCHEMA, export_digest, sample_request, unchanged_version
from dynctr_tf.export.folding import fold as folded_model
from dynctr_tf.export.freeze_keys import freeze_keys
from dynctr_tf.export.one_user import TwoSides, answer_for_one_user, two_sides
from dynctr_tf.export.raw_requests import (
    example_features,
    item_features,
    left_out,
    raw_signature,
    raw_tensors,
    serialized_examples,
)
from dynctr_tf.export.scenario_tables import has_scenario_towers, with_scenario_tables
from dynctr_tf.export.shared_tables import load_with_tables_of
from dynctr_tf.export.signatures_on_disk import rewrite_signatures
from dynctr_tf.export.smaller_tables import SmallerTable, TableStorage
from dynctr_tf.export.versions import new_version
from dynctr_tf.export.warm_up import write_warm_up
from dynctr_tf.layers import AdaptiveDense, AdaptiveMLP
from dynctr_tf.metrics.sampled_negatives import sampling_offset
from dynctr_tf.stack import attach_to_export, saved_object, track_for_export, write_quietly
from dynctr_tf.training.key_rows import key_layers
from dynctr_tf.uris import is_uri, parts_of
from dynctr_tf.version import __version__

_WARM_UP_ROWS = 64

TOLERANCE = 1e-5
"""The largest difference of a click probability between trainer and export, and of a logit relative to its size."""

HALF_PRECISION_TOLERANCE = 0.1
"""The same where layers compute in bfloat16. Sums in bfloat16 depend on the order and the fusion of operations, and the
export has other ones: answers differ by 0.002 for a trained DNN, by 0.05 for MaskNet with its normalisations between
random weights. The signatures of the export are then compared with each other within `TOLERANCE`."""


ONE_USER_TOLERANCE = 1e-6
"""How far a logit for one user and many items may be from that for the user repeated, relative to its size."""

_LOG = logging.getLogger(__name__)


class ParityError(RuntimeError):
    """The exported model gives other answers than the trained one; the export was removed."""


def export_model(
    model: keras.Model,
    encoder: Encoder,
    directory: str | Path,
    sample: pa.RecordBatch,
    *,
    version: int | None = None,
    fold: bool = True,
    group_tables: bool = False,
    constant_weights: bool = True,
    tables: TableStorage = TableStorage(),
    negative_sampling_rate: float = 1.0,
    about: Mapping[str, Any] | None = None,
) -> Path:
    """Writes `<directory>/<version>/`, a SavedModel that answers raw features and needs neither Keras nor this library.

    It has four signatures, each with the outputs `ctr` (the click probability) and `logit`, float32 `(batch,)`:

    * `serving_default`: the raw features by name, as `raw_signature` describes them. A category that was not
      in the training data gets the field's unknown id; `""` and NaN are missing values. A feature may be left
      out of a request: it is missing in all rows, as in training.
    * `candidates`: the same features for one user and many items: those of the role item have a row for each item,
      all others have one row, which counts for all items. They are sent and looked up once, and what depends on them
      alone, such as weights that are generated from the user or the scenario, is computed once. Features may be left
      out. A schema with features of the role item, and others, has this signature.
    * `examples`: serialized `tf.Example` messages, `(batch,)`; a feature that a message lacks is missing.
    * `encoded`: the entries of the encoded batch that the model takes, for callers that encode themselves. An index of
      a scenario or group that does not exist is refused.

    Leaving out: the signature has a default for each input (`SignatureDef.defaults`, a tensor without rows). TF Serving
    fills it in for a `Predict` call by gRPC, and the graph itself does so when it is run in a session. TF Serving's
    REST interface asks for every input of a signature: give `""` or `NaN` for each row. A Python function of a loaded
    model takes all arguments, too: give `tf.zeros([0], ...)`, for lists of `[0, 0]`.

    The inputs have the names of the columns, whatever characters these hold. In Python the loaded model takes a dict of
    them, `tf.saved_model.load(path).serving_default({"user id": ..., ...})`. `assets.extra/names.json` lists the named
    arguments of `.signatures["serving_default"]` for the columns: an argument has the name of its column where Python
    allows it.

    Every account may read the folder and its files, as `dynctr_tf.export.new_version` explains. Before the export gets
    its name, it is loaded anew and answers the sample through all signatures; the largest difference from the trained
    model must not exceed 1e-5. Where layers compute in bfloat16, the answers to the encoded batch may differ from the
    trained model's by 0.1, and those of the other signatures from these by 1e-5.

    If the newest version was made of the same weights, encoder, options and code, and is whole, nothing is written, and
    that version is returned.

    `assets.extra/tf_serving_warmup_requests` holds rows of the sample, one and several, as requests of each signature;
    TF Serving answers them to itself before it serves the version.

    `assets.extra/about.json` is the card of a version: what it was made of, its schema, and a request with its answer,
    as JSON and as a line for `curl`. Beside it is the encoder, with which `dynctr_tf.export.ServedModel` scores rows at
    the speed at which they are encoded for training.

    Keys without a vocabulary are served as `freeze_keys` freezes them: those that have a row now; the card counts them.

    What adaptive layers need only in training is folded away first, as `dynctr_tf.export.fold` does; the comparison is
    with the trained model before folding. Towers of scenarios become tables, as `dynctr_tf.export.with_scenario_tables`
    does: serving does not generate them.

    Args:
        model: The trained model.
        encoder: The encoder that its data was encoded with.
        directory: The folder of the served model, such as `saved_models/my_model`.
        sample: Some raw rows for the comparison, columns as in `RowBatch.columns`.
        version: The version's number. Default `None`: one more than the largest one, unless the newest version is the
            same.
        fold: Whether the factors of over-parameterised adaptive layers are multiplied out. Default `True`.
        group_tables: Whether group-wise adaptive layers look up their weights in tables, a row for each group, and
            generate none; needs `fold`. Default `False`.
        constant_weights: Whether kernels are constants of the graph, as `dynctr_tf.export.with_constant_weights`
            makes them: small requests are answered faster, in bfloat16 most of all. Without it `candidates` computes
            everything for each item. Default `True`.
        tables: How embedding tables are held: without rows that are zero, and in which type of numbers. With fewer bits
            than float32 the answers are those of the rounded tables, and may differ from the trained model's by 0.1, as
            in half precision. Needs `constant_weights`; without it tables stay as they are. Default
            `TableStorage(without_zero_rows=True, numbers='float32')`.
        negative_sampling_rate: The share of the rows without a click that the model was trained on. The served answers
            are corrected for it, in the graph: the logit of the trained model plus `log(rate)`, which is the odds times
            the rate. Default 1.0: all of them, nothing is corrected.
        about: Entries of the card beside the versions of the packages, such as the run, its settings and its metrics;
            plain values. Default `None`: none.

    Returns:
        The folder of this version.

    Raises:
        FileExistsError: The version that was asked for exists.
        ParityError: The export differs from the trained model; it is removed.
        ValueError: The sample has no row, or tables are asked for and cannot be made.
    """
    directory = Path(directory)
    if not sample.num_rows:
        raise ValueError("The sample of raw rows is empty; the export is compared with the trained model on it.")
    if group_tables and not fold:
        raise ValueError("group_tables=True makes tables while folding; leave fold at True, or leave group_tables out.")
    if tables.numbers != "float32" and not constant_weights:
        raise ValueError(f"Tables in {tables.numbers} are made with constant_weights; leave constant_weights at True.")
    offset = sampling_offset(negative_sampling_rate)
    options: dict[str, Any] = {"fold": fold, "group_tables": group_tables, "constant_weights": constant_weights}
    if constant_weights:
        options["tables"] = dataclasses.asdict(tables)
    if offset:
        options["negative_sampling_rate"] = negative_sampling_rate
    made_of = export_digest(model, encoder, options)
    kept = unchanged_version(directory, made_of) if version is None else None
    if kept is not None:
        return kept
    served = _served(model, fold, group_tables)
    keys = {layer.name: {"rows": layer.num_keys, "used": layer.num_used} for layer in key_layers(model)}

    def fill(folder: Path, number: int) -> None:
        with plain_path(folder) as path:
            root, held = _write(served, encoder, path, tables if constant_weights else None, offset, sample)
            loaded = load_with_tables_of(path, root)
            _compare(model, encoder, loaded, sample, offset, tables.numbers != "float32")
            del root
        card = {
            "model": model.name,
            "name": directory.name,
            "version": number,
            "dynctr_tf": __version__,
            "tensorflow": tf.__version__,
            "made_of": made_of,
            "encoder": encoder.fingerprint,
            "options": options,
            **({"keys": keys} if keys else {}),
            **(about or {}),
            "schema": json.loads(encoder.schema.to_json()),
            "sample_request": sample_request(loaded, sample, encoder.schema, directory.name),
        }
        write_warm_up(folder, directory.name, _warm_up_requests(model, encoder, sample))
        files = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        write_json(folder / CARD, {**card, "bytes": {"version": files, **held}})

    return new_version(directory, fill, version)


def serving_line(path: str | Path) -> str:
    """The command that serves an exported model, in a folder or at a URI, with TF Serving."""
    if is_uri(path):
        above, _ = parts_of(str(path))
        return (
            f"tensorflow_model_server --rest_api_port=8501 --model_name={parts_of(above)[1]} --model_base_path={above}"
        )
    folder = Path(path).resolve().parent
    return f"tensorflow_model_server --rest_api_port=8501 --model_name={folder.name} --model_base_path={folder}"


def _served(model: keras.Model, fold: bool, group_tables: bool) -> keras.Model:
    """The model that is written: the trained one, or a copy that is folded or whose keys are frozen."""
    model = freeze_keys(model) if key_layers(model) else model
    adaptive = any(isinstance(layer, (AdaptiveDense, AdaptiveMLP)) for layer in model._flatten_layers())
    served = folded_model(model, group_tables=group_tables) if fold and (adaptive or group_tables) else model
    return with_scenario_tables(served) if has_scenario_towers(served) else served


def _write(
    model: keras.Model,
    encoder: Encoder,
    path: Path,
    tables: TableStorage | None,
    offset: float,
    sample: pa.RecordBatch,
) -> tuple[Any, dict[str, int]]:
    """Writes the SavedModel and what lies beside it; returns the object that was saved, and the bytes of tables."""
    schema = encoder.schema
    encode = ServingEncoder(encoder.layer())
    plain = plain_names(model.input)
    encoded_signature = {
        name: tf.TensorSpec((None, *tensor.shape[1:]), tf.int32, name=plain[name])
        for name, tensor in model.input.items()
    }

    def answers_of(output: tf.Tensor) -> dict[str, tf.Tensor]:
        logits = tf.reshape(tf.cast(output, tf.float32), [-1])
        logits = logits + offset if offset else logits
        return {"ctr": tf.sigmoid(logits), "logit": logits}

    def answer_encoded(encoded: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return answers_of(model(encoded, training=False))

    traced: Any = answer_encoded
    replaced: list[tuple[tf.Variable, SmallerTable]] = []
    made: dict[int, SmallerTable | None] = {}
    if tables is not None:
        traced, replaced = constant_function(answer_encoded, [encoded_signature], tables, made)

    def answer(encoded: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        answers: dict[str, tf.Tensor] = traced({name: encoded[name] for name in encoded_signature})
        return answers

    signature = raw_signature(schema)
    items = item_features(schema)

    def shaped(features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        # A request of another rank passes the signature; here a list is refused by the feature's name. What has one
        # value a row is checked by the encoder, all features at once.
        return {
            name: tf.ensure_shape(values, signature[name].shape) if signature[name].shape.rank == 2 else values
            for name, values in features.items()
        }

    def from_raw(features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return answer(encode(shaped(features)))

    def from_examples(examples: tf.Tensor) -> dict[str, tf.Tensor]:
        parsed = tf.io.parse_example(examples, example_features(schema))
        features = {
            name: values.to_tensor("") if isinstance(values, tf.RaggedTensor) else values
            for name, values in parsed.items()
        }
        return answer(encode(features, complete=True))

    sides: Any = two_sides(encoder.features, encoded_signature, items)  # None where there are not two

    def answer_two_sides(once: dict[str, tf.Tensor], each: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return answers_of(answer_for_one_user(model, once, each, sides.order))

    traced_sides: Any = None
    if tables is not None and sides is not None and stack.graph_of(model) is not None:
        signatures = [sides.once, sides.each]
        rows = encoder.encode_batch(RowBatch(sample, np.zeros(sample.num_rows, np.int8)))
        of_sides, also = constant_function(answer_two_sides, signatures, tables, made, one_row_first=True)
        if _same_for_one_user(traced, of_sides, sides, rows):
            traced_sides = of_sides
            # A table is saved as it was trained if one of the two functions needs it.
            others = {id(variable) for variable, _ in also}
            replaced = [(variable, table) for variable, table in replaced if id(variable) in others]

    def from_candidates(features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        given = shaped(features)
        once = encode.columns({name: given[name] for name in given if name not in items}, num_rows=1)
        each = encode.columns({name: given[name] for name in given if name in items})
        if traced_sides is None:
            return answer(encode.batch(once.repeated(each.count), each))
        user, others = encode.batch(once), encode.batch(each)
        answers: dict[str, tf.Tensor] = traced_sides(
            {name: user[name] for name in sides.once}, {name: others[name] for name in sides.each}
        )
        return answers

    counts = {"scenario": encoder.features.num_scenarios, "group": encoder.features.num_groups}

    def from_encoded(encoded: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        # Raw features never give an index that does not exist, but a caller may, and layers would answer it somehow.
        checks = [
            tf.debugging.Assert(
                tf.reduce_all(tf.logical_and(encoded[role] >= 0, encoded[role] < count)),
                [f"{role} must lie in 0 ... {count - 1} (0 is missing, 1 unknown), got:", encoded[role]],
            )
            for role, count in counts.items()
            if role in encoded_signature and count
        ]
        with tf.control_dependencies(checks):
            return answer({name: tf.identity(entry) for name, entry in encoded.items()})

    archive = keras.export.ExportArchive()
    track_for_export(archive, model, without=[variable for variable, _ in replaced])
    for place, table in enumerate(table for table in made.values() if table is not None):
        attach_to_export(archive, f"table_{place}", table)
    attach_to_export(archive, "serving_encoder", encode)
    archive.add_endpoint("serving_default", from_raw, input_signature=[signature])
    archive.add_endpoint(
        "examples", from_examples, input_signature=[tf.TensorSpec((None,), tf.string, name="examples")]
    )
    archive.add_endpoint("encoded", from_encoded, input_signature=[encoded_signature])
    raw_names = {name: str(specification.name) for name, specification in signature.items()}
    arguments = {"serving_default": raw_names, "encoded": plain}
    if items:
        archive.add_endpoint("candidates", from_candidates, input_signature=[signature])
        arguments["candidates"] = raw_names
    write_quietly(archive, path)
    absent = {name: left_out(specification) for name, specification in signature.items()}
    rewrite_signatures(
        path,
        {key: {own: name for name, own in names.items()} for key, names in arguments.items()},
        {key: absent for key in ("serving_default", "candidates") if key in arguments},
    )
    # TF Serving ignores this folder; its card tells a person what the version was made of.
    extra = path / "assets.extra"
    extra.mkdir(exist_ok=True)
    # Values that are too rare for an id of their own, which the tally counts, do not leave with the model.
    encoder.save(path / ENCODER, with_tally=False)
    (path / SCHEMA).write_text(schema.to_json(), encoding="utf-8")
    (path / NAMES).write_text(json.dumps(arguments, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return saved_object(archive), {
        "tables": sum(table.num_bytes for _, table in replaced),
        "trained_tables": sum(int(one.shape.num_elements()) * int(one.dtype.size) for one, _ in replaced),
    }


def _compare(
    model: keras.Model, encoder: Encoder, served: Any, sample: pa.RecordBatch, offset: float, rounded: bool
) -> None:
    """Compares the answers of a loaded SavedModel with the model's."""

    def encoded_rows(rows: pa.RecordBatch) -> dict[str, tf.Tensor]:
        encoded = encoder.encode_batch(RowBatch(rows, np.zeros(rows.num_rows, np.int8)))
        return {name: tf.constant(encoded[name]) for name in model.input}

    inputs = encoded_rows(sample)
    answers = {"encoded": _logits(model, inputs) + offset}
    raw = raw_tensors(sample, encoder.schema)
    plain = plain_names(raw)
    requests: dict[str, dict[str, Any]] = {
        "encoded": {name: inputs[key] for key, name in plain_names(inputs).items()},
        "serving_default": {plain[name]: raw[name] for name in raw},
        "examples": {"examples": tf.constant(serialized_examples(sample, encoder.schema))},
    }
    items = item_features(encoder.schema)
    if items:
        # The items of all rows for the user of the first one.
        requests["candidates"] = {plain[name]: raw[name] if name in items else raw[name][:1] for name in raw}
        answers["candidates"] = _logits(model, encoded_rows(_for_one_user(sample, items))) + offset
    half = rounded or any(
        getattr(layer, "compute_dtype", None) in ("bfloat16", "float16") for layer in model._flatten_layers()
    )
    compared, tolerance = "the trained model", HALF_PRECISION_TOLERANCE if half else TOLERANCE
    for signature, request in requests.items():
        outputs = served.signatures[signature](**request)
        logits = outputs["logit"].numpy().astype(np.float64)
        expected = answers.get(signature, answers["encoded"])
        off = max(
            float(np.max(np.abs(logits - expected) / np.maximum(1.0, np.abs(expected)))),
            float(np.max(np.abs(outputs["ctr"].numpy() - tf.sigmoid(expected).numpy()))),
        )
        if not off <= tolerance:
            row = int(np.argmax(np.abs(logits - expected)))
            raise ParityError(
                f"Signature {signature!r} differs from {compared} by {off:.3g} (at most {tolerance:g} is "
                f"allowed); worst in row {row} of the sample: logit {logits[row]:.6f}, not {expected[row]:.6f}."
            )
        if half and signature == "encoded":
            compared, tolerance = "signature 'encoded'", TOLERANCE
            answers["encoded"] = logits
            if items:
                rows = encoded_rows(_for_one_user(sample, items))
                alike = {name: rows[key] for key, name in plain_names(rows).items()}
                answers["candidates"] = served.signatures["encoded"](**alike)["logit"].numpy().astype(np.float64)


def _same_for_one_user(traced: Any, traced_sides: Any, sides: TwoSides, rows: Mapping[str, np.ndarray]) -> bool:
    """Whether answers computed once for a user equal those computed for each item."""
    once, each, repeated = sides.of_rows(rows)
    expected, found = (answers["logit"].numpy() for answers in (traced(repeated), traced_sides(once, each)))
    off = float(np.max(np.abs(found - expected) / np.maximum(1.0, np.abs(expected))))
    if not off <= ONE_USER_TOLERANCE:
        _LOG.warning(
            "Signature 'candidates' computes everything for each item: computed once for a user, the model's answer is "
            "off by %.3g.",
            off,
        )
    return off <= ONE_USER_TOLERANCE


def _warm_up_requests(
    model: keras.Model, encoder: Encoder, sample: pa.RecordBatch
) -> dict[str, list[Mapping[str, tf.Tensor]]]:
    """For each signature a request of one row of the sample, and one of several."""
    requests: dict[str, list[Mapping[str, tf.Tensor]]] = {}
    items = item_features(encoder.schema)
    for count in (1, _WARM_UP_ROWS):
        rows = sample.slice(0, count)
        encoded = encoder.encode_batch(RowBatch(rows, np.zeros(rows.num_rows, np.int8)))
        raw = raw_tensors(rows, encoder.schema)
        asked: dict[str, Mapping[str, tf.Tensor]] = {
            "serving_default": raw,
            "examples": {"examples": tf.constant(serialized_examples(rows, encoder.schema))},
            "encoded": {name: tf.constant(encoded[name]) for name in model.input},
        }
        if items:
            asked["candidates"] = {name: value if name in items else value[:1] for name, value in raw.items()}
        for signature, inputs in asked.items():
            requests.setdefault(signature, []).append(inputs)
    return requests


def _logits(model: keras.Model, inputs: dict[str, tf.Tensor]) -> np.ndarray:
    return np.asarray(model(inputs, training=False), np.float64).reshape(-1)


def _for_one_user(rows: pa.RecordBatch, items: frozenset[str]) -> pa.RecordBatch:
    """The rows, with all columns that are not of items as in the first row."""
    first = pa.array([0] * rows.num_rows)
    columns = {name: rows.column(name) for name in rows.schema.names}
    return pa.RecordBatch.from_pydict(
        {name: column if name in items else column.take(first) for name, column in columns.items()}
    )
