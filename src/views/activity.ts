import { oneLine } from '../client/printable.ts';
import type { View } from '../client/session-view.ts';

/** What a session does at this moment, for its status line. */
export interface Activity {
  /** One word for its looks. */
  kind: 'idle' | 'waiting' | 'thinking' | 'writing' | 'tool' | 'asking' | 'cancelling';
  /** The same for people: `running read_file`. */
  text: string;
  /** Of the running turn; '' when none runs. */
  writerId: string;
  startedAtMs: number | null;
  queued: number;
}

export const activityOf = ({ active, state }: View): Activity => {
  const queued = state.queue.length;
  if (!active) return { kind: 'idle', text: 'ready', writerId: '', startedAtMs: null, queued };
  const startedAtMs = active.startedAt === '' ? null : Date.parse(active.startedAt);
  const is = (kind: Activity['kind'], text: string): Activity => ({
    kind,
    text,
    writerId: active.writerId,
    startedAtMs,
    queued,
  });
  if (state.active?.cancelling) return is('cancelling', 'cancelling');
  if (active.items.some((item) => item.kind === 'tool' && item.state === 'asked')) {
    return is('asking', 'asks for a decision');
  }
  const call = active.items.findLast((item) => item.kind === 'tool' && item.state === 'running');
  if (call?.kind === 'tool') return is('tool', `running ${oneLine(call.name, 40)}`);
  if (active.open?.kind === 'thinking') return is('thinking', 'thinking');
  return active.open ? is('writing', 'writing') : is('waiting', 'waiting for the model');
};
