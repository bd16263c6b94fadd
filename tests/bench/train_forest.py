#!/usr/bin/env python3
"""train_forest.py FILE <ROWS - grow scikit-learn's IsolationForest of 100 trees on the scaled rows; (scaler, forest) by joblib."""
import json
import sys

import joblib
import numpy as np
from sklearn.ensemble import IsolationForest
from sklearn.preprocessing import StandardScaler

records = [json.loads(line) for line in sys.stdin.buffer]
rows = np.array([list(record["fields"].values()) for record in records])
scaler = StandardScaler().fit(rows)
forest = IsolationForest(n_estimators=100, contamination=0.01, random_state=1).fit(scaler.transform(rows))
joblib.dump((scaler, forest), sys.argv[1])
