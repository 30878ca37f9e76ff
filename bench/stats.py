"""Medians of paired ratios and what is known of them."""

import math
import statistics


def interval(values):
    """(low, high) around the median that holds the true one with at least 95 %: the order
    statistics of the sign test, which assumes nothing about how the values are spread. Below
    six values no such interval exists: the smallest and the largest."""
    ordered, n = sorted(values), len(values)
    below, rank = 0.0, 0
    while True:
        below += math.comb(n, rank) / 2 ** n
        if below > 0.025:
            break
        rank += 1
    rank = max(rank, 1)
    return ordered[rank - 1], ordered[n - rank]


def ratio(ours, theirs):
    """The median of the pairs' ratios with its interval, as a dictionary for JSON."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    low, high = interval(ratios)
    return {"median": statistics.median(ratios), "low": low, "high": high}


def geometric_mean(values):
    return math.exp(sum(map(math.log, values)) / len(values))


def percentile(values, percent):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(len(ordered) * percent / 100) - 1)]
