"""Rows of our own in the formats of iPinYou, Frappe, KuaiRand and IAAC, for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dynctr_tf.datasets.frappe import FEATURES as FRAPPE
from dynctr_tf.datasets.iaac import ITEM, LISTS, SCORES
from dynctr_tf.datasets.iaac import USER as IAAC_USER
from dynctr_tf.datasets.ipinyou import COLUMNS
from dynctr_tf.datasets.kuairand import USER, VIDEO

AGENTS = {
    "windows_ie": "windows_ie",
    "Mozilla/5.0 (Windows NT 6.1) AppleWebKit/537.1 Chrome/21.0 Safari/537.1": "windows_chrome",
    "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 5.1; 360SE)": "windows_ie",
    "Mozilla/5.0 (Linux; U; Android 2.3) Safari": "android_safari",
    "null": "other_other",
}
"""User agents, and the system and browser that they are."""

PRICES = {
    "0": "0",
    "1": "1-10",
    "10": "1-10",
    "11": "11-50",
    "50": "11-50",
    "51": "51-100",
    "100": "51-100",
    "101": "101+",
}
"""Floor prices and their ranges."""


def ipinyou_lines(num_rows: int, *, header: bool = False, test: bool = False, seed: int = 0) -> list[str]:
    """Makes tab-separated rows of a training log, or of a test log with its two further columns."""
    random = np.random.default_rng(seed)
    further = ["nclick", "nconversation"] if test else []
    lines = ["\t".join([*COLUMNS, *further])] if header else []
    for row in range(num_rows):
        cells = {name: f"{name}{random.integers(4)}" for name in COLUMNS}
        cells["click"] = str(int(random.random() < 0.3))
        cells["useragent"] = list(AGENTS)[row % len(AGENTS)]
        cells["slotprice"] = list(PRICES)[row % len(PRICES)]
        cells["usertag"] = "null" if row % 3 == 0 else ",".join(["10006", "10110"][: row % 3])
        lines.append("\t".join([*cells.values(), *("0" for _ in further)]))
    return lines


def write_ipinyou(folder: Path, train: int = 60, test: int = 30) -> Path:
    """Writes both logs: the one with a header, the other without."""
    (folder / "train.log.txt").write_text("\n".join(ipinyou_lines(train, header=True)) + "\n", encoding="utf-8")
    (folder / "test.log.txt").write_text("\n".join(ipinyou_lines(test, test=True, seed=1)) + "\n", encoding="utf-8")
    return folder


def frappe_log_lines(num_rows: int, seed: int = 0) -> list[str]:
    """Makes the raw log: a header, and tab-separated rows."""
    random = np.random.default_rng(seed)
    columns = [*FRAPPE[:2], "cnt", *FRAPPE[2:]]
    rows = [
        [str(random.integers(9)), str(row % 20), "3", *(f"{name} {random.integers(3)}" for name in FRAPPE[2:])]
        for row in range(num_rows)
    ]
    return ["\t".join(row) for row in [columns, *rows]]


def write_frappe_papers(folder: Path, rows: dict[str, int], seed: int = 0) -> dict[str, list[list[int]]]:
    """Writes the three files of libFM; returns the tokens of each row, the label before them."""
    random = np.random.default_rng(seed)
    written: dict[str, list[list[int]]] = {}
    for split, number in rows.items():
        written[split] = [
            [row % 3 == 0, *(10 * place + int(random.integers(4)) for place in range(10))] for row in range(number)
        ]
        lines = [f"{1 if row[0] else -1} " + " ".join(f"{token}:1" for token in row[1:]) for row in written[split]]
        (folder / f"frappe.{split}.libfm").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return written


def write_kuairand(folder: Path, num_rows: int = 80, seed: int = 0) -> list[dict[str, str]]:
    """Writes two logs, the users and the videos; returns what each row of the logs says, with the features joined."""
    random = np.random.default_rng(seed)
    users = {f"{u}": {name: f"{name[:4]}{u % 3}" for name in USER} for u in range(6)}
    videos = {f"{v}": {**dict.fromkeys(VIDEO, f"{v % 4}"), "tag": ["", "7", "7,12"][v % 3]} for v in range(9)}
    log = ["user_id", "video_id", "date", "hourmin", "time_ms", "is_click", "long_view", "tab"]
    rows = []
    for row in range(num_rows):
        # The last user and the last video are in no file of features.
        user, video = str(random.integers(7)), str(random.integers(10))
        hour = (100 * int(random.integers(24)) + 30) if row % 5 else 0
        cells = [
            user,
            video,
            "20220408",
            str(hour),
            "1",
            str(random.integers(2)),
            str(random.integers(2)),
            "01"[row % 2],
        ]
        rows.append({**dict(zip(log, cells, strict=True)), **users.get(user, {}), **videos.get(video, {})})
    for name, part in (("4_08_to_4_21", rows[: num_rows // 2]), ("4_22_to_5_08", rows[num_rows // 2 :])):
        lines = [",".join(log), *(",".join(row[column] for column in log) for row in part)]
        (folder / f"log_standard_{name}_pure.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for name, key, table in (("user_features", "user_id", users), ("video_features_basic", "video_id", videos)):
        columns = list(next(iter(table.values())))
        lines = [",".join([key, *columns])]
        for number, features in table.items():
            cells = [f'"{text}"' if "," in text else text for text in features.values()]
            lines.append(",".join([number, *cells]))
        (folder / f"{name}_pure.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return rows


def iaac_lines(num_rows: int, seed: int = 0) -> list[str]:
    """Makes the training file: a header, and rows separated by blanks."""
    random = np.random.default_rng(seed)
    names = ["instance_id", *IAAC_USER, *ITEM, *LISTS, *SCORES, "context_timestamp", "context_page_id", "is_trade"]
    lines = [" ".join(names)]
    for row in range(num_rows):
        cells = dict.fromkeys(names, "") | {name: str(random.integers(1, 5)) for name in names}
        cells |= dict.fromkeys(LISTS, "11;22;33"[: 3 * (1 + row % 3) - 1])
        cells |= {name: f"0.{random.integers(10, 99)}" for name in SCORES}
        cells["user_age_level"] = "-1" if row % 4 == 0 else "1003"
        cells["context_timestamp"] = str(1_537_200_000 + 3600 * row)
        cells["is_trade"] = str(int(row % 7 == 0))
        lines.append(" ".join(cells[name] for name in names))
    return lines
