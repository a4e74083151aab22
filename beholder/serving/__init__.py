"""Rewards over HTTP: RL trainers, Label Studio and pipelines ask, worker processes answer.

One process speaks HTTP and holds no model. It hands pictures to worker processes, one a device,
which decode in threads and score in batches of whatever came while the last batch ran. A worker
that dies takes no request with it.
"""
