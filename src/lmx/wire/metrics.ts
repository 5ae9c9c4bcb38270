import { freemem, totalmem } from 'node:os';
import type { Gateway, Histogram } from '../gateway.ts';

const GIB = 1024 ** 3;

/** [LG12] Prometheus text 0.0.4. Label values are escaped, their number is bounded by the figures. */
export const prometheus = (gateway: Gateway): string => {
  const { counters: c, uptimeMs, inFlight, queued, slots } = gateway.status();
  const models = gateway.models();
  const lines: string[] = [];
  const one = (name: string, type: 'counter' | 'gauge', help: string, value: number): void => {
    lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, `${name} ${value}`);
  };
  const many = (name: string, help: string, label: string, rows: Iterable<[string, number]>): void => {
    lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} counter`);
    for (const [key, value] of rows) lines.push(`${name}{${label}="${escaped(key)}"} ${value}`);
  };
  const histogram = (name: string, help: string, h: Histogram): void => {
    lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} histogram`);
    for (const [i, bound] of h.bounds.entries()) lines.push(`${name}_bucket{le="${bound}"} ${h.counts[i] ?? 0}`);
    lines.push(`${name}_bucket{le="+Inf"} ${h.count}`, `${name}_sum ${h.sum}`, `${name}_count ${h.count}`);
  };
  one('lmx_requests_total', 'counter', 'Requests for an answer that have ended.', c.requests);
  one('lmx_errors_total', 'counter', 'Those that were refused or failed.', c.errors);
  one('lmx_stream_requests_total', 'counter', 'Those that asked for a stream.', c.streams);
  one('lmx_prompt_tokens_total', 'counter', "Tokens of prompts, by the engine's count.", c.promptTokens);
  one('lmx_completion_tokens_total', 'counter', "Tokens of answers, by the engine's count.", c.completionTokens);
  for (const [label, by] of [
    ['model', c.byModel],
    ['client', c.byClient],
  ] as const) {
    many(`lmx_${label}_requests_total`, `Requests by ${label}.`, label, rows(by, 'requests'));
    many(`lmx_${label}_errors_total`, `Errors by ${label}.`, label, rows(by, 'errors'));
    many(`lmx_${label}_tokens_total`, `Tokens of answers by ${label}.`, label, rows(by, 'completionTokens'));
  }
  histogram('lmx_request_duration_seconds', 'From the arrival of a request to its end.', c.duration);
  histogram('lmx_queue_wait_seconds', 'From the arrival of a request to its slot.', c.queueWait);
  histogram('lmx_first_token_seconds', 'From the arrival of a request to the first piece of its answer.', c.firstToken);
  one('lmx_uptime_seconds', 'gauge', 'Since the server started.', uptimeMs / 1_000);
  one('lmx_loaded_models', 'gauge', 'Models that answer.', models.filter((m) => m.readiness === 'routable').length);
  one(
    'lmx_quarantined_models',
    'gauge',
    'Models that failed.',
    models.filter((m) => m.readiness === 'quarantined').length,
  );
  one('lmx_in_flight_requests', 'gauge', 'Requests that hold a slot.', inFlight);
  one('lmx_queued_requests', 'gauge', 'Requests that wait for one.', queued);
  one('lmx_concurrent_limit', 'gauge', 'Slots.', slots);
  one('lmx_memory_used_gb', 'gauge', 'Memory of the machine in use, GiB.', (totalmem() - freemem()) / GIB);
  one('lmx_memory_total_gb', 'gauge', 'Memory of the machine, GiB.', totalmem() / GIB);
  return `${lines.join('\n')}\n`;
};

const escaped = (value: string): string =>
  value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');

interface Row {
  requests: number;
  errors: number;
  completionTokens: number;
}
type Rows = ReadonlyMap<string, Row>;

const rows = (map: Rows, member: keyof Row) => [...map].map(([name, row]): [string, number] => [name, row[member]]);

/** The same as JSON, in the spelling of old. */
export const metricsJson = (gateway: Gateway) => {
  const { counters: c, uptimeMs } = gateway.status();
  const per = (map: Rows) =>
    Object.fromEntries(
      [...map].map(([name, r]) => [
        name,
        { requests: r.requests, errors: r.errors, completion_tokens: r.completionTokens },
      ]),
    );
  return {
    total_requests: c.requests,
    total_errors: c.errors,
    total_stream_requests: c.streams,
    total_prompt_tokens: c.promptTokens,
    total_completion_tokens: c.completionTokens,
    requests: { total: c.requests, errors: c.errors, stream_total: c.streams },
    tokens: { prompt_total: c.promptTokens, completion_total: c.completionTokens },
    per_model: per(c.byModel),
    per_client: per(c.byClient),
    uptime_seconds: uptimeMs / 1_000,
    schema_version: 1,
  };
};
