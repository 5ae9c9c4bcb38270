import fc from 'fast-check';
import { expect, test } from 'vitest';
import { LIMITS } from '../../src/actors/limits.ts';
import type { InferenceEvents } from '../../src/actors/ports.ts';
import { Answer } from '../../src/inference/answer.ts';
import { createCallGatherer, isCutOff } from '../../src/inference/call-gatherer.ts';
import { createSseReader } from '../../src/inference/lmx-sse.ts';
import { createFrameReader } from '../../src/inference/lmx-ws.ts';
import { createThinkTag } from '../../src/inference/think-tag.ts';
import { quiet } from './bench.ts';

/** An answer that writes down what the port would hear. */
const recorded = () => {
  const events: unknown[] = [];
  const on: InferenceEvents = {
    accepted: (facts) => void events.push(['accepted', facts.model]),
    text: (s) => void events.push(['text', s]),
    thinking: (s) => void events.push(['thinking', s]),
    end: (result) => void events.push(['end', result]),
    fail: (error) => void events.push(['fail', error.code]),
  };
  let released = 0;
  const answer = new Answer(on, 'call_t_1', quiet, () => {
    released++;
  });
  answer.model = 'asked';
  return { events, answer, released: () => released };
};
const readBody = (chunks: Uint8Array[], how = 'ended') => {
  const { events, answer, released } = recorded();
  const reader = createSseReader(answer);
  for (const chunk of chunks) reader.feed(chunk);
  reader.end(how);
  expect(released()).toBe(1);
  return events;
};
const whole = (body: string, how?: string) => readBody([Buffer.from(body)], how);
const data = (...chunks: unknown[]) =>
  chunks.map((c) => `data: ${typeof c === 'string' ? c : JSON.stringify(c)}\n\n`).join('');
