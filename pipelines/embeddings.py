"""Take the embeddings of a run out of it, by the values of its fields, as Parquet files.

`dynctr embeddings runs/tabular_file-dnn-1a2b3c4d --output vectors` writes a file for each field that has a vocabulary,
with the columns `key` and `vector`: of the best state of the training, or of the last day that it was updated with.
`--pretrained.vectors.FIELD vectors/FIELD.parquet` gives them to another model.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from pipelines import errors_as_messages
from pipelines.rows_options import path_or_uri


def write_embeddings(run: Path | str, output: Path, fields: Sequence[str] = ()) -> dict[str, Path]:
    """Writes the embeddings of a run, and says what was written.

    Args:
        run: The folder of the run, or its URI.
        output: The folder of the files; made where it is not there.
        fields: The fields. Default `()`: all that have a vocabulary of their own.

    Returns:
        The file of each field.

    Raises:
        ValueError: No field has a vocabulary of its own, or what `field_vectors` refuses.
    """
    from dynctr_tf.datasets import write_value_vectors
    from dynctr_tf.durable_files import make_folder
    from dynctr_tf.encoding.plain_names import plain_names
    from dynctr_tf.jobs.days import Days
    from dynctr_tf.jobs.run_places import run_to_read
    from dynctr_tf.jobs.stages import build_for_training
    from dynctr_tf.training import field_vectors, fields_with_vectors, restore_training

    with run_to_read(run) as place:
        days = Days(place)
        encoder, _ = days.encoder(days.head)
        chosen = fields or fields_with_vectors(encoder)
        if not chosen:
            raise ValueError(f"No field of {run} has a vocabulary: numbers have bins, and hashed values have no names.")
        model, optimizer = build_for_training(days.settings(days.head), encoder.features)
        restore_training(model, optimizer, days.training(days.head))
    names = plain_names(entry.name for entry in encoder.features.entries)
    make_folder(output)
    written = {}
    for field in chosen:
        vectors = field_vectors(model, encoder, field)
        # A field may be called anything, also what no file may.
        written[field] = output / f"{names[field]}.parquet"
        write_value_vectors(written[field], vectors)
        print(f"{field}: {len(vectors.keys):,} vectors of {vectors.dim} numbers: {written[field]}")
    return written


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line and runs the job."""
    parser = argparse.ArgumentParser(
        prog="python -m pipelines.embeddings",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("run", type=path_or_uri, help="the folder or URI of a run that is finished")
    parser.add_argument("--output", type=Path, required=True, help="the folder of the files")
    parser.add_argument("--field", action="append", default=[], help="a field; without it all that have a vocabulary")
    namespace = parser.parse_args(arguments)
    with errors_as_messages(parser, goes_on=False):
        write_embeddings(namespace.run, namespace.output, namespace.field)


if __name__ == "__main__":
    main()
