"""Which benchmarks there are, and how much of each a profile does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Arguments = Mapping[str, Sequence[str]]
"""Benchmark -> what its command line is given."""

QUICK: Arguments = {
    "decode": ("--rounds", "5", "--pictures", "4"),
    "scoring": ("--prompts", "2", "--rounds", "3"),
    "peers": ("--prompts", "2", "--rounds", "2"),
    "training": ("--rounds", "2", "--parts", "ranking", "cross_head", "pooled_head"),
    "tuning": ("--rounds", "2"),
    "metrics": ("--rounds", "2", "--pictures", "3000", "--few", "500", "--crowd", "0"),
    "statistics": ("--rounds", "3"),
    "serving": (
        *("--part", "batching", "--part", "peers"),
        *("--seconds", "2", "--rounds", "3", "--clients", "32"),
    ),
    "scale": (
        *("--part", "rates", "--pictures", "6000", "--side", "512", "--archives", "60"),
        *("--rounds", "2", "--engines", "processes"),
    ),
    "memory": ("--rows", "10000"),
    "active": ("--budget", "0", "--settles", "5"),
    "ranking": ("--repeats", "10"),
    "recipes": ("--size", "small"),
    "real_pictures": ("--each", "12"),
    "annotation": ("--prompts", "1000"),
    "throughput": (),
}
"""All of it in 15 to 30 minutes of two quiet cores."""

FULL: Arguments = dict.fromkeys(QUICK, ())
"""Every benchmark with the sizes that it has by itself: hours."""

PROFILES: Mapping[str, Arguments] = {"quick": QUICK, "full": FULL}

PATIENCE: Mapping[str, float] = {"quick": 900.0, "full": 4 * 3600.0}
"""Seconds after which a benchmark that has not ended has failed."""
