import { LIMITS } from '../actors/limits.ts';
import type { Clock, Done } from '../actors/ports.ts';
import { toOptaError } from '../protocol/errors.ts';
import { failureOf, fromServer } from './error-map.ts';
import { type Discovery, distrust, readDiscovery, WS_PATH } from './lmx-identity.ts';
import { type Address, type Probed, probe } from './probe.ts';

export interface LmxServer extends Address {
  apiKey?: string;
  /** The user vouches for the address. */
  trusted?: boolean;
}

/** A value that is asked for once, however many wait, and kept for a while. Errors and null-like doubts are not kept. */
export class Kept<T> {
  readonly #ask: (done: Done<T | null>) => void;
  readonly #clock: Clock;
  readonly #keepMs: number;
  #value: { is: T; until: number } | null = null;
  #waiting: Done<T | null>[] | null = null;
  /** Grows with each `drop`, so that an answer to an earlier question is given but not kept. */
  #epoch = 0;

  constructor(clock: Clock, keepMs: number, ask: (done: Done<T | null>) => void) {
    this.#clock = clock;
    this.#keepMs = keepMs;
    this.#ask = ask;
  }

  get(done: Done<T | null>, worthKeeping: (value: T) => boolean = () => true) {
    if (this.#value && this.#clock.now() < this.#value.until) return done(null, this.#value.is);
    if (this.#waiting) {
      this.#waiting.push(done);
      return;
    }
    const waiting = [done];
    const epoch = this.#epoch;
    this.#waiting = waiting;
    this.#ask((error, value) => {
      if (this.#waiting === waiting) this.#waiting = null;
      if (!error && value !== null && epoch === this.#epoch && worthKeeping(value))
        this.#value = { is: value, until: this.#clock.now() + this.#keepMs };
      for (const each of waiting) each(error, value);
    });
  }

  peek(): T | null {
    return this.#value?.is ?? null;
  }

  drop(): void {
    this.#value = null;
    this.#waiting = null;
    this.#epoch++;
  }
}

/** What is known about one server, and for how long. Everything here is forgotten when its transport fails. */
export class LmxEndpoint {
  readonly server: LmxServer;
  readonly #clock: Clock;
  readonly #look: typeof probe;
  readonly #identity: Kept<Discovery>;
  readonly #models: Kept<{ ids: string[] | null }>;
  /** As the server listed them last; kept beyond the list, since a model's context does not change. */
  #contexts = new Map<string, number>();
  #wsOffUntil = 0;

  constructor(server: LmxServer, clock: Clock, look: typeof probe = probe) {
    this.server = server;
    this.#clock = clock;
    this.#look = look;
    this.#identity = new Kept(clock, LIMITS.inferenceIdentityCacheMs, (done) => this.#discover(done));
    this.#models = new Kept(clock, LIMITS.inferenceModelsCacheMs, (done) => this.#list(done));
  }

  /** Fails with `lmx-untrusted`, or with what the socket said. Until this has succeeded, nothing of the user's may be sent. */
  identify(done: Done<Discovery | null>): void {
    this.#identity.get(
      (error, found) => {
        const refused = error ?? (found && distrust(this.server, found));
        done(refused, refused ? null : found);
      },
      (found) => found.kind !== 'unknown',
    );
  }

  /** The ids of the loaded models, in the server's order; null when it does not say. */
  models(done: Done<string[] | null>): void {
    this.#models.get(
      (error, found) => done(error, found?.ids ?? null),
      (found) => found.ids !== null,
    );
  }

  /** Where to open a WebSocket now, or null for the event stream. */
  wsPath(discovery: Discovery): string | null {
    if (this.#clock.now() < this.#wsOffUntil || discovery.kind === 'plain') return null;
    return discovery.kind === 'lmx' ? discovery.wsPath : WS_PATH;
  }

  wsRefused(): void {
    this.#wsOffUntil = this.#clock.now() + LIMITS.inferenceWsRetestMs;
  }

  /** Context of a model in tokens; null when the server did not say, or was not asked. Of no name: of the first model. */
  contextTokens(model: string): number | null {
    const listed = this.#contexts;
    const [first] = listed.values();
    return (model === '' ? first : listed.get(model)) ?? null;
  }

  forget(): void {
    this.#identity.drop();
    this.#models.drop();
  }

  status(): { identity: Discovery['kind'] | 'unasked'; models: string[] | null; wsOffUntil: number | null } {
    return {
      identity: this.#identity.peek()?.kind ?? 'unasked',
      models: this.#models.peek()?.ids ?? null,
      wsOffUntil: this.#clock.now() < this.#wsOffUntil ? this.#wsOffUntil : null,
    };
  }

  #discover(done: Done<Discovery | null>): void {
    // Without the key: the page is open to everybody, and the server has not yet said who it is.
    this.#probe('/.well-known/opta-lmx', undefined, (error, answer) => {
      if (error?.code === 'lmx-timeout' || error?.code === 'lmx-protocol')
        return done(null, { kind: 'unknown', error });
      done(error, answer && readDiscovery(answer));
    });
  }

  #list(done: Done<{ ids: string[] | null } | null>): void {
    this.#probe('/v1/models', this.server.apiKey, (error, answer) => {
      if (error?.code === 'lmx-timeout' || error?.code === 'lmx-protocol') return done(null, { ids: null });
      if (error) return done(error, null);
      // A wrong key is a wrong key, not a missing model.
      if (answer?.status === 401 || answer?.status === 403)
        return done(fromServer(failureOf(answer.body, answer.status)), null);
      if (answer?.status === 200) this.#contexts = contextsOf(answer.body);
      done(null, { ids: answer?.status === 200 ? idsOf(answer.body) : null });
    });
  }

  #probe(path: string, apiKey: string | undefined, done: Done<Probed | null>): void {
    try {
      this.#look(this.server, path, apiKey, this.#clock, done);
    } catch (cause) {
      done(toOptaError(cause), null);
    }
  }
}

const idsOf = (body: unknown): string[] | null => {
  const data = (body as { data?: unknown } | null | undefined)?.data;
  if (!Array.isArray(data)) return null;
  return data.flatMap((m: { id?: unknown; owned_by?: unknown } | null) =>
    typeof m?.id === 'string' && m.owned_by !== 'local-embedding' ? [m.id] : [],
  );
};

/** What servers call it: LMX and most gateways, vLLM, LM Studio, llama-server. */
const CONTEXT_MEMBERS = ['context_length', 'max_model_len', 'max_context_length', 'n_ctx'];

const contextsOf = (body: unknown): Map<string, number> => {
  const data = (body as { data?: unknown } | null | undefined)?.data;
  const rows = (Array.isArray(data) ? data : []) as ({ [member: string]: unknown } | null)[];
  return new Map(
    rows.flatMap((row): [string, number][] => {
      const meta = row?.meta as { [member: string]: unknown } | null | undefined;
      const said = CONTEXT_MEMBERS.map((name) => row?.[name] ?? meta?.[name]).find(
        (n) => Number.isInteger(n) && Number(n) > 0,
      );
      return typeof row?.id === 'string' && said !== undefined ? [[row.id, Number(said)]] : [];
    }),
  );
};
