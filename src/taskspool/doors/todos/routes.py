"""Every address of the to-dos: those of contract todos-8001, and what is ours beside them."""

from __future__ import annotations

from taskspool.doors.todos import answers, models
from taskspool.doors.todos.batch_views import BatchViews
from taskspool.doors.todos.event_views import EventViews
from taskspool.doors.todos.overview_views import OverviewViews
from taskspool.doors.todos.task_views import TaskViews
from taskspool.web.route import Route, Work
from taskspool.web.validation_replies import ID_SCHEMA, Replies, asked, parameters_of, posted

TASKS = "/api/v1/tasks"
BATCHES = "/api/v1/batches"
_TASK = f"{TASKS}/<task_id>"
_BATCH = f"{BATCHES}/<batch_id>"
_TASK_PATH = {"task_id": ID_SCHEMA}
_BATCH_PATH = {"batch_id": ID_SCHEMA}
_SESSION = "only of this session"
_PAGES = {"page": "which page, from 1 on", "page_size": "how many on a page"}


def task_routes(views: TaskViews) -> list[Route]:
    unknown: Replies = {404: ("no task has this id", None)}
    query = parameters_of(models.TaskQuery, {
        **_PAGES, "status": "only in this state", "session_id": _SESSION, "batch_id": "only of this batch",
        "sort_by": "due_date: those without one last in both orders", "order": "which end comes first",
        "q": "only those whose title or description hold all these words"})
    return [
        Route("POST", TASKS, views.create, "Create a task", Work.SLOW, body=models.TaskCreate,
              replies=posted({201: ("created", answers.Task)})),
        Route("GET", TASKS, views.page, "List tasks, a page at a time", Work.SLOW, parameters=query,
              replies=asked({200: ("a page", answers.TaskPage)})),
        Route("PUT", f"{TASKS}/bulk", views.change_many, "Change several tasks at once; unknown ids are skipped",
              Work.SLOW, body=models.BulkUpdate, replies=posted({200: ("changed", answers.Updated)})),
        Route("DELETE", f"{TASKS}/bulk", views.delete_many, "Delete several tasks at once; unknown ids are skipped",
              Work.SLOW, body=models.BulkDelete, replies=posted({200: ("deleted", answers.Deleted)})),
        Route("GET", _TASK, views.one, "Look at a task", Work.SLOW, path_schemas=_TASK_PATH,
              replies=asked({200: ("the task", answers.Task), **unknown})),
        Route("PUT", _TASK, views.change, "Change a task; null leaves a field as it is, clear empties it", Work.SLOW,
              body=models.TaskUpdate, path_schemas=_TASK_PATH,
              replies=posted({200: ("changed", answers.Task), **unknown})),
        Route("DELETE", _TASK, views.delete, "Delete a task", Work.SLOW, path_schemas=_TASK_PATH,
              replies=posted({204: ("deleted", None), **unknown})),
    ]


def batch_routes(views: BatchViews) -> list[Route]:
    unknown: Replies = {404: ("no batch has this id", None)}
    session = parameters_of(models.SessionQuery, {"session_id": _SESSION})
    return [
        Route("POST", BATCHES, views.create, "Create a batch with its tasks, all or none", Work.SLOW, "batches",
              body=models.BatchCreate, replies=posted({201: ("created", answers.Batch)})),
        Route("GET", BATCHES, views.page, "List batches, newest first", Work.SLOW, "batches",
              parameters=parameters_of(models.BatchQuery, {**_PAGES, "session_id": _SESSION}),
              replies=asked({200: ("a page", answers.BatchPage)})),
        Route("GET", f"{BATCHES}/latest", views.latest, "The batch that was made last", Work.SLOW, "batches",
              parameters=session, replies=asked({200: ("the batch, or null", answers.LatestBatch)})),
        Route("GET", _BATCH, views.one, "Look at a batch", Work.SLOW, "batches", path_schemas=_BATCH_PATH,
              replies=asked({200: ("the batch", answers.Batch), **unknown})),
        Route("DELETE", _BATCH, views.delete, "Delete a batch; its tasks stay, unless tasks=true", Work.SLOW,
              "batches", path_schemas=_BATCH_PATH,
              parameters=parameters_of(models.BatchDeletion, {"tasks": "whether its tasks go with it"}),
              replies=posted({204: ("deleted", None), **unknown})),
    ]


def overview_routes(views: OverviewViews, events: EventViews) -> list[Route]:
    feed = parameters_of(models.EventQuery, {"session_id": _SESSION, "after": "the id of the last event that was seen",
                                             "limit": "a list of so many at most"})
    return [
        Route("GET", "/api/v1/stats", views.stats, "How far the tasks of a session, or all, have come", Work.SLOW,
              "overview", parameters=parameters_of(models.SessionQuery, {"session_id": _SESSION}),
              replies=asked({200: ("the numbers", answers.Stats)})),
        Route("GET", "/api/v1/events", events.events, "What happens to tasks and batches, as it happens", Work.SLOW,
              "overview", parameters=feed, replies=asked({
                  200: ("text/event-stream; with Accept: application/json, or a limit, a list", answers.EventList)})),
        Route("GET", "/health", views.health, "Whether the service and its database answer", Work.SLOW, "overview",
              replies=asked({200: ("it answers", answers.Health)})),
    ]
