import type { Clock } from '../../actors/ports.ts';
import { envelope, LmxError } from '../errors.ts';
import type { Gateway, LoadResult } from '../gateway.ts';

interface Job {
  id: string;
  modelId: string;
  startedAt: number;
  /** Null while it loads. */
  over: { error: LmxError } | { result: LoadResult } | null;
}

const JOBS_MAX = 128;

/** Loads that nobody waits for on a connection: `{async: true}` is answered at once, and this is where it is asked after. */
export const loadJobs = (gateway: Gateway, clock: Clock, newId: () => string) => {
  /** In the order of their beginning. */
  const jobs = new Map<string, Job>();
  return {
    /** One for a model at a time. Throws `too_many_requests` when all that are kept still load. */
    begin(modelId: string, options: { contextLength?: number }) {
      const running = [...jobs.values()].find((job) => job.modelId === modelId && job.over === null);
      if (running) return shape(running);
      if (jobs.size >= JOBS_MAX) {
        const oldest = [...jobs.values()].find((job) => job.over !== null);
        if (!oldest)
          throw new LmxError('too_many_requests', `${JOBS_MAX} models are loading.`, { retryAfterMs: 5_000 });
        jobs.delete(oldest.id);
      }
      const job: Job = { id: `load_${newId()}`, modelId, startedAt: clock.now(), over: null };
      jobs.set(job.id, job);
      gateway.load(modelId, options, (error, result) => {
        job.over = error || !result ? { error: error ?? new LmxError('internal_error', 'No answer.') } : { result };
      });
      return shape(job);
    },

    /** Throws `not_found`. */
    get(id: string) {
      const job = jobs.get(id);
      if (!job) throw new LmxError('not_found', `There is no load ${JSON.stringify(id)}.`);
      return shape(job);
    },
  };
};

const shape = ({ id, modelId, startedAt, over }: Job) => ({
  job_id: id,
  model_id: modelId,
  status: over === null ? 'loading' : 'error' in over ? 'failed' : 'loaded',
  started_at: startedAt / 1_000,
  progress_url: `/admin/models/load/${id}`,
  error: over !== null && 'error' in over ? envelope(over.error).error : null,
  time_to_load_ms: over !== null && 'result' in over ? over.result.loadMs : null,
});
