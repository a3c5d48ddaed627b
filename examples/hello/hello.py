"""Fit a line through noisy points in three steps.          python hello.py"""

import random

import mainspring as ms

Points = list[tuple[float, float]]


@ms.step
def read(count: int, seed: int = 7) -> Points:
    """Make points around y = 3 x + 1."""
    draw = random.Random(seed)
    return [(x / count, 3 * x / count + 1 + draw.gauss(0, 0.1)) for x in range(count)]


@ms.step
def fit(points: Points) -> dict[str, float]:
    """Fit slope and intercept by least squares."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)
    return {"slope": slope, "intercept": mean_y - slope * mean_x}


@ms.step
def score(points: Points, line: dict[str, float]) -> float:
    """Return the root of the mean squared error."""
    errors = [y - line["slope"] * x - line["intercept"] for x, y in points]
    error = (sum(e * e for e in errors) / len(errors)) ** 0.5
    ms.log(error=error)
    return error


@ms.pipeline
def train(count: int = 1000) -> float:
    """Read, fit, score; the last quarter of the points is for scoring only."""
    points = read(count)
    cut = len(points) * 3 // 4
    return score(points[cut:], fit(points[:cut]))


if __name__ == "__main__":
    print(f"error {train():.4f}      next: change a line, run again, then: mainspring runs")
