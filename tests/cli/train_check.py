"""psa-train against scikit-learn, NumPy and PyOD's formula: called by train.bats with the names of checks."""
import importlib.util
import os
import sys

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before NumPy: the checks are small, and run side by side

import numpy as np  # noqa: E402

import psatest  # noqa: E402
from psatest import check, close, lines, psa, records  # noqa: E402

T = os.environ["T"]
NAMES = ["rms", "kurtosis", "ptp", "temp_C", "crest"]


def table(n, seed=1):
    """Rows of five features on very different scales, with a constant pair of values here and there."""
    random = np.random.default_rng(seed)
    rows = random.normal(size=(n, 5)) * [1, 10, 1e-3, 5, 1e4] + [0, 100, 0, 1e3, -1e5]
    rows[:, 3] = np.round(rows[:, 3])
    return rows


def feature_records(rows, names=None):
    return lines({"sensor_id": "m", "fields": dict(zip(names or NAMES, map(float, row))), "timestamp_ns": i}
                 for i, row in enumerate(rows))


def path(name):
    return os.path.join(T, name)


def write(name, text):
    with open(path(name), "wb") as out:
        out.write(text)
    return path(name)


def dump(name, thing):
    import joblib

    joblib.dump(thing, path(name))
    return path(name)


def score(model, rows, names=None):
    """The verdicts of psa-score on rows."""
    write("model.json", model)
    return [r["anomaly"] for r in records(psa("psa-score", "--model", path("model.json"), data=feature_records(rows, names)))]


def edge_rows(forest, scaler, rows):
    """Rows whose scaled values lie within a float's rounding of the trees' thresholds."""
    out = []
    for k, estimator in enumerate(forest.estimators_):
        tree, columns = estimator.tree_, forest.estimators_features_[k]
        if forest._max_features == forest.n_features_in_:
            columns = range(forest.n_features_in_)
        threshold, feature = tree.threshold[0], columns[tree.feature[0]]
        for nudge in (-3e-8, -1e-9, 0.0, 1e-9, 3e-8):
            row = rows[k % len(rows)].copy()
            z = threshold * (1 + nudge)
            center = getattr(scaler, "center_", getattr(scaler, "mean_", None))
            row[feature] = z if scaler is None else z * scaler.scale_[feature] + center[feature]
            out.append(row)
    return np.array(out)


def compare(model, forest, scaler, train, names=None):
    """Scores and labels of new rows, of training rows and of rows at the edges of float are scikit-learn's."""
    rows = np.vstack([table(300, 7), train[:200], edge_rows(forest, scaler, train)])
    scaled = rows if scaler is None else scaler.transform(rows)
    verdicts = score(model, rows, names)
    close([v["raw"] for v in verdicts], forest.score_samples(scaled).tolist(), 1e-12, "raw")
    close([v["raw"] - v["raw_threshold"] for v in verdicts], forest.decision_function(scaled).tolist(), 1e-12, "decision")
    labels = forest.predict(scaled)
    check(all(v["is_anomaly"] == (label == -1) for v, label in zip(verdicts, labels)), "labels")
    check(0 < sum(label == -1 for label in labels) < len(labels), "both labels occur")


def check_import():
    """A pipeline, a forest and its scaler apart, in tuples and dicts, fewer features a tree, bootstrap, auto."""
    from sklearn.ensemble import IsolationForest
    from sklearn.preprocessing import RobustScaler, StandardScaler

    train = table(1000)
    given = ["--features", ",".join(NAMES)]
    cases = [
        ("standard", StandardScaler(), dict(contamination=0.05)),
        ("auto", StandardScaler(with_mean=False), dict(contamination="auto", max_samples=1.0)),
        ("subset", RobustScaler(), dict(contamination=0.1, max_features=0.5, bootstrap=True, max_samples=77)),
        ("one", None, dict(contamination=0.1, max_features=1)),
    ]
    for name, scaler, options in cases:
        forest = IsolationForest(n_estimators=20, random_state=3, **options)
        forest.fit(train if scaler is None else scaler.fit_transform(train))
        thing = forest if scaler is None else {"scaler": scaler, "model": forest} if name == "auto" else (scaler, forest)
        file = dump(name + ".joblib", thing)
        if name == "standard":
            file = dump("f.joblib", forest) + "," + dump("s.joblib", scaler)
        model = psa("psa-train", "import-sklearn", file, *given, "--python", os.environ["PY"], data=feature_records(train))
        compare(model, forest, scaler, train)
        back = records(model)[0]
        check(back["seed"] == 3 and back["trained"]["records"] == 1000 and back["features"] == NAMES, name)
        check(back["contamination"] == (None if forest.contamination == "auto" else forest.contamination), name)
        if scaler is None or name == "subset":
            close(back["scaler"]["mean"], train.mean(axis=0).tolist(), 1e-12, "mean")


