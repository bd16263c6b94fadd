"""Dynamic PCA, PCA and Mahalanobis distances through the programs: golden numbers, models, cuts, real recordings."""
import glob
import json
import os
import random
import tempfile

from psatest import check, close, lines, main, psa, records

GOLDEN = os.environ.get("PSA_GOLDEN", "tests/golden")
SKAB = "../shared/data/skab/valve1"
LAGS = ("--lags", "2,4,7")
MOVING = ("--refit", "20", "--reference", "120", "--guard", "10")


def golden(name):
    with open(os.path.join(GOLDEN, name)) as text:
        return json.load(text)


def rows(matrix, key="a"):
    """Rows as records with the fields f0, f1, ...; equal times apart."""
    return [{"sensor_id": key, "fields": {"f%d" % j: v for j, v in enumerate(row)}, "timestamp_ns": 1000 + i}
            for i, row in enumerate(matrix)]


def model(kind, recs, *options):
    """Train, and keep the model for as long as what is returned is kept."""
    file = tempfile.NamedTemporaryFile(suffix=".json")
    psa("psa-train", kind, *options, "-o", file.name, data=lines(recs))
    return file


def t2_and_q():
    """T2 and Q of a PCA are scikit-learn's."""
    forest, want = golden("iforest.json"), golden("pca_t2q.json")
    with model("pca", rows(forest["X_train"])) as file:
        got = records(psa("psa-score", "--model", file.name, data=lines(rows(forest["inputs"]))))
        parameters = json.load(open(file.name))["parameters"]
    close([r["anomaly"]["t2"] for r in got], want["T2"], 1e-8, "T2")
    close([r["anomaly"]["q"] for r in got], want["Q"], 1e-8, "Q")
    close(parameters["variance"], want["explained_variance"], 1e-10, "eigenvalues")
    for r in got:
        a = r["anomaly"]
        close([a["raw"]], [a["t2"] / parameters["limit_t2"] + a["q"] / parameters["limit_q"]], 1e-12, "index")


def distances():
    """Robust distances are scikit-learn's; a linear scaler changes none of them."""
    for want in golden("mahalanobis.json")["sets"]:
        recs = rows(want["rows"])
        for scaler, tolerance in (("none", 1e-8), ("standard", 1e-6)):
            with model("mahalanobis", recs, "--scaler", scaler) as file:
                got = records(psa("psa-score", "--model", file.name, data=lines(recs)))
                check(json.load(open(file.name))["parameters"]["support"] == len(want["support"]), "support")
            close([r["anomaly"]["raw"] for r in got], want["distances"], tolerance, "distances, scaler " + scaler)


def dynamic():
    """Dynamic PCA of a stream: scores, alarms and refits are those of the transcription in NumPy."""
    want = golden("dynamic_pca.json")
    got = records(psa("psa-score", "--dynamic-pca", *LAGS, "--warmup", "150", *MOVING, "--top", "5", data=lines(rows(want["rows"]))))
    close([r["anomaly"].get("raw") for r in got], want["scores"], 1e-9, "scores")
    check([int(r["anomaly"]["is_anomaly"]) for r in got] == want["alarms"], "alarms")
    for i, contribution in enumerate(want["contributions"]):
        r = got[want["warmup"] + 20 * i]
        shares = {"f%d" % j: c / sum(contribution) for j, c in enumerate(contribution) if c > 0}
        close([s for _, s in sorted(r["anomaly"]["top"])], [s for _, s in sorted(shares.items())], 1e-9, "top")


def finite(n=640):
    return [[0.0 if v is None else v for v in row] for row in golden("dynamic_pca.json")["rows"][:n]]


def models():
    """By a model: its first rows have no score, then the training's own; --adapt goes on learning."""
    recs = rows(finite())
    with model("dynamic-pca", recs[:300], *LAGS) as file:
        frozen = records(psa("psa-score", "--model", file.name, data=lines(recs)))
        moving = records(psa("psa-score", "--model", file.name, "--adapt", *MOVING, data=lines(recs)))
        described = psa("psa-train", "--describe", file.name).decode()
    check(["raw" in r["anomaly"] for r in frozen[:7]] == [False] * 6 + [True], "the stack fills up")
    high = [i for i in range(6, 300) if frozen[i]["anomaly"]["raw"] > 1.5]
    check({80, 81} <= set(high) and len(high) <= 8, "in training the spike is odd, and the rest is not: %r" % high)
    differs = [i for i in range(6, 640) if frozen[i]["anomaly"]["raw"] != moving[i]["anomaly"]["raw"]]
    check(60 <= differs[0] <= 100, "the first refit was at row %r" % differs[0])
    check(sum(r["anomaly"]["is_anomaly"] for r in moving[560:]) <= sum(r["anomaly"]["is_anomaly"] for r in frozen[560:]) / 2,
          "a lasting change becomes normal")
    check("a PCA of 7 rows stacked: " in described, described)


