import fc from 'fast-check';
import { expect, test } from 'vitest';
import { connect } from '../../src/client/index.ts';
import type { LogRecord } from '../../src/protocol/events.ts';
import { emptySession, foldAll } from '../../src/protocol/session-state.ts';
import { stateHash } from '../../src/protocol/state-hash.ts';
import { legalLog } from '../protocol/legal-log.ts';
import { until } from '../support/cli.ts';
import { FakeDaemon } from '../support/fake-daemon.ts';

/**
 * What the way may do to a frame, each once for a place in the log, on whichever connection meets it first. `hold` lets the next
 * frame pass before it. `restart`, `rewind` happen to the daemon when that place is reached.
 */
const FAULTS = ['ok', 'drop', 'twice', 'old', 'hold', 'late', 'cut', 'restart', 'rewind'] as const;
type Fault = (typeof FAULTS)[number];

const plan = fc.record({
  log: legalLog.filter((log) => log.length > 1),
  faults: fc.array(fc.constantFrom<Fault>(...FAULTS), { minLength: 1, maxLength: 25 }),
  from: fc.constantFrom<'start' | 'snapshot'>('start', 'start', 'snapshot'),
  /** How many records are in the log before anybody attaches. */
  before: fc.nat({ max: 10 }),
});

/** A daemon that has nothing of its own in the log: every record is one of the plan's. */
const daemonWith = async (): Promise<FakeDaemon> => {
  const daemon = await new FakeDaemon().start();
  daemon.session('s').log.length = 0;
  return daemon;
};

const write = (daemon: FakeDaemon, { event, payload }: LogRecord): void => void daemon.emit('s', event, payload);

/** The way between daemon and client, with the plan's faults. */
const tampering = (daemon: FakeDaemon, faults: readonly Fault[], restart: (keep?: number) => void): void => {
  const used = new Set<number>();
  const held = new Map<number, string>();
  daemon.tamper = ({ seq, text }, connection) => {
    const waiting = held.get(connection);
    held.delete(connection);
    const then = waiting === undefined ? [] : [waiting];
    const fault = used.has(seq) ? 'ok' : (faults[seq % faults.length] ?? 'ok');
    used.add(seq);
    switch (fault) {
      case 'drop':
        return then;
      case 'twice':
        return [text, text, ...then];
      case 'old':
        return [text, daemon.session('s').log[Math.floor(seq / 2)]?.text ?? text, ...then];
      case 'hold':
        held.set(connection, text);
        return then;
      case 'cut':
        setImmediate(() => daemon.cutSockets());
        return [text, ...then];
      case 'restart':
        setImmediate(() => restart());
        return [text, ...then];
      case 'rewind':
        // A power cut takes back what was seen; the daemon then writes the same turn's records anew.
        setImmediate(() => restart(Math.max(1, seq - 3)));
        return [text, ...then];
      default:
        return [text, ...then];
    }
  };
  const late = new Set<number>();
  daemon.deliver = (ws, text) => {
    const { seq } = JSON.parse(text) as { seq: number };
    const first = faults[seq % faults.length] === 'late' && !late.has(seq);
    late.add(seq);
    // Those behind it pass, as on no real socket: the client must hold all the same.
    if (first) setTimeout(() => ws.send(text), 3);
    else ws.send(text);
  };
};

test('[CL1, CL3, EV2] whatever is cut, dropped, repeated, reordered, delayed, restarted or rewound: the view is the fold of the log', async () => {
  const met = new Map<string, number>();
  await fc.assert(
    fc.asyncProperty(plan, async ({ log, faults, from, before }) => {
      const daemon = await daemonWith();
      const client = connect({ address: () => Promise.resolve(daemon.address) });
      let restarting: Promise<void> = Promise.resolve();
      let written = 0;
      const writeUpTo = (count: number): void => {
        while (written < count) write(daemon, log[written++] as LogRecord);
      };
      try {
        writeUpTo(Math.min(log.length, 1 + before));
        tampering(daemon, faults, (keep) => {
          restarting = restarting.then(async () => {
            const kept = Math.min(keep ?? written, written);
            await daemon.restart({ s: kept });
            written = kept;
          });
        });
        const link = client.session('s', { from, backoff: { baseMs: 1, maxMs: 4 }, pingEveryMs: 15 });
        for (const kind of faults) met.set(kind, (met.get(kind) ?? 0) + 1);
        link.on('notice', ({ code }) => met.set(code, (met.get(code) ?? 0) + 1));
        link.on('reconnect', () => met.set('reconnect', (met.get('reconnect') ?? 0) + 1));
        const over = (): boolean => {
          writeUpTo(log.length);
          return link.cursor === log.length;
        };
        await until(over, `cursor ${link.cursor} of ${log.length}, ${link.state}`, 15_000);
        await restarting;
        await until(over, 'the end after the last restart', 15_000);
        // The daemon's own clock stamped what was written anew: its log is what counts.
        expect(link.view.stateHash()).toBe(stateHash(daemon.folded('s')));
        expect(link.view.state).toMatchObject({ seq: log.length });
        const told = foldAll(emptySession('s'), log);
        expect(link.view.state.messages).toEqual(told.messages);
        expect(await Promise.race([link.ended, 'still open'])).toBe('still open');
      } finally {
        client.close();
        await restarting;
        await daemon.stop();
      }
    }),
    { numRuns: 40, seed: 7 },
  );
  // The plan was no empty one: each fault was ordered, and the client had to come back and to begin anew.
  for (const fault of [...FAULTS, 'reconnect', 'log-rewound']) expect(met.get(fault), fault).toBeGreaterThan(0);
}, 120_000);
