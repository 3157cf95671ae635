"""The peers' side of `kilowatch batch benchmark`: peer.py MODULE version|ingest|rollup, in a folder of its own.

ingest: ../input.csv (UCI format) to readings.parquet, typed, zstd. rollup: readings.parquet to hours.parquet, with count,
sum, min, max and sum of squares of each of the seven measures. Prints how long the work took, without start and imports.
"""
import importlib
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
CSV, READINGS, HOURS = "../input.csv", "readings.parquet", "hours.parquet"
MEASURES = ["Global_active_power", "Global_reactive_power", "Voltage", "Global_intensity",
            "Sub_metering_1", "Sub_metering_2", "Sub_metering_3"]


def duckdb(module, task):
    module.sql((HERE / f"duckdb_{task}.sql").read_text())


def polars(pl, task):
    if task == "ingest":
        (pl.scan_csv(CSV, separator=";", null_values="?", schema_overrides={name: pl.Float64 for name in MEASURES})
         .select((pl.col("Date") + " " + pl.col("Time")).str.strptime(pl.Datetime("us"), "%d/%m/%Y %H:%M:%S").alias("ts"),
                 *MEASURES)
         .sink_parquet(READINGS, compression="zstd"))
        return
    partials = []
    for name in MEASURES:
        value = pl.col(name)
        partials += [value.count().alias(f"{name}_count"), value.sum().alias(f"{name}_sum"), value.min().alias(f"{name}_min"),
                     value.max().alias(f"{name}_max"), (value * value).sum().alias(f"{name}_sum_squares")]
    pl.scan_parquet(READINGS).group_by(pl.col("ts").dt.truncate("1h").alias("hour")).agg(partials).sink_parquet(
        HOURS, compression="zstd")


def pyspark(_, task):
    from pyspark.sql import functions as F
    if task == "ingest":
        schema = "Date string, Time string, " + ", ".join(f"{name} double" for name in MEASURES)
        (SPARK.read.option("sep", ";").option("header", True).option("nullValue", "?").schema(schema).csv(CSV)
         .select(F.to_timestamp(F.concat_ws(" ", "Date", "Time"), "d/M/yyyy HH:mm:ss").alias("ts"), *MEASURES)
         .write.option("compression", "zstd").parquet(READINGS))
        return
    partials = []
    for name in MEASURES:
        value = F.col(name)
        partials += [F.count(value).alias(f"{name}_count"), F.sum(value).alias(f"{name}_sum"), F.min(value).alias(f"{name}_min"),
                     F.max(value).alias(f"{name}_max"), F.sum(value * value).alias(f"{name}_sum_squares")]
    (SPARK.read.parquet(READINGS).groupBy(F.date_trunc("hour", "ts").alias("hour")).agg(*partials)
     .write.option("compression", "zstd").parquet(HOURS))


def spark_session():
    from pyspark.sql import SparkSession
    session = (SparkSession.builder.master("local[*]").appName("kilowatch-benchmark")
               .config("spark.ui.enabled", "false").config("spark.sql.session.timeZone", "UTC")
               .config("spark.driver.host", "127.0.0.1").config("spark.driver.bindAddress", "127.0.0.1").getOrCreate())
    session.sparkContext.setLogLevel("ERROR")
    return session


name, task = sys.argv[1:3]
try:
    engine = importlib.import_module(name)
except ModuleNotFoundError:
    sys.exit("not installed")
if task == "version":
    print(engine.__version__)
    sys.exit()
SPARK = spark_session() if name == "pyspark" else None
began = time.perf_counter()
{"duckdb": duckdb, "polars": polars, "pyspark": pyspark}[name](engine, task)
took = time.perf_counter() - began
if SPARK:
    # The work is the JVM's, whose time and memory count once it is waited for.
    gateway = SPARK.sparkContext._gateway
    SPARK.stop()
    gateway.shutdown()
    gateway.proc.stdin.close()
    gateway.proc.wait()
print(took)