def cuts():
    """A stream cut anywhere and resumed gives the same bytes: learning, frozen, by a model, adapting; two keys."""
    recs = [r for pair in zip(rows(golden("dynamic_pca.json")["rows"], "a"), rows(golden("dynamic_pca.json")["rows"][::-1], "b"))
            for r in pair]
    chance = random.Random(1)
    with model("dynamic-pca", rows(finite(300)), *LAGS) as file, tempfile.TemporaryDirectory() as folder:
        stream = ("--dynamic-pca", *LAGS, "--warmup", "150")
        for options in ((*stream, *MOVING), (*stream, "--freeze"), ("--model", file.name), ("--model", file.name, "--adapt", *MOVING)):
            whole = psa("psa-score", *options, data=lines(recs))
            for cut in sorted(chance.sample(range(1, len(recs)), 6)) + [299, 300, 301]:
                state = os.path.join(folder, "state")
                got = psa("psa-score", *options, "--state", state, data=lines(recs[:cut]))
                got += psa("psa-score", *options, "--state", state, data=lines(recs[cut:]))
                check(got == whole, "cut at %d: %s" % (cut, " ".join(options)))
                os.remove(state)


def alarms(scored):
    """The rows that are anomalies, of those scored."""
    return [i for i, r in enumerate(scored) if r["anomaly"]["is_anomaly"]]


def wide():
    """Independent channels, more than a default warm-up can tell apart: no alarm but by chance, and scores from the row said."""
    chance = random.Random(3)
    for n, first, most in ((10, 667, 12), (20, 1334, 0)):
        recs = rows([[round(chance.gauss(0, 1), 4) for _ in range(n)] for _ in range(first + 600)])
        got = records(psa("psa-score", "--dynamic-pca", data=lines(recs)))
        check([i for i, r in enumerate(got) if "raw" in r["anomaly"]] == list(range(first, first + 600)), "%d: warm-up" % n)
        check(len(alarms(got)) <= most, "%d channels: alarm in rows %r" % (n, alarms(got)))


def line(n):
    """Four channels of one machine that hang together: two factors that wander, and noise."""
    chance, a, b, out = random.Random(5), 0.0, 0.0, []
    for _ in range(n):
        a, b = 0.8 * a + chance.gauss(0, 1), 0.5 * b + chance.gauss(0, 1)
        out.append([round(x + chance.gauss(0, 0.3), 4) for x in (5 + a, 3 - a + b, 7 + b, 2 * a - b)])
    return out


def without(matrix, is_missing):
    """The last channel is null in these rows."""
    return [row[:3] + [None if is_missing(i) else row[3]] for i, row in enumerate(matrix)]


def missing():
    """A channel that dies, comes alive or has holes is no anomaly; of one that broke while another is away, the right one is named."""
    healthy = line(3000)
    cases = {"dies": lambda i: i >= 1000, "comes alive": lambda i: i < 700, "away for a while": lambda i: 900 <= i < 1700,
             "holes": lambda i: i >= 400 and i % 50 == 7, "half away": lambda i: i % 40 < 19}
    with model("dynamic-pca", rows(healthy[:600])) as file:
        for name, is_missing in cases.items():
            for options in (("--dynamic-pca", "--warmup", "400"), ("--model", file.name), ("--model", file.name, "--adapt")):
                high = alarms(records(psa("psa-score", *options, data=lines(rows(without(healthy, is_missing))))))
                check(len(high) <= 30, "%s, %s: %d rows in alarm: %r" % (name, options[0], len(high), high[:5]))
        broken = without(healthy, lambda i: i >= 1000)
        for row in broken[1100:1160]:
            row[1] += 5
        for options in (("--dynamic-pca", "--warmup", "400"), ("--model", file.name)):
            got = records(psa("psa-score", *options, data=lines(rows(broken))))
            high = [i for i in alarms(got) if 1100 <= i < 1160]
            check(len(high) >= 55, "%s: the fault beside a dead channel: %d rows of 60" % (options[0], len(high)))
            check({got[i]["anomaly"]["top"][0][0] for i in high[12:48]} == {"f1"}, "%s: whose fault it is" % options[0])


def protocol(scored):
    return json.loads(psa("psa-eval", "--skip", "400", "--json", data=scored))["points"]


def skab():
    """SKAB's protocol, with the commands of psa-detectors(7)."""
    files = sorted(glob.glob(SKAB + "/*.csv"))
    replayed = psa("psa-replay", *files)
    got = protocol(psa("psa-score", "--dynamic-pca", "--lags", "5,8,12", "--warmup", "400", data=replayed))
    check(got["f1"] >= 0.89 and got["far"] <= 0.12, "dynamic PCA: %r" % got)
    replayed = psa("psa-replay", "--drop", "Temperature,Thermocouple", *files)
    for kind, ewma, options, on, off, f1, far in (("pca", "0.15", ("--variance", "0.5"), "4", "1", 0.86, 0.06),
                                                  ("mahalanobis", "0.05", (), "400", "150", 0.82, 0.05)):
        smooth = psa("psa-filter", "--ewma", ewma, data=replayed)
        with tempfile.TemporaryDirectory() as folder:
            os.mkdir(folder + "/recording")
            for path in files:
                name = os.path.basename(path)[:-4]
                mine = [r for r in smooth.splitlines(True) if json.loads(r)["sensor_id"] == name]
                psa("psa-train", kind, *options, "-o", "%s/recording/%s.json" % (folder, name), data=b"".join(mine[:400]))
            got = protocol(psa("psa-score", "--models", folder, "--on", on, "--off", off, data=smooth))
        check(got["f1"] >= f1 and got["far"] <= far, "%s: %r" % (kind, got))


if __name__ == "__main__":
    main({f.__name__: f for f in (t2_and_q, distances, dynamic, wide, missing, models, cuts, skab)})
