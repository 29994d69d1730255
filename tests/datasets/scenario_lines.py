"""Rows of our own in the formats of Avazu, AmExpert and Ali-CCP, for tests."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from dynctr_tf.datasets.ali_ccp import BEHAVIOUR, COMBINATION, DOMAIN, INTENTION, ITEM, PROFILE
from dynctr_tf.datasets.avazu import CATEGORICAL, NO_APP


def avazu_lines(num_rows: int, seed: int = 0) -> list[str]:
    """Makes a header and comma-separated rows: site inventory in two of three, in the order of the hours."""
    generator = np.random.default_rng(seed)
    lines = [",".join(["id", "click", "hour", *CATEGORICAL])]
    for row in range(num_rows):
        cells = {name: f"{generator.integers(5):08x}" for name in CATEGORICAL}
        cells["banner_pos"] = str(generator.integers(2))
        cells["app_id"] = NO_APP if row % 3 else "abcdef01"
        hour = f"1410{21 + row // 24 % 10:02d}{row % 24:02d}"
        lines.append(
            ",".join([str(10**19 + row), str(int(generator.random() < 0.2)), hour, *(cells[n] for n in CATEGORICAL)])
        )
    return lines


def amexpert_lines(num_rows: int, *, original: bool, seed: int = 0) -> list[str]:
    """Makes a header and comma-separated rows of either edition; user columns are missing in every tenth."""
    generator = np.random.default_rng(seed)
    categories = "product_category_1,product_category_2" if original else "product_category_id"
    head = "session_id,DateTime" if original else "id,date"
    tail = "user_depth,city_development_index,var_1,is_click" if original else "user_depth,var_1,isClick"
    lines = [f"{head},user_id,product,campaign_id,webpage_id,{categories},user_group_id,gender,age_level,{tail}"]
    for row in range(num_rows):
        time = f"2017-07-0{2 + row % 5} {row % 24:02d}:30" if original else f"2024/7/3 {row % 24}:30"
        page, user = generator.integers(9), generator.integers(50)
        known = row % 10 != 0
        cells = [row, time, user, generator.integers(10), page, page]
        cells += [generator.integers(4), ""] if original else [generator.integers(4)]
        cells += [f"{user % 6}.0", "Male" if user % 2 else "Female", "3.0", "1.0"] if known else ["", "", "", ""]
        cells += ["2.0"] if original else []
        cells += [generator.integers(2), int(generator.random() < 0.1)]
        lines.append(",".join(map(str, cells)))
    return lines


def ali_ccp_features(pairs: list[tuple[str, str, str]]) -> str:
    """Writes fields, ids and values as Ali-CCP does."""
    return "\x01".join(f"{field}\x02{number}\x03{value}" for field, number, value in pairs)


def ali_ccp_files(directory: Path, num_rows: int, *, compressed: bool = False, seed: int = 0) -> dict[str, list[dict]]:
    """Writes the four files, and returns for each skeleton row what it means."""
    generator = np.random.default_rng(seed)
    meant: dict[str, list[dict]] = {}
    for part in ("train", "test"):
        shared, lines = [], []
        for index in range(7):
            pairs = [(field, f"{part}{field}{index}", "1.0") for field in PROFILE if (index, field) != (3, "129")]
            for field in BEHAVIOUR:
                pairs += [(field, str(number), "0.693") for number in range(index)]
            shared.append(pairs)
            lines.append(f"c{part}{index:014d},{len(pairs)},{ali_ccp_features(pairs)}")
        write(directory / f"common_features_{part}.csv", lines, compressed)
        rows, lines = [], []
        for row in range(num_rows):
            index = int(generator.integers(7))
            click = int(generator.random() < 0.3)
            purchase = int(click and generator.random() < 0.5)
            pairs = [(field, str(generator.integers(20)), "1.0") for field in ITEM]
            pairs += [(INTENTION, str(number), "1.0") for number in range(row % 3)]
            pairs += [(field, str(generator.integers(9)), f"{row}.5") for field in COMBINATION[: row % 5]]
            pairs.append((DOMAIN, str(1 + row % 3), "1.0"))
            lines.append(f"{row + 1},{click},{purchase},c{part}{index:014d},{len(pairs)},{ali_ccp_features(pairs)}")
            rows.append({"click": click, "purchase": purchase, "common": shared[index], "own": pairs})
        write(directory / f"sample_skeleton_{part}.csv", lines, compressed)
        meant[part] = rows
    return meant


def write(path: Path, lines: list[str], compressed: bool) -> None:
    """Writes lines, through gzip with `.gz` behind the name where they are to be compressed."""
    data = ("\n".join(lines) + "\n").encode()
    if compressed:
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(data))
    else:
        path.write_bytes(data)
