"""What is refused and how it is said; that rows are shared out exactly once; what a step moves."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from dynctr_tf import stack
from dynctr_tf.models import Deep, Embedding
from dynctr_tf.models.catalogue import build_model
from dynctr_tf.optimizers import Adam, CompositeOptimizer, LazyAdam, SparseAdagrad, dynint_optimizer
from dynctr_tf.optimizers.sparse_optimizer import sum_repeated_ids, sum_repeated_ids_in_place
from dynctr_tf.training import set_seed
from dynctr_tf.training.cluster import read_cluster
from dynctr_tf.training.partners import say_who_listens, saying_who_is_awaited
from dynctr_tf.training.replica_batches import check_divisible, even_batches, replica_parts
from dynctr_tf.training.strategies import check_strategy, make_strategy
from dynctr_tf.training.tpu import prepare_for_tpu
from dynctr_tf.training.traffic import bytes_per_step
from dynctr_tf.training.workers import serve_chief
from pipelines import compare, train, tune
from pipelines.settings_parser import SettingsParser

WORKERS = {"worker": ["a:1", "b:2"]}
SERVERS = {"chief": ["a:1"], "worker": ["b:1", "c:1"], "ps": ["d:1"]}


def config(cluster: Any, kind: Any = "worker", index: Any = 0, **more: Any) -> dict[str, str]:
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}, **more})}


def test_a_whole_tf_config() -> None:
    first, second = (read_cluster("multi_worker", config(WORKERS, index=index)) for index in (0, 1))
    assert first.is_chief and not second.is_chief and second.jobs == {"worker": ("a:1", "b:2")}
    with_chief = {"chief": ["c:1"], **WORKERS}
    assert not read_cluster("multi_worker", config(with_chief)).is_chief
    assert read_cluster("multi_worker", config(with_chief, "chief")).is_chief
    assert not read_cluster("parameter_server", config(SERVERS, "ps")).is_chief


@pytest.mark.parametrize(
    ("strategy", "environment", "message"),
    [
        ("multi_worker", {}, r"TF_CONFIG for the strategy 'multi_worker' is not set\..*host1:2222"),
        ("multi_worker", {"TF_CONFIG": "{'a'"}, "is not JSON"),
        ("multi_worker", {"TF_CONFIG": "[1]"}, r"must be a JSON object, got \[1\]"),
        ("multi_worker", {"TF_CONFIG": json.dumps({"cluster": WORKERS})}, "lacks 'task'"),
        ("multi_worker", {"TF_CONFIG": json.dumps({"task": {"type": "worker", "index": 0}})}, "lacks 'cluster'"),
        ("multi_worker", config({"wroker": ["a:1"]}), "job that the strategy does not use.*worker"),
        ("multi_worker", config(SERVERS), "job that the strategy does not use"),
        ("multi_worker", config({"worker": "a:1"}), "cluster.worker as a list of host:port, got 'a:1'"),
        ("multi_worker", config({"worker": ["a:1", "b"]}), "each process of cluster.worker as host:port, got 'b'"),
        ("multi_worker", config({"worker": ["a:1", "b:0"]}), "host:port, got 'b:0'"),
        ("multi_worker", config({"worker": ["a:1", "a:1"]}), "the address 'a:1' to more than one process"),
        ("multi_worker", config({"chief": ["a:1"]}, "chief"), "lacks the job 'worker' in its cluster"),
        ("multi_worker", config({"chief": ["a:1", "c:1"], "worker": ["b:1"]}), "must have one chief"),
        ("multi_worker", config(WORKERS, index=2), "task index 2, but cluster.worker has the processes 0 to 1"),
        ("multi_worker", config(WORKERS, index="0"), "task index '0'"),
        ("multi_worker", config(WORKERS, "chief"), r"a task of type 'chief', which its cluster lacks"),
        (
            "multi_worker",
            {"TF_CONFIG": json.dumps({"cluster": WORKERS, "task": {"type": "worker"}})},
            "lacks 'index' in its task",
        ),
        ("parameter_server", config(WORKERS), r"lacks the jobs 'chief', 'ps' in its cluster\..*\"ps\""),
        ("parameter_server", config({"chief": ["a:1"], "ps": ["b:1"]}, "chief"), "lacks the job 'worker'"),
    ],
)
def test_a_wrong_or_partial_tf_config(strategy: str, environment: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_cluster(strategy, environment)


def test_what_a_stack_cannot_do_is_refused_with_the_lines_that_make_it_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    for name in ("multi_worker", "parameter_server"):
        message = r"dynctr_tf\[tf_keras\](.|\n)*TF_USE_LEGACY_KERAS=1" if stack.KERAS_3 else "TF_CONFIG .* is not set"
        with pytest.raises(ValueError, match=message):
            make_strategy(name)
    with pytest.raises(ValueError, match="'miror'.*mirrored"):
        check_strategy("miror")


def test_arguments_that_do_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="replicas belongs to the strategy 'mirrored', got 2 with 'none'"):
        make_strategy("none", replicas=2)
    with pytest.raises(ValueError, match="tpu_address belongs to the strategy 'tpu'"):
        make_strategy("mirrored", replicas=2, tpu_address="grpc://somewhere")
    with pytest.raises(ValueError, match="replicas must be at least 1, got 0"):
        make_strategy("mirrored", replicas=0)
    if not tf.config.list_physical_devices("GPU"):
        with pytest.raises(ValueError, match="no GPU on this machine.*--training.replicas 2"):
            make_strategy("mirrored")
        tf.zeros([])
        with pytest.raises(ValueError, match="before anything else uses TensorFlow"):
            make_strategy("mirrored", replicas=2)
    with pytest.raises(ValueError, match="does not serve itself"):
        serve_chief(read_cluster("parameter_server", config(SERVERS, "chief")))
    if not stack.KERAS_3:
        monkeypatch.setenv("TF_CONFIG", config(SERVERS)["TF_CONFIG"])
        with pytest.raises(ValueError, match="worker 0, which serves the chief"):
            make_strategy("parameter_server")


def test_the_settings() -> None:
    parser = SettingsParser("a job")
    assert parser.parse_settings([])[0].training.strategy is None
    assert parser.parse_settings(["--strategy", "none"])[0].training.strategy is None
    given = parser.parse_settings(["--strategy", "mirrored", "--training.replicas", "2"])[0].training
    assert (given.strategy, given.replicas) == ("mirrored", 2)
    assert parser.parse_settings(["--training.strategy", "tpu"])[0].training.strategy == "tpu"


def rows_of(batches: Any) -> list[tuple[Any, ...]]:
    rows = []
    for inputs, labels, weights in batches:
        for fields, label, weight in zip(inputs["fields"].numpy(), labels.numpy(), weights.numpy(), strict=True):
            if weight > 0:
                rows.append((*fields.tolist(), float(label)))
    return rows


@pytest.mark.parametrize("files", [1, 2, 7, 40])
def test_each_row_of_an_epoch_is_read_once(files: int, small_source: Any, tmp_path: Any) -> None:
    from dynctr_tf.encoding import Encoder, write_encoded_dataset

    encoder = Encoder.fit(small_source, progress=False)
    block = -(-3000 // files)
    data = write_encoded_dataset(small_source, encoder, tmp_path / "data", progress=False, rows_per_block=block)
    expected = Counter(rows_of(even_batches(data.batches("train", 3000), 3000)))
    batch = 96  # 31 batches and one of 24 rows: some of eight workers get filling alone
    # Workers do not share a data set, and what they read does not depend on it: two stand for all.
    made = [even_batches(data.batches("train", batch, shuffle=True, seed=5), batch) for _ in range(2)]
    for workers, local in ((1, 2), (2, 1), (2, 2), (3, 1), (8, 1)):
        read: Counter[tuple[Any, ...]] = Counter()
        weight = 0.0
        for worker in range(workers):
            parts = replica_parts(made[worker % 2], workers * local, range(worker * local, (worker + 1) * local))
            assert parts.element_spec[1].shape == (batch // (workers * local),)
            batches = list(parts)
            read.update(rows_of(batches))
            weight += sum(float(weights.numpy().sum()) for _, _, weights in batches)
        assert sum(read.values()) == 3000 and read == expected, (workers, local)
        # Each batch weighs as much as a full one, for the mean over its rows.
        assert weight == pytest.approx(32 * batch, rel=1e-6)


def test_batches_that_replicas_cannot_share() -> None:
    check_divisible(96, 8)
    with pytest.raises(ValueError, match="batch of 100 rows cannot be shared evenly by 8 replicas; take 96 or 104"):
        check_divisible(100, 8)
    with pytest.raises(ValueError, match="take 8"):
        check_divisible(3, 8)


def test_adam_is_right_with_ids_that_repeat() -> None:
    values = tf.constant([[3.0, 1.0], [-1.0, 2.0], [0.5, 0.5]])
    repeated = tf.IndexedSlices(values, tf.constant([1, 1, 3]), tf.constant([4, 2]))
    found = []
    for gradient in (repeated, tf.convert_to_tensor(repeated)):
        table = tf.Variable(tf.ones([4, 2]))
        optimizer = Adam(0.1)
        for _ in range(3):
            optimizer.apply_gradients([(gradient, table)])
        found.append(table.numpy())
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)
    assert Adam.from_config(Adam(0.3, beta_1=0.8).get_config()).get_config()["beta_1"] == 0.8


def test_slices_summed_in_place_give_the_same_rows() -> None:
    generator = np.random.default_rng(3)
    for count in (1, 2, 30):
        slices = tf.IndexedSlices(
            tf.constant(generator.normal(size=(count, 3)), tf.float32),
            tf.constant(generator.integers(0, 6, count), tf.int32),
            tf.constant([6, 3]),
        )
        free, fixed = sum_repeated_ids(slices), sum_repeated_ids_in_place(slices)
        assert fixed.indices.shape == (count,)
        expected = dict(zip(free.indices.numpy().tolist(), free.values.numpy(), strict=True))
        assert set(fixed.indices.numpy().tolist()) == set(expected)
        for row, value in zip(fixed.indices.numpy().tolist(), fixed.values.numpy(), strict=True):
            np.testing.assert_allclose(value, expected[row], rtol=1e-5, atol=1e-6)


def step_of(model: Any, optimizer: Any, weights: Any) -> Any:
    """A training step; what it trains is not among its arguments, as TensorFlow shows compiled code of such alone."""
    loss_of = keras.losses.BinaryCrossentropy(from_logits=True)

    def step(inputs: Any, labels: Any, sample: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = loss_of(labels[:, tf.newaxis], model(inputs, training=True), sample)
        gradients = tape.gradient(loss, weights)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
        return loss

    return step


@pytest.mark.parametrize("kind", ["lazy_adam", "group_ftrl"])
def test_a_step_with_static_shapes_compiles_and_equals_the_ordinary_one(kind: str, small_data: Any) -> None:
    """What a TPU asks for, on the CPU: XLA compiles the whole step, for shapes that are known, without strings."""
    makers = {"lazy_adam": lambda: LazyAdam(0.01), "group_ftrl": lambda: dynint_optimizer(batch_size=64)}
    found, text = [], ""
    for static in (False, True):
        set_seed(0, deterministic=False)
        model = build_model("deepfm", small_data.features, embedding=Embedding(4), deep=Deep((8,), dropout=0.0))
        optimizer = makers[kind]()
        if static:
            prepare_for_tpu(model, optimizer)
        optimizer.build(model.trainable_variables)
        names = list(model.input)
        weights = [stack.raw_variable(variable) for variable in model.trainable_variables]

        run = tf.function(step_of(model, optimizer, weights), jit_compile=static)
        losses = []
        for inputs, labels, sample in even_batches(small_data.batches("train", 64), 64).take(5):
            own = {name: inputs[name] for name in names}
            losses.append(float(run(own, labels, sample)))
            if static and not text:
                text = run.experimental_get_compiler_ir(own, labels, sample)(stage="hlo")
        found.append(([np.array(weight) for weight in weights], losses))
    assert losses[-1] != losses[0]
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-4)
    for free, fixed in zip(found[0][0], found[1][0], strict=True):
        np.testing.assert_allclose(fixed, free, atol=2e-5)
    # Bounded dynamic shapes would be written as s32[<=n].
    assert "ENTRY" in text and "[<=" not in text


def test_what_a_tpu_cannot_train(small_data: Any) -> None:
    features = small_data.features
    with pytest.raises(ValueError, match="take LazyAdam, GroupFtrl or SparseAdagrad"):
        prepare_for_tpu(build_model("fm", features), Adam())
    mixed = CompositeOptimizer([(".*embedding.*/.*", LazyAdam()), (".*", "sgd")])
    with pytest.raises(ValueError, match="SGD is not right"):
        prepare_for_tpu(build_model("fm", features), mixed)
    with pytest.raises(ValueError, match="has clipnorm"):
        prepare_for_tpu(build_model("fm", features), SparseAdagrad(0.1, clipnorm=1.0))
    with pytest.raises(ValueError, match="row_regularizer_l2=0.1"):
        prepare_for_tpu(build_model("fm", features, embedding=Embedding(row_regularizer_l2=0.1)), LazyAdam())


def test_bytes_of_a_step() -> None:
    sizes = {"columns": 16, "dense_weights": 400_000, "batch_rows": 8192, "fields": 39, "workers": 4}
    small = bytes_per_step(num_ids=1_000_000, distinct_rows=20_000, **sizes)
    large = bytes_per_step(num_ids=10_000_000_000, distinct_rows=20_000, **sizes)
    assert small.replicated == large.replicated and small.served == large.served
    assert large.all_reduce_table == 10_000 * small.all_reduce_table
    assert small.all_gather_rows == 2 * 3 * 20_000 * (16 * 4 + 8)
    assert large.table_and_slots == 3 * 10_000_000_000 * 16 * 4
    alone = bytes_per_step(num_ids=10, distinct_rows=5, **{**sizes, "workers": 1})
    assert alone.replicated == alone.all_reduce_table == 0
    with pytest.raises(ValueError, match="workers must be at least 1, got 0"):
        bytes_per_step(num_ids=10, distinct_rows=5, **{**sizes, "workers": 0})


@pytest.mark.skipif(not stack.KERAS_3, reason="Keras 2 can")
@pytest.mark.parametrize("name", ["multi_worker", "parameter_server"])
def test_every_job_refuses_at_once(name: str, tmp_path: Any, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    for job, words in ((train, ()), (tune, ()), (compare, ("--models", "lr", "--output", "out"))):
        with pytest.raises(SystemExit) as stopped:
            job.main(["--strategy", name, *words])
        said = capsys.readouterr().err
        assert stopped.value.code == 2
        assert "pip install 'dynctr_tf[tf_keras]'" in said and "TF_USE_LEGACY_KERAS=1" in said
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(stack.KERAS_3, reason="Keras 3 cannot, and says so before this")
def test_a_cluster_trains_one_model_at_a_time(tmp_path: Any, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TF_CONFIG", config(WORKERS)["TF_CONFIG"])
    for job, words in ((tune, ()), (compare, ("--models", "lr", "--output", "out"))):
        with pytest.raises(SystemExit) as stopped:
            job.main(["--strategy", "multi_worker", "--workers", "2", *words])
        assert stopped.value.code == 2 and "take --workers 1" in capsys.readouterr().err
    monkeypatch.delenv("TF_CONFIG")
    for job, words in ((train, ()), (tune, ()), (compare, ("--models", "lr", "--output", "out"))):
        with pytest.raises(SystemExit) as stopped:
            job.main(["--strategy", "multi_worker", *words])
        assert stopped.value.code == 2 and "is not set" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def odd_values(generator: random.Random) -> list[Any]:
    letters = "".join(generator.choice('aZ09:.[]{}",\\ \x00²é\u2028\ud800-_') for _ in range(generator.randrange(9)))
    return [
        *(None, True, False, 0, -1, 1.5, 10**400, float("nan"), float("inf"), "", " ", letters, "host", "host:", ":1"),
        *("host:0", "host:65536", "host:²", "ho st:1", "a:1\n", "\ud800:1", "[::1]:7", "http://a:1", "a:1:2", [], {}),
        *(
            [[]],
            [{}],
            {"a": []},
            ["a:1", "a:1"],
            ["a:1", 5],
            [None],
            "worker",
            "chief",
            "ps",
            "evaluator",
            "0",
            1,
            2**70,
        ),
    ]


def mutated(value: Any, generator: random.Random) -> Any:
    """A JSON value with one part of it replaced, taken out, doubled or renamed."""
    if isinstance(value, dict) and value and generator.random() < 0.85:
        copy = dict(value)
        key = generator.choice(list(copy))
        act = generator.randrange(8)
        if act == 0:
            del copy[key]
        elif act == 1:
            copy[str(generator.choice(odd_values(generator)))] = copy.pop(key)
        else:
            copy[key] = mutated(copy[key], generator)
        return copy
    if isinstance(value, list) and value and generator.random() < 0.7:
        place = generator.randrange(len(value))
        if generator.random() < 0.2:
            return [*value, value[place]]
        return [*value[:place], mutated(value[place], generator), *value[place + 1 :]]
    return generator.choice(odd_values(generator))


def test_any_cluster_is_read_or_refused() -> None:
    """Mutations of good configurations, and of their letters: a cluster, or a message that says what is wrong."""
    generator = random.Random(0)
    read = refused = 0
    for number in range(6000):
        strategy = ("multi_worker", "parameter_server")[number % 2]
        cluster: Any = WORKERS if number % 2 == 0 else SERVERS
        whole: Any = {"cluster": cluster, "task": {"type": "worker", "index": 0}}
        if number % 3:
            for _ in range(generator.randrange(1, 4)):
                whole = mutated(whole, generator)
            text = json.dumps(whole)
        else:
            letters = list(json.dumps(whole))
            for _ in range(generator.randrange(1, 4)):
                letters[generator.randrange(len(letters))] = generator.choice('{}[]:,"0²\x00\ud800aé')
            text = "".join(letters)
        try:
            found = read_cluster(strategy, {"TF_CONFIG": text})
        except ValueError as error:
            refused += 1
            assert str(error).startswith(f"TF_CONFIG for the strategy {strategy!r} "), text
            assert len(str(error)) < 1500
        else:
            read += 1
            assert all(re.fullmatch(r"\S+:[0-9]+", address) for of in found.jobs.values() for address in of), text
            assert 0 <= found.task_index < len(found.jobs[found.task_type])
            json.dumps(found.jobs, ensure_ascii=False).encode()
    assert read > 20 and refused > 3000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "is not JSON"),
        ('{"cluster": ' + "9" * 5000 + "}", "is not JSON"),
        ('{"cluster": {"worker": ["a:1"]}, "cluster": {"worker": ["b:1"]}}', "key 'cluster' is given twice"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": ["worker"], "index": 0}}', r"task of type \['worker'\]"),
        ('{"cluster": {"worker": ["a:\u00b2"]}, "task": {"type": "worker", "index": 0}}', "as host:port"),
        (
            '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 0}, "rpc_layer": 5}',
            "rpc_layer out, or give it as",
        ),
    ],
)
def test_odd_texts_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_cluster("multi_worker", {"TF_CONFIG": text})


def test_who_is_awaited_is_said_while_tensorflow_waits() -> None:
    """By a process whose partner never comes; Ctrl-C ends it, for there is nothing to keep."""
    with socket.socket() as own, socket.socket() as gone:
        for one in (own, gone):
            one.bind(("127.0.0.1", 0))
        addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in (own, gone)]
        own.close()
        path = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        code = (
            "import signal, sys, tensorflow as tf\n"
            "from dynctr_tf.training.cluster import read_cluster\n"
            "from dynctr_tf.training.partners import saying_who_is_awaited\n"
            "signal.signal(signal.SIGINT, lambda *_: None)\n"
            "with saying_who_is_awaited(read_cluster('multi_worker'), every=0.5):\n"
            "    tf.distribute.MultiWorkerMirroredStrategy()\n"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, **path, **config({"worker": addresses})},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            assert process.stdout is not None
            for _ in range(6):  # some seconds, in which TensorFlow has begun to connect
                line = process.stdout.readline()
                assert line.startswith(f"waiting for worker 1 ({addresses[1]}), where nobody answers"), line
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=60) == -signal.SIGINT
        finally:
            process.kill()
            process.wait()


def test_who_answers_is_not_awaited_and_who_listens_is_said(capfd: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as there, socket.socket() as gone:
        there.bind(("127.0.0.1", 0))
        there.listen()
        gone.bind(("127.0.0.1", 0))  # bound and not listening: nobody answers
        addresses = [f"127.0.0.1:{own.getsockname()[1]}" for own in (there, gone)]
        cluster = read_cluster("multi_worker", config({"worker": ["127.0.0.1:1", *addresses]}))
        handler = signal.getsignal(signal.SIGINT)
        with saying_who_is_awaited(cluster, every=0.05):
            time.sleep(1.5)
        assert signal.getsignal(signal.SIGINT) == handler
        text = capfd.readouterr().out
        assert f"waiting for worker 2 ({addresses[1]}), where nobody answers; 0 s now" in text
        assert addresses[0] not in text
        time.sleep(0.2)
        assert not capfd.readouterr().out
    say_who_listens(cluster)
    assert "listens on port 1 of every network interface" in capfd.readouterr().out
