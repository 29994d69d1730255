"""What each strategy moves over the network in a step.

Which strategy for which table. Let D be the bytes of the dense weights, V the ids, d the columns of the table
(the first-order weight included), W the workers, B the rows of a global batch and u the distinct ids in the
B / W rows that one worker gets. A number has 4 bytes, an id in a gradient 8.

Per step, a worker sends and receives

| what | bytes |
|---|---|
| dense gradient, ring all-reduce | 2 (W - 1) / W * D each way |
| row-sparse gradient of the table, all-gather | sends (W - 1) u (4 d + 8), receives as much |
| the same table as a dense gradient | 2 (W - 1) / W * 4 V d each way |
| parameter server, the table | sends 8 u (ids), receives 4 d u (rows), sends u (4 d + 8) (gradient) |
| parameter server, the dense weights | receives D, sends D |
| parameter server, the rows of the batch, from the chief | receives 4 B / W * (ids of a row + label and weight) |

The row-sparse gradient does not depend on V. The memory does: mirrored and multi-worker training keep the
table and its slots (two for LazyAdam and GroupFtrl) on every worker, 12 V d bytes; parameter servers share
them. `bytes_per_step` computes all of these for given sizes.

**What follows for throughput**, on paper: each worker takes B / W = 4096 rows of 39 fields in t = 55 ms of
computing, d = 17, D = 1.64 MB, u = 40 000 and a network of S = 1.25 GB/s (10 Gbit/s) each way, nothing overlaps.

| W | multi-worker, MB each way | rows/s | parameter servers, MB each way of a worker | rows/s |
|---|---|---|---|---|
| 1 | 0 | 74 000 | 5.0 | 69 000 |
| 2 | 4.7 | 139 000 | 5.0 | 139 000 |
| 8 | 24.1 | 441 000 | 5.0 | 555 000 |
| 32 | 97.4 | 986 000 | 5.0 | 2 200 000 |
| 64 | 194.7 | 1 240 000 | 5.0 | 4 400 000 |

The rows that all workers touched must reach every worker, so multi-worker training reaches its limit at
4096 S / (u (4 d + 8)) = 1.7 million rows/s. With servers a worker's traffic stays the same; the
servers' grows, and P of them carry about 14 P workers, (t + 4 ms) / 4 ms; the chief, which sends the rows, carries
S / (164 bytes) = 7.6 million rows/s. As a dense gradient the table alone would take 0.1 s per step at 1M ids and 8
workers, 9.5 s at 100M and 204 s at 2.1 billion.

| ids | table and slots (d = 17) | strategy | run |
|---|---|---|---|
| 1M | 0.2 GB | none or mirrored; multi_worker where one machine is too slow | yes |
| 10M | 2 GB | none or mirrored | one device |
| 14M | 2.9 GB | parameter_server | two servers and two workers, as processes of one machine |
| 100M | 20 GB | mirrored or multi_worker on workers that have the memory, else parameter_server | no |
| 2,147,483,647 | 438 GB | parameter_server, from 4 servers of 128 GB on | no |

The last line is the limit: ids are int32, so an encoder has at most 2^31 - 1 of them, and refuses more. Ten billion
values are hashed into that many.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class BytesPerStep:
    """What a worker sends and receives in a step, in bytes, and what it has to hold.

    Attributes:
        all_reduce_dense: Both ways, the dense weights, by ring all-reduce (mirrored, multi-worker).
        all_gather_rows: Both ways, the table's gradient as rows (mirrored, multi-worker).
        all_reduce_table: Both ways, the table's gradient if it were dense.
        server_dense: Both ways, the dense weights to and from parameter servers.
        server_rows: Both ways, the touched rows and their gradients, to and from parameter servers.
        server_batch: Received from the chief, the rows of the batch (parameter servers).
        table_and_slots: Held, the table with two slots: by each worker, or shared by the servers.
    """

    all_reduce_dense: int
    all_gather_rows: int
    all_reduce_table: int
    server_dense: int
    server_rows: int
    server_batch: int
    table_and_slots: int

    @property
    def replicated(self) -> int:
        """Both ways, mirrored or multi-worker training."""
        return self.all_reduce_dense + self.all_gather_rows

    @property
    def served(self) -> int:
        """Both ways, a worker of parameter-server training."""
        return self.server_dense + self.server_rows + self.server_batch


def bytes_per_step(
    *, num_ids: int, columns: int, dense_weights: int, batch_rows: int, distinct_rows: int, fields: int, workers: int
) -> BytesPerStep:
    """Computes the bytes of the table at the head of this module.

    Use it to choose a strategy before machines are rented: with S bytes per second of network and t seconds of
    computing for a worker's share of a batch, a step takes about t + bytes / S, where the two do not overlap, and
    W workers do `batch_rows` rows in it.

    Args:
        num_ids: Rows of the table, V.
        columns: Columns of the table, d, with that of the first-order weights.
        dense_weights: Numbers in all other weights.
        batch_rows: Rows of a global batch, B.
        distinct_rows: Distinct ids in the rows of one worker, u.
        fields: Ids of a row.
        workers: Workers, W, of one replica each.

    Raises:
        ValueError: A number below 1.

    Example:

    >>> found = bytes_per_step(
    ...     num_ids=100, columns=4, dense_weights=10, batch_rows=8, distinct_rows=6, fields=2, workers=2
    ... )
    >>> found.all_reduce_dense, found.all_gather_rows, found.all_reduce_table, found.table_and_slots
    (80, 288, 3200, 4800)
    """
    numbers = {
        "num_ids": num_ids,
        "columns": columns,
        "dense_weights": dense_weights,
        "batch_rows": batch_rows,
        "distinct_rows": distinct_rows,
        "fields": fields,
        "workers": workers,
    }
    for name, value in numbers.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}.")
    ring = 4 * (workers - 1) / workers  # 2 (W - 1) / W out, the same in
    slice_bytes = 4 * columns + 8
    return BytesPerStep(
        all_reduce_dense=round(ring * 4 * dense_weights),
        all_gather_rows=2 * (workers - 1) * distinct_rows * slice_bytes,
        all_reduce_table=round(ring * 4 * num_ids * columns),
        server_dense=2 * 4 * dense_weights,
        server_rows=distinct_rows * (4 * columns + 8 + slice_bytes),
        server_batch=4 * (fields + 2) * batch_rows // workers,
        table_and_slots=3 * 4 * num_ids * columns,
    )
