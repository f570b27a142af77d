# A worker in plain Python: counts the words of a text.
import json
import sys

task = json.load(sys.stdin)                                  # id, type, data, attempt, checkpoint, ...
print(f"attempt {task['attempt']}", file=sys.stderr)         # stderr and stdout are the task's live log
if not isinstance(task["data"].get("text"), str):
    print("the task has no text", file=sys.stderr)
    sys.exit(65)                                             # give up: it will never have one
print("::progress 50 counting", flush=True)
print(json.dumps({"words": len(task["data"]["text"].split())}))   # the last line is the result
