/**
 * Where this daemon answers otherwise than the one that existing clients were written against, and why. Each row is asserted in
 * the test of its plane; the replay of recordings accepts a deviation only under one of these names. `docs/COMPATIBILITY.md` is
 * the same list for people.
 */
export const DIFFERENCES = {
  'added-fields': {
    plane: 'control',
    what: 'Objects have fields that the old daemon did not send; none is missing, renamed or of another type.',
    why: 'Existing readers pass over what they do not know; new ones need codes, cursors and revisions.',
  },
  'text-stored': {
    plane: 'control',
    what: 'turn.token is stored: a replay holds the text of every turn.',
    why: '[EV3] A reader that reconnects in mid-turn must not lose what passed meanwhile.',
  },
  'no-thinking-double': {
    plane: 'event',
    what: 'Plain text comes once, as turn.token while it is generated; turn.thinking holds reasoning and nothing else.',
    why: 'The old daemon sent plain text token by token as turn.thinking and once more, whole, at the end.',
  },
  'progress-phases': {
    plane: 'control',
    what: 'turn.progress has the phases model.request and model.response.',
    why: 'They mark facts that are needed to rebuild a conversation; the old standby phase said nothing.',
  },
  'no-lost-events': {
    plane: 'event',
    what: 'A live reader gets every event, turn.progress included.',
    why: '[EV2] The old daemon lost stored events that token events had overtaken.',
  },
  'ack-after-flush': {
    plane: 'event',
    what: 'The ack of a submit may come after turn.start; it still comes after turn.queued.',
    why: '[EV5] An ack says that the turn is on disk, and the turn does not wait for the ack.',
  },
  'queued-count': {
    plane: 'event',
    what: '`queued` of a submit counts the turns before this one, at the moment it was accepted.',
    why: 'The old number was taken later, so several acks in a row carried the same one.',
  },
  'stats-from-usage': {
    plane: 'control',
    what: 'Token counts of turn.done are those of the inference server.',
    why: 'The old ones were a quarter of the number of characters.',
  },
  'updated-after-end': {
    plane: 'event',
    what: 'The snapshot of session.updated no longer names the finished turn, nor counts its writer.',
    why: 'It describes the session after the turn; the old one was taken before the turn was put away.',
  },
  'text-byte-for-byte': {
    plane: 'control',
    what: 'Stored text keeps its leading and trailing spaces.',
    why: 'Trimming ran words of some models together.',
  },
  'cancel-code': {
    plane: 'event',
    what: 'The turn.error of a cancelled turn has `code: "cancelled"` and an outcome.',
    why: 'A program should not have to search the message.',
  },
  'messages-kept': {
    plane: 'event',
    what: 'Prompt and partial answer of a cancelled or failed turn stay in the conversation, also for the model.',
    why: '[CR1] What people typed and saw is not forgotten.',
  },
  'no-second-snapshot': {
    plane: 'control',
    what: 'A POST that opens an existing session records no second session.snapshot.',
    why: 'Nothing happened to the session. The answer is the same as before: 201 and the session as it is.',
  },
  'metadata-kept': {
    plane: 'control',
    what: 'Metadata given at creation is kept and returned.',
    why: 'The old daemon dropped it; it names the workspace now.',
  },
  'bad-session-id': {
    plane: 'control',
    what: 'A session id that is none is 400, not 500 or 404.',
    why: 'It is the mistake of the request.',
  },
  'issue-shapes': {
    plane: 'control',
    what: '`details` of a 400 are issues of the current schema library: `path` and `code` stay, other members differ.',
    why: 'The library changed them; nothing that was read looks at more than path and message.',
  },
  'framework-errors': {
    plane: 'control',
    what: 'Broken JSON and a wrong media type are answered with { error, code, retryable } like every other failure.',
    why: 'The old bodies were those of its web framework, in a shape of their own.',
  },
  'empty-json': {
    plane: 'control',
    what: 'An empty body with a JSON content type counts as {}.',
    why: 'Some clients send the header with every POST.',
  },
  'plain-text-body': {
    plane: 'control',
    what: 'A text/plain body is 415 instead of 400.',
    why: 'It never was accepted; the status now says what is wrong.',
  },
  'unknown-session-told': {
    plane: 'event',
    what: 'A socket on a session that does not exist gets one error frame; it stays open, and follows the session once it is made.',
    why: 'The old socket was silent, so a mistyped id looked like an idle session.',
  },
  'added-routes': {
    plane: 'sessions',
    what: 'GET /v3/sessions lists, DELETE /v3/sessions/:id puts away: both were 404.',
    why: 'Sessions could be made and never found again, nor got rid of.',
  },
  'ws-last-seen': {
    plane: 'sessions',
    what: '`lastSeenSeq` of a turn.submit over the socket is checked, as over HTTP.',
    why: 'The old socket passed over it, so a writer that asked for the check was not given it.',
  },
  'messages-live': {
    plane: 'sessions',
    what: 'GET of a session shows what the running turn has said so far.',
    why: '[CR2] The answer is the fold of the log. The old conversation grew when a turn had ended.',
  },
  'lmx-key-refused': {
    plane: 'lmx',
    what: '401 of LMX is passed on as 403, with its code.',
    why: "On this plane 401 speaks of the daemon's own token, and clients go and look for another.",
  },
  'lmx-sent-once': {
    plane: 'lmx',
    what: 'A change that may have reached LMX is never sent again; `cause` is then outcome-unknown.',
    why: 'The old daemon sent it up to three times.',
  },
  'one-daemon-a-home': {
    plane: 'files',
    what: 'A second daemon on the same home is refused and changes no file.',
    why: 'The old one overwrote token and state of the first, which went on unseen.',
  },
  'log-private': {
    plane: 'files',
    what: 'daemon.log and everything below the data folder is readable by its user alone.',
    why: 'The old log and session files could be read by everybody on the machine.',
  },
  'store-not-files': {
    plane: 'files',
    what: 'Sessions are kept in daemon/data, not in sessions/<id>/events.jsonl and snapshot.json.',
    why: '[EV4] One durable store for all; the same lines come from GET /v3/sessions/:id/export?format=jsonl.',
  },
  'token-not-in-argv': {
    plane: 'files',
    what: 'The token is in no argument list, and `daemon start --json` hides it unless it is asked for.',
    why: '[AC1] Every process of the machine can read argument lists.',
  },
  'kill-waits': {
    plane: 'background',
    what: 'The kill of a background process is answered when nothing of it is alive, and shows its end.',
    why: '[BG3] Who ends a server wants its port. The old answer came first, and the process as it had been.',
  },
  'ends-with-leader': {
    plane: 'background',
    what: 'A background process has ended when its own process has; what that left behind is ended with it.',
    why: '[BG3] The old daemon called it running, and counted it, for as long as anything held its pipes open.',
  },
  'one-end': {
    plane: 'background',
    what: 'A time-out is one background.status, when the process has ended.',
    why: '[BG1] The old daemon told it twice, which looked like two ends.',
  },
  'background-limit': {
    plane: 'background',
    what: 'One background process too many is 429 and retryable, and the bound of five is for each session.',
    why: '[BG5] It is a limit like the others; counted over all sessions, one of them starved the rest.',
  },
  'legacy-chat': {
    plane: 'legacy',
    what: 'POST /v1/chat answers; it was 404.',
    why: 'It was promised to scripts from before v3, and announced by `opta server`, after its route was gone.',
  },
  'dangerous-allows': {
    plane: 'failures',
    what: 'overrides.dangerous lets every tool run unasked that no rule of the user denies.',
    why: 'It says so. The default profile of the old daemon asked all the same, for reads too.',
  },
  'reads-free': {
    plane: 'failures',
    what: 'Tools that only read run without a permission, in every mode.',
    why: '[PM4] They are confined to the workspace. The old daemon asked before each, so that a program without a person stood still.',
  },
  'cancel-releases': {
    plane: 'failures',
    what: 'A cancel ends a turn that waits for a permission at once; the request is denied by the daemon.',
    why: '[CX2] The old turn stayed until somebody decided, or for two minutes.',
  },
  'levels-noted': {
    plane: 'failures',
    what: 'overrides.autonomyLevel is kept with the turn and changes nothing.',
    why: 'Permissions come from modes, overrides and the rules of the user; a level that outranks a deny is none of them ([PM5]).',
  },
  'unknown-tool': {
    plane: 'failures',
    what: 'A call of a tool that does not exist, is refused by permission.resolved without a question.',
    why: 'There is nothing to decide. The old daemon asked a person whether a tool may run that it did not have.',
  },
  'questions-asked': {
    plane: 'failures',
    what: 'ask_user is a request that people answer, or decline, as they do with a permission.',
    why: '[PM7] The old daemon offered the tool and then told every model that it was unavailable.',
  },
  'torn-arguments': {
    plane: 'failures',
    what: 'A call whose arguments break off in the middle is never made: the step is asked for again, and then the turn ends with lmx-protocol.',
    why: 'What was cut may mean something else. The old daemon told the model that its JSON was bad.',
  },
  'one-call-at-a-time': {
    plane: 'failures',
    what: 'The calls of one message are asked about, run and told one after another.',
    why: '[TL2] They end as if run in this order. The old daemon asked about all, started all, and told each as it ended.',
  },
  'no-supervisor': {
    plane: 'failures',
    what: 'There are no atpo.* events, no checkpoint messages in the conversation, and no model pass that nobody asked for.',
    why: 'A supervising model is no part of this daemon; its messages stood in the conversation as if they had been said.',
  },
  'survives-bad-command': {
    plane: 'failures',
    what: 'A background command that cannot be started is answered with 500, and the daemon lives on.',
    why: '[SV1] The old daemon died of it.',
  },
  'content-bound': {
    plane: 'failures',
    what: 'The content of a turn may have 4 MiB; a longer one is 413.',
    why: '[SV3] It is sent to the model again with every step. The old bound was that of a body, 10 MiB.',
  },
  'start-first': {
    plane: 'failures',
    what: 'A turn that finds no inference server has its turn.start before its turn.error.',
    why: '[TQ3] Every turn that was taken from the queue began; the old one ended without having begun.',
  },
  'never-spliced': {
    plane: 'failures',
    what: 'A stream that breaks off in the middle of an answer ends the turn with lmx-ws-closed; what had come is kept.',
    why: 'An answer is never put together from two runs of a model. The old daemon asked again and cut off as much as it had.',
  },
  'turns-survive': {
    plane: 'failures',
    what: 'After kill -9 or a stop the running turn is closed as interrupted with its text, and what waited runs.',
    why: '[CR1] In the old daemon both were gone without a word, and numbers of events were given twice.',
  },
  'background-dies': {
    plane: 'failures',
    what: 'A background process dies with its daemon, and the next one tells its end as interrupted.',
    why: '[BG3] The old one lived on, unknown to the next daemon.',
  },
  'stop-told': {
    plane: 'failures',
    what: 'A daemon that stops closes its sockets with 1001, shutting-down.',
    why: 'A client should know that it may look for the next daemon; the old sockets closed without a code.',
  },
  'background-folder': {
    plane: 'background',
    what: 'Without a cwd a command runs in the workspace, or in the home folder of the user, not where the daemon was started.',
    why: 'Nothing depends on where a daemon was started.',
  },
  'no-bridge': {
    plane: 'bridge',
    what: 'POST /v3/bridge/connect is refused with 501 and not-in-this-build.',
    why: 'No machine elsewhere can be connected, and a client should not wait for one.',
  },
  'no-auth-callback': {
    plane: 'bridge',
    what: 'GET /auth/callback is 404.',
    why: 'There are no accounts, and the old route changed state without a token.',
  },
} as const;

export type Plane =
  | 'bridge'
  | 'control'
  | 'event'
  | 'background'
  | 'sessions'
  | 'lmx'
  | 'files'
  | 'legacy'
  | 'failures';
export type DifferenceId = keyof typeof DIFFERENCES;

/** The rows that an assertion has named; a row that none names is a claim without a test. */
export const namedDifferences = new Set<DifferenceId>();

/** Says that the assertion beside it is about this difference. */
export const differs = (id: DifferenceId): void => void namedDifferences.add(id);
