import { expect } from 'vitest';
import { aWorld, eventsOf, turn } from '../compat/world.ts';
import { openVt, type Vt, type VtOptions } from '../support/vt.ts';

/** A daemon with a scripted inference server, and terminals on it. */
export const aTerminalWorld = () => {
  const world = aWorld({}, {});
  let sessions = 0;

  const session = async (metadata: object = {}): Promise<string> => {
    sessions += 1;
    const sessionId = `vt-${sessions}`;
    const body = { sessionId, metadata: { workspace: world.daemon.home, ...metadata } };
    expect((await world.daemon.post('/v3/sessions', body)).status).toBe(201);
    return sessionId;
  };

  const say = async (sessionId: string, content: string, writerId = 'eve'): Promise<string> => {
    const answer = await world.daemon.post(`/v3/sessions/${sessionId}/turns`, { ...turn(content), writerId });
    expect(answer.status, answer.text).toBe(202);
    return (answer.body as { turnId: string }).turnId;
  };

  const open = async (sessionId: string, options: VtOptions = {}): Promise<Vt> => {
    const vt = openVt(world.daemon.home, ['tui', '--session', sessionId], options);
    try {
      await vt.until(() => vt.alternate, 'the other screen');
      await vt.shows((options.columns ?? 80) < 40 ? '›' : 'connected');
    } catch (cause) {
      vt.close();
      throw cause;
    }
    return vt;
  };

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

  return Object.assign(world, { session, say, open, asked, decide });
};

export type TerminalWorld = ReturnType<typeof aTerminalWorld>;

export const script = (directive: object, words = ''): string => `${words} @@${JSON.stringify(directive)}@@`;
