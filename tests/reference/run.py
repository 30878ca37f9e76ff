#!/usr/bin/env python3
"""Runs the cases of this folder: tests/sql/run.py with other files."""
import glob
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
RUN = os.path.join(os.path.dirname(HERE), "sql", "run.py")
CASES = sorted(glob.glob(os.path.join(HERE, "*.case")))

os.execv(sys.executable, [sys.executable, RUN, *sys.argv[1:], *CASES])
