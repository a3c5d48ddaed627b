"""A training loop that is no step: python loop.py, and python loop.py ID to go on with a run that ended."""

import random
import sys

import mainspring as ms

GOAL = [2.0, -1.0]


def run_epoch(model, rate):
    """Fit a line to noisy points of GOAL by gradient descent; return the mean squared error."""
    total = 0.0
    for _ in range(200):
        x = random.uniform(-1, 1)
        error = model["slope"] * x + model["offset"] - (GOAL[0] * x + GOAL[1])
        model["slope"] -= rate * error * x
        model["offset"] -= rate * error
        total += error * error
    return total / 200


def main():
    resume = sys.argv[1] if len(sys.argv) > 1 else ""
    start = ms.start_run(resume=resume) if resume else ms.start_run("line", experiment="lines", params={"rate": 0.05})
    with start as run:
        model = {"slope": 0.0, "offset": 0.0}
        saved = ms.checkpoint()
        first = saved.restore(model)
        for step in range(first, first + 10):
            loss = run_epoch(model, run.params["rate"])
            ms.log(loss=loss, step=step)
            saved.save(model, step=step)
        ms.log(model=dict(model), note=f"loss {loss:.5f} after {step + 1} epochs")
    print(run.id, run.artifacts["note"].load())


if __name__ == "__main__":
    main()
