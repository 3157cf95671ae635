"""Do kilowatch's learned detectors agree with scikit-learn's on the same rows?

    cargo build --release -p kilowatch-shared --example score_rows && cargo build --release -p kilowatch
    python bench/agreement.py target/release/examples/score_rows target/release/kilowatch ../shared/data/uci_2007_h1.txt.gz

Households: trains on minutes of a real one, scores others with injected anomalies. Power plants: trains on the
simulator's training set, scores another seed with the profile's own anomalies; six features, the missing ones replaced
by their median for both sides. Compares ranks (Spearman, beside scikit-learn's own between two seeds) and AUC of the
isolation forest over five seeds, and the distances of plain k-means. Rows outside of what training saw are scored otherwise by us on
purpose, so ranks are held against each other on the rows inside of it, and printed for all; the AUC is of all rows. Ends with 1 if on
either data the forest's rank correlation is more than 0.02 below scikit-learn's own, or its AUC more than 0.02 below, or if the k-means
inertia is more than 0.1 % above.
"""

import csv
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

HOUSEHOLD = ["active_power", "reactive_power", "voltage", "current", "sub_metering_1", "sub_metering_2", "sub_metering_3"]
DRIVERS = ["wind_speed_m_s", "irradiance_w_m2", "water_flow_m3_s", "gas_flow_m3_h"]
PLANT = ["output_mw", "difference_of_output_mw", *DRIVERS]
SEEDS = range(5)
ROWS = 20_000
YEAR_OF_QUARTERS = 8 * 365 * 96


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
        measure = rng.integers(len(HOUSEHOLD))
        reach = (high[measure] - low[measure]) * rng.uniform(1.0, 3.0)
        rows[at, measure] = high[measure] + reach if rng.random() < 0.5 else low[measure] - reach
    return rows, labels


def household(uci, rng):
    rows = minutes(uci)
    chosen = rng.choice(len(rows), 2 * ROWS, replace=False)
    return rows[chosen[:ROWS]], *with_anomalies(rows[chosen[ROWS:]], rng)


def simulated_plants(kilowatch, folder, seed, *share):
    """Features and ground truth of a simulated year of eight plants."""
    file = folder / f"plants-{seed}.csv"
    command = [kilowatch, "--data-dir", folder / "data", "simulate", "--stream", "power-plant", "--to", "csv", "--file", file,
               "--rows", str(YEAR_OF_QUARTERS), "--interval", "900", "--from", "2025-03-02T00:00:00Z", "--seed", str(seed), *share]
    subprocess.run(command, check=True, capture_output=True)
    rows, labels, before = [], [], {}
    with open(file, newline="") as lines:
        for line in csv.DictReader(lines):
            plant, output = line["plant_id"], float(line["output_mw"])
            drivers = [float(line[name]) if line[name] else np.nan for name in DRIVERS]
            rows.append([output, output - before.get(plant, np.nan), *drivers])
            labels.append(line["injected"] != "")
            before[plant] = output
    return np.array(rows), np.array(labels)


def power_plant(kilowatch, folder, rng):
    (train, _), (score, labels) = simulated_plants(kilowatch, folder, 1), simulated_plants(kilowatch, folder, 2, "--anomaly-share", "0.03")
    chosen, asked = (rng.choice(len(rows), ROWS, replace=False) for rows in (train, score))
    train, score, labels = train[chosen], score[asked], labels[asked]
    middle = np.nanmedian(train, axis=0)
    return np.where(np.isnan(train), middle, train), np.where(np.isnan(score), middle, score), labels


def scored(binary, what, folder, seed):
    command = [binary, what, folder / "train.csv", folder / "score.csv", str(seed)]
    return np.array(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split(), dtype=float)


def write(folder, names, train, score):
    for file, values in [("train.csv", train), ("score.csv", score)]:
        np.savetxt(folder / file, values, delimiter=",", header=",".join(names), comments="")


def forests_agree(binary, folder, about, names, train, score, labels):
    write(folder, names, train, score)
    ours = [scored(binary, "isolation-forest", folder, seed) for seed in SEEDS]
    forests = [IsolationForest(n_estimators=100, max_samples=256, random_state=seed).fit(train) for seed in SEEDS]
    theirs = [-forest.score_samples(score) for forest in forests]
    everywhere = np.full(len(score), True)
    inside = ((score >= train.min(axis=0)) & (score <= train.max(axis=0))).all(axis=1)
    for where, rows in [("all", everywhere), ("inside what training saw", inside)]:
        pairs = [(a, b) for a in SEEDS for b in SEEDS if a < b]
        between = np.mean([spearmanr(theirs[a][rows], theirs[b][rows])[0] for a, b in pairs])
        own = np.mean([spearmanr(ours[a][rows], ours[b][rows])[0] for a, b in pairs])
        across = np.mean([spearmanr(one[rows], their[rows])[0] for one in ours for their in theirs])
        print(f"{about}, {rows.sum()} rows, {where}: rank correlation {across:.4f} with scikit-learn, {between:.4f} between its own"
              f" seeds, {own:.4f} between ours")
    own_auc, their_auc = (np.mean([roc_auc_score(labels, one) for one in many]) for many in (ours, theirs))
    print(f"{about}: AUC {own_auc:.4f}, scikit-learn {their_auc:.4f}, of {labels.sum()} anomalies among {len(labels)} rows")
    return across >= between - 0.02 and own_auc >= their_auc - 0.02


def centres_agree(binary, folder, train, score):
    write(folder, HOUSEHOLD, train, score)
    distances = scored(binary, "k-means", folder, 1)
    write(folder, HOUSEHOLD, train, train)
    own_inertia = np.square(scored(binary, "k-means", folder, 1)).sum()
    scaler = StandardScaler().fit(train)
    peer = KMeans(3, n_init=10, random_state=1).fit(scaler.transform(train))
    nearest = peer.transform(scaler.transform(score)).min(axis=1)
    print(f"k-means: inertia {own_inertia:.1f}, scikit-learn {peer.inertia_:.1f}")
    print(f"k-means: distances differ by at most {np.abs(distances - nearest).max():.2g} of {nearest.max():.3g}")
    return own_inertia <= 1.001 * peer.inertia_


def main(binary, kilowatch, uci):
    rng = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        train, score, labels = household(uci, rng)
        agrees = forests_agree(binary, folder, "household", HOUSEHOLD, train, score, labels)
        agrees &= centres_agree(binary, folder, train, score)
        agrees &= forests_agree(binary, folder, "power-plant", PLANT, *power_plant(kilowatch, folder, rng))
    print("they agree" if agrees else "THEY DO NOT AGREE")
    return 0 if agrees else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
