"""The verb that searches for settings."""

import argparse
import json
from typing import TYPE_CHECKING, Any

from sora_tf.cli.common import FAILED, OK, SOME_FAILED, print_json, verbosity
from sora_tf.cli.settings import add_settings, augment_of, model_of, training_of

if TYPE_CHECKING:
    from sora_tf.cli.common import AddVerb


def add(verb: "AddVerb") -> None:
    """Adds the verb."""
    sub = verb("tune", tune)
    sub.add_argument("source", metavar="DIR", help="folder of class folders, .csv or .parquet")
    sub.add_argument("--out", required=True, metavar="RUN", help="run folder to write")
    sub.add_argument("--space", metavar="FILE", help="what to choose from, as JSON")
    sub.add_argument("--search", default="bayesian", help="bayesian (default) or hyperband")
    sub.add_argument("--trials", type=int, default=30, help="at most (default 30)")
    sub.add_argument("--budget-ms", type=float, metavar="MS", help="most ms a frame, on 1 thread")
    sub.add_argument("--budget-mb", type=float, metavar="MB", help="largest TFLite file, in MB")
    sub.add_argument(
        "--flavour", default="float32", help="what is measured for the budget (default float32)"
    )
    add_settings(sub)


def tune(args: argparse.Namespace) -> int:
    """Searches for the settings that score best, within a budget, and trains them."""
    from sora_tf.export.budget import TFLiteCost
    from sora_tf.train.tune import Budget
    from sora_tf.train.tune import tune as search

    model = model_of(args)
    budget = Budget(args.budget_ms, args.budget_mb)
    run = search(
        args.source,
        args.out,
        model=model,
        training=training_of(args, model),
        space=_space(args.space),
        method=args.search,
        trials=args.trials,
        budget=budget,
        measure=TFLiteCost(args.flavour) if budget else None,
        augment=augment_of(args),
        fit=args.fit,
        cache=args.cache,
        verbose=verbosity(args),
    )
    if run is None:
        if args.json:
            print_json({"run": None})
        else:
            print(f"no trials are left for this worker; the chief trains the best ({args.out})")
        return OK
    state = json.loads((run.path / "tuner.json").read_text(encoding="utf-8"))
    return _report(state, run.read_metrics(), run.path, args)


def _space(path: str | None) -> dict[str, Any] | None:
    if path is None:
        return None
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _report(state, metrics, path, args):
    best, measured = state["best"], state.get("measured")
    if args.json:
        print_json({"run": str(path), "best": best, "measured": measured, "metrics": metrics})
    else:
        print(f"best: trial {best['name']}, {best['accuracy']:.1%} of clips held out right")
        for name, value in best["values"].items():
            print(f"  {name} = {json.dumps(value)}")
        print(f"{metrics['part']}: {metrics['accuracy']:.1%} of {metrics['clips']} clips right")
        if measured:
            place = "inside" if measured["inside"] else "OUTSIDE"
            print(
                f"{args.flavour}: {measured['ms']:.2f} ms a frame, {measured['mb']:.2f} MB, "
                f"{place} the budget"
            )
        print(f"run: {path} (report.html, trials.csv, tuner.json; for evaluate and export)")
    if measured and not measured["inside"]:
        return FAILED
    return SOME_FAILED if metrics["skipped"] else OK