def check_import_names():
    """A pipeline fitted on a DataFrame knows its names; the reference is the records': their own shares."""
    import pandas
    from sklearn.ensemble import IsolationForest
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    train = table(800)
    names = ["a b", "é", "x", "y", "z"]
    pipeline = make_pipeline(StandardScaler(), IsolationForest(n_estimators=10, random_state=0, contamination=0.1))
    pipeline.fit(pandas.DataFrame(train, columns=names))
    file = dump("p.joblib", pipeline)
    model = psa("psa-train", "import-sklearn", file, "--python", os.environ["PY"], data=feature_records(train, names))
    check(records(model)[0]["features"] == names, "names")
    compare(model, pipeline[-1], StandardScaler().fit(train), train, names)
    quantiles = records(model)[0]["reference"]["quantiles"]
    want = np.percentile(-pipeline[-1].score_samples(StandardScaler().fit_transform(train)), [100 * q for q, _ in quantiles])
    close([s for _, s in quantiles], want.tolist(), 1e-12, "reference")


def check_import_refusals():
    """What it is not is said, and no model is written."""
    from sklearn.ensemble import IsolationForest
    from sklearn.linear_model import LinearRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, StandardScaler

    train = table(50)
    rows = write("rows", feature_records(train))
    forest = IsolationForest(n_estimators=2).fit(train)
    names = ",".join(NAMES)
    spec = importlib.util.spec_from_file_location("import_sklearn", "src/tools/import_sklearn.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)

    def refused(said, file, *features):
        sys.argv = ["import_sklearn.py", file, *features]
        try:
            script.main()
        except SystemExit as end:
            check(said in str(end), "%s: not said: %s\n%s" % (file, said, end))
        else:
            psatest.fail("%s is not refused" % file)

    good = dump("good.joblib", forest)
    refused("say with --features which fields its 5 columns are", good)
    refused("4 names for the 5 columns", good, "a,b,c,d")
    refused("cannot be loaded", path("none.joblib"), names)
    refused("cannot be loaded", write("text.joblib", b"no pickle"), names)
    refused("there is a LinearRegression in it", dump("l.joblib", LinearRegression()), names)
    refused("there is a MinMaxScaler in it", dump("m.joblib", make_pipeline(MinMaxScaler(), forest)), names)
    refused("there are 2 forests", dump("two.joblib", [forest, IsolationForest(n_estimators=2).fit(train)]), names)
    refused("max_samples is 1: ", dump("one.joblib", IsolationForest(n_estimators=2, max_samples=1).fit(train)), names)
    refused("not fitted", dump("raw.joblib", IsolationForest(n_estimators=2)), names)
    refused("the scaler has 2 features", dump("s2.joblib", [forest, StandardScaler().fit(train[:, :2])]), names)
    # And through the program.
    for said, *arguments in (("there is a LinearRegression in it", "--features", names, "--python", os.environ["PY"]),
                             ("cannot be run", "--python", path("nowhere")), ("cannot be imported", "--python", "false"),
                             ("is no model", "--python", "echo"), ("has no use for --trees", "--trees", "3")):
        file = path("l.joblib") if "Linear" in said else good
        out = psa("psa-train", "import-sklearn", file, rows, *arguments, status=2)
        check(out == b"" and said in psa.err, "%s: not said: %s\n%s" % (arguments, said, psa.err))


def check_scalers():
    """The scaler in a model is scikit-learn's, fitted on the same records."""
    from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

    train = table(400)
    train[:, 2] = 7.0  # constant
    data = feature_records(train)
    for name, scaler in (("standard", StandardScaler()), ("robust", RobustScaler()), ("minmax", MinMaxScaler())):
        model = records(psa("psa-train", "isolation-forest", "--trees", "2", "--scaler", name, data=data))[0]["scaler"]
        want = scaler.fit(train)
        center = {"standard": "mean_", "robust": "center_", "minmax": "data_min_"}[name]
        close(model["mean"], train.mean(axis=0).tolist(), 1e-12, name + " mean")
        close(model.get("center", model["mean"]), getattr(want, center).tolist(), 1e-12, name + " center")
        scale = want.scale_ if name != "minmax" else 1 / want.scale_
        close(model["scale"], scale.tolist(), 1e-12, name + " scale")
        check(model["kind"] == name and model["scale"][2] == 1, name)


def check_threshold():
    """--quantile and --contamination are np.percentile of the training scores, for each kind; more than that share lies above."""
    train = table(500)
    data = feature_records(train)
    for kind in ("isolation-forest", "ecod", "pca", "mahalanobis", "dynamic-pca"):
        q = psa("psa-train", kind, "--quantile", "0.9", data=data)
        c = psa("psa-train", kind, "--contamination", "0.1", data=data)
        threshold = records(q)[0]["threshold"]
        close([threshold], [records(c)[0]["threshold"]], 1e-12, kind)
        raw = np.array([v.get("raw", np.nan) for v in score(q, train)])
        raw = raw[~np.isnan(raw)]
        sign = -1 if kind == "isolation-forest" else 1
        if kind != "ecod":  # its sample's own rows are scored among themselves
            close([sign * threshold], [np.percentile(sign * raw, 90)], 1e-12, kind + " quantile")
        check(0.07 < np.mean(sign * raw > sign * threshold) < 0.13, kind + ": the share above")


def ecod(rows):
    """PyOD's decision_scores_, as the golden vectors' README has it."""
    n = len(rows)
    left = np.array([[(rows[:, j] <= x).sum() / n for x in rows[:, j]] for j in range(rows.shape[1])]).T
    right = np.array([[(rows[:, j] >= x).sum() / n for x in rows[:, j]] for j in range(rows.shape[1])]).T
    return np.maximum(-np.log(left), -np.log(right)).sum(axis=1)


def check_ecod():
    """The reference is of the sample's decision_scores_; a new row's raw score is decision_function's; rows missing a value."""
    train, new = table(300), table(40, 9)
    model = psa("psa-train", "ecod", data=feature_records(train))
    own = ecod(train)
    quantiles = records(model)[0]["reference"]["quantiles"]
    close([s for _, s in quantiles], np.percentile(own, [100 * q for q, _ in quantiles]).tolist(), 1e-12, "reference")
    close([records(model)[0]["threshold"]], [np.percentile(own, 95)], 1e-12, "threshold")
    verdicts = score(model, new)
    close([v["raw"] for v in verdicts], [ecod(np.vstack([train, row]))[-1] for row in new], 1e-12, "raw")
    top = verdicts[0]["top"]
    check(len(top) == 3 and 0 < top[0][1] <= 1, "top")
    small = psa("psa-train", "ecod", "--samples", "50", "--seed", "4", data=feature_records(train))
    sample = np.array(records(small)[0]["parameters"]["sample"])
    check(sample.shape == (5, 50) and (np.diff(sample) >= 0).all(), "a sample of 50")
    check(all(set(sample[j]) <= set(train[:, j]) for j in range(5)), "of the rows")
    rows = {tuple(row) for row in train}
    check(len(rows) == 300 and small != psa("psa-train", "ecod", "--samples", "50", "--seed", "5",
                                            data=feature_records(train)), "by seed")


def check_streams():
    """Rows of two machines, interleaved, train as the same rows one machine after the other; runs end where streams do."""
    a, b = table(160, 1), table(110, 2)
    mixed, apart = [], []
    for i, row in enumerate(a):
        mixed.append({"sensor_id": "a", "fields": dict(zip(NAMES, map(float, row))), "timestamp_ns": i})
        if i < len(b):
            mixed.append({"sensor_id": "b", "fields": dict(zip(NAMES, map(float, b[i]))), "timestamp_ns": i})
    apart = [r for r in mixed if r["sensor_id"] == "a"] + [r for r in mixed if r["sensor_id"] == "b"]
    for kind in ("dynamic-pca", "isolation-forest", "ecod", "pca", "mahalanobis"):
        check(psa("psa-train", kind, data=lines(mixed)) == psa("psa-train", kind, data=lines(apart)), kind)
    one = [dict(r, sensor_id="a") for r in apart]
    two = psa("psa-train", "dynamic-pca", data=lines(apart))
    check(two != psa("psa-train", "dynamic-pca", data=lines(one)), "no window of lags reaches over two streams")
    tagged = [dict(r, sensor_id="a", tags={"m": r["sensor_id"]}) for r in mixed]
    check(psa("psa-train", "dynamic-pca", "--key", "tags.m", data=lines(tagged)) == two, "--key")


def check_kinds():
    """Every kind: the same bytes twice, from a file and from stdin; read back by psa-score; an odd row is an anomaly."""
    train = table(600)
    data = feature_records(train)
    file = write("train.ndjson", data)
    odd = train[:40].copy()
    odd[30:] += [30, 300, 0.03, 150, 3e5]
    for kind in ("isolation-forest", "ecod", "pca", "dynamic-pca", "mahalanobis"):
        model = psa("psa-train", kind, data=data)
        check(model == psa("psa-train", kind, file) and model.endswith(b"}}\n") and model.count(b"\n") == 1, kind)
        verdicts = score(model, odd)
        check(verdicts[-1]["is_anomaly"] and verdicts[-1]["model"] == records(model)[0]["id"], kind + ": odd")
        check(sum(v["is_anomaly"] for v in verdicts[:30]) < 6, kind + ": ordinary")
        words = psa("psa-train", "--describe", write("m", model)).decode()
        for word in (records(model)[0]["id"] + ": " + kind, "trained on 600 records from 1970-01-01", "scaler: ", "threshold: ",
                     "5 features", "kurtosis"):
            check(word in words, "%s: --describe does not say %s:\n%s" % (kind, word, words))


psatest.main({name[6:]: function for name, function in list(globals().items()) if name.startswith("check_")})
