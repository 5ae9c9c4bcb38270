import { oneLine } from '../../../client/printable.ts';
import type { Overview } from '../../../protocol/feeds/overview.ts';
import { Badge, type Tone } from '../../parts/badge.tsx';
import { Panel } from '../../parts/panel.tsx';
import { useNow } from '../../parts/time.tsx';
import { hashOf } from '../../router.ts';
import { bytesText, countText, msText, type Samples } from './samples.ts';
import { Sparkline } from './sparkline.tsx';

const STATES: { [S in Overview['state']]: readonly [Tone, string] } = {
  starting: ['info', 'starting'],
  ready: ['good', 'ready'],
  'read-only': ['bad', 'read only'],
  draining: ['warn', 'draining'],
  stopped: ['bad', 'stopped'],
};
const SAYS: { readonly [S in Overview['state']]?: string } = {
  starting: 'It reads its logs; turns are taken on when it is ready.',
  'read-only': 'Nothing can be stored. Free disk space, and it goes on by itself.',
  draining: 'It is stopping: what runs is brought to an end, nothing new is taken on.',
};

export const DaemonPanel = ({ overview, samples }: { overview: Overview; samples: Samples }) => {
  const { runtime, loop, memory } = overview;
  const [tone, word] = STATES[overview.state];
  const storage = problemOf(overview.storage);
  return (
    <Panel
      title="Daemon"
      class="daemon"
      actions={
        <a class="more" href={hashOf({ page: 'inspect', sessionId: null })}>
          Inspect
        </a>
      }
    >
      <div class="daemon-head">
        <Badge tone={tone} dot>
          {word}
        </Badge>
        <span class="daemon-up">
          up <Uptime overview={overview} />
        </span>
        <span class="soft">version {oneLine(overview.version, 40)}</span>
        <span class="soft" title={overview.transport.why}>
          {oneLine(overview.transport.adapter, 30)}
        </span>
      </div>
      {SAYS[overview.state] && <p class="says">{SAYS[overview.state]}</p>}
      {storage !== '' && <p class="says">Storage: {storage}</p>}
      <dl class="figures">
        <Figure name="Sessions" value={countText(overview.liveCount)} note="in memory" />
        <Figure name="Turns" value={countText(runtime.activeTurnCount)} note={`${runtime.queuedTurnCount} queued`} />
        <Figure
          name="Attached"
          value={countText(runtime.subscriberCount)}
          note={runtime.subscriberCount === 1 ? 'reader' : 'readers'}
        />
        <Figure
          name="Tools"
          value={countText(runtime.toolWorkers.busy)}
          note={`of ${runtime.toolWorkers.workers} busy${runtime.toolWorkers.queued > 0 ? `, ${runtime.toolWorkers.queued} wait` : ''}`}
        />
      </dl>
      <div class="gauges">
        <Gauge
          name="Event-loop delay"
          value={loop === null ? '–' : msText(loop.p99Ms)}
          note={
            loop === null ? 'measured from the next look on' : `p50 ${msText(loop.p50Ms)} · max ${msText(loop.maxMs)}`
          }
          unit="p99"
        >
          <Sparkline label="Event-loop delay, p99" values={samples.loopMs} atLeast={20} text={msText} />
        </Gauge>
        <Gauge
          name="Memory"
          value={bytesText(memory.rssBytes)}
          note={`heap ${bytesText(memory.heapUsedBytes)}`}
          unit="resident"
        >
          <Sparkline label="Memory" values={samples.rssBytes} atLeast={64 << 20} text={bytesText} />
        </Gauge>
        <Gauge
          name="Requests"
          value={runtime.latency.samples === 0 ? '–' : msText(runtime.latency.p99Ms)}
          note={
            runtime.latency.samples === 0
              ? 'none yet'
              : `p50 ${msText(runtime.latency.p50Ms)} · ${countText(runtime.latency.samples)} samples`
          }
          unit="p99"
        >
          <Sparkline label="Latency of requests, p99" values={samples.latencyMs} atLeast={20} text={msText} />
        </Gauge>
      </div>
    </Panel>
  );
};

const Figure = ({ name, value, note }: { name: string; value: string; note: string }) => (
  <div class="figure">
    <dt class="label">{name}</dt>
    <dd>
      <span class="figure-value">{value}</span> <span class="soft">{note}</span>
    </dd>
  </div>
);

const Gauge = ({
  name,
  value,
  unit,
  note,
  children,
}: {
  name: string;
  value: string;
  unit: string;
  note: string;
  children: preact.ComponentChildren;
}) => (
  <div class="gauge">
    <p class="label">{name}</p>
    <p class="gauge-line">
      <span class="figure-value">{value}</span> <span class="soft">{unit}</span>
    </p>
    {children}
    <p class="soft gauge-note">{note}</p>
  </div>
);

/** It goes on between two looks. */
const Uptime = ({ overview }: { overview: Overview }) => {
  const now = useNow(1_000);
  const s = overview.uptime + Math.max(0, Math.floor((now - Date.parse(overview.ts)) / 1_000));
  const [d, h, min] = [Math.floor(s / 86_400), Math.floor(s / 3_600) % 24, Math.floor(s / 60) % 60];
  return <>{d > 0 ? `${d} d ${h} h` : h > 0 ? `${h} h ${min} min` : min > 0 ? `${min} min ${s % 60} s` : `${s} s`}</>;
};

const problemOf = (storage: unknown): string => {
  const said = storage as { writable?: unknown; error?: unknown; reason?: unknown } | null;
  if (typeof said !== 'object' || said === null) return '';
  const { reason, error } = said;
  return typeof reason === 'string' ? oneLine(reason, 200) : typeof error === 'string' ? oneLine(error, 200) : '';
};
