#!/usr/bin/env python3
"""import_sklearn.py MODEL.joblib[,SCALER.joblib] [NAME,...] - a fitted scikit-learn IsolationForest as a draft of a psa model.

What `psa-train import-sklearn` runs. MODEL.joblib holds an IsolationForest; a Pipeline of one scaler and the forest; or a
tuple, list or dict with a forest and at most one scaler in it. The scaler is a StandardScaler or a RobustScaler. Names are
those of the forest's columns; without them the ones that fit() has seen (feature_names_in_).

stdout: psa-model(5) without id, trained and reference, which psa-train adds. A sentence on stderr and status 2: it cannot be.
scikit-learn 1.0 and later. Loading a joblib file runs whatever code is in it: load those that you trust.
"""
import json
import numbers
import sys

KNOWS = "an IsolationForest, a Pipeline of a StandardScaler or RobustScaler and one, or a tuple, list or dict of the two"


def refuse(sentence):
    sys.exit("psa-train: import-sklearn: %s" % sentence)


def name_of(thing):
    return type(thing).__name__


def load(paths):
    """Everything that is in the files, pipelines and collections taken apart; and the names that fit() has seen."""
    import joblib

    queue, parts, names = [], [], None
    for path in paths:
        try:
            queue.append(joblib.load(path))
        except Exception as fault:  # whatever a pickle raises
            refuse("'%s' cannot be loaded: %s: %s" % (path, name_of(fault), fault))
    while queue:
        thing = queue.pop(0)
        if names is None:
            names = getattr(thing, "feature_names_in_", None)
        if isinstance(thing, dict):
            queue = list(thing.values()) + queue
        elif isinstance(thing, (list, tuple)):
            queue = list(thing) + queue
        elif hasattr(thing, "steps") and hasattr(thing, "named_steps"):
            queue = [step for _, step in thing.steps if step is not None and step != "passthrough"] + queue
        elif not isinstance(thing, (str, int, float, type(None))) and name_of(thing) not in ("ndarray", "Index"):
            parts.append(thing)
    return parts, names


def pick(parts):
    """The forest and the scaler (or None); nothing else may be among them, for its work would be left out."""
    forests = [part for part in parts if name_of(part) == "IsolationForest"]
    scalers = [part for part in parts if name_of(part) in ("StandardScaler", "RobustScaler")]
    others = [name_of(part) for part in parts if part not in forests and part not in scalers]
    if others:
        refuse("there is a %s in it; psa knows %s" % (others[0], KNOWS))
    if len(forests) != 1 or len(scalers) > 1:
        refuse("there are %d forests and %d scalers in it; psa knows %s" % (len(forests), len(scalers), KNOWS))
    if not hasattr(forests[0], "estimators_"):
        refuse("the forest is not fitted")
    return forests[0], scalers[0] if scalers else None


def reals(values):
    return [float(value) for value in values]


def scaler_json(scaler, n):
    """psa: z = (x - center) / scale; what scikit-learn leaves out is 0 and 1. psa-train makes the mean of "none" and "robust"."""
    zeros, ones = [0.0] * n, [1.0] * n
    if scaler is None:
        return {"kind": "none", "mean": zeros}
    if scaler.n_features_in_ != n:
        refuse("the scaler has %d features, the forest %d" % (scaler.n_features_in_, n))
    scale = ones if scaler.scale_ is None else reals(scaler.scale_)
    if name_of(scaler) == "RobustScaler":
        center = zeros if scaler.center_ is None else reals(scaler.center_)
        return {"kind": "robust", "mean": zeros, "center": center, "scale": scale}
    if scaler.mean_ is None:  # with_mean=False, with_std=False
        return {"kind": "none", "mean": zeros}
    mean = reals(scaler.mean_)
    return {"kind": "standard", "mean": mean, "center": mean if scaler.with_mean else zeros, "scale": scale}


def tree_json(tree, columns):
    """A leaf has no feature; a tree that was grown on some of the columns counts them from 0."""
    if tree.n_features != len(columns):
        refuse("a tree has %d columns where the forest says %d" % (tree.n_features, len(columns)))
    leaf = tree.children_left == -1
    return {
        "children_left": [int(i) for i in tree.children_left],
        "children_right": [int(i) for i in tree.children_right],
        "feature": [-2 if leaf[i] else int(columns[f]) for i, f in enumerate(tree.feature)],
        "n_node_samples": [int(i) for i in tree.n_node_samples],
        "threshold": [-2.0 if leaf[i] else float(t) for i, t in enumerate(tree.threshold)],
    }


def forest_json(forest):
    n = forest.n_features_in_
    if forest.max_samples_ < 2:
        refuse("max_samples is %d: trees of one row tell nothing apart; train it with 2 or more" % forest.max_samples_)
    # scikit-learn looks at estimators_features_ only where trees have fewer columns than the forest.
    some = forest.estimators_features_ if forest._max_features != n else [range(n)] * len(forest.estimators_)
    trees = [tree_json(one.tree_, list(columns)) for one, columns in zip(forest.estimators_, some)]
    return {"max_samples": int(forest.max_samples_), "trees": trees}


def feature_names(given, seen, n):
    names = given.split(",") if given is not None else None if seen is None else [str(name) for name in seen]
    if names is None:
        refuse("the forest was fitted without names: say with --features which fields its %d columns are" % n)
    if len(names) != n:
        refuse("%d names for the %d columns of the forest" % (len(names), n))
    return names


def main():
    try:
        import joblib  # noqa: F401
        import sklearn.ensemble  # noqa: F401
    except ImportError as fault:
        refuse("%s lacks %s; install scikit-learn (Debian: python3-sklearn), or name another with --python"
               % (sys.executable, fault.name))
    parts, seen = load(sys.argv[1].split(","))
    forest, scaler = pick(parts)
    seed = forest.random_state
    model = {
        "psa_model": 2,
        "kind": "isolation-forest",
        "features": feature_names(sys.argv[2] if len(sys.argv) > 2 else None, seen, forest.n_features_in_),
        "scaler": scaler_json(scaler, forest.n_features_in_),
        "contamination": None if forest.contamination == "auto" else float(forest.contamination),
        "threshold": float(forest.offset_),
        "seed": int(seed) if isinstance(seed, numbers.Integral) else 0,
        "parameters": forest_json(forest),
    }
    json.dump(model, sys.stdout, separators=(",", ":"), allow_nan=False)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
