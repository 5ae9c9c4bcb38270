import '../styles/inspector.css';
import { useEffect, useRef, useState } from 'preact/hooks';
import { oneLine } from '../../client/printable.ts';
import type { DrawnCharts } from '../../protocol/chart.ts';
import type { InspectMessage } from '../../protocol/feeds/inspection.ts';
import { actorAt } from '../../views/chart.ts';
import { onNextFrame } from '../frames.ts';
import { FeedState } from '../parts/feed-state.tsx';
import { Panel } from '../parts/panel.tsx';
import { Empty, ErrorBox, Loading } from '../parts/states.tsx';
import { hashOf } from '../router.ts';
import { useConnection } from '../shell/connection.ts';
import { Page } from '../shell/page.tsx';
import { useFeed } from '../use-feed.ts';
import { useWhy } from '../use-why.ts';
import { ActorTree } from './inspector/actor-tree.tsx';
import { ChartPane } from './inspector/chart-pane.tsx';
import { drawnCharts } from './inspector/charts.ts';
import { LiveActors, type Picture, sessionOf } from './inspector/live-actors.ts';
import { ChangesPanel, FactsPanel, WhyPanel } from './inspector/panels.tsx';
import { RawPanel } from './inspector/raw-panel.tsx';
import { ScrubberPanel } from './inspector/scrubber.tsx';

/** What the actors of the daemon, or of one session, are doing, as they do it. */
export const InspectorPage = ({ sessionId }: { sessionId: string | null }) => {
  const [live] = useState(() => new LiveActors());
  const [picture, setPicture] = useState<Picture>(live.picture);
  const [drawing] = useState(() => onNextFrame(() => setPicture(live.picture)));
  /** How often something of a session changed, so that `why` is asked again then and only then. */
  const moves = useRef(new Map<string, number>());
  const heardMs = useRef(0);
  const feed = useFeed('inspect.stream', sessionId, (message: InspectMessage) => {
    heardMs.current = Date.now();
    const moved = live.take(message);
    if (message.type === '@opta.picture') moves.current.clear();
    const of = moved === null ? null : sessionOf(moved);
    if (of !== null) moves.current.set(of, (moves.current.get(of) ?? 0) + 1);
    drawing.ask();
  });
  useConnection(feed.state);
  useEffect(() => () => drawing.cancel(), []);
  const [chosen, setChosen] = useState<string | null>(null);
  const { root } = picture;
  const id = chosen ?? root?.id ?? '';
  const found = root === null ? null : actorAt(root, id);
  const actor = found ?? picture.ended.get(id) ?? root;
  const session = sessionId ?? (actor === null ? null : sessionOf(actor.id));
  const why = useWhy(session, session === null ? 0 : (moves.current.get(session) ?? 0));
  const top = root === null || session === null ? null : actorAt(root, session);
  const headSeq = typeof top?.facts.seq === 'number' ? top.facts.seq : null;
  const title = sessionId === null ? 'Inspector' : `Inspector · ${oneLine(sessionId, 64)}`;
  const isStale = root !== null && feed.state !== 'open';
  return (
    <Page title={title} tab="Inspector" class={`inspector${isStale ? ' is-stale' : ''}`}>
      <FeedState feed={feed} at={picture.isTold ? heardMs.current : null} what="the actors" />
      {picture.isTold && (
        <div class={`inspect lives${root === null ? ' inspect-asleep' : ''}`}>
          {root !== null && actor !== null ? (
            <>
              <Panel title={`Actors · ${picture.count}`} class="inspect-tree">
                <ActorTree root={root} chosen={actor.id} choose={setChosen} />
              </Panel>
              <Panel
                title={oneLine(actor.id || 'actors', 100)}
                class="inspect-chart"
                actions={session !== null && <SessionLinks sessionId={session} isWhole={sessionId === null} />}
              >
                <Chart actor={actor} picture={picture} />
              </Panel>
            </>
          ) : (
            <Asleep sessionId={sessionId} />
          )}
          <div class="inspect-side">
            {session !== null && <WhyPanel asked={why} />}
            {actor !== null && <FactsPanel actor={actor} hasEnded={found === null} />}
          </div>
          <div class="inspect-below">
            <ChangesPanel changes={picture.changes} choose={setChosen} />
            {session !== null && <ScrubberPanel key={session} sessionId={session} headSeq={headSeq} />}
            <RawPanel live={live} count={picture.messages} sessionId={sessionId} />
          </div>
        </div>
      )}
    </Page>
  );
};

/** Nothing of it is in memory, so there is nothing to draw; its log is there all the same. */
const Asleep = ({ sessionId }: { sessionId: string | null }) => (
  <Panel
    title="Actors · 0"
    class="inspect-none"
    actions={sessionId !== null && <SessionLinks sessionId={sessionId} isWhole={false} />}
  >
    <Empty title="It sleeps">
      <p>Nothing of it is held in memory, which costs nothing. The next turn wakes it, and its actors appear here.</p>
    </Empty>
  </Panel>
);

const SessionLinks = ({ sessionId, isWhole }: { sessionId: string; isWhole: boolean }) => (
  <>
    {isWhole ? (
      <a class="inspect-link" href={hashOf({ page: 'inspect', sessionId })}>
        This session alone
      </a>
    ) : (
      <a class="inspect-link" href={hashOf({ page: 'inspect', sessionId: null })}>
        Whole daemon
      </a>
    )}
    <a class="inspect-link" href={hashOf({ page: 'session', sessionId })}>
      Conversation
    </a>
  </>
);

const Chart = ({ actor, picture }: { actor: NonNullable<Picture['root']>; picture: Picture }) => {
  const [charts, setCharts] = useState<DrawnCharts | null>(null);
  const [error, setError] = useState<unknown>(null);
  const fetchCharts = (): void => {
    setError(null);
    drawnCharts().then(setCharts, setError);
  };
  useEffect(fetchCharts, []);
  if (error !== null) return <ErrorBox title="The charts could not be fetched" error={error} again={fetchCharts} />;
  if (charts === null) return <Loading what="Fetching the charts" />;
  const chart = Object.hasOwn(charts, actor.chart) ? charts[actor.chart] : undefined;
  if (!chart)
    return (
      <Empty title="No chart">
        <p>{oneLine(actor.chart, 60)} is an effect: it does one thing and reports what came of it.</p>
      </Empty>
    );
  return <ChartPane key={actor.id} chart={chart} actor={actor} change={picture.last.get(actor.id)} />;
};
