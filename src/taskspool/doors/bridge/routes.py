"""Every address of the bridge for programs: contracts of both dialects and what is ours beside them.

Pages, files and numbers for people are in ``overview_routes``.
"""

from __future__ import annotations

from taskspool.doors.bridge import answers, models, worker_models
from taskspool.doors.bridge.client_views import MAX_OFFSET, ClientViews
from taskspool.doors.bridge.control_views import ControlViews
from taskspool.doors.bridge.event_views import MAX_PLACE_CHARS, EventViews
from taskspool.doors.bridge.registry_models import WorkerBeat
from taskspool.doors.bridge.replies import (
    KEY, TASK, WAIT, WORKER_NAME, Replies, asked, count, instant, posted, stored, text, word,
)
from taskspool.doors.bridge.wire import STATUS
from taskspool.doors.bridge.worker_views import WorkerViews
from taskspool.engine.index_query import SORT_KEYS
from taskspool.engine.task import State
from taskspool.web.route import Parameter, Route, Work

FILTERS = (
    word("status", tuple(dict.fromkeys(STATUS.values())), "one, or several with commas"),
    word("state", tuple(State), "the same, finer: scheduled and ready are both pending"),
    text("type", "only tasks of this type; may be repeated"),
    word("priority", models.PRIORITIES, "one, or several with commas"),
    text("group", "what they belong to"), text("tag", "may be repeated: all of them"), text("requester", "who asked"),
    text("worker", "who holds them, or finished them"), text("batch", "the id of their batch"),
    text("parent", "the id of the task they belong to"),
    Parameter("id_prefix", {"type": "string", "pattern": "^[0-9a-f-]{1,36}$"}, "how their ids begin"),
    instant("created_after", "not before"), instant("created_before", "before"),
    instant("finished_after", "not before"), instant("finished_before", "before"),
    word("sort", (*SORT_KEYS, *(f"-{key}" for key in SORT_KEYS)), "created_at unless said; - before it turns it round"),
    word("order", ("asc", "desc"), "asc unless said"),
    Parameter("offset", {"type": "integer", "minimum": 0, "maximum": MAX_OFFSET, "default": 0}, "how many to skip"),
)
_LIMIT = Parameter("limit", {"type": "integer", "minimum": 1, "maximum": 1000}, "a list of so many at most")


def client_routes(views: ClientViews) -> list[Route]:
    """Submitting, lists, results, batches."""
    accepted: Replies = {200: ("accepted before", answers.Submitted), 201: ("accepted", answers.Submitted),
                         409: ("DUPLICATE_TASK: another unfinished task has the unique_key", None)}
    older: Replies = {200: ("accepted", answers.Submitted), 409: accepted[409]}
    batched: Replies = {200: ("accepted before", answers.BatchSubmitted), 201: ("accepted", answers.BatchSubmitted)}
    return [
        Route("POST", "/api/tasks", views.submit, "Submit a task", Work.DURABLE, body=models.Submission,
              parameters=(KEY,), replies=stored(accepted)),
        Route("POST", "/api/tasks/batch", views.submit_batch, "Submit up to 1000 tasks, all or none", Work.DURABLE,
              body=models.ManyTasks, parameters=(KEY,), replies=stored(batched)),
        Route("POST", "/api/tasks/create", views.create, "Submit a task (older dialect)", Work.DURABLE,
              tag="older dialect", body=models.OlderSubmission, parameters=(KEY, Parameter(
                  "priority", {"type": "string"}, "urgent, high, normal, low; an unknown one counts as normal")),
              replies=stored(older)),
        Route("POST", "/api/enqueue", views.create, "Submit a task (older dialect)", Work.DURABLE,
              tag="older dialect", body=models.OlderSubmission, parameters=(KEY,), replies=stored(older)),
        Route("GET", "/api/tasks", views.list_tasks, "List tasks; without a filter those that wait, oldest first",
              Work.SLOW, parameters=(count("limit"), *FILTERS),
              replies=asked({200: ("the first of them", answers.TaskList)})),
        Route("GET", f"{TASK}/result", views.result, "Fetch a task's result", parameters=(WAIT,), replies=asked({
            200: ("the task is finished", answers.ResultAnswer), 404: ("unknown, or RESULT_PENDING", None)})),
        Route("GET", "/api/results", views.results, "The latest results, newest first", Work.SLOW,
              tag="older dialect", parameters=(count("count"),),
              replies=asked({200: ("some of them", answers.ResultList)})),
        Route("GET", "/api/results/<task_id:task_id>", views.result, "Fetch a task's result", tag="older dialect",
              parameters=(WAIT,), replies=asked({200: ("finished", answers.ResultAnswer), 404: ("not", None)})),
        *_batch_routes(views),
    ]


