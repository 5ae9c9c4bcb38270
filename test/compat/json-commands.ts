/**
 * Every command that can print JSON, with command lines that it takes. `test/compat/streams.test.ts` runs each of them in several
 * situations, and fails when a command of the tree is not here: add its row with the command.
 */
export interface JsonCommand {
  /** What follows the command; the flag that asks for JSON is added. */
  lines: readonly (readonly string[])[];
  /** In a home of its own, without a daemon: what it changes must not be seen by others. */
  alone?: true;
  /** JSON lines in place of one value. */
  jsonl?: true;
  /** What is piped in. Without it, or where nothing is said, a success may be silent. */
  stdin?: string;
  /** Flags that it does not know are passed over, or on. */
  anyFlag?: true;
}

/** The session that the daemon of the tests holds. */
export const KNOWN_SESSION = 'well-known';
const READ = ['show', 'export', 'queue'];
/** Not part of this build: whatever they are asked, they say so. */
const ABSENT: JsonCommand = { lines: [[], ['do', 'something']], anyFlag: true };

export const JSON_COMMANDS: { readonly [command: string]: JsonCommand } = {
  do: { lines: [['say it'], ['--mode', 'plan', 'x'], ['--detach', 'x'], ['--session', 'nobody', 'x'], ['']] },
  chat: {
    lines: [['--plan'], ['--resume', 'nobody'], ['--session', 'nobody'], ['--auto']],
    stdin: 'hello\n',
    jsonl: true,
  },
  tui: { lines: [[], ['--session', 'nobody']], stdin: 'hello\n', jsonl: true },
  web: { lines: [[], ['--session', 'nobody'], ['--print'], ['--revoke']] },
  'daemon start': { lines: [[], ['--port', '0'], ['--engine', 'demo']], alone: true },
  'daemon restart': { lines: [[]], alone: true },
  'daemon stop': { lines: [[]], alone: true },
  'daemon status': { lines: [[], ['--show-token'], ['--exit-code']] },
  'daemon logs': { lines: [[], ['--lines', '3']] },
  sessions: {
    lines: [
      [],
      ['list', '--since', '7d', '--limit', '3'],
      ['search', 'known'],
      ...READ.map((action) => [action, KNOWN_SESSION]),
      ['tag', KNOWN_SESSION, 'seen'],
      ['untag', KNOWN_SESSION],
      ['fork', KNOWN_SESSION],
      ['delete', 'nobody'],
      ['undelete', 'nobody'],
      ['resume', 'nobody'],
    ],
  },
  config: {
    lines: [
      [],
      ['get', 'model.default'],
      ['get', 'no.such'],
      ['set', 'model.default', 'm'],
      ['set', 'connection.port', 'many'],
      ['delete', 'model.default'],
      ['explain', 'model.default'],
      ['path'],
      ['trust'],
      ['trust', 'list'],
      ['remembered'],
      ['remembered', '--revoke'],
      ['reset'],
    ],
    alone: true,
  },
  undo: {
    lines: [['--session', KNOWN_SESSION], ['--session', KNOWN_SESSION, '--dry-run'], ['--session', 'nobody'], ['t1']],
  },
  doctor: { lines: [[], ['--exit-code']] },
  inspect: { lines: [[], [KNOWN_SESSION], ['nobody']] },
  why: { lines: [[KNOWN_SESSION], ['nobody']] },
  attach: { lines: [[KNOWN_SESSION, '--json'], ['nobody', '--json'], ['--json']] },
  'lmx serve': { lines: [[], ['--engine', 'scripted'], ['--url', 'nowhere']] },
  'lmx status': { lines: [[], ['--exit-code']] },
  'lmx stop': { lines: [[], ['--port', '1']] },
  // With a PATH on which nothing manages services.
  'daemon install': { lines: [[]], alone: true },
  'daemon uninstall': { lines: [[]], alone: true },
  settings: { lines: [[], ['get', 'model.default']], alone: true },
  onboard: { lines: [[]], alone: true },
  env: {
    lines: [
      [],
      ['save', 'home', '--host', '127.0.0.1'],
      ['show', 'home'],
      ['use', 'home'],
      ['delete', 'home'],
      ['use', 'nobody'],
      ['save'],
      ['frobnicate'],
    ],
    alone: true,
  },
  status: { lines: [[], ['--full'], ['--device', 'a b']] },
  health: { lines: [[], ['--skip-lmx']] },
  models: {
    lines: [
      [],
      ['list', '--full'],
      ['dashboard'],
      ['info', 'fake-model'],
      ['info', 'nobody'],
      ['use'],
      ['aliases'],
      ['history'],
      ['health'],
      ['scan'],
      ['load', 'fake-model'],
      ['unload', 'nobody'],
      ['swap', 'fake-model'],
      ['browse'],
      ['frobnicate'],
      ['help'],
    ],
  },
  embed: { lines: [['some', 'text']] },
  rerank: { lines: [['query', '-d', 'a|b']] },
  serve: { lines: [[], ['start'], ['frobnicate']] },
  'mcp list': { lines: [[]] },
  'mcp add': {
    lines: [
      ['files', 'no-such-command', '--env', 'A=b'],
      ['files', 'other'],
      ['bad name!', 'x'],
    ],
    alone: true,
  },
  'mcp add-playwright': { lines: [[], ['--mode', 'attach']], alone: true },
  'mcp remove': { lines: [['nobody']], alone: true },
  'mcp test': { lines: [['nobody']] },
  'mcp health': { lines: [[], ['--timeout-ms', '500'], ['--timeout-ms', 'soon']] },
  keychain: {
    lines: [[], ['set-openai', 'sk-1'], ['delete-openai'], ['set-nobody', 'x'], ['frobnicate']],
    alone: true,
  },
  'key create': { lines: [['--no-copy', '--no-remote', '--value', 'k'], ['--no-copy']], alone: true },
  'key show': { lines: [[], ['--reveal']], alone: true },
  'key copy': { lines: [[]], alone: true },
  init: { lines: [['--yes'], ['--yes'], ['--yes', '--force']], alone: true },
  diff: { lines: [[], ['--session', 'nobody']] },
  version: { lines: [[], ['--check']] },
  account: ABSENT,
  vault: ABSENT,
  apps: ABSENT,
  workspace: ABSENT,
  benchmark: ABSENT,
  'ceo-bench': ABSENT,
  browser: ABSENT,
  update: ABSENT,
  memory: ABSENT,
};
