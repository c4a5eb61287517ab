"""tablevault: proven snapshots and restores of MySQL and MariaDB tables."""

__version__ = "0.1.0"
