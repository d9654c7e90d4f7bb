"""Runs in Spark's environment: pickled catalogs and queries on standard input, pickled rows in the file that is named."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path

from pyspark.sql import SparkSession

asked = pickle.load(sys.stdin.buffer)
settings = {
    "spark.jars": ",".join(asked["jars"]),
    "spark.driver.memory": "1g",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.extensions": "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions",
}
for name, properties in asked["catalogs"].items():
    settings[f"spark.sql.catalog.{name}"] = "org.apache.iceberg.spark.SparkCatalog"
    settings |= {f"spark.sql.catalog.{name}.{key}": value for key, value in properties.items()}
builder = SparkSession.builder.master("local[2]")
for key, value in settings.items():
    builder = builder.config(key, value)
session = builder.getOrCreate()
session.sparkContext.setLogLevel("ERROR")
answers = [[tuple(row) for row in session.sql(query).collect()] for query in asked["queries"]]
Path(sys.argv[1]).write_bytes(pickle.dumps(answers))
session.stop()
