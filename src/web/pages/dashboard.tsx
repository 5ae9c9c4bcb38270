import '../styles/dashboard.css';
import { useRef, useState } from 'preact/hooks';
import { oneLine } from '../../client/printable.ts';
import type { Overview } from '../../protocol/feeds/overview.ts';
import { onNextFrame } from '../frames.ts';
import { announce } from '../parts/announcer.tsx';
import { Button } from '../parts/button.tsx';
import { FeedState } from '../parts/feed-state.tsx';
import { Panel } from '../parts/panel.tsx';
import { Empty } from '../parts/states.tsx';
import { shell } from '../shell/actions.ts';
import { useConnection } from '../shell/connection.ts';
import { Page } from '../shell/page.tsx';
import { useFeed } from '../use-feed.ts';
import { DaemonPanel } from './dashboard/daemon-panel.tsx';
import { EnginePanel } from './dashboard/engine-panel.tsx';
import { AsksPanel, QuarantinePanel } from './dashboard/needs.tsx';
import { NO_SAMPLES, newsOf, type Samples, sampled } from './dashboard/samples.ts';
import { SessionsPanel } from './dashboard/sessions.tsx';
import { JobsPanel, LimitsPanel } from './dashboard/tables.tsx';

interface Look {
  overview: Overview | null;
  samples: Samples;
}

/** The daemon at this moment, from one feed; nothing is asked for again. */
export const DashboardPage = () => {
  const [look, setLook] = useState<Look>({ overview: null, samples: NO_SAMPLES });
  const latest = useRef<Look>(look);
  const [drawing] = useState(() => onNextFrame(() => setLook(latest.current)));
  const feed = useFeed('overview.stream', null, (overview) => {
    const { overview: before, samples } = latest.current;
    for (const news of newsOf(before, overview)) announce(oneLine(news, 300));
    latest.current = { overview, samples: sampled(samples, overview) };
    drawing.ask();
  });
  useConnection(feed.state);
  const { overview, samples } = look;
  const isStale = overview !== null && feed.state !== 'open';
  return (
    <Page
      title="Dashboard"
      waits={overview?.sessions.some(({ asks }) => asks.length > 0) ?? false}
      class={`dashboard${isStale ? ' is-stale' : ''}`}
    >
      <FeedState feed={feed} at={overview?.ts ?? null} what="the daemon" />
      {overview !== null && <Shown overview={overview} samples={samples} />}
    </Page>
  );
};

const Shown = ({ overview, samples }: Look & { overview: Overview }) => (
  <div class="dash lives">
    <AsksPanel sessions={overview.sessions} />
    <QuarantinePanel quarantined={overview.quarantined} />
    <DaemonPanel overview={overview} samples={samples} />
    <EnginePanel overview={overview} />
    {overview.sessions.length === 0 ? <Welcome /> : <SessionsPanel overview={overview} />}
    <JobsPanel overview={overview} />
    <LimitsPanel overview={overview} />
  </div>
);

const Welcome = () => (
  <Panel title="Sessions" class="dash-wide">
    <Empty title="Nothing here yet">
      <p>
        A session is a conversation with its own log. Terminals, browsers and scripts share it, and it outlives them
        all.
      </p>
      <ul class="first-steps">
        <li>
          <code>opta do "say hello"</code> <span>runs one turn in a terminal</span>
        </li>
        <li>
          <code>opta tui</code> <span>opens the full screen</span>
        </li>
        <li>
          <Button kind="primary" icon="plus" onClick={() => shell.trigger.opened({ what: 'new-session' })}>
            New session
          </Button>{' '}
          <span>begins one here</span>
        </li>
      </ul>
    </Empty>
  </Panel>
);
