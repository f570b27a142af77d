"""Every address of managed tasks. Source: seed 004."""

from __future__ import annotations

from taskspool.doors.managed import answers
from taskspool.doors.managed.asking import DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE, SORT_KEYS
from taskspool.doors.managed.models import PROGRESS_FORM, ProgressReport, TaskRequest, TaskRequests
from taskspool.doors.managed.replies import (
    API, KB_ID, MISSING, PRIORITY, STATUS, TASK, TASK_TYPE, Replies, asked, posted, stored,
)
from taskspool.doors.managed.stats_views import StatsViews
from taskspool.doors.managed.task_views import TaskViews
from taskspool.web.route import Parameter, Route, Work

PAGE = (
    Parameter("page", {"type": "integer", "minimum": 1, "default": 1}, "which page"),
    Parameter("page_size", {"type": "integer", "minimum": 1, "maximum": MAX_PAGE_SIZE, "default": DEFAULT_PAGE_SIZE},
              "how many on a page"),
    Parameter("sort_by", {"type": "string", "enum": [*SORT_KEYS]},
              "rising, unless sort_order says otherwise; left out: newest first. completed_at lists what has ended"),
    Parameter("sort_order", {"type": "string", "enum": ["asc", "desc"]}, "asc rises, desc falls"),
)
FORM = "application/x-www-form-urlencoded"


def task_routes(views: TaskViews) -> list[Route]:
    tasks = f"{API}/tasks"
    return [
        Route("POST", tasks, views.create, "Submit a task", Work.DURABLE, body=TaskRequest,
              replies=stored({201: ("the task", answers.ManagedTask)})),
        Route("GET", tasks, views.listing, "Tasks, filtered and in pages", Work.SLOW,
              parameters=(KB_ID, STATUS, TASK_TYPE, PRIORITY, *PAGE),
              replies=asked({200: ("a page", answers.TaskPage), 400: ("INVALID_REQUEST", None)})),
        Route("POST", f"{tasks}/batch", views.create_many, "Submit up to 100 tasks, all or none", Work.SLOW,
              body=TaskRequests, replies=stored({201: ("the tasks", answers.TaskBatch)})),
        *one_task_routes(views),
    ]


def one_task_routes(views: TaskViews) -> list[Route]:
    found: Replies = {**MISSING, 200: ("the task", answers.ManagedTask)}
    return [
        Route("GET", TASK, views.detail, "A task, its place in line and its outlook", Work.SLOW, replies=asked(found)),
        Route("DELETE", TASK, views.cancel, "Cancel what is queued or processing; the task is kept", Work.DURABLE,
              replies=posted({**MISSING, 200: ("done", answers.Canceled), 409: ("TASK_NOT_CANCELABLE", None)})),
        Route("POST", f"{TASK}/retry", views.retry, "Try what failed once more", Work.DURABLE,
              replies=posted({**found, 409: ("TASK_NOT_RETRYABLE", None)})),
        Route("PUT", f"{TASK}/progress", views.progress, "Tell how far a task is; its status stays", Work.DURABLE,
              body=ProgressReport, body_types={FORM: PROGRESS_FORM},
              replies=posted({**MISSING, 200: ("taken down", answers.ProgressAnswer),
                              409: ("an old program holds it, which nobody can tell anything", None)})),
    ]


def stats_routes(views: StatsViews) -> list[Route]:
    return [
        Route("GET", f"{API}/stats/tasks", views.tasks, "Counts and times of tasks", Work.SLOW, "statistics",
              parameters=(KB_ID,), replies=asked({200: ("ok", answers.TaskStats)})),
        Route("GET", f"{API}/stats/system", views.system, "Workers, the line and tasks", Work.SLOW, "statistics",
              replies=asked({200: ("ok", answers.SystemStats)})),
        Route("GET", f"{API}/queues/info", views.queue_info, "How many tasks are queued", Work.SLOW, "statistics",
              parameters=(TASK_TYPE, PRIORITY), replies=asked({200: ("ok", answers.QueueInfo)})),
        Route("GET", "/health", views.health, "Whether each part works", Work.SLOW, "overview",
              replies={**asked({200: ("all of it works", answers.Health)}),
                       503: ("a part does not work", answers.Health)}),
    ]
