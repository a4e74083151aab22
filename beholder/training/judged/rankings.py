"""Pairs back into the rankings that they came from: a question of k pictures is one order of k."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import torch
from typing_extensions import TypeIs

from beholder.types import Preference, Rankings

Node = tuple[str, str]
"""A picture and the prompt that it is scored for."""

Why = str
"""Why some pairs are no order: "incomplete" or "cyclic"."""

Order = tuple[Sequence[Node], Sequence[int]]
"""Pictures of one prompt and the rank of each: 1 is best, equal ranks are a tie."""


def questions(preferences: Sequence[Preference], rows: Sequence[int]) -> list[list[int]]:
    """The rows of each question, that is of one key and prompt, by order of appearance."""
    groups: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for row in rows:
        groups[preferences[row].key, preferences[row].prompt].append(row)
    return list(groups.values())


def order_of(preferences: Sequence[Preference], aspect: str) -> Order | Why:
    """The order that the answers of one question to an aspect come from, or why there is none.

    It is "incomplete" if some two of the pictures were not compared, and "cyclic" if no order
    agrees with all answers: a before b before c before a, equal pictures of which one alone is
    better than a third, or a pair answered twice and differently. An answer above 0.5 counts as a
    preference however weak it is.
    """
    signs: dict[tuple[Node, Node], int] = {}
    for p in preferences:
        if aspect in p.p_first:
            first, second = (p.first, p.prompt), (p.second, p.prompt)
            sign = (p.p_first[aspect] > 0.5) - (p.p_first[aspect] < 0.5)
            if signs.setdefault((first, second), sign) != sign:
                return "cyclic"
            if signs.setdefault((second, first), -sign) != -sign:
                return "cyclic"
    nodes = list(dict.fromkeys(node for pair in signs for node in pair))
    if len(signs) < len(nodes) * (len(nodes) - 1):
        return "incomplete"
    return _ranked(nodes, signs)


def apart(preferences: Sequence[Preference], aspects: Collection[str]) -> list[Preference]:
    """The same pairs, but those of questions without any order under keys of their own.

    So nothing keeps them together, and no part of such a question passes for a ranking.
    """
    found = list(preferences)
    for rows in questions(preferences, range(len(preferences))):
        asked = [preferences[row] for row in rows]
        answered = set(aspects) & {a for p in asked for a in p.p_first}
        if not any(_is_order(order_of(asked, aspect)) for aspect in answered):
            for row in rows:
                found[row] = replace(found[row], key=f"{found[row].key}#{row}")
    return found


def make_rankings(
    preferences: Sequence[Preference],
    nodes: Mapping[Node, int],
    aspects: Collection[str],
    weights: Sequence[float] | None = None,
) -> dict[str, Rankings]:
    """Aspect -> the orders of the questions, and pairs where a question has none.

    Args:
        preferences: whole questions.
        nodes: the row of each picture with its prompt.
        aspects: whose answers to take.
        weights: of each pair; an order weighs as all its pairs together. None weighs each order,
            and each pair that stays one, 1.
    """
    found: defaultdict[str, list[tuple[Order, float]]] = defaultdict(list)
    for rows in questions(preferences, range(len(preferences))):
        asked = [preferences[row] for row in rows]
        for aspect in sorted(set(aspects) & {a for p in asked for a in p.p_first}):
            found[aspect] += _orders(preferences, rows, aspect, weights)
    return {aspect: _padded(found[aspect], nodes) for aspect in sorted(found)}


def orders_weight(
    preferences: Sequence[Preference],
    aspects: Mapping[str, float],
    weights: Sequence[float] | None = None,
) -> float:
    """How much all orders of `make_rankings` count together, an aspect's as `aspects` weighs it."""
    return sum(
        aspects[aspect] * weight
        for rows in questions(preferences, range(len(preferences)))
        for aspect in aspects
        if any(aspect in preferences[row].p_first for row in rows)
        for _, weight in _orders(preferences, rows, aspect, weights)
    )


def count_orders(preferences: Sequence[Preference], aspects: Collection[str]) -> dict[str, int]:
    """How many answers are orders of several pictures ("rankings") or of two ("pairs").

    Also how many questions of several pictures had to be taken apart, "incomplete" and "cyclic",
    and how many answers to pairs are "soft": neither certain nor a tie, so that an order says more
    than they do.
    """
    found = Counter(dict.fromkeys(("rankings", "pairs", "incomplete", "cyclic", "soft"), 0))
    found["soft"] = sum(
        p.p_first[a] not in (0, 0.5, 1)
        for p in preferences
        for a in p.p_first.keys() & set(aspects)
    )
    for rows in questions(preferences, range(len(preferences))):
        asked = [preferences[row] for row in rows]
        for aspect in set(aspects) & {a for p in asked for a in p.p_first}:
            order = order_of(asked, aspect)
            if _is_order(order):
                found["rankings" if len(order[0]) > 2 else "pairs"] += 1
            else:
                found[order] += 1
                found["pairs"] += sum(aspect in p.p_first for p in asked)
    return dict(found)


def _orders(
    preferences: Sequence[Preference],
    rows: Sequence[int],
    aspect: str,
    weights: Sequence[float] | None,
) -> list[tuple[Order, float]]:
    """The order of one question, or those of its pairs, each with its weight."""
    answered = [row for row in rows if aspect in preferences[row].p_first]
    order = order_of([preferences[row] for row in answered], aspect)
    if _is_order(order):
        return [(order, 1.0 if weights is None else sum(weights[row] for row in answered))]
    return [
        (pair, 1.0 if weights is None else weights[row])
        for row in answered
        if _is_order(pair := order_of([preferences[row]], aspect))
    ]


def _is_order(order: Order | Why) -> TypeIs[Order]:
    return not isinstance(order, str)


def _ranked(nodes: Sequence[Node], signs: Mapping[tuple[Node, Node], int]) -> Order | Why:
    """The order by the sum of signs, which is the right one if any is."""
    sums = [sum(signs[node, other] for other in nodes if other != node) for node in nodes]
    place = {value: k for k, value in enumerate(sorted(set(sums), reverse=True), 1)}
    ranks = dict(zip(nodes, (place[value] for value in sums), strict=True))
    agrees = all(
        (ranks[i] < ranks[j]) - (ranks[i] > ranks[j]) == sign for (i, j), sign in signs.items()
    )
    return (nodes, list(ranks.values())) if agrees else "cyclic"


def _padded(orders: Sequence[tuple[Order, float]], nodes: Mapping[Node, int]) -> Rankings:
    longest = max(len(ranks) for (_, ranks), _ in orders)
    rows = torch.full((len(orders), longest), -1, dtype=torch.long)
    places = torch.zeros_like(rows)
    for k, ((members, ranks), _) in enumerate(orders):
        rows[k, : len(ranks)] = torch.tensor([nodes[node] for node in members])
        places[k, : len(ranks)] = torch.tensor(ranks)
    return Rankings(rows, places, torch.tensor([weight for _, weight in orders]))
