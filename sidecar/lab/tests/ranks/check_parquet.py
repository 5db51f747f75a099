"""Checks that pyarrow reads the table of the unit test `parquet::tests::what_is_written_is_read` as
it was meant.

    PERSONAGUARD_WRITE_PARQUET=/tmp/t.parquet \\
        cargo test --release -p personaguard-lab --lib parquet
    python check_parquet.py /tmp/t.parquet

Needs pyarrow."""

import sys

import pyarrow.parquet

table = pyarrow.parquet.read_table(sys.argv[1])
expected = {"line": [7, -1, 2**63 - 1], "not-evil_rank": [0.5, -2.25, 1e300]}
if table.to_pydict() != expected:
    sys.exit(f"read otherwise: {table}")
print(table.schema)
