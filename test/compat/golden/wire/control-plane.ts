import type { Scenarios } from '../wire.ts';

const TURN = { clientId: 'desk', writerId: 'ada', mode: 'chat' };
const saying = (text: string): string => `say it @@${JSON.stringify({ text })}@@`;
export default {
  'session-life': {
    run: async ({ ask, workspace }) => {
      await ask('POST /v3/sessions', { sessionId: 'life', title: 'a life', metadata: { workspace, tags: ['x'] } });
      await ask('POST /v3/sessions', { sessionId: 'life', title: 'another' });
      await ask('GET /v3/sessions/life');
      await ask('PATCH /v3/sessions/life', { title: null, metadata: { tags: null, colour: 'blue' } });
      await ask('GET /v3/sessions?q=life');
      await ask('POST /v3/sessions/life/fork', { sessionId: 'life-two', title: 'second' });
      await ask('DELETE /v3/sessions/life');
      await ask('POST /v3/sessions/life/turns', { ...TURN, content: 'late' });
      await ask('POST /v3/sessions/life/undelete', {});
      await ask('GET /v3/sessions/life/events?afterSeq=1');
    },
  },
  'turn-over-http': {
    run: async ({ ask, socket }) => {
      await ask('POST /v3/sessions', { sessionId: 'turn-http' });
      const watcher = await socket('turn-http');
      await ask('POST /v3/sessions/turn-http/turns', { ...TURN, content: saying('hello'), idempotencyKey: 'k' });
      await watcher.event('session.updated');
      await watcher.tell();
      await ask('POST /v3/sessions/turn-http/turns', { ...TURN, content: saying('hello'), idempotencyKey: 'k' });
      await ask('POST /v3/sessions/turn-http/turns', { ...TURN, content: 'late', lastSeenSeq: 1 });
      await ask('GET /v3/sessions/turn-http/events?afterSeq=4');
      await ask('GET /v3/sessions/turn-http/export?format=markdown');
      await ask('POST /v3/sessions/turn-http/cancel', {});
    },
    stable: [[/("digest":\s?)"[^"]+"/g, '$1"<digest>"']],
  },
  refusals: {
    run: async ({ ask }) => {
      await ask('GET /v3/health', undefined, { token: null });
      await ask('GET /v3/health', undefined, { token: 'wrong' });
      await ask('GET /health', undefined, { token: null });
      await ask('GET /v3/sessions/nobody');
      await ask('GET /v3/sessions/..%2Fetc');
      await ask('GET /v3/sessions/nobody/events?afterSeq=-1');
      await ask('POST /v3/sessions/nobody/turns', { ...TURN, content: 'x' });
      await ask('POST /v3/sessions', '{"sessionId":', { headers: { 'content-type': 'application/json' } });
      await ask('POST /v3/sessions', 'plain', { headers: { 'content-type': 'text/plain' } });
      await ask('POST /v3/sessions', { sessionId: 'no good' });
      await ask('GET /v3/nothing-here');
      await ask('DELETE /v3/health');
      await ask('GET /v3/sessions/nobody', undefined, { headers: { accept: 'application/problem+json' } });
      await ask('GET /v3/health', undefined, { headers: { origin: 'http://example.invalid' } });
      await ask('OPTIONS /v3/sessions', undefined, { token: null, headers: { origin: 'http://localhost:3000' } });
    },
  },
  operations: {
    run: async ({ ask }) => {
      await ask('GET /v3/operations');
      await ask('POST /v3/operations/sessions.delete', { input: { id: 'nobody' } });
      await ask('POST /v3/operations/no.such', {});
    },
  },
} satisfies Scenarios;
