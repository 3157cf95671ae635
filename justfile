# The one door. Every recipe works without just, too: type the line.

# Format the code
fmt:
    cargo fmt --all

# Formatting, lints, docs and licences
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --all-features --locked -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
    cargo deny --locked check licenses bans sources

# All tests that need no service
test:
    cargo test --workspace --locked

# The same and those against real Kafka, PostgreSQL and MinIO
test-services:
    dev/services run cargo test --workspace --locked --features service-tests

# Every fault: many rounds with one stream (100 kills, 20 outages of each server, ...), and a few with each of the five, with
# three members and with one; one after the other, some hours. Names of tests narrow it down: `just soak group::outages`.
# KILOWATCH_TEST_PREVIOUS_BINARY names the build that the rolling upgrade begins with, KILOWATCH_TEST_SEED repeats a soak. With
# KILOWATCH_TEST_EVERY_STREAM instead of a soak, each of the five has the few rounds of a CI run, and with
# KILOWATCH_TEST_TRIALS="members/50/3 grid/5/1" a fault befalls these streams, so many rounds each, with so many members at work.
soak *TESTS="group:: embedded::":
    KILOWATCH_TEST_SOAK=1 dev/services run cargo test --locked -p kilowatch --features service-tests -- --nocapture --test-threads 1 {{ TESTS }}

# The rolling upgrade between two real builds: that of a commit, and this one
upgrade-from COMMIT="HEAD~1":
    dev/upgrade_from {{ COMMIT }}

# What docker-compose.yml describes, as processes, and whether readings come through it
stack:
    cargo build --release --locked
    dev/services stack "${CARGO_TARGET_DIR:-target}/release/kilowatch" dev/check_stack

# Beside the peers; the figures go to docs/BENCHMARKS.md
bench:
    bench/run

# From a full Kafka topic to PostgreSQL and lake, beside Flink; then 100,000 meters, for memory
bench-speed:
    bench/speed grid household devices

# From a reading to its anomaly in the API, at 1,000 readings a second; wants an idle machine
bench-latency:
    bench/speed latency

# Everything in one process, on 127.0.0.1:8080
up *ARGS:
    cargo run --release --locked -- up {{ ARGS }}
