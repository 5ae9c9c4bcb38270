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
}

/** The session that the daemon of the tests holds. */
export const KNOWN_SESSION = 'well-known';
const READ = ['show', 'export', 'queue'];

export const JSON_COMMANDS: { readonly [command: string]: JsonCommand } = {
  do: { lines: [['say it'], ['--mode', 'plan', 'x'], ['--detach', 'x'], ['--session', 'nobody', 'x'], ['']] },
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
      ['reset'],
    ],
    alone: true,
  },
  doctor: { lines: [[], ['--exit-code']] },
  inspect: { lines: [[], [KNOWN_SESSION], ['nobody']] },
  why: { lines: [[KNOWN_SESSION], ['nobody']] },
  'lmx serve': { lines: [[]] },
};
