import { oneLine } from '../client/printable.ts';
import { toOptaError } from '../protocol/errors.ts';
import type { WriterId } from '../protocol/ids.ts';
import type { QueuedTurn } from '../protocol/session-state.ts';
import { type Action, type Bindings, labelOf } from './bindings.ts';
import { ChartPane } from './chart-pane.ts';
import { helpLines } from './help.ts';
import type { Host } from './host.ts';
import type { LineScreen } from './lines.ts';
import { Panel } from './panel.ts';
import { Picker, type PickerItem } from './picker.ts';

export interface OverlayScreen extends LineScreen {
  act(action: Action): void;
  /** Puts a text before the person. */
  write(text: string): void;
  editQueued(turn: QueuedTurn): void;
}

const SESSIONS_EVERY_MS = 2_000;
const ASKED_CHARS_MAX = 60;

/** The lists and panes that a key opens over the conversation. */
export class Overlays {
  readonly #host: Host;
  readonly #bindings: Bindings;
  readonly #screen: OverlayScreen;

  constructor(host: Host, bindings: Bindings, screen: OverlayScreen) {
    this.#host = host;
    this.#bindings = bindings;
    this.#screen = screen;
  }

  /** False: the action opens none. */
  open(action: Action): boolean {
    const make = this.#makers[action];
    if (make) this.#screen.show(make());
    return make !== undefined;
  }

  help(): Panel {
    return new Panel('keys', helpLines(this.#bindings));
  }

  readonly #makers: { readonly [A in Action]?: () => Picker | ChartPane } = {
    sessions: () => this.#sessions(),
    palette: () => this.#palette(),
    model: () => this.#models(),
    queue: () => this.#queue(),
    people: () => this.#people(),
    states: () => this.#states(),
  };

  #sessions(): Picker {
    const picker: Picker = new Picker({
      title: 'sessions',
      hint: 'Enter opens · n new · d puts away · / looks for · Esc closes',
      search: 'slash',
      everyMs: SESSIONS_EVERY_MS,
      load: async () =>
        (await this.#host.sessions()).map(
          ({ id, title, detail, words, live, asks }): PickerItem => ({
            id,
            label: `${asks > 0 ? '?' : live ? '●' : '○'} ${title}`,
            detail: asks > 0 ? `asks ${asks === 1 ? 'for a decision' : `for ${asks} decisions`}  ${detail}` : detail,
            words,
            tone: id === this.#screen.desk().link.sessionId ? 'good' : asks > 0 ? 'warn' : 'plain',
          }),
        ),
      choose: ({ id }) => {
        this.#screen.show(null);
        if (id !== this.#screen.desk().link.sessionId) this.#screen.follow(id);
      },
      keys: {
        n: () => void this.#trying(async () => this.#screen.follow(await this.#host.newSession())),
        d: (item) => {
          if (!item) return;
          if (item.id === this.#screen.desk().link.sessionId) return this.#screen.say('this one is open here');
          picker.ask(
            // The keys come first: a title is as long as somebody likes.
            `y puts it away, any other key leaves it: ${oneLine(item.label, ASKED_CHARS_MAX)}`,
            () =>
              void this.#trying(async () => {
                await this.#host.removeSession(item.id);
                await picker.reload();
              }),
          );
        },
      },
      changed: () => this.#screen.draw(),
    });
    return picker;
  }

