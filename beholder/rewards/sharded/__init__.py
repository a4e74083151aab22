"""Scores of sources of any size: shards as the unit of work, one worker under every engine.

`running.run_sharded` is the door. An engine is a module with `run(job)`: `processes` on this
machine, `ranks` that torchrun or SLURM started, `ray`. Each hands shards to the same `Worker`, so
the files that come out are the same, and counts attempts the same way.
"""
