"""Deprecated: the same as `send_ping.py --force http`, and takes the same options."""

from __future__ import annotations

import sys

from send_ping import main

if __name__ == "__main__":
    sys.exit(main([*sys.argv[1:], "--force", "http"]))
