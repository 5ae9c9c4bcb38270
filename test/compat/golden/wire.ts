import { removeDir, tempDir } from '../../support/cli.ts';
import { type FakeLmx, startFakeLmx } from '../../support/fake-lmx.ts';
import { type Answer, type Ask, type Client, type Frame, type RealDaemon, startDaemon } from '../daemon.ts';
import { ROOT, VERSION } from './runner.ts';
import { type Rule, stable, visible } from './stable.ts';

/** A conversation with the daemon, written down as it goes. */
export interface Wire {
  readonly lmx: FakeLmx;
  readonly daemon: RealDaemon;
  /** A folder for a session's tools. */
  readonly workspace: string;
  /** With the token, unless `token` is another one or none. Answers what came back. */
  ask(
    line: string,
    body?: unknown,
    more?: { token?: string | null; headers?: { [name: string]: string } },
  ): Promise<Answer>;
  /** The same, and nothing is written down. */
  quietly(line: string, body?: unknown): Promise<Answer>;
  socket(sessionId: string, more?: string): Promise<Talk>;
  note(text: string): void;
}

/** One socket. What came on it is written down when it is told. */
export interface Talk {
  readonly client: Client;
  send(frame: object): void;
  event(name: string): Promise<Frame>;
  ack(action: string): Promise<Frame>;
  /** Writes down what came, closes it, and goes on. */
  tell(): Promise<void>;
}

export interface Scenario {
  run(wire: Wire): Promise<void>;
  stable?: readonly Rule[];
}
export type Scenarios = { readonly [name: string]: Scenario };

/** Headers that are part of the contract. */
const HEADERS = ['content-type', 'etag', 'retry-after', 'location', 'vary', 'access-control-allow-origin'];

export const playScenarios = async (scenarios: Scenarios): Promise<Map<string, string | Error>> => {
  const told = new Map<string, string | Error>();
  const lmx = await startFakeLmx({ models: ['fake-model', 'other-model'] });
  const daemon = await startDaemon(lmx.port, { OPTA_MODEL: 'fake-model', TZ: 'UTC' });
  try {
    for (const [name, scenario] of Object.entries(scenarios)) {
      const workspace = tempDir();
      try {
        told.set(name, await play(scenario, lmx, daemon, workspace));
      } catch (cause) {
        told.set(name, cause instanceof Error ? cause : new Error(String(cause)));
      } finally {
        removeDir(workspace);
      }
    }
  } finally {
    await daemon.stop();
    await lmx.close();
  }
  return told;
};

const play = async (scenario: Scenario, lmx: FakeLmx, daemon: RealDaemon, workspace: string): Promise<string> => {
  const lines: string[] = [];
  const request = (
    line: string,
    body: unknown,
    more: { token?: string | null; headers?: { [name: string]: string } },
  ) => {
    const [method = '', path = ''] = line.split(' ');
    const { token = daemon.token, headers = {} } = more;
    const auth = token === null ? {} : { authorization: `Bearer ${token}` };
    const ask: Ask = { method, path, headers: { ...auth, ...headers }, ...(body === undefined ? {} : { body }) };
    return daemon.ask(ask);
  };
  const wire: Wire = {
    lmx,
    daemon,
    workspace,
    ask: async (line, body, more = {}) => {
      const said = [
        more.token === undefined ? [] : [`token: ${more.token}`],
        Object.entries(more.headers ?? {}).map(([k, v]) => `${k}: ${v}`),
      ].flat();
      lines.push(
        `> ${line}${said.map((h) => ` (${h})`).join('')}${body === undefined ? '' : ` ${typeof body === 'string' ? body : JSON.stringify(body)}`}`,
      );
      const answer = await request(line, body, more);
      const heads = HEADERS.flatMap((name) =>
        answer.headers[name] === undefined ? [] : [`${name}: ${answer.headers[name]}`],
      );
      lines.push([`< ${answer.status}`, ...heads].join('; '), ...shown(answer), '');
      return answer;
    },
    quietly: (line, body) => request(line, body, {}),
    note: (text) => void lines.push(`# ${text}`, ''),
    socket: async (sessionId, more = '') => {
      const path = `/v3/ws?sessionId=${sessionId}${more}&token=$TOKEN`;
      lines.push(`> WS ${path}`);
      const client = await daemon.connect(path);
      const sent: string[] = [];
      return {
        client,
        send: (frame) => {
          sent.push(JSON.stringify(frame));
          client.send(frame);
        },
        event: (name) => client.frame((f) => f.event === name, name),
        ack: (action) => client.frame((f) => f.type === 'ack' && f.action === action, `ack of ${action}`),
        tell: async () => {
          await client.close();
          lines.push(...sent.map((text) => `  > ${text}`), ...frames(client), '');
        },
      };
    },
  };
  await scenario.run(wire);
  const facts = { home: daemon.home, cwd: workspace, root: ROOT, version: VERSION, lmxPort: lmx.port };
  return stable(visible(`${lines.join('\n').trimEnd()}\n`), facts, scenario.stable);
};

const shown = (answer: Answer): string[] => {
  if (answer.text === '') return [];
  if (typeof answer.body === 'string') return [answer.text.trimEnd()];
  return [JSON.stringify(answer.body, null, 2)];
};

/** Events in the order of the log, then the answers to frames: how the two are woven is nobody's promise. */
const frames = ({ texts, frames: all }: Client): string[] => {
  const lines = all.map((frame, i) => ({ isEvent: frame.v !== undefined, text: `  < ${texts[i]}` }));
  return [...lines.filter((l) => l.isEvent), ...lines.filter((l) => !l.isEvent)].map((l) => l.text);
};
