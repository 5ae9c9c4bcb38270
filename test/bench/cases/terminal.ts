import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { hasVt, openVt, type Vt } from '../../support/vt.ts';
import { Connection } from '../http.ts';
import { type Daemon, removeHome, startDaemon, stopDaemon, tempHome } from '../processes.ts';
import { seedTurns } from '../seed.ts';
import { type Figure, figure, quantile } from '../stats.ts';
import { createSession, submit, type World } from '../world.ts';

const KEYS = 150;
const TOKENS_PER_S = 500;
const TURNS = 10_000;
const DEADLINE_MS = 15_000;
const LONG = 'long';
/** No multiple of a frame, so that keys come at every moment of one. */
const PAUSES_MS = [31, 47, 59, 23, 71];

/** From the byte of a key to the arrival of the bytes that show it, in milliseconds. */
const typed = async (vt: Vt): Promise<number[]> => {
  const tookMs: number[] = [];
  await vt.quiet(100, 1_000).catch(() => undefined);
  for (let i = 0; i < KEYS; i++) {
    const column = i % 20;
    if (column === 0) {
      vt.press('C-u');
      await sleep(200);
    }
    const y = promptRow(vt);
    const x = 2 + column;
    const sign = String.fromCharCode(97 + (i % 26));
    const startedAt = performance.now();
    tookMs.push((await shownAt(vt, x, y, sign, () => vt.type(sign))) - startedAt);
    await sleep(PAUSES_MS[i % PAUSES_MS.length]);
  }
  vt.press('C-u');
  return tookMs;
};

/** The cursor is no sign of it: it is elsewhere while a frame is drawn. */
const promptRow = (vt: Vt): number => {
  for (let y = vt.height - 1; y >= 0; y--) if (vt.sign(0, y) === '›') return y;
  throw new Error(`no prompt:\n${vt.screen()}`);
};

const shownAt = (vt: Vt, x: number, y: number, sign: string, press: () => void): Promise<number> =>
  new Promise((resolve, reject) => {
    const late = setTimeout(() => {
      undo();
      reject(new Error(`the key ${sign} was not drawn at ${x}, ${y} within ${DEADLINE_MS} ms:\n${vt.screen()}`));
    }, DEADLINE_MS);
    const undo = vt.onDrawn((atMs) => {
      if (vt.sign(x, y) !== sign) return;
      clearTimeout(late);
      undo();
      resolve(atMs);
    });
    press();
  });

interface Measured {
  p50: Figure;
  p95: Figure;
}

/** Over all repetitions; with `streaming`, beside an answer of 500 tokens a second. */
const measured = async (world: World, daemon: Daemon, sessionId: string, streaming: boolean): Promise<Measured> => {
  const http = new Connection(daemon.port, daemon.token);
  const p50: number[] = [];
  const p95: number[] = [];
  for (let rep = 0; rep < world.reps; rep++) {
    const vt = await terminal(world, daemon, sessionId);
    try {
      const turnId = streaming ? await submit(http, sessionId, `bench tokens=60000 tps=${TOKENS_PER_S}`) : null;
      if (turnId !== null) await vt.until((text) => text.includes(';'), 'text', DEADLINE_MS);
      const tookMs = await typed(vt);
      p50.push(quantile(tookMs, 0.5));
      p95.push(quantile(tookMs, 0.95));
      if (turnId !== null) await http.request('POST', `/v3/sessions/${sessionId}/cancel`, JSON.stringify({ turnId }));
    } finally {
      vt.close();
    }
  }
  http.close();
  return { p50: figure(p50), p95: figure(p95) };
};

const terminal = async (world: World, daemon: Daemon, sessionId: string): Promise<Vt> => {
  const command = [process.execPath, join(world.app, 'bin', 'opta.js')];
  const vt = openVt(daemon.home, ['tui', '--session', sessionId], { columns: 120, rows: 40, command });
  await vt.until((text) => text.includes('connected'), 'the session', DEADLINE_MS);
  await vt.quiet(300, DEADLINE_MS).catch(() => undefined);
  return vt;
};

/** A key on the full screen until it is drawn, in an emulator that shares the cores with everything else. */
export const terminalKeys = async (world: World): Promise<void> => {
  if (!hasVt) {
    process.stderr.write('skipped: no pseudo-terminal here … ');
    return;
  }
  const home = tempHome();
  await seedTurns(home, LONG, TURNS);
  const daemon = await startDaemon({ app: world.app, sourcePort: world.source.port, home });
  try {
    const http = new Connection(daemon.port, daemon.token);
    const short = await createSession(http);
    http.close();
    const still = await measured(world, daemon, short, false);
    const add = (what: string, ours: Measured): void => {
      const one = (name: string, figures: Figure, peer: Figure): void =>
        world.add({
          case: 'k',
          what: `${what}: ${name}`,
          unit: ' ms',
          ours: figures,
          peer,
          peerName: 'an empty session',
        });
      one('p50', ours.p50, still.p50);
      world.add({
        case: 'k',
        what: `${what}: p95`,
        unit: ' ms',
        ours: ours.p95,
        peer: still.p95,
        peerName: 'an empty session',
        target: '< 50 ms',
        met: ours.p95.median < 50,
      });
    };
    add(`key → drawn, ${TOKENS_PER_S} tokens/s`, await measured(world, daemon, short, true));
    add(`key → drawn, ${(TURNS * 2).toLocaleString('en-US')} messages`, await measured(world, daemon, LONG, false));
    const both = `key → drawn, ${(TURNS * 2).toLocaleString('en-US')} messages and ${TOKENS_PER_S} tokens/s`;
    add(both, await measured(world, daemon, LONG, true));
    const openMs: number[] = [];
    for (let rep = 0; rep < world.reps; rep++) {
      const startedAt = performance.now();
      const vt = await terminal(world, daemon, LONG);
      openMs.push(performance.now() - startedAt - 300);
      vt.close();
    }
    world.add({
      case: 'k',
      what: 'opta tui → a session of 20,000 messages is drawn',
      unit: ' ms',
      ours: figure(openMs),
    });
  } finally {
    await stopDaemon(daemon, true);
    removeHome(home);
  }
};
