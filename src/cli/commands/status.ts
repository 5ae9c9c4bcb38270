import type { DaemonState } from '../../client/daemon-state.ts';
import { endpointOf, inferenceStatus } from '../../operations/inference.ts';
import { type HostPlace, hostPlace } from '../../operations/lmx-host.ts';
import { loadedModels } from '../../operations/models-read.ts';
import { OptaError } from '../../protocol/errors.ts';
import type { Context } from '../context.ts';
import { EXIT, reportFailure } from '../exit.ts';
import { type HostOptions, type Reached, withHost } from '../inference-host.ts';
import { oneLine, seconds } from '../output.ts';
import { anyText, bytes } from './models-text.ts';

export interface StatusOptions extends HostOptions {
  json?: boolean;
  full?: boolean;
}

/** For the whole answer of one call; `--full` is patient. */
const CALL_MS = { usual: 5_000, full: 15_000 };

interface DaemonFacts {
  pid: number;
  host: string;
  port: number;
  startedAt: string;
  uptimeSeconds: number;
  status: string;
  sessionCount: number;
  activeTurnCount: number;
  queuedTurnCount: number;
}

export const statusCommand = async (ctx: Context, options: StatusOptions): Promise<number> => {
  const json = options.json ?? false;
  const known: { daemon?: DaemonFacts; endpoint?: object; away?: HostPlace['away'] } = {};
  try {
    return await withHost(
      ctx,
      options,
      async (reached) => {
        known.daemon = await daemonFacts(reached);
        if (!json) ctx.output.out(`${daemonLine(known.daemon)}\n`);
        const { host, port } = await hostPlace(reached.world);
        known.endpoint = endpointOf(reached.world, host);
        try {
          await tell(ctx, reached, { ...options, json }, known.daemon, `${host}:${port}`);
          return EXIT.ok;
        } catch (cause) {
          known.away = (await hostPlace(reached.world)).away;
          throw isAway(cause) ? away(cause, `${host}:${port}`, known.away) : cause;
        }
      },
      options.full ? CALL_MS.full : CALL_MS.usual,
    );
  } catch (cause) {
    return reportFailure(ctx.output, cause, json, known);
  }
};

const daemonFacts = async ({ http, state }: Reached): Promise<DaemonFacts> => {
  const { status, runtime } = await http.call('v3.health');
  const { sessionCount, activeTurnCount, queuedTurnCount } = runtime;
  return { ...placeOf(state), status, sessionCount, activeTurnCount, queuedTurnCount };
};

const placeOf = ({ pid, host, port, startedAt }: DaemonState) => ({
  pid,
  host,
  port,
  startedAt,
  uptimeSeconds: Math.max(0, Math.round((Date.now() - Date.parse(startedAt)) / 1_000)),
});

const tell = async (
  ctx: Context,
  { world }: Reached,
  { json, full }: StatusOptions,
  daemon: DaemonFacts,
  place: string,
): Promise<void> => {
  const body = await inferenceStatus(world);
  if (json) return ctx.output.pretty({ ...body, daemon });
  const loaded = (await loadedModels(world)).map((m) => m.model_id);
  const admin = body.adminAccess.ok
    ? ''
    : `\n  its models are not administered from here: ${oneLine(body.adminAccess.error ?? '')}`;
  const { memory } = (body.status ?? {}) as { memory?: { used_bytes?: number; total_bytes?: number } };
  const room =
    memory?.used_bytes === undefined || memory.total_bytes === undefined
      ? ''
      : `\n  memory ${bytes(memory.used_bytes)} of ${bytes(memory.total_bytes)}`;
  const disk = body.availableModelsCount === undefined ? '' : `, ${body.availableModelsCount} on disk`;
  ctx.output.out(`Inference host ${place} answers (${body.endpoint.executionContext})${room}${admin}\n`);
  ctx.output.out(`Models ${oneLine(loaded.join(', ') || 'none loaded')}${disk}\n`);
  if (full) ctx.output.out(`${anyText({ device: body.deviceIdentity, memory: body.memoryDetails })}\n`);
};

const daemonLine = (d: DaemonFacts): string =>
  `Daemon ${d.host}:${d.port}, pid ${d.pid}, up ${uptime(d.uptimeSeconds)}, ${oneLine(d.status)}: ` +
  `${d.sessionCount} live sessions, ${d.activeTurnCount} turns running, ${d.queuedTurnCount} queued`;

const uptime = (s: number): string => {
  if (s < 60) return seconds(s * 1_000);
  return s < 3_600 ? `${Math.floor(s / 60)} min` : `${Math.floor(s / 3_600)} h ${Math.floor((s % 3_600) / 60)} min`;
};

const AWAY: ReadonlySet<string> = new Set([
  'lmx-connection-refused',
  'lmx-ws-closed',
  'lmx-busy',
  'lmx-protocol',
  'timeout',
]);

const isAway = (cause: unknown): cause is OptaError => cause instanceof OptaError && AWAY.has(cause.code);

/** Whatever keeps the host from answering, for a script it is one thing: no inference (exit 3). */
const away = (cause: OptaError, place: string, since: HostPlace['away']): OptaError => {
  const when = since === null ? '' : ` since ${since.since}`;
  return new OptaError(
    'lmx-connection-refused',
    `The inference host ${place} is away${when}: ${cause.message}`,
    cause.facts,
  );
};