const delta = (d: object, finish_reason: string | null = null) => ({
  model: 'm',
  choices: [{ index: 0, delta: d, finish_reason }],
  usage: null,
});
const text = (content: string) => delta({ content });
const cut = (bytes: Uint8Array, at: number[]) => {
  const points = [0, ...at.map((p) => p % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return points.slice(1).map((p, i) => bytes.subarray(points[i], p));
};

const RICH = [
  ': keep-alive\n\n',
  data(
    delta({ role: 'assistant', content: '' }),
    delta({ reasoning_content: 'hm 🤔' }),
    text('Grüße, 世界 👩‍👩‍👧'),
    text('\r\n\u2028"x"'),
  ),
  data(
    delta({
      tool_calls: [{ index: 0, id: 'a', type: 'function', function: { name: 'read_file', arguments: '{"pa' } }],
    }),
    delta({ tool_calls: [{ index: 1, id: 'b', function: { name: 'list_dir', arguments: '' } }] }),
    delta({ tool_calls: [{ index: 0, function: { arguments: 'th":"é"}' } }] }),
    delta({}, 'tool_calls'),
    { choices: [], usage: { prompt_tokens: 3, completion_tokens: 5 } },
    '[DONE]',
  ),
].join('');
const RICH_EVENTS = [
  ['accepted', 'm'],
  ['thinking', 'hm 🤔'],
  ['text', 'Grüße, 世界 👩‍👩‍👧'],
  ['text', '\r\n\u2028"x"'],
  [
    'end',
    {
      finishReason: 'tool_calls',
      calls: [
        { id: 'a', name: 'read_file', args: '{"path":"é"}' },
        { id: 'b', name: 'list_dir', args: '{}' },
      ],
      usage: { promptTokens: 3, completionTokens: 5 },
    },
  ],
];

test('[IN5] any chunking of an event stream gives the same events, with each kind of line end', () => {
  for (const body of [RICH, RICH.replaceAll('\n', '\r\n'), `\ufeff${RICH}`, RICH.replaceAll('data: ', 'data:')]) {
    const bytes = Buffer.from(body);
    expect(readBody([bytes])).toEqual(RICH_EVENTS);
    fc.assert(
      fc.property(fc.array(fc.nat(), { maxLength: 40 }), (at) => {
        expect(readBody(cut(bytes, at))).toEqual(RICH_EVENTS);
      }),
      { numRuns: 60 },
    );
    expect(readBody([...bytes].map((b) => Uint8Array.of(b)))).toEqual(RICH_EVENTS);
  }
});

test('[IN5] any text passes byte for byte, in any pieces', () => {
  const json = fc
    .string({ unit: 'binary', maxLength: 40 })
    .filter((s) => !/\p{Surrogate}/u.test(s) && !s.startsWith('<'));
  fc.assert(
    fc.property(fc.array(json, { maxLength: 10 }), fc.array(fc.nat(), { maxLength: 20 }), (pieces, at) => {
      fc.pre(!'<think>'.startsWith(pieces.join('').slice(0, 7)) || pieces.join('') === '');
      const body = Buffer.from(data(...pieces.map(text), delta({}, 'stop'), '[DONE]'));
      const said = readBody(cut(body, at)).flatMap((e) => ((e as string[])[0] === 'text' ? [(e as string[])[1]] : []));
      expect(said.join('')).toBe(pieces.join(''));
    }),
  );
});

test('[IN3] torn anywhere before the finish, an answer is broken and carries no call', () => {
  const bytes = Buffer.from(RICH);
  const finish = bytes.indexOf('"tool_calls"}]');
  for (let n = 0; n < bytes.length; n += 1) {
    for (const how of ['ended', 'aborted']) {
      const events = readBody([bytes.subarray(0, n)], how) as [string, { calls?: unknown }][];
      expect(events.filter(([kind]) => kind === 'end' || kind === 'fail').length).toBe(1);
      const [kind, result] = events.at(-1) ?? ['', {}];
      if (n < finish) expect([n, kind, result]).toEqual([n, 'fail', 'lmx-ws-closed']);
      else if (kind === 'end')
        expect(result.calls).toEqual((RICH_EVENTS.at(-1) as [string, { calls: unknown }])[1].calls);
    }
  }
});

test.each([
  [
    '[DONE] is missing',
    data(text('a'), delta({}, 'stop')),
    [
      ['text', 'a'],
      ['end', { finishReason: 'stop', calls: [] }],
    ],
  ],
  [
    'only [DONE] ends it',
    data(text('a'), '[DONE]'),
    [
      ['text', 'a'],
      ['end', { finishReason: 'stop', calls: [] }],
    ],
  ],
  [
    'the last blank line is missing',
    `${data(text('a'))}data: [DONE]`,
    [
      ['text', 'a'],
      ['end', { finishReason: 'stop', calls: [] }],
    ],
  ],
  [
    'cut at the length limit',
    data(text('a'), delta({}, 'length'), '[DONE]'),
    [
      ['text', 'a'],
      ['end', { finishReason: 'length', calls: [] }],
    ],
  ],
  [
    'an error in the middle',
    data(text('a'), { error: { message: 'x', code: 'overloaded' } }, '[DONE]'),
    [
      ['text', 'a'],
      ['fail', 'lmx-busy'],
    ],
  ],
  [
    'an error as a string',
    data(text('a'), { error: 'out of memory' }),
    [
      ['text', 'a'],
      ['fail', 'lmx-out-of-memory'],
    ],
  ],
  [
    'garbage in a line',
    data(text('a'), '{"choices":'),
    [
      ['text', 'a'],
      ['fail', 'lmx-protocol'],
    ],
  ],
  [
    'a list in a line',
    data(text('a'), '[1]'),
    [
      ['text', 'a'],
      ['fail', 'lmx-protocol'],
    ],
  ],
  [
    'the server gave up',
    data(text('a'), delta({}, 'abort'), '[DONE]'),
    [
      ['text', 'a'],
      ['fail', 'lmx-ws-closed'],
    ],
  ],
  [
    'text after the end',
    data(text('a'), '[DONE]', text('b')),
    [
      ['text', 'a'],
      ['end', { finishReason: 'stop', calls: [] }],
    ],
  ],
  [
    'other choices are not ours',
    data(text('a'), { choices: [{ index: 1, delta: { content: 'B' } }] }, '[DONE]'),
    [
      ['text', 'a'],
      ['end', { finishReason: 'stop', calls: [] }],
    ],
  ],
])('[IN3] an event stream: %s', (_, body, expected) => {
  expect(whole(body)).toEqual([['accepted', 'm'], ...expected]);
});

test.each([
  ['a page', '<!doctype html><p>hello', 'lmx-protocol'],
  ['nothing', '', 'lmx-ws-closed'],
  ['prose', 'hello there\n\n', 'lmx-ws-closed'],
  ['a JSON error with status 200', '{"error":{"message":"busy","code":"rate_limit_exceeded"}}', 'lmx-busy'],
  ['JSON that is no answer', '{"hello":1}', 'lmx-protocol'],
  ['half a JSON answer', '{"choices":[', 'lmx-protocol'],
])('[IN4] a body that is %s', (_, body, code) => {
  expect(whole(body)).toEqual([['fail', code]]);
});

test('[IN5] a server that ignores `stream` answers in one JSON', () => {
  const message = {
    role: 'assistant',
    content: 'ünd',
    tool_calls: [{ id: 'x', function: { name: 'f', arguments: { a: 1 } } }],
  };
  const body = Buffer.from(
    ` \n${JSON.stringify({ model: 'm', choices: [{ index: 0, message, finish_reason: 'tool_calls' }], usage: { prompt_tokens: 1, completion_tokens: 2 } })}`,
  );
  const expected = [
    ['accepted', 'm'],
    ['text', 'ünd'],
    [
      'end',
      {
        finishReason: 'tool_calls',
        calls: [{ id: 'x', name: 'f', args: '{"a":1}' }],
        usage: { promptTokens: 1, completionTokens: 2 },
      },
    ],
  ];
  fc.assert(
    fc.property(fc.array(fc.nat(), { maxLength: 9 }), (at) => {
      expect(readBody(cut(body, at))).toEqual(expected);
    }),
  );
  expect(readBody([body], 'aborted')).toEqual([['fail', 'lmx-ws-closed']]);
});

test('[SV3] a line without an end, an event without an end and a JSON without an end are cut off', () => {
  const block = Buffer.alloc(1 << 20, 'x');
  for (const start of ['data: ', 'data: a\ndata: ', '{"a":"', 'event: ']) {
    const { events, answer } = recorded();
    const reader = createSseReader(answer);
    reader.feed(Buffer.from(start));
    for (let i = 0; i < 12; i++)
      reader.feed(start.includes('\n') ? Buffer.concat([block, Buffer.from('\ndata: ')]) : block);
    expect(events).toEqual([['fail', 'lmx-protocol']]);
  }
});

const calls = (...parts: Parameters<ReturnType<typeof createCallGatherer>['add']>[0][]) => {
  const gatherer = createCallGatherer();
  for (const part of parts) gatherer.add(part);
  return gatherer.take('p').map((c) => [c.id, c.name, c.args]);
};
test('[IN3] calls are told apart by index, by id, or by order', () => {
  const [a, b] = [
    { id: 'a', name: 'f', args: '{}' },
    { id: 'b', name: 'g', args: '{}' },
  ];
  const both = [
    ['a', 'f', '{}'],
    ['b', 'g', '{}'],
  ];
  expect(calls({ ...a, index: 0 }, { ...b, index: 1 })).toEqual(both);
  expect(calls({ ...a, index: 0 }, { ...b, index: 0 })).toEqual(both);
  expect(calls(a, b)).toEqual(both);
  expect(calls({ name: 'f', args: '{}' }, { name: 'g', args: '{}' })).toEqual([
    ['p_0', 'f', '{}'],
    ['p_1', 'g', '{}'],
  ]);
  expect(calls({ ...a, args: '{"x"' }, { id: 'a', name: 'f', args: ':1}' })).toEqual([['a', 'f', '{"x":1}']]);
  expect(calls({ ...a, args: '{"x"' }, { args: ':1}' })).toEqual([['a', 'f', '{"x":1}']]);
  // Two calls of one id would share one permission: each gets its own.
  expect(calls({ ...a, index: 0 }, { ...b, id: 'a', index: 1 })).toEqual([
    ['a', 'f', '{}'],
    ['p_1', 'g', '{}'],
  ]);
});

test('[SV3] calls and their arguments are bounded', () => {
  const many = Array.from({ length: LIMITS.stepCallsMax }, (_, index) => ({
    index,
    id: `i${index}`,
    name: 'f',
    args: '{}',
  }));
  expect(calls(...many).length).toBe(LIMITS.stepCallsMax);
  expect(() => calls(...many, { index: 99, id: 'one more', name: 'f' })).toThrow(/more than 32/);
  const big = { index: 0, id: 'a', name: 'f', args: 'x'.repeat(1 << 20) };
  expect(() => calls(big, big, big, big, { index: 0, args: 'x' })).toThrow(/exceed/);
});

test('[IN3] a call that breaks off is never handed on', () => {
  const json = fc.json().filter((s) => /^[{["]/.test(s) && s.length > 1);
  fc.assert(
    fc.property(json, fc.nat(), (s, n) => {
      expect(isCutOff(s)).toBe(false);
      expect(isCutOff(s.slice(0, 1 + (n % (s.length - 1))))).toBe(true);
    }),
  );
  const half = delta({ tool_calls: [{ index: 0, id: 'a', function: { name: 'f', arguments: '{"path":"a' } }] });
  expect(whole(data(half, delta({}, 'tool_calls'), '[DONE]'))).toEqual([
    ['accepted', 'm'],
    ['fail', 'lmx-protocol'],
  ]);
  expect(whole(data(half, '[DONE]'))).toEqual([
    ['accepted', 'm'],
    ['fail', 'lmx-protocol'],
  ]);
  expect(whole(data(half, delta({}, 'length'), '[DONE]'))).toEqual([
    ['accepted', 'm'],
    ['end', { finishReason: 'length', calls: [] }],
  ]);
  // Finished but wrong: the tool tells the model.
  const wrong = delta(
    { tool_calls: [{ index: 0, id: 'a', function: { name: 'f', arguments: "{path:'a'}" } }] },
    'tool_calls',
  );
  expect(whole(data(wrong, '[DONE]')).at(-1)).toEqual([
    'end',
    { finishReason: 'tool_calls', calls: [{ id: 'a', name: 'f', args: "{path:'a'}" }] },
  ]);
});

const tagged = (pieces: string[]) => {
  const out = { text: '', thinking: '' };
  const tag = createThinkTag(
    (s) => {
      out.text += s;
    },
    (s) => {
      out.thinking += s;
    },
  );
  for (const piece of pieces) tag.push(piece);
  tag.flush();
  return out;
};
test('[IN5] a think tag counts at the very start only, in any pieces', () => {
  for (const [said, expected] of [
    ['<think>a b</think>\n\nc', { thinking: 'a b', text: '\n\nc' }],
    ['<think>a</think>b<think>c</think>', { thinking: 'a', text: 'b<think>c</think>' }],
    ['<think>a </thin b', { thinking: 'a </thin b', text: '' }],
    ['<think></think>', { thinking: '', text: '' }],
    [' <think>a</think>', { thinking: '', text: ' <think>a</think>' }],
    ['x <think>a</think>', { thinking: '', text: 'x <think>a</think>' }],
    ['<thinking>a', { thinking: '', text: '<thinking>a' }],
    ['<th', { thinking: '', text: '<th' }],
    ['</think>a', { thinking: '', text: '</think>a' }],
    ['', { thinking: '', text: '' }],
  ] as const) {
    expect(tagged([said])).toEqual(expected);
    expect(tagged([...said])).toEqual(expected);
  }
  fc.assert(
    fc.property(fc.array(fc.constantFrom('<', 'think>', '</', '<think>', '</think>', 'a', ' ')), (pieces) => {
      expect(tagged(pieces)).toEqual(tagged([pieces.join('')]));
    }),
  );
});

test('[IN5] no more is held back than a tag could need', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 60 }), (s) => {
      let out = '';
      const tag = createThinkTag(
        (t) => {
          out += t;
        },
        (t) => {
          out += t;
        },
      );
      let given = 0;
      for (const c of `x${s}`) {
        tag.push(c);
        given += c.length;
        expect(out.length).toBe(given);
      }
    }),
  );
});

const frames = (...list: (object | string)[]) => {
  const { events, answer } = recorded();
  const reader = createFrameReader(answer, 't.1');
  for (const f of list) reader.take(typeof f === 'string' ? f : JSON.stringify(f));
  return events;
};
const done = {
  type: 'chat.done',
  request_id: 'r',
  finish_reason: 'stop',
  usage: { prompt_tokens: 1, completion_tokens: 1 },
};
const ended = ['end', { finishReason: 'stop', calls: [], usage: { promptTokens: 1, completionTokens: 1 } }];
test.each([
  [
    'an old server',
    [{ type: 'chat.token', request_id: 'r', content: 'a' }, done],
    [['accepted', 'asked'], ['text', 'a'], ended],
  ],
  [
    'a new server',
    [
      { type: 'chat.accepted', request_id: 'r', client_request_id: 't.1', model: 'real' },
      { type: 'chat.keepalive', request_id: 'r' },
      { type: 'chat.reasoning', request_id: 'r', content: 'h' },
      done,
    ],
    [['accepted', 'real'], ['thinking', 'h'], ended],
  ],
  [
    'a synonym of done',
    [{ type: 'chat.token', content: 'a' }, { type: 'done' }],
    [
      ['accepted', 'asked'],
      ['text', 'a'],
      ['end', { finishReason: 'stop', calls: [] }],
    ],
  ],
  [
    'frames of another request',
    [
      { type: 'chat.token', request_id: 'r', content: 'a' },
      { type: 'chat.token', request_id: 'q', content: 'B' },
      { type: 'chat.done', request_id: 'q' },
      { type: 'chat.error', client_request_id: 'z', error: 'x' },
      done,
    ],
    [['accepted', 'asked'], ['text', 'a'], ended],
  ],
  ['a frame type of the future', [{ type: 'chat.weather', request_id: 'r' }, done], [['accepted', 'asked'], ended]],
  ['an answer in one piece', [{ ...done, content: 'whole' }], [['accepted', 'asked'], ['text', 'whole'], ended]],
  [
    'frames after the end',
    [done, { type: 'chat.token', request_id: 'r', content: 'late' }, done],
    [['accepted', 'asked'], ended],
  ],
  [
    'cancelled by the server',
    [
      { type: 'chat.token', request_id: 'r', content: 'a' },
      { ...done, finish_reason: 'cancelled' },
    ],
    [
      ['accepted', 'asked'],
      ['text', 'a'],
      ['fail', 'lmx-ws-closed'],
    ],
  ],
  ['no JSON', ['hello'], [['fail', 'lmx-protocol']]],
  ['no object', ['[]'], [['fail', 'lmx-protocol']]],
  ['no type', ['{}'], [['fail', 'lmx-protocol']]],
  ['an error without a request', [{ type: 'chat.error', request_id: null, error: 'busy' }], [['fail', 'lmx-busy']]],
])('[IN3] WebSocket frames: %s', (_, list, expected) => {
  expect(frames(...list)).toEqual(expected);
});

test('[IN3] a tool call over the WebSocket, nested or flat', () => {
  const call = { index: 0, id: 'a', name: 'f', arguments: '{"x":1}' };
  const expected = ['end', { finishReason: 'tool_calls', calls: [{ id: 'a', name: 'f', args: '{"x":1}' }] }];
  for (const frame of [{ tool_call: call }, call])
    expect(
      frames(
        { type: 'chat.tool_call', request_id: 'r', ...frame },
        { type: 'chat.done', finish_reason: 'tool_calls' },
      ).at(-1),
    ).toEqual(expected);
});

test('[SV1] a listener that throws loses its own stream and nothing else', () => {
  for (const bad of ['accepted', 'text', 'thinking', 'end', 'fail'] as const) {
    const heard: string[] = [];
    const hear = (name: string) => () => {
      heard.push(name);
      if (name === bad) throw new Error('listener');
    };
    const on = {
      accepted: hear('accepted'),
      text: hear('text'),
      thinking: hear('thinking'),
      end: hear('end'),
      fail: hear('fail'),
    };
    let released = 0;
    const answer = new Answer(on, 'p', quiet, () => {
      released++;
    });
    answer.thinking('t');
    answer.text('a');
    answer.finish('stop');
    if (bad === 'fail') answer.fail(new (class extends Error {})() as never);
    answer.complete();
    expect(released).toBe(1);
    expect(heard.filter((h) => h === 'end' || h === 'fail').length).toBe(1);
  }
});

test('[CX2] a cancel inside any callback is the last that is heard', () => {
  const all = {
    reasoning_content: 'h',
    content: '<think>a</think>b',
    tool_calls: [{ id: 'a', function: { name: 'f' } }],
  };
  const { events, answer } = recorded();
  const reader = createSseReader(answer);
  let heard = 0;
  const bodies = [RICH, data(delta(all, 'stop'), '[DONE]')];
  for (const [body, stopAt] of bodies.flatMap((b) => [1, 2, 3, 4, 5].map((n) => [b, n] as const))) {
    heard = 0;
    const on = () => {
      if (++heard === stopAt) it.cancel();
    };
    const port = { accepted: on, text: on, thinking: on, end: on, fail: on };
    const it: Answer = new Answer(port, 'p', quiet, () => undefined);
    const one = createSseReader(it);
    one.feed(Buffer.from(body));
    one.end('ended');
    expect(heard).toBe(stopAt);
  }
  answer.cancel();
  reader.feed(Buffer.from(RICH));
  reader.end('closed');
  expect(events).toEqual([]);
});
