"""The days of a run: what is kept of old ones, and which version was made by which day."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dynctr_tf.durable_files import make_folder, write_array, write_json
from dynctr_tf.jobs.days import KEPT_STATES, Day, Days, encoded_rows
from dynctr_tf.jobs.settings import job_settings
from dynctr_tf.jobs.settings_file import write_settings
from dynctr_tf.jobs.stages import training_strategy
from dynctr_tf.jobs.update import day_settings
from dynctr_tf.training.run_record import RunRecord


@pytest.fixture
def days(tmp_path: Path) -> Days:
    """A run with ten days, the second of which the next one goes on from."""
    record = RunRecord({"model": {}}, {"fingerprint": "abc", "files": []}, {"digest": "d"})
    record.save(tmp_path / "run")
    write_json(tmp_path / "run" / "result.json", {"fingerprint": record.fingerprint})
    found = Days(tmp_path / "run")
    for number in range(1, 11):
        found.save(Day(number, number - 1, f"day {number}", f"rows {number}", "made", finished=number != 10))
        write_json(found.folder(number) / "evaluation.json", {})
        for name in ("training", "encoder"):
            make_folder(found.folder(number) / name)
        write_array(found.folder(number) / "train_logits.npy", np.zeros(3))
    found.go_on_from(2)
    return found


def test_of_old_days_the_metrics_stay_and_what_is_large_goes(days: Days) -> None:
    days.forget_old_states()
    with_state = [number for number in days.numbers() if (days.folder(number) / "training").is_dir()]
    assert with_state == [2, *range(10 - KEPT_STATES, 11)] == [2, 3, 4, 5, 6, 7, 8, 9, 10]
    assert sorted(path.name for path in days.folder(1).iterdir()) == ["day.json", "evaluation.json"]
    assert sorted(path.name for path in days.folder(2).iterdir()) == sorted(
        ["day.json", "evaluation.json", "training", "encoder", "train_logits.npy"]
    )
    with pytest.raises(ValueError, match="state of day 1 of .* is not kept any more"):
        days.training(1)
    assert [day.number for day in days.chain()] == [1, 2]


def test_an_interrupted_day_stays_until_the_model_has_gone_on_without_it(
    days: Days, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    days.go_on_from(9)
    settings = job_settings({"data": {"directory": str(tmp_path)}})
    write_settings(days.folder(10) / "settings.toml", settings)
    rows = make_folder(encoded_rows(settings, "made"))
    assert days.begun("rows 10", "made") == 10
    assert days.begun("rows 10", "by other settings") == days.begun("others", "made") == 11
    assert days.begun("rows 10", "made") == 10 and rows.is_dir(), "what was computed of it is still there"
    assert "other rows or settings; it can go on until these rows are trained on" in capsys.readouterr().out

    days.save(Day(11, 9, "another", "others", "made", finished=True))
    days.go_on_from(11)
    assert days.begun("rows 10", "made") == 12
    assert not days.folder(10).exists() and not rows.exists()
    assert "day 10 was interrupted, and the model has gone on without it; it is removed" in capsys.readouterr().out


def test_days_of_a_run_on_several_devices_are_trained_on_one(days: Days) -> None:
    settings = job_settings({"training": {"strategy": "mirrored", "replicas": 2, "epochs": 3}})
    write_settings(days.run / "settings.toml", settings)
    for one in (days.settings(0), day_settings(days, settings, "day.csv")):
        assert (one.training.strategy, one.training.replicas, one.training.epochs) == (None, None, 3)
        training_strategy(one)  # refuses replicas without the strategy


def test_a_version_is_that_of_a_run_by_what_made_it_and_not_by_the_name_of_its_folder(days: Days) -> None:
    version = Path("served/3")
    card = {"run": "run", "fingerprint": days.record.fingerprint}
    assert days.day_of_version(version, {**card, "day": 4}) == 4 and days.day_of_version(version, card) == 0
    with pytest.raises(ValueError, match="served/3 was made by another run, 'run', and not by the run in"):
        days.day_of_version(version, {**card, "fingerprint": "other"})
    with pytest.raises(ValueError, match="served/3 was made by something else than a run"):
        days.day_of_version(version, {})


def test_a_run_whose_rows_have_gone_is_not_updated(days: Days) -> None:
    for rows, said in (
        (f"file://{days.run}/absent", "There is no encoded data set at file://.*/absent"),
        (f"{days.run}/absent", "absent, are not there any more, and its vocabularies with them. To prepare them again"),
    ):
        write_json(days.run / "about.json", {"encoded": rows})
        with pytest.raises(ValueError, match=said):
            days.encoder(0)
