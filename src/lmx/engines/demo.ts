import type { Clock, Log } from '../../actors/ports.ts';
import { createDemo } from '../../inference/demo.ts';
import type { Message } from '../../protocol/session.ts';
import type { ChatMessage, Engine, GenerateRequest } from '../engine.ts';
import { LmxError } from '../errors.ts';

const MODEL = 'demo';

/** The demo engine behind the server's wire: no model, and it says so in every answer. */
export const createDemoEngine = (world: { clock: Clock; log: Log; paceMs?: number }): Engine => {
  const { clock } = world;
  const demo = createDemo({ clock, ...(world.paceMs === undefined ? {} : { paceMs: world.paceMs }) });
  let answers = 0;
  return {
    kind: 'demo',
    manages: true,
    parallel: 16,
    available: (done) => clock.soon(() => done(null, [{ id: MODEL, path: null, sizeBytes: null, modifiedAt: null }])),
    load: (modelId, _options, done) =>
      clock.soon(() =>
        modelId === MODEL
          ? done(null, { contextLength: null, memoryBytes: 0 })
          : done(new LmxError('model_not_found', `The demo engine has no model but ${MODEL}.`), null),
      ),
    unload: (_modelId, done) => clock.soon(() => done(null, null)),
    generate: (request, on) => {
      const turnId = `demo${++answers}`;
      const { messages, tools } = inOurWords(request);
      const asked = { sessionId: turnId, turnId, step: 0, model: MODEL, messages, tools };
      let tokens = 0;
      const max = request.maxTokens ?? Number.POSITIVE_INFINITY;
      const promptTokens = Math.ceil(messages.reduce((n, m) => n + m.content.length, 0) / 4);
      const stream = demo.stream(asked, {
        accepted: () => undefined,
        text: (delta) => {
          tokens++;
          on.text(delta);
          if (tokens < max) return;
          stream.cancel();
          clock.soon(() => on.end({ finishReason: 'length', usage: { promptTokens, completionTokens: tokens } }));
        },
        thinking: (delta) => on.reasoning(delta),
        end: ({ finishReason, calls, usage }) => {
          for (const [index, { id, name, args }] of calls.entries()) on.call({ index, id, name, arguments: args });
          on.end({ finishReason, usage: usage ?? { promptTokens, completionTokens: tokens } });
        },
        fail: (error) => on.fail(new LmxError('engine_failed', error.message)),
      });
      return stream;
    },
    kill: () => undefined,
    listen: () => undefined,
    facts: () => ({ note: 'no model: fixed rules' }),
    close: (done) => {
      demo.close();
      clock.soon(done);
    },
  };
};

const inOurWords = ({ messages, tools = [] }: GenerateRequest) => ({
  messages: messages.map((m) => ({ ...m, content: textOf(m.content) })) as Message[],
  tools: tools.map(({ function: { name, description = '', parameters = {} } }) => ({ name, description, parameters })),
});

const textOf = (content: ChatMessage['content']): string =>
  typeof content === 'string' ? content : (content ?? []).map((p) => (p.type === 'text' ? p.text : '')).join('\n');
