import type { SessionLink } from '../../src/client/session-link.ts';
import type { PresenceEntry } from '../../src/protocol/session.ts';
import { App, type Canvas } from '../../src/tui/app.ts';
import type { Host, SessionLine } from '../../src/tui/host.ts';
import type { Key } from '../../src/tui/keys.ts';
import type { Row } from '../../src/tui/text.ts';
import { Talk, textOf } from './talk.ts';

/** A place in a session whose log the test writes. What is asked of it is kept. */
export class FakeLink {
  readonly sessionId: string;
  readonly talk: Talk;
  readonly view: Talk['view'];
  readonly asked: unknown[] = [];
  readonly ended = new Promise<null>(() => undefined);
  state = 'open';
  cursor = 0;
  closed = false;
  /** What the next command is answered with, when it is an error. */
  fails: Error | null = null;

  constructor(sessionId: string, talk = new Talk()) {
    this.sessionId = sessionId;
    this.talk = talk;
    this.view = talk.view;
    this.view.note({ connection: 'open' });
  }

  on(): () => void {
    return () => undefined;
  }

  submit(turn: { content: string }): Promise<unknown> {
    return this.#answer(['submit', turn.content]);
  }

  cancel(target: object): Promise<unknown> {
    return this.#answer(['cancel', target], { cancelled: 1 });
  }

  decide(requestId: string, decision: string, more: object): Promise<unknown> {
    return this.#answer(['decide', requestId, decision, more]);
  }

  wake(): void {
    this.asked.push(['wake']);
  }

  close(): void {
    this.closed = true;
  }

  async #answer(said: unknown, answer: unknown = {}): Promise<unknown> {
    this.asked.push(said);
    if (this.fails) throw this.fails;
    return answer;
  }
}

export const somebody = (writerId: string, more: Partial<PresenceEntry> = {}): PresenceEntry => ({
  attachmentId: `a-${writerId}`,
  role: 'controller',
  clientId: `tui-${writerId}`,
  writerId,
  via: 'ws',
  since: '2026-01-01T10:11:12.000Z',
  cursor: 1,
  lag: 0,
  ...more,
});

/** A host of the test's own: what is asked of it is kept in `done`. */
export const aHost = (more: Partial<Host> = {}) => {
  const links: FakeLink[] = [];
  const done: unknown[] = [];
  const set = { sessions: [] as readonly SessionLine[], mode: 'normal' };
  const note =
    (what: string) =>
    async (...args: unknown[]): Promise<never> => {
      done.push([what, ...args]);
      return undefined as never;
    };
  const host: Host = {
    writerId: 'ada',
    client: { call: note('call') } as unknown as Host['client'],
    keys: { overrides: {}, notes: [] },
    mode: () => ({ text: set.mode === 'normal' ? '' : set.mode, loud: set.mode === 'dangerous' }),
    cycleMode: () => {
      set.mode = set.mode === 'normal' ? 'plan' : 'normal';
    },
    open: (sessionId) => {
      links.push(new FakeLink(sessionId));
      return links.at(-1) as unknown as SessionLink;
    },
    turn: (content) => ({ turn: { content }, notes: [] }),
    revive: note('revive'),
    name: note('name'),
    commands: () => [{ name: 'status', about: 'how it stands' }],
    files: async () => [],
    command: async (line) => {
      done.push(['command', line]);
      return true;
    },
    sessions: async () => set.sessions,
    newSession: async () => 'fresh',
    removeSession: note('remove'),
    models: async () => [
      { id: 'small', detail: 'loaded' },
      { id: 'large', detail: '' },
    ],
    useModel: note('model'),
    ...more,
  };
  return { host, links, done, set };
};

/** The app on a canvas in memory. */
export const aScreen = (more: Partial<Host> = {}, size = { width: 90, height: 24 }) => {
  const { host, links, done, set } = aHost(more);
  let rows: readonly Row[] = [];
  const canvas: Canvas & { bells: number; titles: string[]; frames: number } = {
    ...size,
    bells: 0,
    titles: [],
    frames: 0,
    paint: (painted) => {
      rows = painted;
      canvas.frames += 1;
    },
    reset: () => done.push('reset'),
    bell: () => {
      canvas.bells += 1;
    },
    title: (text) => {
      if (canvas.titles.at(-1) !== text) canvas.titles.push(text);
    },
    suspend: () => done.push('suspend'),
  };
  const app = new App(host, canvas, 's1');
  app.draw();
  const key = (name: string, mods: Partial<Key> = {}): void =>
    app.key({ name, ctrl: false, meta: false, shift: false, text: '', ...mods });
  return {
    app,
    canvas,
    done,
    key,
    get link() {
      return links.at(-1) as FakeLink;
    },
    links,
    ctrl: (name: string) => key(name, { ctrl: true }),
    alt: (name: string) => key(name, { meta: true }),
    type: (text: string) => {
      for (const sign of text) key(sign, { text: sign });
    },
    offer: (lines: readonly SessionLine[]) => {
      set.sessions = lines;
    },
    become: (to: string) => {
      set.mode = to;
    },
    /** As it is now, drawn anew. */
    screen: (): string => {
      app.draw();
      return rows.map((row) => textOf(row).trimEnd()).join('\n');
    },
    /** The row that has this text, with its styles. */
    row: (text: string): Row | undefined => rows.find((row) => textOf(row).includes(text)),
  };
};
export type AppScreen = ReturnType<typeof aScreen>;

/** Lets what was promised happen. */
export const settled = async (): Promise<void> => {
  for (let i = 0; i < 10; i++) await Promise.resolve();
};
