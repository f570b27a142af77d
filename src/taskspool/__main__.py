"""``python -m taskspool``: the same as the command ``taskspool``."""

from taskspool.cli.main import main

if __name__ == "__main__":
    main()
