"""Proves a Redis by code that shares nothing with the service that filled it.

Nothing here imports anything else of `execution`: the rules, the names and the
rounding are written down a second time, in exact fractions, from CONTRACT and
SEMANTICS.
"""
