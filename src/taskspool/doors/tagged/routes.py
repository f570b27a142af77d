"""Every address of the tagged tasks: those of contract tagged-8002, and what is ours beside them."""

from __future__ import annotations

from taskspool.doors.tagged import answers, models
from taskspool.doors.tagged.views import HealthViews, TaskViews
from taskspool.web.route import Route, Work
from taskspool.web.validation_replies import Replies, asked, parameters_of, posted

_TASK = "/tasks/<task_id>"
_PATH = {"task_id": {"type": "integer", "minimum": 1, "maximum": models.MAX_ID}}
_FULL: Replies = {507: ("the disk is full", None)}


def task_routes(views: TaskViews) -> list[Route]:
    unknown: Replies = {404: ("no task has this id", None)}
    return [
        Route("POST", "/tasks", views.create, "Create a task; a worker will run it", Work.SLOW,
              body=models.TaskCreate, replies=posted({201: ("created", answers.Task)})),
        Route("GET", "/tasks", views.list, "List tasks by id; X-Total-Count tells how many there are", Work.SLOW,
              parameters=parameters_of(models.TaskQuery, {
                  "status": "only in this state", "priority": "only of this priority", "tag": "only with this tag",
                  "limit": "so many at most; all unless said", "offset": "how many to skip"}),
              replies=asked({200: ("all that fit", answers.TaskList)})),
        Route("GET", _TASK, views.one, "Look at a task", Work.SLOW, path_schemas=_PATH,
              replies=asked({200: ("the task", answers.Task), **unknown})),
        Route("PATCH", _TASK, views.change, "Change a task; its status is not for clients to change", Work.SLOW,
              body=models.TaskUpdate, path_schemas=_PATH,
              replies=posted({200: ("changed", answers.Task), **unknown})),
        Route("DELETE", _TASK, views.delete, "Delete a task; if it runs, it is stopped", Work.SLOW,
              path_schemas=_PATH, replies=asked({204: ("deleted", None), **unknown, **_FULL})),
        Route("GET", "/tags", views.tags, "All tags, and how many tasks have each", Work.SLOW, "tags",
              replies=asked({200: ("most used first", answers.TagList)})),
        Route("POST", "/task", views.prove, "Proof of concept: a task that sleeps", Work.SLOW, "proof of concept",
              parameters=parameters_of(models.ProofQuery, {"sleep_time": "seconds; a run may take 10"}),
              replies=asked({200: ("in the queue", answers.Enqueued), **_FULL})),
    ]


def health_routes(views: HealthViews) -> list[Route]:
    return [Route("GET", "/health", views.health, "Whether the service and its database answer", Work.SLOW,
                  "overview", replies=asked({200: ("it answers", answers.Health)}))]
