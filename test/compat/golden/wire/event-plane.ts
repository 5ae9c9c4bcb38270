import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Scenarios } from '../wire.ts';

const saying = (text: string): string => `say it @@${JSON.stringify({ text })}@@`;
const submit = (sessionId: string, content: string, more: object = {}): object => ({
  type: 'turn.submit',
  sessionId,
  clientId: 'desk',
  writerId: 'ada',
  content,
  mode: 'do',
  ...more,
});
const DIGEST = [[/("digest":\s?)"[^"]+"/g, '$1"<digest>"']] as const;

export default {
  'socket-turn': {
    run: async ({ ask, socket }) => {
      await ask('POST /v3/sessions', { sessionId: 'socket-turn' });
      const talk = await socket('socket-turn');
      talk.send({ type: 'hello', clientId: 'desk' });
      talk.send(submit('socket-turn', saying('hello'), { requestId: 'r-one' }));
      await talk.ack('turn.submit');
      await talk.event('session.updated');
      await talk.tell();
      const again = await socket('socket-turn', '&afterSeq=5');
      await again.event('turn.done');
      await again.event('session.updated');
      await again.tell();
    },
    stable: DIGEST,
  },
  'tool-and-permission': {
    run: async ({ ask, socket, workspace }) => {
      writeFileSync(join(workspace, 'a.txt'), 'alpha\n');
      await ask('POST /v3/sessions', { sessionId: 'asks', metadata: { workspace } });
      const talk = await socket('asks');
      const call = { tools: [{ name: 'write_file', args: { path: 'a.txt', content: 'beta\n' } }], text: 'written' };
      talk.send(submit('asks', `write it @@${JSON.stringify(call)}@@`));
      const { payload } = await talk.event('permission.request');
      const requestId = String(payload?.requestId);
      talk.send({ type: 'permission.resolve', sessionId: 'asks', requestId, decision: 'allow', decidedBy: 'ada' });
      await talk.ack('permission.resolve');
      await talk.event('session.updated');
      await talk.tell();
      await ask(`POST /v3/sessions/asks/permissions/${requestId}`, { decision: 'deny', decidedBy: 'eve' });
      await ask('POST /v3/sessions/asks/permissions/perm_unknown123', { decision: 'deny', decidedBy: 'eve' });
    },
    stable: [...DIGEST, [/perm_(?!unknown)[A-Za-z0-9_-]{10}/g, '<request>'], [/\bcall_\d+/g, '<call>']],
  },
  'cancelled-turn': {
    run: async ({ ask, socket }) => {
      await ask('POST /v3/sessions', { sessionId: 'cancels' });
      const talk = await socket('cancels');
      talk.send(submit('cancels', 'count @@{"tokens":400,"tps":2}@@'));
      const { turnId } = await talk.ack('turn.submit');
      await talk.event('turn.progress');
      talk.send({ type: 'turn.cancel', sessionId: 'cancels', turnId, requestId: 'r-two' });
      await talk.ack('turn.cancel');
      await talk.event('turn.error');
      await talk.tell();
    },
    // How many words had come is chance, and so is what follows from it.
    stable: [
      ...DIGEST,
      [/ {2}< \{"v":"3","event":"turn\.token".*\n/g, ''],
      [/"(seq|revision|tokens|completionTokens)":\d+/g, '"$1":<n>'],
      [/"partial":\w+/g, '"partial":<chance>'],
    ],
  },
  'failed-turn': {
    run: async ({ ask, socket }) => {
      await ask('POST /v3/sessions', { sessionId: 'fails' });
      const talk = await socket('fails');
      talk.send(submit('fails', 'fail @@{"error":"out of luck","status":400,"code":"bad"}@@'));
      await talk.event('turn.error');
      await talk.tell();
    },
    stable: DIGEST,
  },
  'wrong-frames': {
    run: async ({ ask, socket }) => {
      await ask('POST /v3/sessions', { sessionId: 'wrong' });
      const talk = await socket('wrong');
      await talk.event('session.snapshot');
      talk.send({ type: 'sing' });
      talk.send({ type: 'turn.submit', sessionId: 'wrong', content: '' });
      talk.send({ type: 'turn.submit', sessionId: 'nobody', clientId: 'a', writerId: 'a', content: 'x', mode: 'do' });
      talk.send({ type: 'ping' });
      await talk.client.frame((f) => f.type === 'heartbeat', 'the heartbeat');
      await talk.client.frame((f) => /nobody/.test(String(f.error)), 'the third refusal');
      await talk.tell();
    },
    stable: [[/("seq":)\d+(,"ts":)\d+/g, '$1<n>$2<n>']],
  },
} satisfies Scenarios;
