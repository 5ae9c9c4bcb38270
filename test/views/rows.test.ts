import { describe, expect, test } from 'vitest';
import { SessionView, type View } from '../../src/client/session-view.ts';
import type { LogRecord } from '../../src/protocol/events.ts';
import { RowSearch } from '../../src/views/row-search.ts';
import { type Row, RowReader, textOfRow } from '../../src/views/rows.ts';

const TURN = 'turn_1';
let at = 0;
const record = (event: string, payload: object): LogRecord =>
  ({ seq: ++at, ts: new Date(1_700_000_000_000 + at).toISOString(), event, payload }) as unknown as LogRecord;

const begun = (turnId = TURN): LogRecord[] => [
  record('turn.queued', {
    turnId,
    writerId: 'ada',
    clientId: 'c',
    queueSize: 1,
    position: 1,
    content: 'hello',
    mode: 'chat',
    onBusy: 'enqueue',
  }),
  record('turn.start', { turnId, writerId: 'ada', clientId: 'c', mode: 'chat' }),
  record('turn.progress', { turnId, phase: 'model.request', message: null, step: 1 }),
];
const token = (text: string): LogRecord => record('turn.token', { turnId: TURN, text, step: 1 });
const done = (turnId = TURN): LogRecord =>
  record('turn.done', {
    turnId,
    writerId: 'ada',
    clientId: 'c',
    stats: { tokens: 1, elapsedMs: 1, speed: 1, toolCalls: 0 },
  });

const world = (messages: object[] = []) => {
  at = 0;
  const view = new SessionView('s');
  view.apply(record('session.snapshot', { snapshot: { model: '', createdAt: '', updatedAt: '' }, messages }));
  return {
    feed: (...all: LogRecord[]): View => {
      for (const one of all) view.apply(one);
      return view.current;
    },
  };
};
const kinds = (rows: readonly Row[]): string[] => rows.map(({ kind }) => kind);

describe('the rows of a conversation', () => {
  test('a text keeps its row id from its first token to the end of its turn', () => {
    const { feed } = world();
    const reader = new RowReader();
    const open = reader.read(feed(...begun(), token('one ')));
    expect(kinds(open.live)).toEqual(['user', 'text']);
    const grown = reader.read(feed(token('two')));
    const text = grown.live[1] as Row;
    expect(text).toMatchObject({ id: open.live[1]?.id, text: 'one two', open: true });
    // Nothing but the open text is another object.
    expect(grown.live[0]).toBe(open.live[0]);
    const { settled, live } = reader.read(feed(done()));
    expect(live).toEqual([]);
    expect(kinds(settled)).toEqual(['user', 'text', 'end']);
    expect(settled[1]).toMatchObject({ id: text.id, text: 'one two', open: false });
  });

  test('what has settled is one array until a further turn has ended', () => {
    const { feed } = world();
    const reader = new RowReader();
    const before = reader.read(feed(...begun(), token('a'), done())).settled;
    expect(reader.read(feed(...begun('turn_2'))).settled).toBe(before);
    const after = reader.read(feed(done('turn_2'))).settled;
    expect(after.slice(0, before.length).every((row, i) => row === before[i])).toBe(true);
    expect(kinds(after)).toEqual(['user', 'text', 'end', 'user', 'end']);
  });

  test('a call and its permission are one row, which is another object when either has changed', () => {
    const { feed } = world();
    const reader = new RowReader();
    const calls = [{ id: 'k', name: 'write_file', args: '{"path":"a"}' }];
    const waiting = reader
      .read(
        feed(
          ...begun(),
          record('turn.progress', { turnId: TURN, phase: 'model.response', message: null, step: 1, calls }),
        ),
      )
      .live.at(-1);
    expect(waiting).toMatchObject({ kind: 'tool', permission: null, tool: { state: 'waiting' } });
    const asked = reader.read(
      feed(
        record('permission.request', {
          turnId: TURN,
          requestId: 'r',
          callId: 'k',
          toolName: 'write_file',
          summary: 's',
          expiresAt: '',
        }),
      ),
    ).live;
    expect(kinds(asked)).toEqual(['user', 'tool']);
    expect(asked[1]).toMatchObject({ tool: { state: 'asked' }, permission: { requestId: 'r' } });
    const decided = {
      turnId: TURN,
      requestId: 'r',
      callId: 'k',
      toolName: 'write_file',
      decision: 'allow',
      reason: 'person',
      decidedBy: 'person:ada',
    };
    const allowed = reader.read(feed(record('permission.resolved', decided))).live[1];
    expect(allowed).not.toBe(asked[1]);
    expect(allowed).toMatchObject({ id: asked[1]?.id, permission: { decidedBy: 'person:ada' } });
    const again = reader.read(feed(token('x'))).live[1];
    expect(again).toBe(allowed);
  });

  test('messages from before the first event are rows too; a call has the result that belongs to it', () => {
    const { feed } = world([
      { role: 'system', content: 'be brief' },
      { role: 'user', content: 'read it' },
      {
        role: 'assistant',
        content: '',
        tool_calls: [
          { id: 'a', type: 'function', function: { name: 'read_file', arguments: '{}' } },
          { id: 'b', type: 'function', function: { name: 'list_dir', arguments: '{}' } },
        ],
      },
      { role: 'tool', tool_call_id: 'a', content: 'words' },
      { role: 'assistant', content: 'done' },
    ]);
    const { settled } = new RowReader().read(feed());
    expect(kinds(settled)).toEqual(['system', 'user', 'tool', 'tool', 'text']);
    expect(settled[2]).toMatchObject({ tool: { name: 'read_file', state: 'done', result: 'words' } });
    expect(settled[3]).toMatchObject({ tool: { name: 'list_dir', state: 'not-run' } });
    expect(new Set(settled.map(({ id }) => id)).size).toBe(5);
  });

  test('a search finds words of people, of the model and of tools, whatever their case', () => {
    const { feed } = world([
      { role: 'user', content: 'Where is the Garden?' },
      { role: 'assistant', content: 'gardens are below' },
      {
        role: 'assistant',
        content: '',
        tool_calls: [{ id: 'a', type: 'function', function: { name: 'x', arguments: '{"p":"GARDEN"}' } }],
      },
      { role: 'assistant', content: 'nothing' },
    ]);
    const { settled } = new RowReader().read(feed());
    const found = (wanted: string): readonly number[] => {
      const search = new RowSearch(settled, wanted);
      expect(search.go()).toBe(true);
      return search.places;
    };
    expect(found('garden')).toEqual([0, 1, 2]);
    expect(found('')).toEqual([]);
    expect(textOfRow(settled[2] as Row)).toContain('GARDEN');
  });
});
