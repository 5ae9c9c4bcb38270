import type { LogRecord } from '../../src/protocol/events.ts';
import type { Message } from '../../src/protocol/session.ts';

/**
 * The fold as docs/PROTOCOL.md describes it to authors of clients, row by row of its table, and nothing else. It is a second
 * opinion: where it differs from the real fold, the page or the fold is wrong.
 */
export interface PageState {
  seq: number;
  revision: number;
  messages: Message[];
  queue: string[];
  running: string | null;
  cancelling: boolean;
  open: string[];
  asked: string[];
  toolCalls: number;
  /** Tools that are not asked about again, and who said so. */
  remembered: { tool: string; decidedBy: string }[];
  /** Background processes that run. */
  background: string[];
}

export const pageFold = (log: readonly LogRecord[]): PageState => {
  const s: PageState = {
    seq: 0,
    revision: 0,
    messages: [],
    queue: [],
    running: null,
    cancelling: false,
    open: [],
    asked: [],
    toolCalls: 0,
    remembered: [],
    background: [],
  };
  const waiting = new Map<string, { content: string; writerId: string }>();
  let text = '';
  /** The calls of the step, as they take effect. */
  let order: string[] = [];
  const settle = (id: string, content: string): void => {
    const results = s.messages.splice(s.messages.findLastIndex((m) => m.role !== 'tool') + 1);
    results.push({ role: 'tool', content, tool_call_id: id });
    const place = (m: Message): number => order.indexOf(m.tool_call_id ?? '');
    s.messages.push(...results.sort((x, y) => place(x) - place(y)));
    s.open = s.open.filter((open) => open !== id);
  };
  for (const r of log) {
    s.seq = r.seq;
    switch (r.event) {
      case 'session.snapshot':
        s.messages = [...r.payload.messages];
        break;
      case 'turn.queued':
        waiting.set(r.payload.turnId, r.payload);
        s.queue.splice(r.payload.position - 1, 0, r.payload.turnId);
        break;
      case 'turn.start':
        s.queue = s.queue.filter((id) => id !== r.payload.turnId);
        s.running = r.payload.turnId;
        s.cancelling = false;
        s.messages.push({ role: 'user', content: waiting.get(r.payload.turnId)?.content ?? '' });
        break;
      case 'turn.token':
        text += r.payload.text;
        break;
      case 'turn.progress': {
        if (r.payload.phase !== 'model.response') break;
        const calls = r.payload.calls ?? [];
        const tool_calls = calls.map(({ id, name, args }) => ({
          id,
          type: 'function' as const,
          function: { name, arguments: args },
        }));
        s.messages.push({ role: 'assistant', content: text, tool_calls });
        s.open = calls.map(({ id }) => id);
        order = s.open;
        text = '';
        break;
      }
      case 'permission.request':
        s.asked.push(r.payload.requestId);
        break;
      case 'permission.resolved':
        s.asked = s.asked.filter((id) => id !== r.payload.requestId);
        if (r.payload.remember !== undefined) {
          const { toolName: tool, decidedBy } = r.payload;
          s.remembered = [...s.remembered.filter((one) => one.tool !== tool), { tool, decidedBy }];
        }
        if (r.payload.decision === 'deny')
          settle(r.payload.callId, r.payload.message ?? `The call was not allowed (${r.payload.reason}).`);
        break;
      case 'tool.start':
        s.toolCalls += 1;
        break;
      case 'tool.end':
        settle(r.payload.id, r.payload.result);
        break;
      case 'session.cancelled': {
        const { turnId, writerId, all } = r.payload;
        if (
          s.running !== null &&
          (all ||
            ((turnId ?? s.running) === s.running &&
              (turnId !== undefined || waiting.get(s.running)?.writerId === writerId)))
        )
          s.cancelling = true;
        break;
      }
      case 'turn.done':
      case 'turn.error':
        s.queue = s.queue.filter((id) => id !== r.payload.turnId);
        if (r.event === 'turn.done' && r.payload.steeredInto !== undefined)
          s.messages.push({ role: 'user', content: waiting.get(r.payload.turnId)?.content ?? '' });
        if (s.running !== r.payload.turnId) break;
        for (const id of [...s.open]) settle(id, 'The call was not run: the turn ended before it.');
        if (text !== '' || r.event === 'turn.done') s.messages.push({ role: 'assistant', content: text });
        text = '';
        s.running = null;
        s.cancelling = false;
        break;
      case 'session.updated': {
        const { change } = r.payload;
        if (change?.kind === 'settings')
          s.remembered = s.remembered.filter(({ tool }) => !change.forget?.includes(tool));
        if (change?.kind !== 'queue') break;
        const turn = waiting.get(change.turnId);
        if (turn && change.content !== undefined) waiting.set(change.turnId, { ...turn, content: change.content });
        if (change.order) s.queue = change.order;
        break;
      }
      case 'background.status': {
        const { processId, endedAt } = r.payload.process;
        s.background = s.background.filter((id) => id !== processId);
        if (endedAt === null) s.background.push(processId);
        break;
      }
      case 'background.output':
      case 'turn.thinking':
        break;
    }
    if (['session.snapshot', 'turn.queued', 'turn.done', 'turn.error'].includes(r.event)) s.revision = r.seq;
  }
  return s;
};
