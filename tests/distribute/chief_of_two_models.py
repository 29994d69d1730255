"""A process of a cluster that trains with a table and then with a larger one, and notes the chief's peaks."""

from __future__ import annotations

from pathlib import Path

from two_tables import note_peaks, settings_of, trainings

BUCKETS = {"small": 2_000_000, "large": 6_000_000}


def main() -> None:
    from dynctr_tf.jobs.stages import as_part_of_cluster

    training = {"strategy": "parameter_server", "batch_size": 100}
    settings = settings_of("lazy_adam", training, {"even_if_worse_than_base_rate": True})

    def chief() -> None:
        from dynctr_tf.training.memory import peak_memory_mib
        from pipelines.train import run

        peaks = {}
        for name, own in trainings(settings, BUCKETS):
            run(own, Path(name))
            peaks[name] = peak_memory_mib()
        note_peaks(peaks, BUCKETS)

    as_part_of_cluster(settings, chief, grace_seconds=20.0)


if __name__ == "__main__":
    main()
