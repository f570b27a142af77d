"""The addresses of logs."""

from __future__ import annotations

from taskspool.doors.bridge.log_models import MAX_NUMBER, LogAccepted, LogAnswer, LogAppend
from taskspool.doors.bridge.log_views import PAGE, LogViews
from taskspool.doors.bridge.replies import TASK, Replies, asked, stored
from taskspool.web.route import Parameter, Route, Work

_NUMBER = {"type": "integer", "minimum": 0, "maximum": MAX_NUMBER}
AFTER = Parameter("after", {**_NUMBER, "minimum": -1, "default": -1}, "the number of the last line seen")


def log_routes(views: LogViews) -> list[Route]:
    """What workers say while they work."""
    appended: Replies = {202: ("taken; next_offset says how many lines there are", LogAccepted),
                         404: ("unknown task", None), 409: ("LEASE_LOST: stop working on it", None),
                         416: ("LOG_OFFSET: lines before these are missing; details.next_offset", None)}
    told: Replies = {200: ("lines; text/event-stream when followed, text/plain for who accepts that", LogAnswer),
                     404: ("unknown task", None)}
    return [
        Route("POST", f"{TASK}/log", views.append, "Append to a task's log", Work.SLOW, "logs", body=LogAppend,
              parameters=(Parameter("offset", _NUMBER, "of a body that is not JSON"),
                          Parameter("Lease-Token", {"type": "string", "minLength": 1, "maxLength": 512,
                                                    "pattern": "^[!-~]*$"}, "of a body that is not JSON", "header")),
              replies=stored(appended)),
        Route("GET", f"{TASK}/log", views.read, "Read a task's log, page by page or as it grows", Work.SLOW, "logs",
              parameters=(
                  AFTER,
                  Parameter("Last-Event-ID", _NUMBER, "the same, as browsers send it", "header"),
                  Parameter("limit", {"type": "integer", "minimum": 1, "maximum": PAGE, "default": PAGE},
                            "how many at most"),
                  Parameter("follow", {"type": "string", "enum": ["0", "1"], "default": "0"},
                            "1: go on until the task has ended, as server-sent events")),
              replies=asked(told)),
        Route("GET", f"{TASK}/log/ws", views.socket, "Follow a task's log over a WebSocket", Work.SLOW, "logs",
              parameters=(AFTER,), replies=asked({101: ("the lines follow, a JSON object each", None),
                                                  404: ("unknown task", None),
                                                  426: ("UPGRADE_REQUIRED: this is no handshake", None)})),
    ]
