import { LIMITS } from '../../actors/limits.ts';
import type { LmxCall } from '../../actors/ports.ts';
import { OptaError, toOptaError } from '../../protocol/errors.ts';
import { OVERVIEW_MAX, type Overview } from '../../protocol/feeds/overview.ts';
import { type HandlerDeps, within } from '../handlers/deps.ts';

type Asked = Pick<NonNullable<Overview['lmx']>, 'askedAt' | 'problem'>;

/** What the inference host last said of its models. It is asked in the background, seldom, and only when somebody calls `ask`. */
export class HostModels {
  readonly #deps: HandlerDeps;
  known: Overview['models'] = [];
  asked: Asked = { askedAt: null, problem: null };
  #atMs = Number.NEGATIVE_INFINITY;
  #asking = false;

  constructor(deps: HandlerDeps) {
    this.#deps = deps;
  }

  ask(): void {
    const now = this.#deps.now();
    if (!this.#deps.lmx || this.#asking || now - this.#atMs < LIMITS.overviewModelsEveryMs) return;
    this.#asking = true;
    this.#atMs = now;
    void this.#models().then(
      (models) => {
        this.known = models.slice(0, OVERVIEW_MAX.models);
        this.#settle(null);
      },
      (cause: unknown) => {
        const { code, message } = toOptaError(cause);
        this.#settle({ code, message });
      },
    );
  }

  #settle(problem: Asked['problem']): void {
    this.#asking = false;
    this.asked = { askedAt: new Date(this.#deps.now()).toISOString(), problem };
  }

  async #models(): Promise<Overview['models']> {
    try {
      const { models } = await this.#run<{ models: { model_id: string; status: string }[] }>('lmx.models');
      return models.map(({ model_id: id, status }) => ({ id, loaded: status === 'loaded', status }));
    } catch (cause) {
      if (!(cause instanceof OptaError) || cause.code !== 'lmx-no-admin') throw cause;
      // A server that is no LMX says only what it would answer with.
      const { data } = await this.#run<{ data: { id: string }[] }>('lmx.served');
      return data.map(({ id }) => ({ id, loaded: true, status: 'served' }));
    }
  }

  #run<T>(id: LmxCall['id']): Promise<T> {
    const lmx = this.#deps.lmx as NonNullable<HandlerDeps['lmx']>;
    return within(
      this.#deps,
      (done) => lmx.admin.run({ id, fields: {} }, done as (error: OptaError | null, result: unknown) => void),
      LIMITS.overviewModelsMs,
    );
  }
}
