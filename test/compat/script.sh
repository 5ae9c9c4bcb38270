#!/bin/sh
# A script as the old CLI's documentation would have one write it: start the daemon, run tasks and read their JSON, look at sessions
# and models, stop. It knows nothing of this implementation; test/compat/script.test.ts runs it unchanged.
set -eu

opta daemon start
opta daemon status --json | jq -e '.running and .state.port > 0' >/dev/null
opta --version | grep -Eq '^[0-9]+\.[0-9]+\.[0-9]+'

# A task, its answer, and what is promised beside it.
reply=$(opta do --format json 'Say hello @@{"text":"Hello there."}@@')
printf '%s\n' "$reply" | jq -e '.exit_code == 0 and .tool_calls == 0 and (has("error") | not)' >/dev/null
answer=$(printf '%s\n' "$reply" | jq -r '.result')
model=$(printf '%s\n' "$reply" | jq -r '.model')
echo "answer: $answer"
echo "model: $model"

# A failure: one line of JSON on stdout, and the same exit code.
if failed=$(opta do --format json ''); then
  echo 'a blank task succeeded' >&2
  exit 1
else
  code=$?
fi
[ "$(printf '%s\n' "$failed" | jq -r '.exit_code')" = "$code" ]
echo "blank task: exit $code, $(printf '%s\n' "$failed" | jq -r '.error')"

# Nothing on success, and the answer in a file.
[ -z "$(opta do --quiet --output answer.txt 'Again @@{"text":"Kept."}@@')" ]
echo "file: $(cat answer.txt)"

# Sessions: the newest first, one exported, one found, one deleted.
count=$(opta sessions list --json | jq 'length')
id=$(opta sessions list --json --limit 1 | jq -r '.[0].id')
echo "sessions: $count"
opta sessions export "$id" | jq -e --arg id "$id" '.id == $id and (.messages | length) == 2' >/dev/null
opta sessions search Again --json | jq -e 'length == 1' >/dev/null
opta sessions delete "$id" >/dev/null
[ "$(opta sessions --json | jq 'length')" -eq $((count - 1)) ]

# Models and the state of everything.
opta models list --json | jq -e 'length > 0 and all(.[]; has("id") and has("contextLength"))' >/dev/null
echo "models: $(opta models list --json | jq -r '.[].id' | tr '\n' ' ')"
opta status --json | jq -e 'has("health") and has("endpoint") and has("adminAccess")' >/dev/null
opta health --json | jq -e '.summary.failures == 0' >/dev/null
opta doctor --json | jq -e '.checks | length > 0' >/dev/null
opta config list --json | jq -e '.connection.host == "127.0.0.1"' >/dev/null
opta daemon logs --json | jq -e 'type == "array" and length > 0' >/dev/null

opta daemon stop
opta daemon status --json | jq -e '.running == false' >/dev/null
