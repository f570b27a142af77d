#!/bin/sh
# A worker in sh: counts the words of a text.    taskspool work --exec --type count_words -- sh count_words.sh
echo "attempt $TASKSPOOL_ATTEMPT of $TASKSPOOL_MAX_ATTEMPTS" >&2     # stderr and stdout are the task's live log
# sed does for one plain text; for anything more: jq -r .data.text, which reads the task from stdin
text=$(printf '%s' "$TASKSPOOL_DATA" | sed -n 's/.*"text": *"\([^"]*\)".*/\1/p')
if [ -z "$text" ]; then
    echo "the task has no text" >&2
    exit 65                                                         # give up: it will never have one
fi
echo "::progress 50 counting"
words=$(printf '%s' "$text" | wc -w | tr -d ' ')
echo "{\"words\": $words}"                                           # the last line is the result
