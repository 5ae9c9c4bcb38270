import { expect } from 'vitest';
import { aWorld, eventsOf, turn } from '../compat/world.ts';
import type { Directive, SeenRequest } from '../support/fake-lmx.ts';
import { openVt, type Vt, type VtOptions } from '../support/vt.ts';

/** What the screen says where. */
export const SAYS = {
  prompt: '› ',
  connected: 'connected',
  lost: 'connection lost',
  asks: 'allow this?',
  /** At the end of each turn that went well. */
  ended: /\d+ tokens/,
} as const;

/** A daemon with a scripted inference server, and terminals on it. */
export const aTerminalWorld = () => {
  const scripts = new Map<string, Directive>();
  const world = aWorld({ reply: (request) => scripts.get(/§\d+/.exec(saidIn(request))?.[0] ?? '') }, {});
  let sessions = 0;

  /** A prompt that is answered so. What the model is to say does not stand in it: tests wait for that on the screen. */
  const prompt = (directive: Directive, words = ''): string => {
    const key = `§${scripts.size + 1}`;
    scripts.set(key, directive);
    return `${words}${key}`;
  };
  const writes = (path: string, content = 'hi'): string =>
    prompt({ tools: [{ name: 'write_file', args: { path, content } }], text: 'so be it' }, 'write ');

  const session = async (more: { title?: string } = {}): Promise<string> => {
    sessions += 1;
    const sessionId = `vt-${sessions}`;
    const body = { sessionId, metadata: { workspace: world.daemon.home }, ...more };
    expect((await world.daemon.post('/v3/sessions', body)).status).toBe(201);
    return sessionId;
  };

  const say = async (sessionId: string, content: string, writerId = 'eve'): Promise<string> => {
    const answer = await world.daemon.post(`/v3/sessions/${sessionId}/turns`, { ...turn(content), writerId });
    expect(answer.status, answer.text).toBe(202);
    return (answer.body as { turnId: string }).turnId;
  };

  const open = (sessionId: string, options: VtOptions = {}): Promise<Vt> =>
    opened(openVt(world.daemon.home, ['tui', '--session', sessionId], options));

  /** Of the question that stands last in the log. */
  const asked = async (sessionId: string): Promise<string> => {
    const request = (await eventsOf(world.daemon, sessionId)).findLast((e) => e.event === 'permission.request');
    expect(request).toBeDefined();
    return String(request?.payload?.requestId);
  };

  const decide = async (sessionId: string, decision: 'allow' | 'deny', decidedBy = 'eve'): Promise<void> => {
    const requestId = await asked(sessionId);
    const body = { requestId, decision, decidedBy };
    const answer = await world.daemon.post(`/v3/sessions/${sessionId}/permissions/${requestId}`, body);
    expect(answer.status, answer.text).toBe(200);
  };

  return Object.assign(world, { prompt, writes, session, say, open, asked, decide });
};

const saidIn = ({ body }: SeenRequest): string => {
  const content = body.messages?.findLast((m) => m.role === 'user')?.content;
  return typeof content === 'string' ? content : '';
};

/** Once it shows its session. */
export const opened = async (vt: Vt): Promise<Vt> => {
  try {
    await vt.until(() => vt.alternate, 'the other screen');
    await vt.shows(vt.columns < 40 ? SAYS.prompt.trim() : SAYS.connected);
    return vt;
  } catch (cause) {
    vt.close();
    throw cause;
  }
};

/** Seconds that count and a cursor that blinks are not what is compared. */
const still = (lines: readonly string[]): string[] => lines.map((line) => line.replace(/\d+ s\b/g, 'n s').trimEnd());

/** What was drawn by changes alone is what the whole screen is when it is drawn anew. */
export const expectSameWhenDrawnAnew = async (vt: Vt): Promise<void> => {
  await vt.quiet(200);
  const changes = still(vt.lines());
  vt.press('C-l');
  await vt.quiet(200);
  expect(changes).toEqual(still(vt.lines()));
};

/** The bar above reaches from edge to edge, and so does the line above the composer, whatever stands in between. */
export const expectFrame = (vt: Vt): void => {
  const bars = Array.from({ length: vt.height }, (_, y) => vt.cells(y)).filter((cells) => cells[0]?.inverse);
  expect(bars.length).toBeGreaterThan(0);
  for (const bar of bars) expect(bar.filter((cell) => !cell.inverse && cell.columns > 0)).toEqual([]);
};
