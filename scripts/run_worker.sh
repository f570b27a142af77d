#!/bin/sh
# The worker of the tagged tasks, until Ctrl-C: `taskspool work --queue tagged`, with the same options after it.
#   scripts/run_worker.sh --handlers my/jobs.py --concurrency 4
# PYTHON names another Python than the one in .venv.
set -eu
scripts=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
if [ -z "${PYTHON:-}" ]; then
    PYTHON=$scripts/../.venv/bin/python
    [ -x "$PYTHON" ] || PYTHON=python3
fi
exec "$PYTHON" "$scripts/watch_task_worker.py" --queue tagged "$@"
