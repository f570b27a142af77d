"""All tables there are: who asks for ``METADATA`` here has every model loaded."""

from __future__ import annotations

from taskspool.records.base import Base
from taskspool.records.models import tagged, todos

MODELS = (tagged, todos)
METADATA = Base.metadata
