"""Every address of the bridge: contracts of both dialects and what is ours beside them, in one table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel

from taskspool.doors.bridge import models
from taskspool.doors.bridge.client_views import ClientViews
from taskspool.doors.bridge.overview_views import OverviewViews
from taskspool.doors.bridge.worker_views import WorkerViews
from taskspool.web.pages import files_in, files_view, swagger_files, swagger_page
from taskspool.web.route import Parameter, Route, Work

Replies = Mapping[int, tuple[str, type[BaseModel] | None]]

TASK = "/api/tasks/<task_id:task_id>"
WAIT = Parameter("wait", {"type": "number", "minimum": 0, "maximum": models.MAX_WAIT_SECONDS},
                 "seconds to wait when there is nothing yet; Prefer: wait=N means the same")
KEY = Parameter("Idempotency-Key", {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]*$"},
                "the same key and body again: the same task, created false; another body: 422", "header")
WORKER_NAME = Parameter("X-Worker-Name", {"type": "string", "format": "name"},
                        "the worker's name, where the body does not say it", "header")


def _asked(more: Replies) -> Replies:
    """What any request may be answered, and ``more``."""
    return {
        400: ("a field breaks a rule; details name both", None), 403: ("a page of another site asked", None),
        421: ("the Host header is not one of ours", None), 503: ("the disk refused; try again", None), **more,
    }


def _posted(more: Replies) -> Replies:
    """What a request with a body may be answered, and ``more``."""
    return _asked({408: ("the body did not come", None), 413: ("the body is too large", None),
                   415: ("the body is compressed", None), **more})


def _stored(more: Replies) -> Replies:
    """What a request that writes to the disk may be answered, and ``more``."""
    return _posted({422: ("this Idempotency-Key came with another body before", None),
                    507: ("the disk is full", None), **more})


def client_routes(views: ClientViews) -> list[Route]:
    accepted: Replies = {200: ("accepted before", models.Submitted), 201: ("accepted", models.Submitted)}
    batched: Replies = {200: ("accepted before", models.BatchSubmitted), 201: ("accepted", models.BatchSubmitted)}
    return [
        Route("POST", "/api/tasks", views.submit, "Submit a task", Work.DURABLE, body=models.Submission,
              parameters=(KEY,), replies=_stored(accepted)),
        Route("POST", "/api/tasks/batch", views.submit_batch, "Submit up to 1000 tasks, all or none", Work.DURABLE,
              body=models.Batch, parameters=(KEY,),
              replies=_stored(batched)),
        Route("POST", "/api/tasks/create", views.create, "Submit a task (older dialect)", Work.DURABLE,
              tag="older dialect", body=models.OlderSubmission, parameters=(KEY, Parameter(
                  "priority", {"type": "string"}, "urgent, high, normal, low; an unknown one counts as normal")),
              replies=_stored({200: ("accepted", models.Submitted)})),
        Route("POST", "/api/enqueue", views.create, "Submit a task (older dialect)", Work.DURABLE,
              tag="older dialect", body=models.OlderSubmission, parameters=(KEY,),
              replies=_stored({200: ("accepted", models.Submitted)})),
        Route("GET", "/api/tasks", views.list_tasks, "List waiting tasks, oldest first", Work.SLOW,
              parameters=(_count("limit"), Parameter("type", {"type": "string"}, "only tasks of this type")),
              replies=_asked({200: ("the first of them", models.TaskList)})),
        Route("GET", TASK, views.task, "Look at a task, in whatever state",
              replies=_asked({200: ("the task", models.TaskAnswer), 404: ("unknown", None)})),
        Route("GET", f"{TASK}/result", views.result, "Fetch a task's result", parameters=(WAIT,), replies=_asked({
            200: ("the task is finished", models.ResultAnswer), 404: ("unknown, or RESULT_PENDING", None)})),
        Route("GET", "/api/results", views.results, "The latest results, newest first", Work.SLOW,
              tag="older dialect", parameters=(_count("count"),),
              replies=_asked({200: ("some of them", models.ResultList)})),
        Route("GET", "/api/results/<task_id:task_id>", views.result, "Fetch a task's result", tag="older dialect",
              parameters=(WAIT,), replies=_asked({200: ("finished", models.ResultAnswer), 404: ("not", None)})),
    ]


def worker_routes(views: WorkerViews) -> list[Route]:
    def lost(more: Replies) -> Replies:
        return {404: ("unknown task", None), 409: ("LEASE_LOST: stop working on it", None), **more}

    return [
        Route("POST", "/api/tasks/next", views.next_posted, "Take the next task", tag="workers",
              body=models.ClaimRequest, is_body_optional=True, parameters=(WAIT, WORKER_NAME),
              replies=_posted({200: ("the task, or null", models.Claimed)})),
        Route("GET", "/api/tasks/next", views.next_got, "Take the next task (older dialect)", tag="older dialect",
              is_safe=False, parameters=(WAIT, WORKER_NAME),
              replies=_asked({200: ("the task at top level, or task null", models.Claimed)})),
        Route("POST", f"{TASK}/claim", views.claim, "Take exactly this task", tag="workers", body=models.ClaimRequest,
              is_body_optional=True, parameters=(WORKER_NAME,),
              replies=_posted({200: ("taken", models.ClaimedOne), 404: ("unknown, or not waiting", None)})),
        Route("POST", f"{TASK}/result", views.finish, "Report a task's outcome", Work.DURABLE, tag="workers",
              body=models.Finish, parameters=(WORKER_NAME,),
              replies=_stored(lost({200: ("stored", models.Accepted)}))),
        Route("POST", f"{TASK}/heartbeat", views.beat, "Keep a task's lease", tag="workers", body=models.Beat,
              replies=_posted(lost({200: ("kept", models.BeatAnswer)}))),
        Route("POST", "/api/workers/<worker>/heartbeat", views.beats, "Keep all leases of a worker", Work.SLOW,
              tag="workers", body=models.Beats, is_body_optional=True,
              replies=_posted({200: ("kept, or lost", models.BeatsAnswer)})),
        Route("POST", f"{TASK}/release", views.release, "Give a task back unfinished", Work.DURABLE, tag="workers",
              body=models.Release, replies=_stored(lost({200: ("it waits again", models.Accepted)}))),
    ]


def overview_routes(views: OverviewViews) -> list[Route]:
    def ok(model: type[BaseModel]) -> Replies:
        return _asked({200: ("ok", model)})

    return [
        Route("GET", "/", views.index, "What this is", Work.SLOW, "overview", replies=ok(models.Index)),
        Route("GET", "/health", views.health, "Whether the bridge answers", tag="overview",
              replies=ok(models.Health)),
        Route("GET", "/api/health", views.health_with_numbers, "Health, with numbers (older dialect)", Work.SLOW,
              "older dialect", replies=ok(models.Health)),
        Route("GET", "/api/stats", views.stats, "Counts, rates and durations", Work.SLOW, "overview",
              replies=ok(models.Stats)),
        Route("GET", "/api/inflight", views.inflight, "Who works on what", Work.SLOW, "overview",
              replies=ok(models.Inflight)),
        Route("GET", "/openapi.json", views.openapi, "This description", tag="overview", is_documented=False),
        Route("GET", "/docs", swagger_page, "The description as a page", Work.SLOW,
              is_documented=False),
        Route("GET", "/docs/<name>", files_view(swagger_files()), "", Work.SLOW, is_documented=False),
        Route("GET", "/assets/<name>", files_view(files_in(
            Path(__file__).parent / "assets", "page.css", "page.js", "mark.svg")), "", Work.SLOW, is_documented=False),
    ]


def _count(name: str) -> Parameter:
    return Parameter(name, {"type": "integer", "minimum": 1, "maximum": 1000, "default": 10}, "how many at most")
