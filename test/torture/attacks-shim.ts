import { say } from '../e2e/world.ts';
import type { Attack, Target } from './attack.ts';
import { dial, head, inTurn, sleep, statusOf, talk } from './raw-client.ts';

/** What came with the compatibility lock: turns as one request, and named operations. Both hold something while they are answered. */
const post = (target: Target, path: string, text: string): string =>
  head(target, `POST ${path}`, `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}\r\n`) +
  text;

const deep = `${'['.repeat(50_000)}${']'.repeat(50_000)}`;
const slow = say({ tokens: 200, tps: 50 });
/** The one session keeps what sessions cost apart from what is left behind. */
const chat = (sessionId: string, more: object = {}): string =>
  JSON.stringify({ message: slow, session_id: sessionId, ...more });

const chats: Attack = {
  name: 'chats that are left',
  what: 'requests for a whole turn from clients that leave before it ends, or send what is none',
  keepsMiB: 8,
  run: async (target) => {
    const { daemon, port } = target;
    const found: string[] = [];
    // One after another: at once they would leave eight kept connections behind, of ours and not of the attack's.
    const sessions: string[] = [];
    for (let i = 0; i < 8; i++) sessions.push(await daemon.create());
    await inTurn(target.size(200, 2_000), 32, async (i) => {
      const text = post(target, '/v1/chat', chat(sessions[i % sessions.length] as string));
      const socket = await dial(port).catch(() => null);
      if (socket === null) return;
      socket.on('error', () => undefined).resume();
      socket.write(i % 5 === 0 ? text.slice(0, -10) : text);
      await sleep(i % 40);
      if (i % 3 === 0) socket.resetAndDestroy();
      else if (i % 3 === 1) socket.end();
      else socket.destroy();
      await sleep(5);
      socket.destroy();
    });
    const bodies: [text: string, statuses: number[]][] = [
      [`{"message":${deep}}`, [400]],
      [`{"message":"x","overrides":${deep}}`, [400]],
      [`{"message":"x","workspace":"../x"}`, [400]],
      [`{"message":"x","timeout_ms":-1}`, [400]],
      [`{"message":"x","timeout_ms":1e308}`, [400]],
      [`{"message":"x","session_id":"../../etc/passwd"}`, [400]],
      [chat(sessions[0] as string, { timeout_ms: 1 }), [504]],
    ];
    for (const [text, statuses] of bodies) {
      const said = await talk(port, [post(target, '/v1/chat', text)], { enough: (t) => t.includes('"code":') });
      if (!statuses.includes(statusOf(said.text)))
        found.push(`${text.slice(0, 40)}: answered with ${statusOf(said.text)}`);
    }
    for (const id of sessions) await daemon.call('DELETE', `/v3/sessions/${id}`);
    return found;
  },
};

const operations: Attack = {
  name: 'named operations at their bound',
  what: 'many more operations than may run at once, half of them left, while others only want to know how it is',
  keepsMiB: 8,
  run: async (target) => {
    const { port } = target;
    const found: string[] = [];
    let worst = 0;
    let over = false;
    const looking = (async () => {
      while (!over) {
        const begun = performance.now();
        const { text } = await talk(port, [head(target, 'GET /health')], { enough: (t) => t.includes('"status"') });
        worst = Math.max(worst, performance.now() - begun);
        if (statusOf(text) !== 200) found.push(`health: ${statusOf(text)}`);
        await sleep(20);
      }
    })();
    const workspace = JSON.stringify({ input: { workspace: process.cwd() } });
    const asked = [
      ['doctor', workspace],
      ['diff', workspace],
      ['config.list', '{}'],
      ['daemon.logs', '{"input":{"lines":2000}}'],
      ['models.health', '{}'],
    ] as const;
    const statuses = new Map<number, number>();
    await inTurn(target.size(120, 1_200), 40, async (i) => {
      const [id, text] = asked[i % asked.length] as (typeof asked)[number];
      const leaves = i % 2 === 0;
      const said = await talk(port, [post(target, `/v3/operations/${id}`, text)], {
        waitMs: leaves ? i % 60 : 30_000,
        enough: (t) => t.includes('\r\n\r\n'),
      });
      if (!leaves) statuses.set(statusOf(said.text), (statuses.get(statusOf(said.text)) ?? 0) + 1);
    });
    over = true;
    await looking;
    const odd = [...statuses.keys()].filter((status) => ![200, 429].includes(status));
    if (odd.length > 0) found.push(`operations were answered with ${odd.join(', ')}`);
    if (!statuses.has(200)) found.push('no operation ran');
    // Generous, since whole machines are shared; it is seconds when one of them blocks everybody.
    if (worst > 2_000) found.push(`health took ${Math.round(worst)} ms meanwhile`);
    return found;
  },
};

export const SHIM: Attack[] = [chats, operations];
