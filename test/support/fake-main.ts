import { appendFileSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isAlive } from '../../src/client/daemon-state.ts';
import { ownIdentity } from '../../src/process-identity.ts';
import { FakeDaemon, type FakeTurn } from './fake-daemon.ts';

/** A daemon process for tests of starting and stopping: an instance lock, a state file, a clean stop on SIGTERM. */
const home = process.env.OPTA_HOME as string;
const lock = join(home, 'daemon', 'lock');
const mode = process.env.FAKE_MAIN_MODE;

if (mode === 'crash') {
  process.stderr.write('Error: the disk is on fire\n    at nowhere\n');
  process.exit(1);
}
const locked = (): boolean => {
  try {
    writeFileSync(lock, String(process.pid), { flag: 'wx' });
    return true;
  } catch {
    const holder = Number(readFileSync(lock, 'utf8') || process.pid);
    if (isAlive(holder)) return false;
    writeFileSync(lock, String(process.pid));
    return true;
  }
};
if (!locked()) {
  process.stderr.write('{"level":50,"msg":"daemon-already-running"}\n');
  process.exit(1);
}
// Long enough for a second starter to meet the lock before there is a state file.
await new Promise((resolve) => setTimeout(resolve, 300));
const flag = (name: string): string | undefined => process.argv[process.argv.indexOf(`--${name}`) + 1];
const daemon = await new FakeDaemon().start(process.argv.includes('--port') ? Number(flag('port')) : 0);
daemon.engine = {
  engine: process.argv.includes('--engine') ? flag('engine') : 'lmx',
  loopbackOnly: process.env.OPTA_LOOPBACK_ONLY === '1',
};
const logFile = join(home, 'daemon', 'log.jsonl');
if (mode === 'durable') {
  if (existsSync(logFile)) recover();
  // Written before it is sent: what anybody saw survives SIGKILL.
  daemon.onRecord = (record) => appendFileSync(logFile, `${JSON.stringify(record)}\n`);
}
daemon.script = stream;
daemon.onPermission = (turn) => {
  writeFileSync(join(String(turn.body.workspace ?? process.env.FAKE_WORKSPACE), 'opta-demo-note.md'), 'note');
  turn.token('[demo] written', 2);
  turn.done();
};
if (mode === 'other-contract') daemon.contract = { name: 'opta-daemon-v2', version: 9 };
const known = mode === 'other-contract' ? { processStarted: ownIdentity().started } : {};
daemon.writeState(home, { pid: process.pid, ...known });
process.on('SIGTERM', () => {
  if (mode === 'stubborn') return;
  rmSync(join(home, 'daemon', 'state.json'), { force: true });
  rmSync(lock, { force: true });
  process.exit(0);
});

/** A long answer for the crash demo; for anything else a question whether a note may be written. */
async function stream(turn: FakeTurn): Promise<void> {
  if (!turn.content.startsWith('stream')) {
    turn.token('[demo] reading');
    turn.emit('permission.request', {
      requestId: 'r1',
      callId: 'c1',
      toolName: 'write_file',
      args: {},
      summary: 'Write opta-demo-note.md',
      expiresAt: '2030-01-01T00:00:00.000Z',
    });
    return;
  }
  for (let i = 0; i < 100_000; i++) {
    turn.token(`word-${i} `);
    if (i % 5 === 0) await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

function recover(): void {
  const records = readFileSync(logFile, 'utf8')
    .split('\n')
    .filter((line) => line.endsWith('}'))
    .map((line) => JSON.parse(line) as { sessionId: string; seq: number; text: string });
  const { sessionId, text } = records.at(-1) ?? { sessionId: 's1', text: '{}' };
  const log = records.map(({ seq, text }) => ({ seq, text }));
  daemon.sessions.set(sessionId, {
    sessionId,
    model: 'demo',
    messages: [],
    log,
    sockets: new Set(),
    keys: new Map(),
    decided: new Map(),
  });
  const { turnId } = JSON.parse(text).payload;
  const end = { turnId, writerId: 'w', clientId: 'c', message: 'Interrupted', code: 'interrupted' };
  daemon.onRecord = (record) => appendFileSync(logFile, `${JSON.stringify(record)}\n`);
  daemon.emit(sessionId, 'turn.error', { ...end, outcome: 'interrupted', partial: true });
}
