#!/usr/bin/python3
"""gen_evaluation.py - evaluation.json: what scikit-learn says of scored and labelled rows.

Five sets of rows from a seeded stream: continuous scores, scores of one decimal (ties), one score for all, rows that have
no score (null; for scikit-learn a score below all others, as psa-eval ranks them), and few anomalies among many. Run it
from anywhere; it writes beside itself.
"""
import json
import os
import warnings

import numpy as np
from sklearn import metrics

N = 240


def rows_of(rng, kind):
    label = (rng.random(N) < (0.03 if kind == "rare" else 0.35)).astype(int)
    score = np.clip(0.35 + 0.2 * label + 0.2 * rng.standard_normal(N), 0, 1)
    if kind == "ties":
        score = np.round(score, 1)
    if kind == "constant":
        score = np.full(N, 0.5)
    if kind == "unscored":
        score[rng.random(N) < 0.2] = np.nan
    return label, score


def case(rng, kind):
    label, score = rows_of(rng, kind)
    ranked = np.where(np.isnan(score), -1.0, score)
    predicted = (ranked >= 0.5).astype(int)
    tn, fp, fn, tp = metrics.confusion_matrix(label, predicted).ravel()
    precision, recall, threshold = metrics.precision_recall_curve(label, ranked)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        f1 = np.nan_to_num(2 * precision * recall / (precision + recall))[:-1]
    f1 = np.where(threshold >= 0, f1, -1)  # no threshold reaches a row without a score
    best = int(np.flatnonzero(f1 == f1.max())[-1])
    return {
        "kind": kind,
        "label": label.tolist(),
        "score": [None if np.isnan(x) else float(x) for x in score],
        "predicted": predicted.tolist(),
        "counts": [int(tp), int(fp), int(fn), int(tn)],
        "precision": float(metrics.precision_score(label, predicted)),
        "recall": float(metrics.recall_score(label, predicted)),
        "f1": float(metrics.f1_score(label, predicted)),
        "far": float(fp / (fp + tn)),
        "mar": float(1 - metrics.recall_score(label, predicted)),
        "roc_area": float(metrics.roc_auc_score(label, ranked)),
        "pr_area": float(metrics.average_precision_score(label, ranked)),
        "best_threshold": float(threshold[best]),
        "best_f1": float(f1[best]),
    }


def main():
    rng = np.random.default_rng(6)
    cases = [case(rng, kind) for kind in ("continuous", "ties", "constant", "unscored", "rare")]
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "evaluation.json")
    with open(path, "w", encoding="utf-8") as out:
        json.dump({"cases": cases}, out)
        out.write("\n")


if __name__ == "__main__":
    main()
