"""What Spark forks Python workers from: what they need is loaded once, before the fork, not in each of them."""

import pandas as pd
import psycopg
import pyarrow.csv
import pyarrow.parquet
from pyspark import daemon

from etl_job import aggregate, clean, decode, foretell, windows
from shared_code.database import staging

PRELOADED = (pd, psycopg, pyarrow.csv, pyarrow.parquet, aggregate, clean, decode, foretell, windows, staging)

if __name__ == "__main__":
    daemon.manager()
