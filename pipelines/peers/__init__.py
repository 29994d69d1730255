"""Runners of other libraries on the workload of `pipelines.benchmark`, each for an interpreter that has its library."""
