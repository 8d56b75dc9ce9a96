"""Inputs made at random for everything that reads what strangers may have made: see `harness.py`."""
