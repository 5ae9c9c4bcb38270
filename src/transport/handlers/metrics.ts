import { LIMITS } from '../../actors/limits.ts';
import type { Gauge, RuntimeHealth } from '../../actors/runtime.ts';
import { family, type Sample } from '../prometheus.ts';
import type { HandlerDeps } from './deps.ts';

/** What is held now, beside its bound where it has one; and the bounds that nothing fills. */
export const levels = (deps: HandlerDeps): { limits: Gauge[]; settings: { [name: string]: number } } => {
  const limits = [...deps.runtime.metrics(), ...deps.gauges()];
  const filled = new Set(limits.map((g) => g.limit));
  return {
    limits,
    settings: Object.fromEntries(Object.entries(deps.facts().limits ?? LIMITS).filter(([name]) => !filled.has(name))),
  };
};

/** The page that Prometheus reads. Seconds and bytes, as it wants them. */
export const prometheusPage = (deps: HandlerDeps): string => {
  const { limits, settings } = levels(deps);
  return [
    ...processFamilies(deps),
    ...runtimeFamilies(deps, deps.runtime.health()),
    ...limitFamilies(limits, settings),
  ].join('');
};

const STATES: readonly RuntimeHealth['state'][] = ['starting', 'ready', 'read-only', 'draining', 'stopped'];

const one = (value: number): Sample[] => [[{}, value]];

const processFamilies = ({ version, transport, loop }: HandlerDeps): string[] => {
  const { user, system } = process.cpuUsage();
  const { rss, heapUsed } = process.memoryUsage();
  const delay = loop.read();
  const build = { version, adapter: transport.adapter, node: process.versions.node };
  return [
    family('opta_build_info', 'gauge', 'What runs', [[build, 1]]),
    family('opta_uptime_seconds', 'gauge', 'Since the process began', one(process.uptime())),
    family('opta_event_loop_delay_seconds', 'gauge', 'How late the event loop was since the last look', [
      [{ quantile: '0.5' }, delay.p50],
      [{ quantile: '0.99' }, delay.p99],
      [{ quantile: '1' }, delay.max],
    ]),
    family('process_resident_memory_bytes', 'gauge', 'Memory of the process', one(rss)),
    family('opta_heap_used_bytes', 'gauge', 'Memory that JavaScript objects take', one(heapUsed)),
    family('process_cpu_seconds_total', 'counter', 'Processor time, user and system', one((user + system) / 1e6)),
  ];
};

const runtimeFamilies = ({ latency, facts }: HandlerDeps, health: RuntimeHealth): string[] => {
  const { p50Ms, p99Ms } = latency.facts();
  const { count, sumMs } = latency.totals();
  const { workers } = facts().toolWorkers;
  return [
    family(
      'opta_state',
      'gauge',
      'The state of the daemon: 1 for the one it is in',
      STATES.map((state) => [{ state }, Number(state === health.state)]),
    ),
    family('opta_storage_ok', 'gauge', 'Whether the log can be written', one(Number(health.storage.state === 'ok'))),
    family('opta_sessions', 'gauge', 'Stored sessions', one(health.sessionCount)),
    family('opta_sessions_quarantined', 'gauge', 'Sessions that failed too often', one(health.quarantined.length)),
    family('opta_turns_active', 'gauge', 'Turns that run', one(health.activeTurnCount)),
    family('opta_turns_queued', 'gauge', 'Turns that wait', one(health.queuedTurnCount)),
    family('opta_turns_submitted_total', 'counter', 'Turns that were submitted', one(health.ingressSeq)),
    family('opta_attachments', 'gauge', 'Attached readers', one(health.subscriberCount)),
    family('opta_tool_workers', 'gauge', 'Processes that run tools', one(workers)),
    family('opta_request_seconds', 'summary', 'From arrival to answer; quantiles of the newest requests', [
      [{ quantile: '0.5' }, p50Ms / 1000],
      [{ quantile: '0.99' }, p99Ms / 1000],
      ['_sum', sumMs / 1000],
      ['_count', count],
    ]),
  ];
};

const limitFamilies = (limits: Gauge[], settings: { [name: string]: number }): string[] => {
  const bounds = limits.filter((g) => g.max !== undefined);
  const nameOf = (g: Gauge) => ({ name: g.limit ?? g.name });
  return [
    ...limits
      .filter((g) => g.max === undefined)
      .map((g) => family(`opta_${snake(g.name)}`, null, g.help, one(g.value))),
    family('opta_limit_value', 'gauge', 'How full a bound is; of several of a kind, the fullest', [
      ...bounds.map((g): Sample => [nameOf(g), g.value]),
    ]),
    family('opta_limit_max', 'gauge', 'The bound', [...bounds.map((g): Sample => [nameOf(g), g.max as number])]),
    family('opta_setting', 'gauge', 'A bound that nothing fills: a deadline, or the size of one thing', [
      ...Object.entries(settings).map(([name, value]): Sample => [{ name }, value]),
    ]),
  ];
};

const snake = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
