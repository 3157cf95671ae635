"""Do kilowatch's learned detectors agree with scikit-learn's on the same rows?

    cargo build --release -p kilowatch-shared --example score_rows
    python bench/agreement.py target/release/examples/score_rows ../shared/data/uci_2007_h1.txt.gz

Trains on minutes of a real household, scores others with injected anomalies, and compares ranks (Spearman, beside
scikit-learn's own between two seeds) and AUC of the isolation forest, and distances of k-means. Ends with 1 if the
forest's rank correlation is more than 0.02 below scikit-learn's own, if its AUC is more than 0.02 below, or if the
k-means inertia is more than 0.1 % above.
"""

import gzip
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
from scipy.stats import spearmanr
from sklearn.cluster import KMeans
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

NAMES = ["active_power", "reactive_power", "voltage", "current", "sub_metering_1", "sub_metering_2", "sub_metering_3"]
SEEDS = range(5)
ROWS = 20_000


def minutes(path):
    with gzip.open(path, "rt") as lines:
        next(lines)
        rows = [line.strip().split(";")[2:9] for line in lines if "?" not in line]
    return np.array(rows, dtype=float)


def with_anomalies(rows, rng):
    """A twentieth of the rows gets one measure out of its range by one to three of its ranges."""
    rows, labels = rows.copy(), rng.random(len(rows)) < 0.05
    low, high = np.quantile(rows, [0.01, 0.99], axis=0)
    for at in np.flatnonzero(labels):
        measure = rng.integers(len(NAMES))
        reach = (high[measure] - low[measure]) * rng.uniform(1.0, 3.0)
        rows[at, measure] = high[measure] + reach if rng.random() < 0.5 else low[measure] - reach
    return rows, labels


def kilowatch(binary, what, folder, seed):
    command = [binary, what, folder / "train.csv", folder / "score.csv", str(seed)]
    return np.array(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split(), dtype=float)


def main(binary, data):
    rng = np.random.default_rng(1)
    rows = minutes(data)
    chosen = rng.choice(len(rows), 2 * ROWS, replace=False)
    train = rows[chosen[:ROWS]]
    score, labels = with_anomalies(rows[chosen[ROWS:]], rng)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for file, values in [("train.csv", train), ("score.csv", score)]:
            np.savetxt(folder / file, values, delimiter=",", header=",".join(NAMES), comments="")
        ours = [kilowatch(binary, "isolation-forest", folder, seed) for seed in SEEDS]
        distances = kilowatch(binary, "k-means", folder, 1)
        (folder / "score.csv").write_bytes((folder / "train.csv").read_bytes())
        own_inertia = np.square(kilowatch(binary, "k-means", folder, 1)).sum()
    forests = [IsolationForest(n_estimators=100, max_samples=256, random_state=seed).fit(train) for seed in SEEDS]
    theirs = [-forest.score_samples(score) for forest in forests]
    pairs = [(a, b) for a in SEEDS for b in SEEDS if a < b]
    between = np.mean([spearmanr(theirs[a], theirs[b])[0] for a, b in pairs])
    across = np.mean([spearmanr(own, their)[0] for own in ours for their in theirs])
    own_auc, their_auc = (np.mean([roc_auc_score(labels, one) for one in many]) for many in (ours, theirs))
    print(f"isolation forest: rank correlation {across:.4f} with scikit-learn, {between:.4f} between its own seeds")
    print(f"isolation forest: AUC {own_auc:.4f}, scikit-learn {their_auc:.4f}")
    scaler = StandardScaler().fit(train)
    peer = KMeans(3, n_init=10, random_state=1).fit(scaler.transform(train))
    nearest = peer.transform(scaler.transform(score)).min(axis=1)
    print(f"k-means: inertia {own_inertia:.1f}, scikit-learn {peer.inertia_:.1f}")
    print(f"k-means: distances differ by at most {np.abs(distances - nearest).max():.2g} of {nearest.max():.3g}")
    agrees = across >= between - 0.02 and own_auc >= their_auc - 0.02 and own_inertia <= 1.001 * peer.inertia_
    print("they agree" if agrees else "THEY DO NOT AGREE")
    return 0 if agrees else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
