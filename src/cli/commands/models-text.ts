import type { HistoryEntry } from '../../operations/model-records.ts';
import type { dashboard, hostHealth, ModelRow, modelInfo } from '../../operations/models-read.ts';
import { oneLine, printable } from '../output.ts';

export type HostHealth = Awaited<ReturnType<typeof hostHealth>>;

/** A GB is a thousand million bytes, as on the wire. */
export const bytes = (n: number): string => (n >= 1e9 ? `${(n / 1e9).toFixed(1)} GB` : `${Math.round(n / 1e6)} MB`);

const lineOf = ({ id, status, contextLength, memoryBytes, isDefault }: ModelRow): string => {
  const facts = [
    status,
    ...(contextLength === null ? [] : [`${contextLength} tokens`]),
    ...(memoryBytes === null ? [] : [bytes(memoryBytes)]),
    ...(isDefault ? ['default'] : []),
  ];
  return `${oneLine(id)}  (${facts.join(', ')})`;
};

export const listText = (rows: readonly ModelRow[]): string =>
  rows.length === 0 ? 'No model is loaded. What could be: opta models list --full' : rows.map(lineOf).join('\n');

export const infoText = ({ model, performance }: Awaited<ReturnType<typeof modelInfo>>): string =>
  `${lineOf(model)}${performance === null ? '' : `\n${anyText(performance)}`}`;

export const dashboardText = (d: Awaited<ReturnType<typeof dashboard>>): string => {
  const { counts, memory, loaded } = d;
  const chosen = d.defaultModel === '' ? "the host's own choice" : d.defaultModel;
  const lines = [
    `Default  ${oneLine(chosen)}${d.defaultModel === '' || d.defaultLoaded ? '' : ' (not loaded)'}`,
    `Models   ${counts.loaded} loaded, ${counts.onDisk} on disk, ${counts.historyOnly} gone, ${counts.aliases} aliases`,
    ...(memory === null ? [] : [`Memory   ${memory.usedGb} of ${memory.totalGb} GB (${memory.percent} %)`]),
    ...loaded.map((m) => `  ${lineOf({ ...m, status: `${m.requestCount ?? 0} requests` })}`),
  ];
  return lines.join('\n');
};

export const historyText = ({ history }: { history: HistoryEntry[] }): string =>
  history.length === 0
    ? 'No model was used from here yet'
    : history
        .map((h) => `${h.lastSeenAt.slice(0, 16).replace('T', ' ')}  ${h.lastAction.padEnd(8)}  ${oneLine(h.id)}`)
        .join('\n');

export const aliasesText = ({ aliases }: { aliases: { [name: string]: string } }): string =>
  Object.entries(aliases)
    .map(([name, model]) => `${name}  ${oneLine(model)}`)
    .join('\n') || 'No aliases. To make one: opta models alias NAME MODEL';

export const aliasText = ({ alias, model }: { alias: string; model: string }): string =>
  `${alias} is ${oneLine(model)}`;
export const unaliasText = ({ deleted, model }: { deleted: string; model: string }): string =>
  `${deleted} no longer is ${oneLine(model)}`;

export const healthText = ({ host, port, liveness, ready, admin }: HostHealth): string =>
  [
    `${host}:${port} answers: ${oneLine(JSON.stringify(liveness))}`,
    ...(ready === undefined
      ? []
      : [ready.status === 200 ? 'ready' : `not ready: ${oneLine(JSON.stringify(ready.body))}`]),
    ...(admin === undefined ? [] : [anyText(admin)]),
  ].join('\n');

/** What the host says and nobody here knows the shape of. */
export const anyText = (said: unknown): string => printable(JSON.stringify(said, null, 2));

export const HELP = `opta models [action]
  list [--full]              loaded models; --full adds those on the disk of the host
  use NAME                   the model of new sessions
  load, unload, stop NAME    load a model, or let it go [--backend auto|mlx-lm|vllm-mlx|gguf]
  swap RUNNING REPLACEMENT   one for the other
  info NAME                  one loaded model
  dashboard                  all at a glance
  health [--ready] [--admin] the host
  download REPO, delete NAME models on the disk of the host
  alias NAME MODEL, unalias NAME, aliases
  history                    what was used from here
  scan, predictor, helpers, quantize list|status, agents list|status,
  skills list|show|tools, rag collections
                             what the host says of itself
  manage, browse-local       choose at a terminal
A name may be a part of one: exact, then its beginning, then any part, then its words.`;
