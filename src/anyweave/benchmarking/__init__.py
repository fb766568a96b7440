"""How fast a system trains and replies on this machine, with random weights if necessary."""

from anyweave.benchmarking.reply import bench_reply
from anyweave.benchmarking.report import BenchReport, Phase
from anyweave.benchmarking.train import bench_train

__all__ = ["BenchReport", "Phase", "bench_reply", "bench_train"]
