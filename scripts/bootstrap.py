"""The two commands of a new machine.

    python scripts/bootstrap.py run  [--once] [--port P] [--root DIR]    bridge + worker + a ping, until Ctrl-C
    python scripts/bootstrap.py test [--all] [pytest arguments]          the tests

Both make `.venv` in the project's folder and install into it when that is needed. Nothing but the standard library
is used here. This file is kept to what every Python since 2.7 can read, so that an old one can say that it is too
old; the steps themselves are in `bootstrapping/` and are read by a new enough Python only.

Exit codes: 0 done, 1 it did not work (the last lines say what), 2 wrong arguments, 130 interrupted.
"""

from __future__ import print_function

import os
import sys

OLDEST = (3, 11)


def main():
    """The exit code of what was asked for."""
    if sys.version_info[:2] < OLDEST:
        print(too_old(sys.version_info[:2], newer_pythons()), file=sys.stderr)
        return 1
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    from bootstrapping.command import command
    return command(sys.argv[1:])


def too_old(version, newer):
    """What a person needs to hear whose Python is too old. ``newer`` are paths of Pythons that would do."""
    lines = ["error: Python {0}.{1} or newer is needed, this is {2}.{3} ({4})".format(
        OLDEST[0], OLDEST[1], version[0], version[1], sys.executable)]
    if newer:
        lines.append("  hint: this one would do:  {0} {1}".format(newer[0], " ".join(sys.argv)))
    else:
        lines.append("  hint: get one from https://www.python.org/downloads/ and start this command with it")
    return "\n".join(lines)


def newer_pythons():
    """Pythons on the PATH whose name says that they are new enough, the newest first."""
    found = []
    for minor in range(19, OLDEST[1] - 1, -1):
        for folder in os.environ.get("PATH", "").split(os.pathsep):
            path = os.path.join(folder, "python{0}.{1}".format(OLDEST[0], minor) + (".exe" if os.name == "nt" else ""))
            if os.path.isfile(path) and path not in found:
                found.append(path)
    return found


if __name__ == "__main__":
    sys.exit(main())
