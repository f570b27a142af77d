"""The worker on the folder, woken by watchdog: `taskspool work`, with the same options."""

from __future__ import annotations

import sys

from _find_package import prepare

if __name__ == "__main__":
    prepare()
    from taskspool.cli.main import main

    main(["work", *sys.argv[1:]])
