#!/usr/bin/python3
"""mindstream bench routing: its table and JSON are whole, and it leaves nothing behind. No time is judged."""

import json
import os
import subprocess
import tempfile

BINARY = os.environ["MINDSTREAM"]


def main():
    with tempfile.TemporaryDirectory() as directory:
        report = os.path.join(directory, "report.json")
        done = subprocess.run([BINARY, "bench", "routing", "--json", report], capture_output=True, text=True, timeout=250,
                              env={**os.environ, "TMPDIR": directory}, check=False)
        assert done.returncode == 0, done.stderr
        with open(report, encoding="utf-8") as file:
            rows = json.load(file)
        assert os.listdir(directory) == ["report.json"], os.listdir(directory)
        assert len(done.stdout.splitlines()) == len(rows) + 1
        seen = {(row["m"], row["K"], row["dim"]) for row in rows}
        assert len(seen) == len(rows)
        assert {m for m, K, dim in seen if (K, dim) == (4, 64)} == {10, 50, 200, 1000, 5000}
        assert {K for m, K, dim in seen if (m, dim) == (50, 64)} == {1, 2, 4, 8, 16}
        assert {dim for m, K, dim in seen if (m, K) == (50, 4)} == {16, 32, 64, 128, 256}
        for row in rows:
            times = [row[key] for key in ("full_us", "sgemm_us", "fold_us", "interests_us", "incremental_us")]
            assert all(time > 0 for time in times), row
            assert abs(row["incremental_us"] - row["fold_us"] - row["interests_us"]) < 1e-3, row
        done = subprocess.run([BINARY, "bench"], capture_output=True, text=True, check=False)
        assert done.returncode == 2 and "routing" in done.stderr
        done = subprocess.run([BINARY, "bench", "routing", "--json", directory], capture_output=True, text=True,
                              env={**os.environ, "TMPDIR": os.path.join(directory, "none")}, check=False)
        assert done.returncode == 1 and "none" in done.stderr
    print(f"{len(rows)} rows")


if __name__ == "__main__":
    main()
