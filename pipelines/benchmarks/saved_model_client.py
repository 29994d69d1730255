"""A client of SavedModels without Python: a small C program on TensorFlow's C API, built with gcc, and its requests."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

SOURCE = Path(__file__).with_suffix(".c")


def can_build() -> bool:
    """Whether this machine has gcc."""
    return shutil.which("gcc") is not None


def build(folder: str | Path) -> Path:
    """Compiles the program against the headers and libraries of the installed TensorFlow.

    Args:
        folder: The folder of the program.

    Raises:
        RuntimeError: gcc reports an error.
    """
    program, libraries = Path(folder) / "saved_model_client", tf.sysconfig.get_lib()
    command = ["gcc", "-O2", "-std=c11", "-D_POSIX_C_SOURCE=200809L", "-I", tf.sysconfig.get_include(), str(SOURCE)]
    command += ["-o", str(program), "-L", libraries, f"-Wl,-rpath,{libraries}"]
    command += ["-l:libtensorflow_cc.so.2", "-l:libtensorflow_framework.so.2"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"gcc could not build {SOURCE.name}: {done.stderr[-2000:]}")
    return program


def signatures(path: str | Path) -> Mapping[str, object]:
    """The signatures of a SavedModel, by name."""
    content = (Path(path) / "saved_model.pb").read_bytes()
    return dict(saved_model_pb2.SavedModel.FromString(content).meta_graphs[0].signature_def)


def ask(
    program: Path,
    path: str | Path,
    signature: str,
    request: Mapping[str, np.ndarray],
    folder: str | Path,
    *,
    repeats: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Asks a SavedModel.

    Args:
        program: The result of `build`.
        path: The SavedModel.
        signature: The signature's name.
        request: Its inputs; those that are left out take the defaults of the graph.
        folder: Where request and answer are written.
        repeats: How often the request is repeated. Default 0.

    Returns:
        The logits, and the microseconds of each repeat.

    Raises:
        RuntimeError: The program ends with an error.
    """
    described = signatures(path)[signature]
    config = tf.compat.v1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
    config.experimental.executor_type = "SINGLE_THREADED_EXECUTOR"
    parts = [_text(config.SerializeToString()), _number(len(request))]
    for name, value in request.items():
        parts += [_place(described.inputs[name].name), _tensor(value)]  # type: ignore[attr-defined]
    parts += [_number(1), _place(described.outputs["logit"].name)]  # type: ignore[attr-defined]
    written, answered = Path(folder) / "request", Path(folder) / "answer"
    written.write_bytes(b"".join(parts))
    command = [str(program), str(path), str(written), str(answered), str(repeats)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{program.name}: {done.stderr[-2000:]}")
    content = answered.read_bytes()
    (size,) = struct.unpack_from("=q", content)
    logits = np.frombuffer(content, np.float32, size // 4, 8)
    return logits, np.array([float(line) for line in done.stdout.split()])


def _number(value: int) -> bytes:
    return struct.pack("=q", value)


def _text(value: bytes) -> bytes:
    return _number(len(value)) + value


def _place(tensor: str) -> bytes:
    operation, output = tensor.rsplit(":", 1)
    return _text(operation.encode()) + _number(int(output))


def _tensor(value: np.ndarray) -> bytes:
    dtype = tf.string if value.dtype == object else tf.as_dtype(value.dtype)
    head = b"".join(map(_number, (dtype.as_datatype_enum, value.ndim, *value.shape)))
    if dtype == tf.string:
        return head + b"".join(_text(bytes(text)) for text in value.reshape(-1).tolist())
    return head + np.ascontiguousarray(value).tobytes()