def _batch_routes(views: ClientViews) -> list[Route]:
    made: Replies = {200: ("made before", answers.BatchAnswer), 201: ("made", answers.BatchAnswer)}
    return [
        Route("POST", "/api/batches", views.make_batch, "Submit a named set of tasks, all or none", Work.DURABLE,
              "batches", body=models.NamedBatch, parameters=(KEY,), replies=stored(made)),
        Route("GET", "/api/batches", views.batches, "The latest batches, newest first", Work.SLOW, "batches",
              parameters=(count("limit", 100),), replies=asked({200: ("some of them", answers.BatchList)})),
        Route("GET", "/api/batches/<task_id:batch>", views.batch, "How far a batch is", Work.SLOW, "batches",
              replies=asked({200: ("the batch", answers.BatchAnswer), 404: ("unknown", None)})),
    ]


def worker_routes(views: WorkerViews) -> list[Route]:
    """Taking tasks, signs of life, the ways to finish."""
    def lost(more: Replies) -> Replies:
        return {404: ("unknown task", None), 409: ("LEASE_LOST, TASK_CANCELLED: stop working on it", None), **more}

    kept: Replies = lost({200: ("kept", answers.BeatAnswer)})
    finished: Replies = lost({200: ("stored", answers.Accepted)})
    return [
        Route("POST", "/api/tasks/next", views.next_posted, "Take the next task", tag="workers",
              body=worker_models.ClaimRequest, is_body_optional=True, parameters=(WAIT, WORKER_NAME),
              replies=posted({200: ("the task, or null", answers.Claimed)})),
        Route("GET", "/api/tasks/next", views.next_got, "Take the next task (older dialect)", tag="older dialect",
              is_safe=False, parameters=(WAIT, WORKER_NAME),
              replies=asked({200: ("the task at top level, or task null", answers.Claimed)})),
        Route("POST", f"{TASK}/claim", views.claim, "Take exactly this task", tag="workers",
              body=worker_models.ClaimRequest, is_body_optional=True, parameters=(WORKER_NAME,),
              replies=posted({200: ("taken", answers.ClaimedOne), 404: ("unknown, or not waiting", None)})),
        Route("POST", f"{TASK}/result", views.finish, "Report a task's outcome", Work.DURABLE, tag="workers",
              body=worker_models.Finish, parameters=(WORKER_NAME,), replies=stored(finished)),
        Route("POST", f"{TASK}/complete", views.complete, "Report that a task was done", Work.DURABLE, tag="workers",
              body=worker_models.Complete, replies=stored(finished)),
        Route("POST", f"{TASK}/fail", views.fail, "Report that a task could not be done", Work.DURABLE,
              tag="workers", body=worker_models.Fail, replies=stored(finished)),
        Route("POST", f"{TASK}/heartbeat", views.beat, "Keep a task's lease, and tell how far it is", Work.DURABLE,
              tag="workers", body=worker_models.Beat, replies=stored(kept)),
        Route("PUT", f"{TASK}/progress", views.beat, "Tell how far a task is, and keep its lease", Work.DURABLE,
              tag="workers", body=worker_models.Beat, replies=stored(kept)),
        Route("POST", "/api/workers/<name:worker>/heartbeat", views.beats, "Keep all leases of a worker", Work.SLOW,
              tag="workers", body=WorkerBeat, is_body_optional=True,
              replies=stored({200: ("kept, or lost", answers.BeatsAnswer)})),
        Route("POST", f"{TASK}/release", views.release, "Give a task back unfinished", Work.DURABLE, tag="workers",
              body=worker_models.Release, replies=stored(lost({200: ("it waits again", answers.Accepted)}))),
    ]


