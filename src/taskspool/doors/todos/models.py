"""What the door takes in: bodies and queries as frozen values, with the rules of contract todos-8001, 1.2.

The rules are lax where FastAPI services are (``"7"`` for a number in the query, a UUID without dashes), and unknown
fields are let be. Only ``clear``, ``page_size``, ``q`` and what belongs to statistics and events are ours.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import Enum
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, model_validator
from pydantic_core import PydanticCustomError

from taskspool.web.validation import WithoutNul

MAX_PAGE = (2**63 - 1) // 100
"""So that no offset leaves what the databases can count to."""
PAGE_SIZE = 10
MAX_PAGE_SIZE = 100
MAX_EVENTS = 1_000

ID: TypeAdapter[UUID] = TypeAdapter(UUID)


class TaskStatus(str, Enum):
    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"


class TaskPriority(str, Enum):
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class SortBy(str, Enum):
    UPDATED_AT = "updated_at"
    CREATED_AT = "created_at"
    DUE_DATE = "due_date"
    PRIORITY = "priority"
    STATUS = "status"


class Order(str, Enum):
    ASC = "asc"
    DESC = "desc"


def _in_utc(instant: datetime) -> datetime:
    """``instant`` in UTC; one without a zone is meant in UTC, which is what the original's server ran in."""
    if instant.tzinfo is None:
        return instant.replace(tzinfo=UTC)
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise PydanticCustomError("datetime_range", "Datetime should lie in the years 1 to 9999 in UTC") from None


_PATTERN = {"pattern": "^[^\\u0000]*$"}
Title = Annotated[str, Field(min_length=1, max_length=255, json_schema_extra=_PATTERN), WithoutNul]
Description = Annotated[str, Field(max_length=1_000, json_schema_extra=_PATTERN), WithoutNul]
Reason = Annotated[str, Field(json_schema_extra=_PATTERN), WithoutNul]
Instant = Annotated[datetime, AfterValidator(_in_utc)]
Clearable = Literal["description", "priority", "due_date"]


class Model(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class TaskCreate(Model):
    """A new to-do. ``batch_id``, ``completed_at`` and the like in a body are ignored."""

    title: Title
    description: Description | None = None
    status: TaskStatus = TaskStatus.PENDING
    priority: TaskPriority | None = None
    due_date: Instant | None = None
    session_id: UUID | None = None


class TaskUpdate(Model):
    """What changes. null counts as not given; ``clear`` names the fields that become null."""

    title: Title | None = None
    description: Description | None = None
    status: TaskStatus | None = None
    priority: TaskPriority | None = None
    due_date: Instant | None = None
    clear: tuple[Clearable, ...] = Field((), description="fields that become null")

    @model_validator(mode="after")
    def _is_clear(self) -> TaskUpdate:
        both = sorted(name for name in self.clear if getattr(self, name) is not None)
        if both:
            raise PydanticCustomError("clear_conflict", "{field} is both given and cleared", {"field": both[0]})
        return self


class BulkItem(TaskUpdate):
    id: UUID


class BulkUpdate(Model):
    """Ids that are unknown are skipped."""

    tasks: Annotated[list[BulkItem], Field(min_length=1)]


class BulkDelete(Model):
    ids: Annotated[list[UUID], Field(min_length=1)]


class BatchCreate(Model):
    """A batch with its to-dos, which all get its session, none of them their own."""

    session_id: UUID | None = None
    reason: Reason | None = None
    tasks: Annotated[list[TaskCreate], Field(min_length=1)]


class _Page(Model):
    page: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 1


class TaskQuery(_Page):
    """GET /api/v1/tasks; the fields in the order in which their errors are listed."""

    status: TaskStatus | None = None
    session_id: UUID | None = None
    batch_id: UUID | None = None
    sort_by: SortBy = SortBy.UPDATED_AT
    order: Order = Order.DESC
    page_size: Annotated[int, Field(ge=1, le=MAX_PAGE_SIZE)] = PAGE_SIZE
    q: Annotated[str, Field(min_length=1, max_length=200, json_schema_extra=_PATTERN), WithoutNul] | None = None


class BatchQuery(_Page):
    """GET /api/v1/batches."""

    session_id: UUID | None = None
    page_size: Annotated[int, Field(ge=1, le=MAX_PAGE_SIZE)] = PAGE_SIZE


class SessionQuery(Model):
    session_id: UUID | None = None


class BatchDeletion(Model):
    tasks: bool = False


class EventQuery(Model):
    """``limit`` given: a list, else a stream, unless JSON is asked for."""

    session_id: UUID | None = None
    after: Annotated[int, Field(ge=0, le=2**63 - 1)] | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_EVENTS)] | None = None
