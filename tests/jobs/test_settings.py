"""Settings: the file, the command line over it, and errors that name the nearest known name."""

from __future__ import annotations

from pathlib import Path

import pytest

from dynctr_tf.jobs.settings import JobSettings, job_settings
from dynctr_tf.jobs.settings_file import parse_value, read_file, to_toml, write_settings
from pipelines.settings_parser import SettingsParser


def test_the_command_line_wins_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "job.toml"
    path.write_text('[model]\nname = "fm"\n[model.embedding]\ndim = 8\n[training]\nepochs = 2\nseed = 7\n')
    settings, _ = SettingsParser("A job").parse_settings(
        ["--config", str(path), "--training.epochs", "5", "--model.deep.units=[64, 32]"]
    )
    assert settings.training.epochs == 5
    assert settings.training.seed == 7
    assert settings.model.name == "fm"
    assert settings.model.options == {"embedding.dim": 8, "deep.units": [64, 32]}


def test_no_arguments_give_the_main_job() -> None:
    settings, _ = SettingsParser("A job").parse_settings([])
    assert settings == JobSettings()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--training.epoch", "5"], "Did you mean '--training.epochs'"),
        (["--training.monitor", "aucc"], "Did you mean 'auc'"),
        (["--training.epochs", "many"], "must be a whole number, got 'many'"),
        (["--training.epochs", "2.5"], "must be a whole number, got 2.5"),
        (["--training.deterministic", "yes"], "must be true|false"),
        (["--config", "no_such_file.toml"], "There is no settings file"),
        (["--model.rank"], "expected one value"),
    ],
)
def test_what_is_wrong_is_said(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        SettingsParser("A job").parse_settings(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_unknown_sections_and_keys_of_a_file() -> None:
    with pytest.raises(ValueError, match="Did you mean 'training'"):
        job_settings({"trainin": {}})
    with pytest.raises(ValueError, match="Did you mean 'batch_size'"):
        job_settings({"training": {"batchsize": 1}})
    with pytest.raises(ValueError, match="must be a table"):
        job_settings({"training": 3})


def test_a_file_that_is_not_toml(tmp_path: Path) -> None:
    path = tmp_path / "job.toml"
    path.write_text("epochs: 3")
    with pytest.raises(ValueError, match="is not TOML"):
        read_file(path)


def test_a_file_that_a_job_wrote_and_that_was_changed(tmp_path: Path) -> None:
    path = tmp_path / "best.toml"
    write_settings(path, job_settings({"optimizer": {"options": {"learning_rate": 0.001}}}))
    assert read_file(path) == {"optimizer": {"options": {"learning_rate": 0.001}}}
    changed = path.read_text().replace("0.001", "0.009")
    path.write_text(changed)
    with pytest.raises(ValueError, match=r"best\.toml' is damaged or was changed: .* delete its first line\."):
        read_file(path)
    path.write_text(changed.partition("\n")[2])
    assert read_file(path) == {"optimizer": {"options": {"learning_rate": 0.009}}}
    path.write_text("")
    with pytest.raises(ValueError, match=r"best\.toml' is empty\. Make it again, or leave it out\."):
        read_file(path)


def test_values_are_data_and_never_run() -> None:
    text = "__import__('os').system('true')"
    assert parse_value(text) == text
    assert parse_value("none") is None
    assert parse_value("True") is True


def test_the_fingerprint_follows_the_settings() -> None:
    one = job_settings({"training": {"epochs": 2}})
    other = job_settings({"training": {"epochs": 3}})
    assert one.fingerprint() != other.fingerprint()
    assert one.fingerprint("data") == other.fingerprint("data")


def test_options_of_the_model_stand_in_its_section(tmp_path: Path) -> None:
    mapping = {"model": {"name": "fm", "rank": 3, "embedding": {"dim": 8, "pooling": "sum"}}}
    settings = job_settings(mapping)
    assert settings.model.options == {"rank": 3, "embedding.dim": 8, "embedding.pooling": "sum"}
    assert settings.to_mapping()["model"] == mapping["model"]
    assert job_settings(settings.to_mapping()) == settings
    path, text = tmp_path / "job.toml", to_toml(settings)
    path.write_text(text)
    assert text == '[model]\nname = "fm"\nrank = 3\n\n[model.embedding]\ndim = 8\npooling = "sum"\n'
    assert job_settings(read_file(path)) == settings


def test_tables_within_one_another_without_end_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        SettingsParser("A job").parse_settings(["--model." + ".".join("a" * 1500), "1"])
    assert "has more than 8 tables or lists within one another" in capsys.readouterr().err


def test_the_command_line_changes_one_option_of_a_table(tmp_path: Path) -> None:
    path = tmp_path / "job.toml"
    path.write_text('[model.embedding]\ndim = 8\npooling = "sum"\n')
    settings, _ = SettingsParser("A job").parse_settings(["--config", str(path), "--model.embedding.dim", "4"])
    assert settings.model.options == {"embedding.dim": 4, "embedding.pooling": "sum"}


def test_help_explains_every_setting() -> None:
    text = SettingsParser("A job").format_help()
    for section, settings in JobSettings().to_mapping().items():
        for name in settings:
            assert f"--{section}.{name}" in text


def test_a_uri_is_refused_before_a_job_works_for_it() -> None:
    with pytest.raises(ValueError, match=r"gs:/bucket/x: files of export.directory go to .* URIs, gs://bucket/rows"):
        job_settings({"export": {"directory": "gs:/bucket/x"}})
    assert job_settings({"export": {"directory": "gs://bucket/x"}}).export.directory == "gs://bucket/x"
    assert job_settings({"data": {"directory": "gs://bucket/x"}}).data.directory == "gs://bucket/x"  # which is read


@pytest.mark.parametrize(
    ("readers", "problem"), [(0, "at least 1, got 0"), (1025, "at most 1,024"), (2.5, "a whole number")]
)
def test_readers_out_of_range_are_refused(readers: float, problem: str) -> None:
    with pytest.raises(ValueError, match=rf"data.readers must be .*{problem}"):
        job_settings({"data": {"readers": readers}})
