"""Answers from a server's export, checked and counted."""
