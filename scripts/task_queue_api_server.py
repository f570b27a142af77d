"""The bridge on port 8091: `taskspool serve bridge`, with the same options."""

from __future__ import annotations

import sys

from _find_package import prepare

if __name__ == "__main__":
    prepare()
    from taskspool.cli.main import main

    main(["serve", "bridge", *sys.argv[1:]])
