#!/bin/sh
# The proof of concept in one command: the door of the tagged tasks and a worker, until Ctrl-C. See README.md beside it.
# PORT (8002) is where the door listens, PYTHON another Python than the one in .venv.
set -eu
scripts=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
project=$(dirname -- "$scripts")
if [ -z "${PYTHON:-}" ]; then
    PYTHON=$project/.venv/bin/python
    [ -x "$PYTHON" ] || PYTHON=python3
fi
PORT=${PORT:-8002}
export PYTHON TASKSPOOL_ROOT="${TASKSPOOL_ROOT:-$project/outputs}"

PYTHONPATH="$project/src${PYTHONPATH:+:$PYTHONPATH}" "$PYTHON" -m taskspool serve tagged --port "$PORT" &
door=$!
"$scripts/run_worker.sh" &
worker=$!
trap 'kill "$door" "$worker" 2>/dev/null || true; wait' EXIT
trap 'exit 0' INT TERM

echo "in another terminal: curl -X POST \"http://localhost:$PORT/task?sleep_time=7\""
wait "$door"
