"""A page on which to try rewards by hand: drop a picture, write a prompt, look at what they say.

The rewards run in this process and the page is Gradio's, served to this machine alone unless there
is a token. Nothing is told to anybody: no telemetry, no fonts or scripts of other hosts.
"""
