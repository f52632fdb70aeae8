"""Verdict: from the statistics of all labels to clean, backdoored or inconclusive, with reasons in words."""

from goodnet.verdict.carriers import by_what_it_does, change_of
from goodnet.verdict.decide import Decision, Verdict, decide, decide_blind, pair_probability

__all__ = [
    "Decision",
    "Verdict",
    "by_what_it_does",
    "change_of",
    "changes_that_count",
    "decide",
    "decide_blind",
    "pair_probability",
]
