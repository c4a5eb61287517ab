"""The demo's data: three TPC-H tables with keys and secondary indexes, generated and loaded.

TPC-H is data with a name: the same rows at every run, at any scale, made by `tpchgen-cli`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tablevault.demo.child import run_child
from tablevault.demo.server import PrivateServer
from tablevault.errors import CannotComplete

SCHEMA = "shop"
SCALE = 0.1  # 600,572 rows of lineitem
# Bytes of directory a unit of scale needs, twice what was measured: rows and indexes in the
# server, the binary log of a restore, the replacement beside the live table, generated files.
ROOM_BYTES = 6 << 30

TABLES = {
    "lineitem": """
        l_orderkey BIGINT NOT NULL, l_partkey INT NOT NULL, l_suppkey INT NOT NULL,
        l_linenumber INT NOT NULL, l_quantity DECIMAL(15,2) NOT NULL,
        l_extendedprice DECIMAL(15,2) NOT NULL, l_discount DECIMAL(15,2) NOT NULL,
        l_tax DECIMAL(15,2) NOT NULL, l_returnflag CHAR(1) NOT NULL,
        l_linestatus CHAR(1) NOT NULL, l_shipdate DATE NOT NULL, l_commitdate DATE NOT NULL,
        l_receiptdate DATE NOT NULL, l_shipinstruct CHAR(25) NOT NULL,
        l_shipmode CHAR(10) NOT NULL, l_comment VARCHAR(44) NOT NULL,
        PRIMARY KEY (l_orderkey, l_linenumber),
        KEY l_part (l_partkey, l_suppkey), KEY l_shipped (l_shipdate)""",
    "orders": """
        o_orderkey BIGINT NOT NULL, o_custkey INT NOT NULL, o_orderstatus CHAR(1) NOT NULL,
        o_totalprice DECIMAL(15,2) NOT NULL, o_orderdate DATE NOT NULL,
        o_orderpriority CHAR(15) NOT NULL, o_clerk CHAR(15) NOT NULL,
        o_shippriority INT NOT NULL, o_comment VARCHAR(79) NOT NULL,
        PRIMARY KEY (o_orderkey), KEY o_customer (o_custkey), KEY o_placed (o_orderdate)""",
    "customer": """
        c_custkey INT NOT NULL, c_name VARCHAR(25) NOT NULL, c_address VARCHAR(40) NOT NULL,
        c_nationkey INT NOT NULL, c_phone CHAR(15) NOT NULL, c_acctbal DECIMAL(15,2) NOT NULL,
        c_mktsegment CHAR(10) NOT NULL, c_comment VARCHAR(117) NOT NULL,
        PRIMARY KEY (c_custkey), UNIQUE KEY c_called (c_name), KEY c_segment (c_mktsegment)""",
}


def find_generator() -> str:
    """The path of `tpchgen-cli`.  Raises CannotComplete when it is not installed."""
    beside = str(Path(sys.executable).parent)  # a virtual environment that is not activated
    path = os.pathsep.join([beside, os.environ.get("PATH", os.defpath)])
    found = shutil.which("tpchgen-cli", path=path)
    if found is None:
        raise CannotComplete(
            "`tpchgen-cli`, which makes the demo's tables, is not installed",
            hint="pip install 'tablevault[demo]', or use `make demo`, which installs it",
        )
    return found


def generate(directory: Path, scale: float) -> None:
    """Write the tables as `<table>.tbl` into `directory`, which is made."""
    directory.mkdir(mode=0o700)
    command = [
        find_generator(),
        f"--scale-factor={scale:g}",
        f"--tables={','.join(TABLES)}",
        f"--output-dir={directory}",
        "--quiet",
    ]
    with tempfile.TemporaryFile() as said:
        if run_child(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said) != 0:
            said.seek(0)
            reason = said.read().decode(errors="replace").strip()
            raise CannotComplete(f"tpchgen-cli failed: {reason[-500:]}")


def load(server: PrivateServer, directory: Path) -> dict[str, int]:
    """Create and load the tables from what `generate` wrote; return their row counts."""
    server.sql(f"CREATE DATABASE {SCHEMA} CHARACTER SET utf8mb4")
    with ThreadPoolExecutor(2) as pool:
        counts = pool.map(lambda table: _load_table(server, directory, table), TABLES)
        return dict(zip(TABLES, counts, strict=True))


def _load_table(server: PrivateServer, directory: Path, table: str) -> int:
    file = directory / f"{table}.tbl"
    server.sql(
        "SET sql_log_bin = 0;"  # the log is for the story itself
        f"CREATE TABLE {table} ({TABLES[table]}) ENGINE=InnoDB;"
        # the server runs under this account and reads the file itself
        f"LOAD DATA INFILE '{file}' INTO TABLE {table} "
        "FIELDS TERMINATED BY '|' LINES TERMINATED BY '|\\n';"
        f"ANALYZE TABLE {table};",
        SCHEMA,
    )
    file.unlink()
    return int(server.sql(f"SELECT COUNT(*) FROM {table}", SCHEMA))