  #palette(): Picker {
    const actions = this.#bindings.all
      .filter(({ action }) => !HIDDEN.has(action))
      .map(({ action, key, text }): PickerItem => ({ id: action, label: text, detail: labelOf(key), words: action }));
    const commands = this.#host
      .commands()
      .map(({ name, about }): PickerItem => ({ id: `/${name}`, label: `/${name}  ${about}`, detail: '' }));
    return new Picker({
      title: 'what to do',
      hint: 'letters look for · Enter does it · Esc closes',
      search: 'typed',
      load: async () => [...actions, ...commands],
      choose: ({ id }) => {
        this.#screen.show(null);
        if (id.startsWith('/')) this.#screen.write(`${id} `);
        else this.#screen.act(id as Action);
      },
      changed: () => this.#screen.draw(),
    });
  }

  #models(): Picker {
    return new Picker({
      title: 'models',
      hint: 'letters look for · Enter: this session asks it from now on · Esc closes',
      search: 'typed',
      load: async () => {
        const now = this.#screen.desk().desk.view.state.model;
        const all = await this.#host.models();
        return all.map(({ id, detail }) => ({ id, label: id, detail, tone: id === now ? ('good' as const) : 'plain' }));
      },
      choose: ({ id }) => {
        this.#screen.show(null);
        void this.#trying(async () => {
          await this.#host.useModel(id);
          this.#screen.say(`model: ${id}`);
        });
      },
      changed: () => this.#screen.draw(),
    });
  }

  #queue(): Picker {
    const waiting = (): readonly QueuedTurn[] => this.#screen.desk().desk.view.state.queue;
    const own = (item: PickerItem | undefined): QueuedTurn | null => {
      const turn = waiting().find(({ turnId }) => turnId === item?.id);
      if (turn?.writerId === this.#host.writerId) return turn;
      if (turn) this.#screen.say(`it is ${turn.writerId}'s`);
      return null;
    };
    const picker: Picker = new Picker({
      title: 'turns that wait',
      hint: 'x takes your own back · e changes its text · Esc closes',
      search: 'slash',
      of: waiting,
      load: async () =>
        waiting().map(({ turnId, writerId, content, onBusy }, i) => ({
          id: turnId,
          label: `${i + 1}. ${writerId}: ${content}`,
          detail: onBusy === 'enqueue' ? '' : onBusy,
          tone: writerId === this.#host.writerId ? 'good' : 'plain',
        })),
      choose: (item) => {
        const turn = own(item);
        if (turn) this.#edit(turn);
      },
      keys: {
        e: (item) => {
          const turn = own(item);
          if (turn) this.#edit(turn);
        },
        x: (item) => {
          const turn = own(item);
          if (!turn) return;
          void this.#trying(async () => {
            const params = { id: this.#screen.desk().link.sessionId, turnId: turn.turnId };
            await this.#host.client.call('queue.withdraw', {
              params,
              query: { writerId: this.#host.writerId as WriterId },
            });
            this.#screen.say('taken back');
            await picker.reload();
          });
        },
      },
      changed: () => this.#screen.draw(),
    });
    return picker;
  }

  #people(): Picker {
    return new Picker({
      title: 'attached to this session',
      hint: 'Esc closes',
      search: 'slash',
      of: () => this.#screen.desk().desk.view.presence,
      load: async () => {
        const { presence } = this.#screen.desk().desk.view;
        return presence.map(
          ({ attachmentId, role, clientId = '', writerId, via, since, lag }): PickerItem => ({
            id: attachmentId,
            label: `${writerId ?? (clientId || 'somebody')}${role === 'observer' ? ', looks on' : ''}`,
            detail: `${clientId}  ${via}  since ${since.slice(11, 19)}${lag > 0 ? `  ${lag} behind` : ''}`,
            tone: writerId === this.#host.writerId ? 'good' : 'plain',
          }),
        );
      },
      choose: () => this.#screen.show(null),
      changed: () => this.#screen.draw(),
    });
  }

  #edit(turn: QueuedTurn): void {
    this.#screen.show(null);
    this.#screen.editQueued(turn);
  }

  #states(): ChartPane {
    const { link } = this.#screen.desk();
    return new ChartPane({
      client: this.#host.client,
      sessionId: link.sessionId,
      seq: () => link.view.state.seq,
      hash: () => link.view.stateHash(),
      changed: () => this.#screen.draw(),
    });
  }

  async #trying(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (cause) {
      this.#screen.say(toOptaError(cause).message);
    }
    this.#screen.draw();
  }
}

/** What is done by its key alone. */
const HIDDEN: ReadonlySet<Action> = new Set(['submit', 'newline', 'accept', 'back', 'palette', 'help-too']);