def control_routes(views: ControlViews) -> list[Route]:
    """Looking at one task closely; cancelling, trying anew, pausing."""
    cancelled: Replies = {200: ("cancelled", answers.CancelAnswer), 202: ("its worker is told", answers.CancelAnswer),
                          404: ("unknown", None), 409: ("TASK_FINISHED: it has ended otherwise", None)}
    retried: Replies = {200: ("it waits again", answers.Accepted), 404: ("unknown", None),
                        409: ("TASK_NOT_RETRYABLE: it is neither dead nor cancelled", None)}
    many: Replies = {200: ("done, as far as it goes", answers.ManyDone)}
    looked: Replies = {200: ("the queue", answers.QueueAnswer)}
    return [
        Route("GET", TASK, views.task, "Look at a task, in whatever state, with its history",
              replies=asked({200: ("the task", answers.TaskTold), 404: ("unknown", None)})),
        Route("GET", f"{TASK}/explain", views.explain, "Why a task is where it is, and what happens next", Work.SLOW,
              replies=asked({200: ("in words", answers.ExplanationAnswer), 404: ("unknown", None)})),
        Route("POST", f"{TASK}/cancel", views.cancel, "Cancel a task, waiting or running", Work.DURABLE, "control",
              body=models.Wish, is_body_optional=True, replies=stored(cancelled)),
        Route("DELETE", TASK, views.cancel, "Cancel a task, waiting or running", Work.DURABLE, "control",
              replies=stored(cancelled)),
        Route("POST", f"{TASK}/retry", views.retry, "Try a dead or cancelled task anew", Work.DURABLE, "control",
              body=models.Wish, is_body_optional=True, replies=stored(retried)),
        Route("POST", "/api/tasks/cancel", views.cancel_many, "Cancel the tasks that fit a filter", Work.SLOW,
              "control", body=models.CancelMany, replies=stored(many)),
        Route("POST", "/api/tasks/retry", views.retry_many, "Try anew the dead tasks that fit a filter", Work.SLOW,
              "control", body=models.RetryMany, replies=stored(many)),
        Route("GET", "/api/queue", views.look, "What is paused, and how many tasks are where", Work.SLOW, "control",
              replies=asked(looked)),
        Route("POST", "/api/queue/pause", views.pause, "Hand nothing out: at all, or of some types", Work.SLOW,
              "control", body=models.PauseWish, is_body_optional=True, replies=stored(looked)),
        Route("POST", "/api/queue/resume", views.resume, "Hand tasks out again", Work.SLOW, "control",
              body=models.PauseWish, is_body_optional=True, replies=stored(looked)),
    ]


def event_routes(views: EventViews) -> list[Route]:
    """What happens, told as it happens."""
    place = {"type": "string", "minLength": 1, "maxLength": MAX_PLACE_CHARS, "pattern": "^[ -~]*$"}
    parameters = (Parameter("after", place, "the id of the last event that was seen; 0: all that is known"),
                  Parameter("Last-Event-ID", place, "the same, as browsers send it", "header"), _LIMIT)
    told: Replies = {200: ("text/event-stream; with Accept: application/json, or a limit, a list", answers.EventList)}
    return [
        Route("GET", "/api/events", views.events, "What happens to tasks, as it happens", Work.SLOW, "events",
              parameters=parameters, replies=asked(told)),
        Route("GET", f"{TASK}/events", views.events_of, "What happens to one task", Work.SLOW, "events",
              parameters=parameters, replies=asked({**told, 404: ("unknown task", None)})),
    ]
